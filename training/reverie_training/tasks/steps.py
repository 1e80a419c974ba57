"""Illustrated instructions: a scene built up one step and one picture at a time."""

from __future__ import annotations

import random

from .. import speech, words
from ..documents import Document, Dream, End, Text, turn
from ..phrases.combining import STEPS
from ..sampling import random_scene
from ..scenes import PLACES, Scene

ASK = (
    "show step by step how to draw {it}", "draw {it} step by step", "how do I draw {it}, step by step", "show me the steps to draw {it}",
    "teach me to draw {it} step by step", "explain in steps how to draw {it}", "make a step by step guide to draw {it}",
    "step by step, draw {it}", "please show me step by step how to paint {it}", "I want to learn to draw {it}, show every step",
)  # fmt: skip


def make(rng: random.Random, fold_name: str) -> Document:
    """Two to five pictures: the background first by chance, then one thing more each step."""
    scene = random_scene(rng, fold_name, 2, 4)
    things = list(scene.things.items())
    if rng.random() < 0.4:
        rng.shuffle(things)
    spoken = [speech.one(thing, rng, True, cell) for cell, thing in things]
    wish = (words.placed(scene) if rng.random() < 0.4 else speech.several(spoken, rng)) + speech.on(
        scene.background, rng
    )
    parts = turn(speech.request(speech.phrase(ASK, STEPS, rng), rng, it=wish))
    number, things = 1, {}
    if scene.background != "white":
        parts += [
            Text(f"Step 1: paint the background {scene.background}.", True),
            Dream(Scene({}, scene.background, rng)),
        ]
        number = 2
    for cell, thing in scene.things.items():
        things = {**things, cell: thing}
        verb = "draw" if len(things) == 1 else "add"
        said = f"Step {number}: {verb} {words.full_name(thing)} at the {PLACES[cell]}."
        parts += [Text(said, True), Dream(Scene(things, scene.background, rng, scene.jitter))]
        number += 1
    count = words.NUMBERS[len(things)]
    parts += [Text(f"Done. There are {count} shapes.", True), End()]
    return Document("steps", str(len(things)), parts, {"scene": scene})
