"""Documents that draw one picture from two."""

from __future__ import annotations

import random

from .. import speech, words
from ..documents import Document, Picture
from ..phrases.combining import COMPOSE
from ..sampling import random_scene
from ..scenes import BACKGROUND_NAMES, Scene
from ..splits import pair_fits
from .captions import ask_about
from .editing import draws, reference

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


_MANY: dict[str, tuple[str, ...]] = {
    "all": (
        "combine these two {noun}s", "merge these two, everything stays where it is", "one {noun} out of these two", "put everything of both {noun}s into one",
        "draw all the shapes of both in one {noun}", "add the shapes of the second {noun} to the first", "join the {noun}s, every shape in its place", "merge both {noun}s, keep all shapes where they are",
    ),
    "one of each": (
        "put the {one} of the first {noun} {here} and the {two} of the second {there}{on}", "draw the {one} from the first {noun} {here} and the {two} from the second {noun} {there}{on}",
        "take the {one} from the first and the {two} from the second: the one {here}, the other {there}{on}", "a {noun} with the {one} of the first {here} and the {two} of the second {there}{on}",
        "from the first {noun} the {one} {here}, from the second the {two} {there}{on}", "show the {one} of picture one {here} together with the {two} of picture two {there}{on}",
        "the first picture's {one} goes {here}, the second's {two} goes {there}{on}", "I want the {one} of the first {noun} {here}, and {there} the {two} of the second{on}",
    ),
    "one of each, in place": (
        "put the {one} of the first {noun} and the {two} of the second together{on}", "the {one} from the first and the {two} from the second in one {noun}{on}",
        "combine the {one} of picture one with the {two} of picture two{on}", "draw the {one} of the first {noun} together with the second's {two}{on}",
        "one {noun} with the first's {one} and the second's {two}{on}", "take the {one} of the first, the {two} of the second, and show both{on}",
        "I want the {one} of the first {noun} and the {two} of the other in one {noun}{on}", "join the {one} of the first and the {two} of the second{on}",
    ),
    "into the other": (
        "add the {two} of the second {noun} to the first {noun}, {here}", "put the {two} from the second {noun} into the first one {here}", "the first {noun} plus the {two} of the second {here}",
        "take the first {noun} and add the {two} from the second {here}", "draw the first {noun} again with the second's {two} {here}", "copy the {two} of the second {noun} into the first, {here}",
        "I want the first {noun} with the {two} of the other one {here}", "insert the {two} of picture two {here} into picture one",
    ),
    "shapes on background": (
        "the shapes of the {of} {noun} on the background of the {other}", "take the background of the {other} {noun} and the shapes of the {of}", "draw the {of} {noun} with the background of the {other}",
        "put the shapes of the {of} {noun} on the {other} background", "use the {other} background for the shapes of the {of}", "the {of} {noun}, but with the {other} one's background",
        "keep the shapes of the {of} {noun}, take the background from the {other}", "give the {of} {noun} the background color of the {other}",
    ),
}  # fmt: skip
_WORDS = ("first", "second")


def make(rng: random.Random, fold_name: str) -> Document:
    """Two pictures and a picture made of both: mostly of one thing each."""
    while True:
        kind, text, scenes, target = (_of_many if rng.random() < 0.3 else _of_two)(rng, fold_name)
        if target is not None and all(pair_fits(thing, fold_name) for thing in target.things.values()):
            break
    parts = ask_about([Picture(scene) for scene in scenes], speech.request("{it}", rng, it=text), rng)
    return Document("composition", kind, parts + draws(target, words.caption(target)), {"scene": target})


def _of_two(rng: random.Random, fold_name: str) -> tuple[str, str, list[Scene], Scene | None]:
    kind = rng.choices(list(PHRASES), (2, 2, 3, 3, 2))[0]
    first, second = (random_scene(rng, fold_name, 1, 1) for _ in range(2))
    target, values = _target(kind, first, second, rng)
    values |= {"object": rng.choice(("object", "object", "shape", "thing")), "noun": rng.choice(("picture", "image"))}
    return (
        kind,
        speech.phrase(PHRASES[kind], COMPOSE[kind], rng).format(**values) if target else "",
        [first, second],
        target,
    )


def _of_many(rng: random.Random, fold_name: str) -> tuple[str, str, list[Scene], Scene | None]:
    """Pictures of several things: all of both, one of each, one put into the other, shapes on the other's background."""
    scenes = [random_scene(rng, fold_name, 1, 3) for _ in range(2)]
    kind = rng.choice(list(_MANY))
    ground = scenes[0].background
    values = {"noun": rng.choice(("picture", "image"))}
    cells = [rng.choice(list(scene.things)) for scene in scenes]
    for name, scene, cell in zip(("one", "two"), scenes, cells, strict=True):
        values[name] = reference(scene, cell, rng).removeprefix("that ").removeprefix("this ").removeprefix("the ")
    one, two = (scene.things[cell] for scene, cell in zip(scenes, cells, strict=True))
    target: Scene | None = None
    match kind:
        case "all" if not scenes[0].things.keys() & scenes[1].things.keys():
            target = Scene(scenes[0].things | scenes[1].things, ground, rng)
        case "one of each":
            a, b = rng.sample(range(4), 2)
            ground = rng.choice(BACKGROUND_NAMES)
            values |= {"here": words.place(a, rng), "there": words.place(b, rng), "on": speech.on(ground, rng)}
            target = Scene({a: one, b: two}, ground, rng)
        case "one of each, in place" if cells[0] != cells[1]:
            ground = rng.choice(BACKGROUND_NAMES)
            values["on"] = speech.on(ground, rng)
            target = Scene({cells[0]: one, cells[1]: two}, ground, rng)
        case "into the other" if len(free := [cell for cell in range(4) if cell not in scenes[0].things]) > 0:
            spot = rng.choice(free)
            values["here"] = words.place(spot, rng)
            target = Scene(scenes[0].things | {spot: two}, ground, rng)
        case "shapes on background":
            of, other = rng.sample((0, 1), 2)
            values |= {"of": _WORDS[of], "other": _WORDS[other]}
            target = Scene(scenes[of].things, scenes[other].background, rng)
    return kind, rng.choice(_MANY[kind]).format(**values) if target else "", scenes, target


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
