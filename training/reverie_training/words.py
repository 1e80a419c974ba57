"""How things are called: the assistant's one way, and the many ways of people. Knows no task."""

from __future__ import annotations

import random
import re

from .phrases.names import (
    BACKGROUND_WAYS,
    BACKGROUND_WAYS_LOOSE,
    COLOUR_WAYS,
    COLOUR_WAYS_LOOSE,
    CORNER_WAYS,
    GROW_WAYS,
    PLACE_WAYS,
    SHAPE_WAYS,
    SHAPE_WAYS_LOOSE,
    SIDE_WAYS,
    SIZE_WAYS,
    SIZER_WAYS,
)
from .scenes import PLACES, Scene, Thing

NUMBERS = ("zero", "one", "two", "three", "four")
ORDINALS = ("first", "second", "third", "fourth")

_PLURALS = {one: many for ways in (*SHAPE_WAYS.values(), *SHAPE_WAYS_LOOSE.values()) for one, many in ways}
_PLACE_FORMS = ("at the {}", "at the {}", "in the {}", "in the {} corner", "on the {}")
_CORNER_WAYS = {"top": ("top", "top", "upper"), "bottom": ("bottom", "bottom", "lower")}
# Shares of the collected other names, and of those that are looser still; else the world's own word.
_OTHER, _LOOSE = 0.2, 0.04


def article(words: str) -> str:
    """`a` or `an` and the words."""
    return ("an " if words[0] in "aeiou" else "a ") + words


def sentence_case(text: str) -> str:
    """The same with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def plural(shape: str) -> str:
    """Several of a shape."""
    return _PLURALS[shape]


def listed(items: list[str]) -> str:
    """One, two and three."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]


# ---------------------------------------------------------------- the assistant's one way


def name(thing: Thing) -> str:
    """red circle"""
    return f"{thing.colour} {thing.shape}"


def full_name(thing: Thing) -> str:
    """a large red circle"""
    return f"a {thing.size} {thing.colour} {thing.shape}"


def placed(scene: Scene) -> str:
    """a large red circle at the top left and a small blue star at the bottom right"""
    return listed([f"{full_name(thing)} at the {PLACES[cell]}" for cell, thing in scene.things.items()])


def caption(scene: Scene) -> str:
    """The canonical description of a scene."""
    if not scene.things:
        return f"There is nothing in the picture. The background is {scene.background}."
    verb = "is" if len(scene.things) == 1 else "are"
    return f"There {verb} {placed(scene)}. The background is {scene.background}."


_CAPTION_THING = re.compile(r"a (small|large) (\w+) (\w+) at the (top left|top right|bottom left|bottom right)")


def scene_of_caption(text: str, rng: random.Random) -> Scene | None:
    """The scene that a canonical description tells of; nothing where the text is not one."""
    ground = re.search(r"The background is (\w+)\.", text)
    things = {
        PLACES.index(place): Thing(shape, colour, size) for size, colour, shape, place in _CAPTION_THING.findall(text)
    }
    if ground is None:
        return None
    try:
        scene = Scene(things, ground[1], rng)
        scene.codes()
    except ValueError:
        return None
    return scene if caption(scene) == text.strip() else None


# ---------------------------------------------------------------- the many ways of people


def _way(word: str, ways: dict[str, tuple], loose: dict[str, tuple], rng: random.Random):
    chance = rng.random()
    if chance < _LOOSE:
        return rng.choice(loose[word])
    return rng.choice(ways[word]) if chance < _LOOSE + _OTHER else None


def colour(word: str, rng: random.Random) -> str:
    return _way(word, COLOUR_WAYS, COLOUR_WAYS_LOOSE, rng) or word


def background(word: str, rng: random.Random) -> str:
    return _way(word, BACKGROUND_WAYS, BACKGROUND_WAYS_LOOSE, rng) or word


def size(word: str, rng: random.Random) -> str:
    return rng.choice(SIZE_WAYS[word][: rng.choice((1, 3, 3, 100))])


def sizer(word: str, rng: random.Random) -> str:
    """bigger, smaller"""
    return rng.choice(SIZER_WAYS[word])


def grow(word: str, rng: random.Random) -> str:
    """enlarge, shrink"""
    return rng.choice(GROW_WAYS[word])


def shape(word: str, rng: random.Random) -> str:
    return (_way(word, SHAPE_WAYS, SHAPE_WAYS_LOOSE, rng) or (word,))[0]


def spoken(thing: Thing, rng: random.Random, sized: bool = False) -> str:
    """red circle, or big red circle"""
    words = f"{colour(thing.colour, rng)} {shape(thing.shape, rng)}"
    return f"{size(thing.size, rng)} {words}" if sized else words


def plural_name(thing: Thing, rng: random.Random, sized: bool = False) -> str:
    """red circles, or big red circles"""
    words = f"{colour(thing.colour, rng)} {plural(shape(thing.shape, rng))}"
    return f"{size(thing.size, rng)} {words}" if sized else words


def place(cell: int, rng: random.Random) -> str:
    """at the top left, in the upper left corner, ..."""
    if rng.random() < 0.4:
        return rng.choice(PLACE_WAYS[PLACES[cell]])
    row, column = PLACES[cell].split()
    return rng.choice(_PLACE_FORMS).format(f"{rng.choice(_CORNER_WAYS[row])} {column}")


def corner(cell: int, rng: random.Random) -> str:
    """top left, upper left, ..."""
    return rng.choice(CORNER_WAYS[PLACES[cell]][: rng.choice((1, 2, 100))])


def side(word: str, rng: random.Random) -> str:
    """on the left, in the top half, ..."""
    return rng.choice(SIDE_WAYS[word])


def on_background(word: str, rng: random.Random) -> str:
    """on a gray background, with a grey background, ..."""
    ways = ("on {a}", "on {a}", "on {a} background", "on {a} background", "with {a} background", "over {a} background")
    ground = background(word, rng)
    way = rng.choice(ways)
    return way.format(a=ground if "background" not in way else article(ground))
