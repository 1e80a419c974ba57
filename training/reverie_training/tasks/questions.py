"""Questions about one picture, six to eight a document, and the answers, derived from the scene alone."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from .. import words
from ..documents import Document, Picture, say, turn
from ..sampling import random_scene, random_thing
from ..scenes import COLOUR_NAMES, PLACES, SHAPES, Scene, Thing
from ..splits import is_held_out
from .captions import ask_about

SIDES: dict[str, Callable[[int, int], bool]] = {
    "above": lambda a, b: a // 2 < b // 2,
    "below": lambda a, b: a // 2 > b // 2,
    "left of": lambda a, b: a % 2 < b % 2,
    "right of": lambda a, b: a % 2 > b % 2,
}

# Asking about one thing by one of its attributes is what editing and most answers rest on: such questions come often.
_OFTEN = {"about shape": 5, "about colour": 2, "about": 3, "colour": 2, "where": 2}

PHRASES: dict[str, tuple[str, ...]] = {
    "colour": (
        "what color is the {shape}", "what colour is the {shape}", "which color does the {shape} have", "color of the {shape}",
        "tell me the color of the {shape}", "the {shape} is what color", "what is the color of the {shape}", "what color has the {shape}",
    ),
    "colour at": (
        "what color is the shape {place}", "what color is the thing {place}", "which color is {place}",
        "what is the color of the object {place}", "color of the shape {place}", "what colour do you see {place}",
        "tell me the color {place}", "what color is {place}",
    ),
    "shape at": (
        "what shape is {place}", "what is {place}", "which shape is {place}", "what do you see {place}",
        "what shape do you see {place}", "name the shape {place}", "what kind of shape is {place}", "shape {place}",
    ),
    "shape of colour": (
        "what shape is {colour}", "which shape is {colour}", "what is the {colour} thing", "what is the {colour} shape",
        "what shape is the {colour} one", "name the {colour} shape", "what shape does the {colour} object have", "the {colour} thing is a what",
    ),
    "size": (
        "is the {thing} small or large", "what size is the {thing}", "how big is the {thing}", "is the {thing} large or small",
        "size of the {thing}", "what is the size of the {thing}", "is the {thing} big or small", "tell me the size of the {thing}",
    ),
    "count": (
        "how many objects are there", "how many shapes are in the picture", "count the shapes", "how many things do you see",
        "how many shapes do you see", "number of objects", "how many objects does the image have", "how many are there",
    ),
    "count colour": (
        "how many {colour} shapes are there", "how many {colour} objects are there", "count the {colour} shapes",
        "how many things are {colour}", "how many shapes are {colour}", "how many {colour} things do you see", "number of {colour} shapes",
        "how many {colour} ones are there",
    ),
    "count shape": (
        "how many {shapes} are there", "count the {shapes}", "how many {shapes} do you see", "how many {shapes} are in the picture",
        "number of {shapes}", "how many {shapes} does the image have", "how many {shapes}", "tell me how many {shapes} there are",
    ),
    "background": (
        "what color is the background", "which color is the background", "background color", "what is the background color",
        "what colour is the background", "what color is behind the shapes", "tell me the background color", "the background is what color",
    ),
    "exists": (
        "is there {a_thing}", "is there {a_thing} in the picture", "do you see {a_thing}", "does the image have {a_thing}",
        "can you see {a_thing}", "is {a_thing} in the image", "does the picture contain {a_thing}", "any {thing} here",
    ),
    "exists shape": (
        "is there {a_shape}", "is there {a_shape} in the picture", "do you see {a_shape}", "do you see any {shapes}", "are there any {shapes}",
        "does the image have {a_shape}", "any {shapes} here", "can you see {a_shape}", "does the picture contain {a_shape}",
    ),
    "exists colour": (
        "is there anything {colour}", "do you see something {colour}", "is anything {colour}", "is there a {colour} shape", "any {colour} shapes here",
        "are there any {colour} shapes", "does the image have a {colour} object", "can you see a {colour} thing",
    ),
    "shapes": (
        "what shapes are there", "which shapes do you see", "what shapes are in the picture", "list the shapes", "name the shapes",
        "what shapes can you see", "which shapes are there", "what shapes does the image have",
    ),
    "colours": (
        "what colors are the shapes", "which colors do the shapes have", "what colors are there", "list the colors of the shapes", "name the colors",
        "which colors do you see", "what colors do the objects have", "tell me the colors of the shapes",
    ),
    "relation": (
        "is the {thing} {side} the {other}", "can you say if the {thing} is {side} the {other}", "does the {thing} lie {side} the {other}",
        "do you see the {thing} {side} the {other}", "the {thing} is {side} the {other}, yes or no", "is the {thing} placed {side} the {other}",
        "is the {thing} somewhere {side} the {other}", "would you say the {thing} is {side} the {other}",
    ),
    "where": (
        "where is the {thing}", "where do you see the {thing}", "in which corner is the {thing}", "what is the position of the {thing}",
        "where can I find the {thing}", "position of the {thing}", "which corner has the {thing}", "tell me where the {thing} is",
    ),
    "about shape": (
        "tell me about the {shape}", "describe the {shape}", "what can you say about the {shape}", "what does the {shape} look like",
        "what about the {shape}", "describe only the {shape}", "look at the {shape} and describe it", "and the {shape}",
    ),
    "about colour": (
        "tell me about the {colour} one", "describe the {colour} shape", "what can you say about the {colour} thing", "what does the {colour} one look like",
        "what about the {colour} shape", "describe only the {colour} one", "look at the {colour} thing and describe it", "and the {colour} one",
    ),
    "about": (
        "tell me about the {thing}", "describe the {thing}", "what can you say about the {thing}", "what does the {thing} look like",
        "what about the {thing}", "describe only the {thing}", "look at the {thing} and describe it", "and the {thing}",
    ),
}  # fmt: skip


_KINDS = tuple(PHRASES)
_WEIGHTS = tuple(_OFTEN.get(kind, 1) for kind in _KINDS)


@dataclass(frozen=True)
class Question:
    """A kind and what it asks about: enough to derive the answer from any scene."""

    kind: str
    thing: Thing | None = None
    other: Thing | None = None
    cell: int = 0
    side: str = ""

    def answer(self, scene: Scene) -> str:
        """The answer in the assistant's words."""
        things = scene.things
        thing = self.thing
        same = [cell for cell, one in things.items() if thing and one[:2] == thing[:2]]
        match self.kind:
            case "colour":
                return next(one.colour for one in things.values() if one.shape == thing.shape)
            case "colour at":
                return things[self.cell].colour if self.cell in things else "none"
            case "shape at":
                return things[self.cell].shape if self.cell in things else "none"
            case "shape of colour":
                return next(one.shape for one in things.values() if one.colour == thing.colour)
            case "size":
                return things[same[0]].size
            case "count":
                return words.NUMBERS[len(things)]
            case "count colour":
                return words.NUMBERS[sum(one.colour == thing.colour for one in things.values())]
            case "count shape":
                return words.NUMBERS[sum(one.shape == thing.shape for one in things.values())]
            case "background":
                return scene.background
            case "exists":
                return "yes" if same else "no"
            case "exists shape":
                return "yes" if any(one.shape == thing.shape for one in things.values()) else "no"
            case "exists colour":
                return "yes" if any(one.colour == thing.colour for one in things.values()) else "no"
            case "shapes":
                return words.listed([one.shape for one in things.values()]) if things else "none"
            case "colours":
                return words.listed([one.colour for one in things.values()]) if things else "none"
            case "relation":
                others = [cell for cell, one in things.items() if one[:2] == self.other[:2]]
                return "yes" if SIDES[self.side](same[0], others[0]) else "no"
            case "where":
                return PLACES[same[0]]
            case "about shape":
                cell, one = next(pair for pair in things.items() if pair[1].shape == thing.shape)
                return f"The {one.shape} is {one.size}, {one.colour} and at the {PLACES[cell]}."
            case "about colour":
                cell, one = next(pair for pair in things.items() if pair[1].colour == thing.colour)
                return f"The {one.colour} shape is a {one.size} {one.shape} at the {PLACES[cell]}."
            case "about":
                cell = same[0]
                return f"The {words.name(things[cell])} is {things[cell].size} and at the {PLACES[cell]}."
        raise ValueError(self.kind)

    def text(self, rng: random.Random) -> str:
        """The question as a person asks it, before casing and punctuation."""
        values = {"place": words.place(self.cell, rng), "side": self.side}
        if self.thing:
            values["thing"] = words.spoken(self.thing, rng)
            values["a_thing"] = words.article(words.spoken(self.thing, rng))
            values["colour"] = words.colour(self.thing.colour, rng)
            values["shape"] = words.shape(self.thing.shape, rng)
            values["a_shape"] = words.article(values["shape"])
            values["shapes"] = words.plural(values["shape"])
        if self.other:
            values["other"] = words.spoken(self.other, rng)
        phrase = rng.choice(PHRASES[self.kind])
        if self.kind == "shape at" and rng.random() < 0.3:
            phrase = PHRASES["shape at"][0]
        return phrase.format(**values)


def unique(scene: Scene, key: Callable[[Thing], object]) -> list[tuple[int, Thing]]:
    """Cells and things whose key no other thing of the scene has."""
    keys = [key(thing) for thing in scene.things.values()]
    return [(cell, thing) for cell, thing in scene.things.items() if keys.count(key(thing)) == 1]


def near_miss(thing: Thing, rng: random.Random) -> Thing:
    """A thing of another colour or another shape, never a held-out pair."""
    while True:
        if rng.random() < 0.5:
            other = thing._replace(colour=rng.choice(COLOUR_NAMES))
        else:
            other = thing._replace(shape=rng.choice(SHAPES))
        if other != thing and not is_held_out(other.shape, other.colour):
            return other


def _of_kind(kind: str, scene: Scene, rng: random.Random) -> Question | None:
    things = list(scene.things.values())
    by_name = unique(scene, lambda thing: thing[:2])
    if kind in ("count", "background", "shapes", "colours"):
        return Question(kind)
    if kind in ("colour at", "shape at"):
        cell = rng.choice(list(scene.things)) if things and rng.random() < 0.85 else rng.randrange(4)
        return Question(kind, cell=cell)
    if not things:
        return None
    if kind in ("count colour", "count shape"):
        one = rng.choice(things)
        return Question(kind, one if rng.random() < 0.75 else near_miss(one, rng))
    if kind == "exists":
        one = rng.choice(things)
        return Question(kind, one if rng.random() < 0.5 else near_miss(one, rng))
    if kind in ("exists shape", "exists colour"):
        return Question(kind, rng.choice(things) if rng.random() < 0.5 else random_thing(rng, "train"))
    if kind == "relation":
        if len(by_name) < 2:
            return None
        (cell, thing), (other_cell, other) = rng.sample(by_name, 2)
        sides = [side for side, holds in SIDES.items() if holds(cell, other_cell) == (rng.random() < 0.5)]
        return Question(kind, thing, other, side=rng.choice(sides)) if sides else None
    keys = {"colour": lambda thing: thing.shape, "shape of colour": lambda thing: thing.colour}
    keys |= {"about shape": keys["colour"], "about colour": keys["shape of colour"]}
    options = unique(scene, keys[kind]) if kind in keys else by_name
    return Question(kind, rng.choice(options)[1]) if options else None


def question(scene: Scene, rng: random.Random, kind: str | None = None) -> Question:
    """A question that the scene answers, of a random kind unless one is given that fits."""
    wanted = kind
    while True:
        found = _of_kind(wanted or rng.choices(_KINDS, _WEIGHTS)[0], scene, rng)
        if found is not None:
            return found
        wanted = None


def make(rng: random.Random, fold_name: str) -> Document:
    """A picture and six to eight questions in as many turns, no two alike."""
    scene = random_scene(rng, fold_name)
    parts: list = []
    asked: list[Question] = []
    for _ in range(rng.randint(6, 8)):
        one = question(scene, rng)
        if one in asked:
            continue
        text = words.request(one.text(rng), rng)
        parts += turn(text) if asked else ask_about([Picture(scene)], text, rng)
        parts += say(one.answer(scene))
        asked.append(one)
    return Document("questions", asked[0].kind, parts, {"questions": asked})
