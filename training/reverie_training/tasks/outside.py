"""Requests outside the model's small world, answered by an honest sentence about what it can do."""

from __future__ import annotations

import random

from .. import words
from ..documents import Document, Picture, say, turn
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
                    "15", "20", "50", "100", "a thousand", "many", "dozens of")  # fmt: skip

def nouns() -> tuple[str, ...]:
    """The known words that are no shape."""
    return (*everyday.NOUNS, *_OUTLINES)


def _wish(kind: str, rng: random.Random, fold_name: str) -> str:
    thing = random_thing(rng, fold_name)
    spoken = words.spoken(thing, rng, rng.random() < 0.3)
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
    """A request that cannot be granted; sometimes about a picture."""
    kind = rng.choices(list(HONEST), (6, 2, 2, 1.5, 1.5, 5))[0]
    facts = {"answer": HONEST[kind]}
    if kind == "talk":
        pictured = rng.random() < 0.15
        said = everyday.talk_about_picture(rng) if pictured else everyday.talk(rng)
        text = words.request("{said}", rng, said=said)
        parts = ask_about([Picture(random_scene(rng, fold_name))], text, rng) if pictured else turn(text)
        return Document("outside", kind, parts + say(HONEST[kind]), facts)
    text = words.request(rng.choice(drawing.ASK), rng, it=_wish(kind, rng, fold_name))
    return Document("outside", kind, turn(text) + say(HONEST[kind]), facts)
