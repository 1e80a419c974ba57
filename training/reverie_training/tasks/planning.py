"""Documents that describe first and then draw, and descriptions that must stay words."""

from __future__ import annotations

import random

from .. import speech, words
from ..documents import Document, Dream, End, Text, say, turn
from ..phrases.combining import PLANNING
from ..sampling import random_scene
from . import drawing

THEN_DRAW = (
    "describe a picture, then draw it", "first describe a picture and then draw it", "think of a picture, describe it and draw it",
    "describe something and draw it", "make up a picture, describe it, then draw it", "please describe a picture and then paint it",
    "invent a picture: describe it first, then show it", "describe a random picture and draw it", "surprise me, describe it and draw it",
    "draw something", "draw anything", "draw a picture", "show me something", "paint whatever you like", "surprise me", "draw whatever you want",
    "make a picture", "show me a picture", "draw me something nice",
)  # fmt: skip
THIS_THEN_DRAW = (
    "describe {it}, then draw it", "first describe {it} and then draw it", "describe a picture of {it}, then draw it",
    "describe and draw {it}", "tell me about a picture of {it} and then paint it", "first tell me what {it} looks like, then show it",
    "please describe {it} and then draw it", "describe {it} first, then show me",
)  # fmt: skip
NO_PICTURE = (
    "describe {it} in words, do not draw it", "don't draw, just describe a picture of {it}", "only describe {it}, no picture",
    "describe a picture of {it} without drawing it", "no picture please, just describe {it}", "tell me in words what {it} looks like, no drawing",
    "write a description of {it}, no image", "what would a picture of {it} look like? only words", "just words: {it}",
)  # fmt: skip
_WISHED = {"asked": THIS_THEN_DRAW, "words only": NO_PICTURE}


def make(rng: random.Random, fold_name: str) -> Document:
    """A description and its picture, of anything or of what was asked; or the description alone."""
    kind = rng.choice(("free", "asked", "words only"))
    if kind == "free":
        scene, text = (
            random_scene(rng, fold_name, 1, 3),
            speech.request(speech.phrase(THEN_DRAW, PLANNING["free"], rng), rng),
        )
    else:
        _, wish, scene = drawing.wish(rng, fold_name)
        text = speech.request(speech.phrase(_WISHED[kind], PLANNING[kind], rng), rng, it=wish)
    if kind == "words only":
        return Document("planning", kind, turn(text) + say(words.caption(scene)), {"answer": words.caption(scene)})
    parts = [*turn(text), Text(words.caption(scene), True), Dream(scene), End()]
    return Document("planning", kind, parts, {"scene": scene})
