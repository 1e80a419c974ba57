"""How things are called: the assistant's one way, and the many ways of people. Knows no task."""

from __future__ import annotations

import random
import re

from .scenes import PLACES, Scene, Thing

NUMBERS = ("zero", "one", "two", "three", "four")

_COLOUR_WAYS = {
    "cyan": ("cyan", "cyan", "cyan", "turquoise", "light blue"),
    "purple": ("purple", "purple", "purple", "violet"),
}
_BACKGROUND_WAYS = {
    "gray": ("gray", "grey"),
    "tan": ("tan", "tan", "beige"),
    "navy": ("navy", "navy", "navy blue", "dark blue"),
}
_SIZE_WAYS = {"small": ("small", "small", "little", "tiny"), "large": ("large", "large", "big", "huge")}
_SHAPE_WAYS = {
    "circle": ("circle", "circle", "circle", "circle", "disc"),
    "diamond": ("diamond", "diamond", "diamond", "diamond", "rhombus"),
    "cross": ("cross", "cross", "cross", "cross", "plus"),
}
_PLURALS = {"cross": "crosses", "plus": "plus signs", "rhombus": "rhombuses"}
_PLACE_FORMS = ("at the {}", "at the {}", "in the {}", "in the {} corner", "on the {}")
_CORNER_WAYS = {"top": ("top", "top", "upper"), "bottom": ("bottom", "bottom", "lower")}


def article(words: str) -> str:
    """`a` or `an` and the words."""
    return ("an " if words[0] in "aeiou" else "a ") + words


def plural(shape: str) -> str:
    """Several of a shape."""
    return _PLURALS.get(shape, shape + "s")


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


def colour(word: str, rng: random.Random) -> str:
    return rng.choice(_COLOUR_WAYS.get(word, (word,)))


def background(word: str, rng: random.Random) -> str:
    return rng.choice(_BACKGROUND_WAYS.get(word, (word,)))


def size(word: str, rng: random.Random) -> str:
    return rng.choice(_SIZE_WAYS[word])


def shape(word: str, rng: random.Random) -> str:
    return rng.choice(_SHAPE_WAYS.get(word, (word,)))


def spoken(thing: Thing, rng: random.Random, sized: bool = False) -> str:
    """red circle, or big red circle"""
    words = f"{colour(thing.colour, rng)} {shape(thing.shape, rng)}"
    return f"{size(thing.size, rng)} {words}" if sized else words


def place(cell: int, rng: random.Random) -> str:
    """at the top left, in the upper left corner, ..."""
    row, column = PLACES[cell].split()
    return rng.choice(_PLACE_FORMS).format(f"{rng.choice(_CORNER_WAYS[row])} {column}")


def on_background(word: str, rng: random.Random) -> str:
    """on a gray background, with a grey background, ..."""
    ways = ("on {a}", "on {a}", "on {a} background", "on {a} background", "with {a} background", "over {a} background")
    ground = background(word, rng)
    way = rng.choice(ways)
    return way.format(a=ground if "background" not in way else article(ground))


def request(template: str, rng: random.Random, **values: str) -> str:
    """A filled phrase as people type it: casing, punctuation and politeness vary."""
    text = template.format(**values)
    text = text[0].upper() + text[1:]
    if text[-1] not in ".?!":
        text += "?" if re.match(r"(can|could|would|what|which|is|are|do|does|how|where|who)\b", text.lower()) else "."
    chance = rng.random()
    if chance < 0.12:
        text = text.lower()
    elif chance < 0.14:
        text = text.upper()
    chance = rng.random()
    if chance < 0.15:
        text = text.rstrip(".?!")
    elif chance < 0.19:
        text = text.rstrip(".") + "!" if text.endswith(".") else text
    elif chance < 0.21:
        text = text.replace(",", "")
    return text
