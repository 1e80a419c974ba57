"""Random things and scenes of one fold: the dice of the data. Knows no text."""

from __future__ import annotations

import random

from .scenes import BACKGROUND_NAMES, COLOUR_NAMES, SHAPES, SIZES, Scene, Thing
from .splits import fold, has_held_out, pair_fits

_COUNT_WEIGHTS = (0.2, 4, 4, 3, 2)  # of scenes with 0, 1, 2, 3, 4 things


def random_thing(rng: random.Random, fold_name: str) -> Thing:
    """A thing that may appear in this fold."""
    while True:
        thing = Thing(rng.choice(SHAPES), rng.choice(COLOUR_NAMES), rng.choice(SIZES))
        if pair_fits(thing, fold_name):
            return thing


def random_scene(rng: random.Random, fold_name: str, fewest: int = 0, most: int = 4) -> Scene:
    """A scene that belongs to this fold, with `fewest` to `most` things."""
    counts = range(fewest, most + 1)
    while True:
        count = rng.choices(counts, _COUNT_WEIGHTS[fewest : most + 1])[0]
        things = {cell: random_thing(rng, fold_name) for cell in rng.sample(range(4), count)}
        if fold_name == "held-out" and not has_held_out(things.values()):
            continue
        scene = Scene(things, rng.choice(BACKGROUND_NAMES), rng)
        if fold(scene) == fold_name:
            return scene
