"""Questions about one picture, six to eight a document, and the answers, derived from the scene alone."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from .. import speech, words
from ..documents import Document, Picture, say, turn
from ..phrases.asking import FOLLOW_UP, QUESTIONS
from ..phrases.checking import CHECKS
from ..sampling import random_scene, random_thing
from ..scenes import BACKGROUND_NAMES, COLOUR_NAMES, SHAPES, SIZES, Scene, Thing
from ..splits import is_held_out
from . import answers
from .answers import HALVES, SIDES
from .captions import ask_about

# Asking about one thing by one of its attributes is what editing and most answers rest on: such questions come often.
_OFTEN = {
    "about shape": 6,
    "about colour": 3,
    "about": 3,
    "colour": 4,
    "where": 5,
    "size": 3,
    "shape of colour": 2,
    "shape at": 2,
    "thing at": 2,
}

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
    "colour of size": (
        "what color is the {size} one", "what colour is the {size} shape", "which color does the {size} thing have", "color of the {size} one",
        "the {size} one is what color", "could you tell me the color of the {size} shape", "tell me the color of the {size} thing", "what colour has the {size} one",
    ),
    "shape of size": (
        "what shape is the {size} one", "which shape is {size}", "what is the {size} thing", "which one is {size}", "what shape is the {size} thing",
        "name the {size} shape", "the {size} one is what shape", "what kind of shape is the {size} one",
    ),
    "left or right": (
        "is the {thing} on the left or on the right", "is the {thing} left or right", "on which side is the {thing}", "which side is the {thing} on",
        "left or right: where is the {thing}", "does the {thing} sit on the left or the right", "the {thing}, left or right?", "is the {thing} in the left half or in the right half",
    ),
    "top or bottom": (
        "is the {thing} at the top or at the bottom", "is the {thing} up or down", "is the {thing} in the top row or in the bottom row",
        "top or bottom: where is the {thing}", "does the {thing} sit at the top or the bottom", "the {thing}, top or bottom?", "is the {thing} above or below the middle",
        "is the {thing} in the upper half or in the lower half",
    ),
    "is number": (
        "are there exactly {number} shapes", "are there {number} shapes", "is it {number} shapes", "do you see {number} shapes", "are there {number} things in the picture",
        "does the picture have {number} shapes", "is the number of shapes {number}", "{number} shapes, right?",
    ),
    "more": (
        "are there more {shapes} than {others}", "do you see more {shapes} than {others}", "more {shapes} than {others}?", "are the {shapes} more than the {others}",
        "does the picture have more {shapes} than {others}", "is the number of {shapes} larger than that of {others}", "are there fewer {others} than {shapes}",
        "would you say there are more {shapes} than {others}",
    ),
    "same colour of two": (
        "are the {thing} and the {other} the same color", "do the {thing} and the {other} have the same colour", "is the {thing} the same color as the {other}",
        "same color, the {thing} and the {other}?", "does the {thing} have the color of the {other}", "do the {thing} and the {other} share a color",
        "are the {thing} and the {other} of one colour", "is the colour of the {thing} that of the {other}",
    ),
    "count shape side": (
        "how many {shapes} are {side_place}", "count the {shapes} {side_place}", "how many {shapes} do you see {side_place}", "number of {shapes} {side_place}",
        "{side_place}, how many {shapes} are there", "tell me how many {shapes} are {side_place}", "how many {shapes} {side_place}", "can you count the {shapes} {side_place}",
    ),
    "colour side": (
        "what color is the {shape} {side_place}", "which colour does the {shape} {side_place} have", "color of the {shape} {side_place}", "what is the color of the {shape} {side_place}",
        "the {shape} {side_place} is what color", "tell me the color of the {shape} {side_place}", "what colour has the {shape} {side_place}", "{side_place}, what color is the {shape}",
    ),
}  # fmt: skip
# Kinds that only the collection has phrasings for.
COLLECTED = {**QUESTIONS, **CHECKS}
_KINDS = tuple({**PHRASES, **COLLECTED})
_OWN_KINDS = 19  # the first ones ask twice as often as the rarer ones after them
_WEIGHTS = tuple(_OFTEN.get(kind, 1 if number < _OWN_KINDS else 0.5) for number, kind in enumerate(_KINDS))
_PLACE = frozenset(
    ("colour at", "shape at", "thing at", "where", "is at", "is thing at", "is colour at", "anything at", "empty at", "empty corners",
     "any empty", "all full", "count empty", "count side", "what side", "count shape side", "colour side", "left or right", "top or bottom")
)  # fmt: skip
_TWO = frozenset(
    ("relation", "how related", "bigger of two", "is bigger", "same size", "same colour of two", "what beside", "anything beside")
)  # fmt: skip
_ONE = frozenset(
    ("background", "is ground", "colour", "shape of colour", "colour of size", "shape of size", "size", "is colour", "is size",
     "about shape", "about colour", "about")
)  # fmt: skip
_RENAMED = _TWO | {"where", "size", "is size", "is at", "left or right", "top or bottom"}
_NEEDS_NOTHING = (
    "count",
    "background",
    "shapes",
    "colours",
    "empty corners",
    "any empty",
    "all full",
    "count empty",
    "is empty",
    "anything there",
)
_UNIQUE = {"colour": "shape", "about shape": "shape", "is colour": "shape", "shape of colour": "colour", "about colour": "colour",
           "colour of size": "size", "shape of size": "size"}  # fmt: skip


@dataclass(frozen=True)
class Question:
    """A kind and what it asks about: enough to derive the answer from any scene."""

    kind: str
    thing: Thing | None = None
    other: Thing | None = None
    cell: int = 0
    side: str = ""
    ground: str = ""
    count: int = 0
    named: tuple[str, str] = (
        "name",
        "name",
    )  # how thing and other are said: by their name, their shape or their colour

    def answer(self, scene: Scene) -> str:
        """The answer in the assistant's words."""
        if self.kind in _PLACE:
            return answers.about_place(self, scene)
        if self.kind in _TWO:
            return answers.about_two(self, scene)
        return answers.about_one(self, scene) if self.kind in _ONE else answers.about_all(self, scene)

    def text(self, rng: random.Random) -> str:
        """The question as a person asks it, before casing and punctuation."""
        return speech.phrase(PHRASES.get(self.kind, ()), COLLECTED.get(self.kind, ()), rng).format(**self.slots(rng))

    def slots(self, rng: random.Random) -> dict[str, str]:
        """What the phrases of its kind may name."""
        values = {"place": words.place(self.cell, rng), "corner": words.corner(self.cell, rng), "side": self.side}
        values |= {"number": words.NUMBERS[self.count]}
        if self.side in HALVES:
            values["side_place"] = words.side(self.side, rng)
        if self.thing:
            values |= speech.slots(self.thing, rng)
            values["thing"] = _said(self.thing, self.named[0], rng)
            values["things"] = words.plural_name(self.thing, rng)
            values["a_thing"] = words.article(words.spoken(self.thing, rng))
        if self.other:
            values["other"] = _said(self.other, self.named[1], rng)
            values["others"] = words.plural(words.shape(self.other.shape, rng))
        if self.ground:
            values |= speech.ground_slots(self.ground, rng)
        return values


def _said(thing: Thing, named: str, rng: random.Random) -> str:
    if named == "shape":
        return words.shape(thing.shape, rng)
    if named == "colour":
        return f"{words.colour(thing.colour, rng)} {rng.choice(('one', 'shape', 'thing'))}"
    return words.spoken(thing, rng)


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


def _recoloured(thing: Thing, rng: random.Random) -> Thing:
    """The thing or, half the time, one of its shape in another colour."""
    if rng.random() < 0.5:
        return thing
    while True:
        other = thing._replace(colour=rng.choice(COLOUR_NAMES))
        if other != thing and not is_held_out(other.shape, other.colour):
            return other


def _of_kind(kind: str, scene: Scene, rng: random.Random) -> Question | None:
    things = list(scene.things.values())
    if kind in _NEEDS_NOTHING:
        return Question(kind)
    if kind == "is ground":
        return Question(kind, ground=scene.background if rng.random() < 0.5 else rng.choice(BACKGROUND_NAMES))
    if kind in ("colour at", "shape at", "thing at"):
        cell = rng.choice(list(scene.things)) if things and rng.random() < 0.85 else rng.randrange(4)
        return Question(kind, cell=cell)
    if kind in ("anything at", "empty at"):
        return Question(kind, cell=rng.randrange(4))
    if kind in ("count side", "what side"):
        return Question(kind, side=rng.choice(list(HALVES)))
    if kind == "is number":
        return Question(kind, count=len(things) if rng.random() < 0.5 else rng.randint(1, 4))
    if not things:
        return None
    if kind in _TWO:
        return _of_two(kind, scene, rng)
    if kind in _PLACE or kind in _ONE:
        return _of_one(kind, scene, rng)
    one = rng.choice(things)
    if kind in ("count colour", "count shape", "count thing"):
        return Question(kind, one if rng.random() < 0.75 else near_miss(one, rng))
    if kind == "exists":
        return Question(kind, one if rng.random() < 0.5 else near_miss(one, rng))
    if kind == "more":
        other = rng.choice([shape for shape in SHAPES if shape != one.shape])
        pair = [one, one._replace(shape=other)]
        return Question(kind, *(pair if rng.random() < 0.5 else pair[::-1])) if not _bad(pair) else None
    if kind in ("exists shape", "exists colour", "all are", "all are shape"):
        return Question(kind, one if rng.random() < 0.5 else random_thing(rng, "train"))
    return Question(kind, one._replace(size=rng.choice(SIZES)))


def _bad(things: list[Thing]) -> bool:
    return any(is_held_out(one.shape, one.colour) for one in things)


def _of_one(kind: str, scene: Scene, rng: random.Random) -> Question | None:
    """About a thing that can be named unmistakably, or at a place."""
    if kind in ("count shape side", "colour side"):
        return _of_side(kind, scene, rng)
    if kind in ("is thing at", "is colour at"):
        cell = rng.choice(list(scene.things)) if rng.random() < 0.85 else rng.randrange(4)
        one = scene.things.get(cell, rng.choice(list(scene.things.values())))
        return Question(kind, one if rng.random() < 0.5 else near_miss(one, rng), cell=cell)
    attribute = _UNIQUE.get(kind)
    options = unique(scene, (lambda one: getattr(one, attribute)) if attribute else (lambda one: one[:2]))
    if not options:
        return None
    cell, thing = rng.choice(options)
    if kind == "is colour":
        return Question(kind, _recoloured(thing, rng))
    if kind == "is size":
        return Question(kind, thing._replace(size=rng.choice(SIZES)))
    return Question(kind, thing, cell=cell if rng.random() < 0.5 else rng.randrange(4))


def _of_side(kind: str, scene: Scene, rng: random.Random) -> Question | None:
    """About things of one shape in one half."""
    side = rng.choice(list(HALVES))
    there = [one for cell, one in scene.things.items() if cell in HALVES[side]]
    thing = rng.choice(there or list(scene.things.values()))
    if kind == "colour side" and sum(one.shape == thing.shape for one in there) != 1:
        return None
    return Question(kind, thing, side=side)


def _of_two(kind: str, scene: Scene, rng: random.Random) -> Question | None:
    by_name = unique(scene, lambda thing: thing[:2])
    if not by_name:
        return None
    cell, thing = rng.choice(by_name)
    if kind in ("what beside", "anything beside"):
        sides = [side for side in SIDES if (near := answers.neighbour(cell, side)) is not None]
        side = rng.choice(sides)
        near = answers.neighbour(cell, side)
        # With nothing beside it but something across the corner, what is meant would be open.
        across = any(SIDES[side](other, cell) for other in scene.things)
        return Question(kind, thing, side=side) if near in scene.things or not across else None
    if len(by_name) < 2:
        return None
    other_cell, other = rng.choice([pair for pair in by_name if pair[0] != cell])
    if kind != "relation":
        return Question(kind, thing, other)
    sides = [side for side, holds in SIDES.items() if holds(cell, other_cell) == (rng.random() < 0.5)]
    return Question(kind, thing, other, side=rng.choice(sides)) if sides else None


def question(scene: Scene, rng: random.Random, kind: str | None = None) -> Question:
    """A question that the scene answers, of a random kind unless one is given that fits."""
    wanted = kind
    while True:
        found = _of_kind(wanted or rng.choices(_KINDS, _WEIGHTS)[0], scene, rng)
        if found is not None:
            return _renamed(found, scene, rng)
        wanted = None


def _renamed(asked: Question, scene: Scene, rng: random.Random) -> Question:
    """The same with its things said by shape or colour alone where that is enough, as people mostly do."""
    if asked.kind not in _RENAMED or asked.thing is None:
        return asked
    ways = ("shape",) if asked.kind == "same colour of two" else ("shape", "shape", "colour")
    named = []
    for thing in (asked.thing, asked.other):
        way = rng.choice(ways)
        alike = [one for one in scene.things.values() if thing and getattr(one, way) == getattr(thing, way)]
        named.append(way if len(alike) == 1 and rng.random() < 0.6 else "name")
    return replace(asked, named=tuple(named))


_FOLLOWING = {"where": "where", "size": "size", "colour": "colour", "shape": "shape of colour"}


def _following(before: Question, scene: Scene, rng: random.Random) -> tuple[str, Question] | None:
    """A short question about the thing of the one before: where is it?"""
    if before.kind not in ("where", "size", "colour", "shape of colour", "about", "about shape", "about colour"):
        return None
    thing = before.thing
    keys = {
        "where": lambda one: one[:2],
        "size": lambda one: one[:2],
        "colour": lambda one: one.shape,
        "shape": lambda one: one.colour,
    }
    fits = [
        name
        for name in _FOLLOWING
        if _FOLLOWING[name] != before.kind and thing in [one for _, one in unique(scene, keys[name])]
    ]
    if not fits:
        return None
    name = rng.choice(fits)
    return rng.choice(FOLLOW_UP[name]), Question(_FOLLOWING[name], thing)


def make(rng: random.Random, fold_name: str) -> Document:
    """A picture, mostly of several things, and six to eight questions in as many turns, no two alike."""
    scene = random_scene(rng, fold_name, 2 if rng.random() < 0.6 else 0)
    parts: list = []
    asked: list[Question] = []
    for _ in range(rng.randint(6, 8)):
        follows = _following(asked[-1], scene, rng) if asked and rng.random() < 0.25 else None
        text, one = follows or (None, question(scene, rng))
        if one in asked:
            continue
        text = speech.request(text or one.text(rng), rng)
        parts += turn(text) if asked else ask_about([Picture(scene)], text, rng)
        parts += say(one.answer(scene))
        asked.append(one)
    return Document("questions", asked[0].kind, parts, {"questions": asked})
