"""Documents that draw one picture from two."""

from __future__ import annotations

import random

from .. import words
from ..documents import Document, Picture
from ..sampling import random_scene
from ..scenes import BACKGROUND_NAMES, Scene
from ..splits import pair_fits
from .captions import ask_about
from .editing import draws

PHRASES: dict[str, tuple[str, ...]] = {
    "both": (
        "put the first {object} {one} and the second {object} {two}{on}", "draw the first {object} {one} and the second {object} {two}{on}",
        "combine them: the first {object} {one} and the second {object} {two}{on}", "show the first {object} {one} and the second {object} {two}{on}",
        "make one picture with the first {object} {one} and the second {object} {two}{on}", "paint the first {object} {one}, the second {object} {two}{on}",
        "place the first {object} {one} and the second {object} {two}{on}", "please draw the first {object} {one} and the second one {two}{on}",
    ),
    "background": (
        "draw the first {object} on the background of the second {noun}", "put the first {object} on the second background",
        "show the first {object} with the background of the second {noun}", "the first {object} on the background of the second {noun}",
        "use the background of the second {noun} for the first {object}", "paint the first {object} over the second background",
        "please draw the first {object} on the background of the second {noun}", "give the first {noun} the background of the second",
    ),
    "colour": (
        "draw the first {object} in the color of the second", "draw the first {object} in the color of the second {object}",
        "paint the first {object} with the color of the second", "show the first {object} in the colour of the second {object}",
        "give the first {object} the color of the second", "make the first {object} the color of the second",
        "please draw the first {object} in the color of the second", "the first {object} in the color of the second one",
    ),
    "shape": (
        "draw the first {object} in the shape of the second", "give the first {object} the shape of the second",
        "make the first {object} the shape of the second {object}", "show the first {object} with the shape of the second",
        "draw the second shape in the color of the first", "paint the first {object} with the shape of the second",
        "please draw the first {object} in the shape of the second", "the shape of the second in the color of the first",
    ),
    "together": (
        "draw both {object}s in one {noun}", "combine the two {noun}s", "put both {object}s in one {noun}", "merge the {noun}s",
        "show both {object}s together", "draw the two {object}s together", "make one {noun} with both {object}s", "put them together",
    ),
}  # fmt: skip


def make(rng: random.Random, fold_name: str) -> Document:
    """Two pictures of one thing each and a picture made of both."""
    while True:
        kind = rng.choice(list(PHRASES))
        first, second = (random_scene(rng, fold_name, 1, 1) for _ in range(2))
        target, values = _target(kind, first, second, rng)
        if target is not None and all(pair_fits(thing, fold_name) for thing in target.things.values()):
            break
    values |= {"object": rng.choice(("object", "object", "shape", "thing")), "noun": rng.choice(("picture", "image"))}
    text = words.request(rng.choice(PHRASES[kind]), rng, **values)
    parts = ask_about([Picture(first), Picture(second)], text, rng)
    return Document("composition", kind, parts + draws(target), {"scene": target})


def _target(kind: str, first: Scene, second: Scene, rng: random.Random) -> tuple[Scene | None, dict[str, str]]:
    ((cell, one),) = first.things.items()
    ((other_cell, two),) = second.things.items()
    ground = first.background
    match kind:
        case "both":
            a, b = rng.sample(range(4), 2)
            values = {"one": words.place(a, rng), "two": words.place(b, rng), "on": ""}
            ground = "white"
            if rng.random() < 0.6:
                ground = rng.choice(BACKGROUND_NAMES)
                values["on"] = " " + words.on_background(ground, rng)
            return Scene({a: one, b: two}, ground, rng), values
        case "background":
            return Scene({cell: one}, second.background, rng), {}
        case "colour":
            return Scene({cell: one._replace(colour=two.colour)}, ground, rng), {}
        case "shape":
            return Scene({cell: one._replace(shape=two.shape)}, ground, rng), {}
        case _:
            if cell == other_cell:
                return None, {}
            return Scene({cell: one, other_cell: two}, ground, rng), {}
