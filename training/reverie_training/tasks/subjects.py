"""Documents in which the thing of a given picture is drawn again, elsewhere."""

from __future__ import annotations

import random

from .. import words
from ..documents import Document, Picture
from ..sampling import random_scene, random_thing
from ..scenes import BACKGROUND_NAMES, Scene
from .captions import ask_about
from .editing import draws

_THIS = ("this object", "this shape", "the same object", "the same shape", "this", "this thing", "it", "the object")
PHRASES: dict[str, tuple[str, ...]] = {
    "place": (
        "draw {this} {place}{on}", "show {this} {place}{on}", "please draw {this} {place}{on}", "paint {this} {place}{on}",
        "I want {this} {place}{on}", "can you draw {this} {place}{on}", "make a picture of {this} {place}{on}", "put {this} {place}{on}",
    ),
    "count": (
        "draw {number} of {this}{on}", "show me {number} of {this}{on}", "make {number} copies of {this}{on}", "paint {number} of {this}{on}",
        "please draw {number} of {this}{on}", "I want {number} of {this}{on}", "can you draw {number} of {this}{on}", "{number} of {this}{on}",
    ),
    "with": (
        "draw {this} with {other} {place}{on}", "show {this} together with {other} {place}{on}", "draw {this} and {other} {place}{on}",
        "paint {this} next to {other} {place}{on}", "please draw {this} with {other} {place}{on}", "I want {this} and {other} {place}{on}",
        "can you draw {this} with {other} {place}{on}", "make a picture of {this} and {other} {place}{on}",
    ),
    "background": (
        "draw {this}{on}", "show {this}{on}", "please draw {this}{on}", "paint {this}{on}", "I want {this}{on}", "can you draw {this}{on}",
        "make a picture of {this}{on}", "give me {this}{on}",
    ),
}  # fmt: skip


def make(rng: random.Random, fold_name: str) -> Document:
    """One thing in a picture; the same in a new scene. Without a place it stays where it is."""
    source = random_scene(rng, fold_name, 1, 1)
    ((cell, thing),) = source.things.items()
    kind = rng.choice(list(PHRASES))
    ground = rng.choice(BACKGROUND_NAMES)
    values = {"this": rng.choice(_THIS), "on": " " + words.on_background(ground, rng)}
    match kind:
        case "place":
            spot = rng.randrange(4)
            things = {spot: thing}
            values["place"] = words.place(spot, rng)
        case "count":
            number = rng.randint(2, 4)
            things = {spot: thing for spot in range(number)}
            values["number"] = words.NUMBERS[number]
        case "with":
            spot, other = rng.choice([free for free in range(4) if free != cell]), random_thing(rng, fold_name)
            things = {cell: thing, spot: other}
            values["other"] = words.article(words.spoken(other, rng, sized=True))
            values["place"] = words.place(spot, rng)
        case _:
            things = {cell: thing}
    if kind == "count" and values["this"] == "this":
        values["this"] = "these"
    target = Scene(things, ground, rng)
    text = words.request(rng.choice(PHRASES[kind]), rng, **values)
    return Document("subject", kind, ask_about([Picture(source)], text, rng) + draws(target), {"scene": target})
