"""Small talk and questions about the model itself: words, never a picture."""

from __future__ import annotations

import random

from .. import speech, words
from ..documents import Document, say, turn
from ..phrases.chatting import CHAT
from ..scenes import BACKGROUND_NAMES, COLOUR_NAMES, SHAPES

_SHAPES = words.listed([words.plural(shape) for shape in SHAPES])
TALK: dict[str, tuple[tuple[str, ...], str]] = {
    "hello": (
        ("hello", "hi", "hey", "good morning", "good evening", "hello there", "hi there", "hey you", "greetings", "good day", "howdy"),
        "Hello! I can draw shapes and answer questions about pictures.",
    ),
    "who": (
        ("who are you", "what are you", "what is your name", "are you a person", "are you human", "tell me about yourself", "introduce yourself",
         "what model are you", "are you an ai", "are you a robot", "who am I talking to"),
        "I am a very small model. I read and draw pictures of simple shapes.",
    ),
    "abilities": (
        ("what can you do", "help", "how can you help me", "what are you good at", "what should I ask", "what can I ask you", "how does this work",
         "what do you know", "what are your skills", "give me some ideas", "how do I use you"),
        "I can describe pictures, answer questions about them, draw, edit and tell picture stories. Everything is made of simple shapes.",
    ),
    "colours": (
        ("what colors do you know", "which colors can you draw", "what colours are there", "list your colors", "which colors are possible",
         "what colors can I use", "tell me all the colors", "name the colors you know"),
        f"I know {words.listed(list(COLOUR_NAMES))}.",
    ),
    "shapes": (
        ("what shapes do you know", "which shapes can you draw", "what can you draw", "list your shapes", "which shapes are possible",
         "what shapes can I use", "tell me all the shapes", "name the shapes you know"),
        f"I can draw {_SHAPES}.",
    ),
    "backgrounds": (
        ("what backgrounds do you know", "which backgrounds can you draw", "what backgrounds are there", "list your backgrounds",
         "which backgrounds are possible", "what backgrounds can I use", "tell me all the backgrounds", "name the backgrounds you know"),
        f"The background can be {', '.join(BACKGROUND_NAMES[:-1])} or {BACKGROUND_NAMES[-1]}.",
    ),
    "thanks": (
        ("thanks", "thank you", "thank you very much", "thanks a lot", "great, thanks", "nice", "well done", "good job", "perfect", "cool",
         "that is beautiful", "I like it", "awesome"),
        "You are welcome!",
    ),
    "bye": (
        ("bye", "goodbye", "see you", "good night", "bye bye", "see you later", "that is all", "farewell", "have a nice day"),
        "Goodbye!",
    ),
    "wellbeing": (
        ("how are you", "how are you doing", "how is it going", "are you well", "what's up", "how do you feel", "are you ok", "how are things"),
        "I am fine, thank you. Shall I draw a shape?",
    ),
}  # fmt: skip

# What only the collection has asks for.
_FURTHER = {
    "limits": "I only know simple shapes. A picture has at most four of them, one in each corner.",
    "places": "A shape can be at the top left, top right, bottom left or bottom right.",
    "sizes": "A shape can be small or large.",
    "sorry": "No problem!",
    "agree": "Good. Tell me which shapes you would like.",
    "disagree": "I am sorry. Please tell me again what you would like.",
    "ready": "Yes. Tell me which shapes to draw, or show me a picture.",
}
ANSWERS = {kind: answer for kind, (_, answer) in TALK.items()} | _FURTHER


def make(rng: random.Random, _fold_name: str) -> Document:
    """One to three exchanges."""
    parts: list = []
    kinds = rng.sample(list(ANSWERS), rng.choice((1, 1, 2, 3)))
    for kind in kinds:
        asked = speech.phrase(TALK[kind][0] if kind in TALK else (), CHAT[kind], rng)
        parts += turn(speech.request("{it}", rng, it=asked)) + say(ANSWERS[kind])
    return Document("chat", kinds[0], parts, {"answer": ANSWERS[kinds[0]]})
