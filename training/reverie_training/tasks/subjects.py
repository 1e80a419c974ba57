"""Documents in which the thing of a given picture is drawn again, elsewhere."""

from __future__ import annotations

import random

from .. import speech, words
from ..documents import Document, Picture
from ..phrases.combining import SUBJECT_WAYS, SUBJECTS
from ..sampling import random_scene, random_thing
from ..scenes import BACKGROUND_NAMES, Scene
from ..splits import pair_fits
from .captions import ask_about
from .editing import draws, reference

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


_STYLES = ("recoloured", "resized", "reshaped")


def make(rng: random.Random, fold_name: str) -> Document:
    """One thing of a picture; the same in a new scene. Without a place it stays where it is."""
    while True:
        source = random_scene(rng, fold_name, 1, 3 if rng.random() < 0.3 else 1)
        kind = rng.choices(list(SUBJECTS), (3, 3, 3, 3, 1, 1, 1, 1))[0]
        text, target = _wish(kind, source, rng, fold_name)
        if target.things and all(pair_fits(thing, fold_name) for thing in target.things.values()):
            break
    parts = ask_about([Picture(source)], speech.request("{it}", rng, it=text), rng)
    return Document("subject", kind, parts + draws(target, words.caption(target)), {"scene": target})


def _wish(kind: str, source: Scene, rng: random.Random, fold_name: str) -> tuple[str, Scene]:
    cell, thing = rng.choice(list(source.things.items()))
    alone = len(source.things) == 1
    this = rng.choice(_THIS if rng.random() < 0.4 else SUBJECT_WAYS) if alone else reference(source, cell, rng)
    ground = rng.choice(BACKGROUND_NAMES)
    values = {"this": this, "on": speech.on(ground, rng)}
    new = random_thing(rng, fold_name)
    things = {cell: thing}
    match kind:
        case "place":
            spot = rng.randrange(4)
            things = {spot: thing}
            values["place"] = words.place(spot, rng)
        case "count":
            number = rng.randint(2, 4)
            things = {spot: thing for spot in range(number)}
            values["number"] = rng.choice((words.NUMBERS[number], words.NUMBERS[number], str(number)))
            if this == "this":
                values["this"] = "these"
        case "with":
            spot = rng.choice([free for free in range(4) if free != cell])
            things = {cell: thing, spot: new}
            values["other"] = words.article(words.spoken(new, rng, sized=True))
            values["place"] = words.place(spot, rng)
        case "recoloured":
            things = {cell: thing._replace(colour=new.colour)}
        case "resized":
            things = {cell: thing._replace(size=new.size)}
        case "reshaped":
            things = {cell: thing._replace(shape=new.shape)}
        case "all things":
            things = source.things
    if kind in _STYLES:
        values |= speech.slots(new, rng) | {"sizer": words.sizer(new.size, rng)}
    return speech.phrase(PHRASES.get(kind, ()), SUBJECTS[kind], rng).format(**values), Scene(things, ground, rng)
