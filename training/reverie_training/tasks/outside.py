"""Requests outside the model's small world, answered by an honest sentence about what it can do."""

from __future__ import annotations

import random

from .. import speech, words
from ..documents import Document, Picture, say, turn
from ..phrases.changing import EDITS
from ..phrases.chatting import CHAT, OUTSIDE, OUTSIDE_THINGS
from ..phrases.wishes import DRAW
from ..sampling import random_scene, random_thing
from ..scenes import BACKGROUND_NAMES, COLOUR_NAMES, SHAPES
from . import drawing, everyday
from .captions import ask_about

HONEST: dict[str, str] = {
    "thing": f"I can only draw {words.listed([words.plural(shape) for shape in SHAPES])}.",
    "colour": f"I can only draw shapes in {', '.join(COLOUR_NAMES[:-1])} or {COLOUR_NAMES[-1]}.",
    "background": f"I can only make the background {', '.join(BACKGROUND_NAMES[:-1])} or {BACKGROUND_NAMES[-1]}.",
    "place": "I can only place shapes at the top left, top right, bottom left or bottom right.",
    "number": "I can only draw up to four shapes in a picture.",
    "talk": "I do not know that. I can only talk about and draw pictures of simple shapes.",
}
_OUTLINES = ("heart", "hexagon", "pentagon", "octagon", "oval", "ellipse", "arrow", "spiral", "ring", "cube", "sphere", "pyramid", "moon",
             "crescent", "line", "trapezoid", "cylinder", "cone", "wave", "zigzag", "letter a", "number seven", "question mark")  # fmt: skip
_UNKNOWN_COLOURS = ("brown", "black", "white", "gray", "grey", "silver", "gold", "golden", "beige", "tan", "navy", "maroon", "magenta", "teal",
                    "lime", "olive", "indigo", "transparent", "rainbow", "striped", "ivory", "crimson", "bronze", "colorless")  # fmt: skip
_UNKNOWN_GROUNDS = ("red", "green", "blue", "yellow", "purple", "orange", "pink", "cyan", "brown", "golden", "silver", "striped", "starry", "forest",
                    "beach", "wooden", "transparent", "rainbow", "city", "magenta", "snowy")  # fmt: skip
_UNKNOWN_PLACES = ("in the middle", "in the center", "in the centre", "at the center", "in the middle of the picture", "in the middle of the page",
                   "outside the picture", "on the edge", "behind the picture", "halfway down", "in the exact center")  # fmt: skip
_UNKNOWN_NUMBERS = ("five", "six", "seven", "eight", "nine", "ten", "twelve", "twenty", "a hundred", "fifty", "5", "6", "7", "8", "9", "10", "12",
                    "15", "20", "50", "100", "a thousand", "many", "dozens of")  # fmt: skip# Of the collected talk, what needs a picture, and what does not.
_OF_PICTURES = ("picture beyond shapes", "photo edit", "wish for more", "impossible question")
_SAID = tuple(said for name, some in OUTSIDE.items() if name not in _OF_PICTURES for said in some)
_SAID_OF_PICTURES = tuple(said for name in _OF_PICTURES for said in OUTSIDE[name])
# Which honest sentence answers which of the collected wishes.
_COLLECTED = {
    "colour": ("other colour",),
    "background": ("other background",),
    "place": ("other place",),
    "number": ("too many",),
}
_ELSE = tuple(name for name in OUTSIDE_THINGS if all(name not in some for some in _COLLECTED.values()))


def nouns() -> tuple[str, ...]:
    """The known words that are no shape."""
    return (*everyday.NOUNS, *_OUTLINES)


def _wish(kind: str, rng: random.Random, fold_name: str) -> str:
    thing = random_thing(rng, fold_name)
    spoken = words.spoken(thing, rng, rng.random() < 0.3)
    if rng.random() < 0.35:
        return rng.choice(OUTSIDE_THINGS[rng.choice(_COLLECTED.get(kind, _ELSE))])
    match kind:
        case "thing":
            if rng.random() < 0.4:
                return everyday.wish(rng)
            noun = rng.choice(_OUTLINES) if rng.random() < 0.4 else everyday.noun(rng)
            if rng.random() < 0.4:
                noun = f"{words.colour(thing.colour, rng)} {noun}"
            tail = rng.choice(
                (
                    "",
                    "",
                    "",
                    f" {words.place(rng.randrange(4), rng)}",
                    f" and {words.article(spoken)}",
                    f" with a {everyday.noun(rng)}",
                )
            )
            return words.article(noun) + tail
        case "colour":
            shape = words.shape(thing.shape, rng)
            return words.article(f"{rng.choice(_UNKNOWN_COLOURS)} {shape}") + rng.choice(
                ("", "", f" {words.place(rng.randrange(4), rng)}")
            )
        case "background":
            return f"{words.article(spoken)} on {words.article(rng.choice(_UNKNOWN_GROUNDS))} background"
        case "place":
            return f"{words.article(spoken)} {rng.choice(_UNKNOWN_PLACES)}"
        case _:
            return f"{rng.choice(_UNKNOWN_NUMBERS)} {words.colour(thing.colour, rng)} {words.plural(thing.shape)}"


def make(rng: random.Random, fold_name: str) -> Document:
    """A request that cannot be granted; sometimes about a picture, or for a change of one."""
    kind = rng.choices(list(HONEST), (6, 2, 2, 1.5, 1.5, 6))[0]
    facts = {"answer": HONEST[kind]}
    if kind == "talk":
        pictured = rng.random() < 0.2
        text = speech.request("{said}", rng, said=_talk_about_picture(rng) if pictured else _talk(rng))
    else:
        pictured = kind != "number" and rng.random() < 0.2
        if pictured:
            text = speech.request("{said}", rng, said=_change(kind, rng))
        else:
            text = speech.request(speech.phrase(drawing.ASK, DRAW, rng), rng, it=_wish(kind, rng, fold_name))
    parts = ask_about([Picture(random_scene(rng, fold_name, 1))], text, rng) if pictured else turn(text)
    return Document("outside", kind, parts + say(HONEST[kind]), facts)


def _talk(rng: random.Random) -> str:
    if rng.random() < 0.55:
        return everyday.talk(rng)
    return rng.choice(_SAID) if rng.random() < 0.9 else rng.choice(CHAT["joke"])


def _talk_about_picture(rng: random.Random) -> str:
    return everyday.talk_about_picture(rng) if rng.random() < 0.5 else rng.choice(_SAID_OF_PICTURES)


def _change(kind: str, rng: random.Random) -> str:
    """A wish for a change to something outside the world."""
    it = rng.choice(("it", "the {}", "the {} one", "this", "the shape", "the one {}"))
    shape, colour = words.shape(rng.choice(SHAPES), rng), words.colour(rng.choice(COLOUR_NAMES), rng)
    it = it.format(shape if it == "the {}" else colour if it == "the {} one" else words.place(rng.randrange(4), rng))
    unknown = words.article(rng.choice(_OUTLINES) if rng.random() < 0.4 else everyday.noun(rng))
    ground = rng.choice(_UNKNOWN_GROUNDS)
    values = {"it": it, "a_shape": unknown, "a_thing": unknown, "colour": rng.choice(_UNKNOWN_COLOURS)}
    values["a_colour"] = words.article(values["colour"])
    values |= {"ground": ground, "a_ground": words.article(ground), "place": words.place(rng.randrange(4), rng)}
    values["corner"] = rng.choice(
        ("middle", "center", "centre", "left edge", "other side of the page", "middle of the picture")
    )
    table = {
        "thing": ("reshape", "add", "replace"),
        "colour": ("recolour",),
        "background": ("background",),
        "place": ("move",),
    }[kind]
    return rng.choice(EDITS[rng.choice(table)]).format(**values)
