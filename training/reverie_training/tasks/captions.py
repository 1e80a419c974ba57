"""Documents that describe one picture."""

from __future__ import annotations

import random

from .. import speech, words
from ..documents import Document, End, Picture, Text, say, turn
from ..phrases.showing import CAPTION, CAPTION_NOUN
from ..sampling import random_scene

ASK = (
    "describe the image", "describe this picture", "what is in the image", "what do you see", "caption this image",
    "what does the picture show", "tell me what you see", "can you describe this picture", "please describe the picture",
    "what's in this picture", "what is this", "describe it", "what is shown here", "give me a description of the picture",
    "look at this and tell me what is there", "write a caption",
)  # fmt: skip
_NOUNS = ("picture", "picture", "image", "image", "pic", "drawing", "sketch", "card")


def ask_about(scene_parts: list[Picture], text: str, rng: random.Random) -> list:
    """A user's turn with pictures, mostly before the words, sometimes after them."""
    return turn(*scene_parts, text) if rng.random() < 0.65 else turn(text, *scene_parts)


def make(rng: random.Random, fold_name: str) -> Document:
    """A caption, asked for or (a quarter) as a bare pair of picture and text."""
    scene = random_scene(rng, fold_name)
    facts = {"answer": words.caption(scene)}
    if rng.random() < 0.25:
        return Document("caption", "raw", [Picture(scene), Text(words.caption(scene), True), End()], facts)
    asked = speech.phrase(ASK, CAPTION if rng.random() < 0.6 else CAPTION_NOUN, rng)
    parts = ask_about([Picture(scene)], speech.request(asked, rng, noun=rng.choice(_NOUNS)), rng)
    return Document("caption", "asked", parts + say(words.caption(scene)), facts)
