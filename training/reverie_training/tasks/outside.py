"""Requests outside the model's small world, answered by an honest sentence about what it can do."""

from __future__ import annotations

import random

from .. import words
from ..documents import Document, Picture, say, turn
from ..sampling import random_scene, random_thing
from ..scenes import BACKGROUND_NAMES, COLOUR_NAMES, SHAPES
from . import drawing
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
_NOUNS = """cat dog horse bird fish lion tiger elephant mouse rabbit cow pig sheep goat duck chicken frog snake bear wolf fox monkey
giraffe zebra dolphin whale shark spider bee butterfly dragon unicorn dinosaur robot alien monster ghost man woman boy girl child baby person
face hand king queen soldier doctor teacher wizard princess house castle tower bridge church school shop city village street garden farm forest
mountain river lake sea beach island desert tree flower rose leaf grass sun cloud rainbow sky storm snowman car bus train plane boat ship
bicycle truck rocket tank motorcycle chair table bed lamp door window book pen cup plate bottle knife fork spoon clock phone computer camera
guitar piano violin drum ball kite doll toy hat shoe shirt dress bag umbrella ring key apple banana cherry lemon grape pear peach
strawberry tomato carrot potato bread cake pizza burger cheese egg coffee wine landscape portrait sunset galaxy planet skyline logo map flag
cartoon comic selfie painting photo waterfall volcano penguin owl turtle kitten puppy family football team wedding party dancer""".split()
_UNKNOWN_COLOURS = ("brown", "black", "white", "gray", "grey", "silver", "gold", "golden", "beige", "tan", "navy", "maroon", "magenta", "teal",
                    "lime", "olive", "indigo", "transparent", "rainbow", "striped", "ivory", "crimson", "bronze", "colorless")  # fmt: skip
_UNKNOWN_GROUNDS = ("red", "green", "blue", "yellow", "purple", "orange", "pink", "cyan", "brown", "golden", "silver", "striped", "starry", "forest",
                    "beach", "wooden", "transparent", "rainbow", "city", "magenta", "snowy")  # fmt: skip
_UNKNOWN_PLACES = ("in the middle", "in the center", "in the centre", "at the center", "in the middle of the picture", "in the middle of the page",
                   "outside the picture", "on the edge", "behind the picture", "halfway down", "in the exact center")  # fmt: skip
_UNKNOWN_NUMBERS = ("five", "six", "seven", "eight", "nine", "ten", "twelve", "twenty", "a hundred", "fifty", "5", "6", "7", "8", "9", "10", "12",
                    "15", "20", "50", "100", "a thousand", "many", "dozens of")  # fmt: skip
_TALK = (
    "what is the capital of {noun}", "who is the president", "what is the weather today", "will it rain tomorrow", "write a poem about a {noun}",
    "write a python program", "write code to sort a list", "what is {n} plus {m}", "what is {n} times {m}", "calculate {n} minus {m}",
    "translate {noun} into French", "how do you say {noun} in Spanish", "tell me a joke", "sing a song about a {noun}", "who won the world cup",
    "what time is it", "what day is it", "how old is the {noun}", "why is the sky blue", "how does a {noun} work", "what is a {noun}",
    "explain {noun} to me", "give me a recipe for {noun}", "how do I cook a {noun}", "where can I buy a {noun}", "what is the meaning of life",
    "do you love me", "what is your favorite {noun}", "who wrote the {noun}", "how much does a {noun} cost", "recommend a {noun}",
    "book a flight to {noun}", "send an email to the {noun}", "search the web for {noun}", "play music", "what is the news", "define {noun}",
    "how far is the moon", "who invented the {noun}", "when was the {noun} born", "should I buy a {noun}", "tell me about {noun}s",
    "do you know {noun}", "what do you think about {noun}s", "is a {noun} bigger than a {noun2}", "solve this equation", "summarize this text",
    "fix my {noun}", "how do I learn to {noun}", "what is the best {noun}", "can you hear me", "turn on the {noun}", "spell {noun}",
)  # fmt: skip
_ASK_PICTURED = ("who is this person", "is there a {noun} in the picture, what breed", "read the text in the image", "where was this photo taken",
                 "what is the {noun} doing", "how old is the {noun} in this picture", "who painted this", "what year is this from",
                 "is the {noun} happy", "what does the sign say")  # fmt: skip
_LETTERS, _VOWELS = "bcdfghjklmnprstvwz", "aeiou"


def nouns() -> tuple[str, ...]:
    """The known words that are no shape."""
    return (*_NOUNS, *_OUTLINES)


def _noun(rng: random.Random) -> str:
    """A word that is no shape: mostly a known one, else an invented one, so that the rule is the absence of a shape."""
    if rng.random() < 0.6:
        return rng.choice(_NOUNS)
    syllables = (
        rng.choice(_LETTERS) + rng.choice(_VOWELS) + rng.choice(("", "", *_LETTERS)) for _ in range(rng.randint(1, 3))
    )
    return "".join(syllables)


def _wish(kind: str, rng: random.Random, fold_name: str) -> str:
    thing = random_thing(rng, fold_name)
    spoken = words.spoken(thing, rng, rng.random() < 0.3)
    match kind:
        case "thing":
            noun = rng.choice(_OUTLINES) if rng.random() < 0.3 else _noun(rng)
            if rng.random() < 0.4:
                noun = f"{words.colour(thing.colour, rng)} {noun}"
            tail = rng.choice(
                (
                    "",
                    "",
                    "",
                    f" {words.place(rng.randrange(4), rng)}",
                    f" and {words.article(spoken)}",
                    f" with a {_noun(rng)}",
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
        template = rng.choice(_ASK_PICTURED if pictured else _TALK)
        numbers = {"n": str(rng.randint(2, 99)), "m": str(rng.randint(2, 99))}
        text = words.request(template, rng, noun=_noun(rng), noun2=_noun(rng), **numbers)
        parts = ask_about([Picture(random_scene(rng, fold_name))], text, rng) if pictured else turn(text)
        return Document("outside", kind, parts + say(HONEST[kind]), facts)
    text = words.request(rng.choice(drawing.ASK), rng, it=_wish(kind, rng, fold_name))
    return Document("outside", kind, turn(text) + say(HONEST[kind]), facts)
