"""Which scenes belong to which fold. Folds go by content, never by the order of sampling.

A scene with a held-out colour-shape pair is in no training document, as a picture or in words. The other
scenes fall into train, validation or test by a hash of their content.
"""

from __future__ import annotations

import hashlib

from .scenes import Scene, Thing

FOLDS = ("train", "validation", "test", "held-out")
HELD_OUT_PAIRS = frozenset({("star", "cyan"), ("cross", "pink"), ("triangle", "purple"), ("diamond", "orange")})
_VALIDATION_PERCENT, _TEST_PERCENT = 5, 10


def is_held_out(shape: str, colour: str) -> bool:
    """Whether training may never show or name this pair together."""
    return (shape, colour) in HELD_OUT_PAIRS


def has_held_out(things) -> bool:
    """Whether one of these things is a held-out pair."""
    return any(is_held_out(thing.shape, thing.colour) for thing in things)


def fold(scene: Scene) -> str:
    """The fold of a scene, one of `FOLDS`."""
    if has_held_out(scene.things.values()):
        return "held-out"
    text = scene.background + "|" + "|".join(f"{cell}:{' '.join(thing)}" for cell, thing in scene.things.items())
    share = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % 100
    if share < _TEST_PERCENT:
        return "test"
    return "validation" if share < _TEST_PERCENT + _VALIDATION_PERCENT else "train"


def pair_fits(thing: Thing, fold_name: str) -> bool:
    """Whether a thing may be part of a document of this fold at all."""
    return fold_name == "held-out" or not is_held_out(thing.shape, thing.colour)
