"""Scenes and how they are drawn: coloured shapes on a two by two grid. Knows no text and no network.

A scene is a background and up to four things, one a cell. Drawing is analytic (point tests on an 8x8
sub-grid of every pixel), so that any other language can reproduce it to the byte.
"""

from __future__ import annotations

import functools
import math
import random
from typing import NamedTuple

import numpy as np

SHAPES = ("circle", "square", "triangle", "star", "diamond", "cross")
COLOURS = {
    "red": (215, 35, 40),
    "green": (40, 165, 65),
    "blue": (45, 85, 230),
    "yellow": (245, 215, 45),
    "purple": (135, 50, 185),
    "orange": (245, 130, 25),
    "cyan": (55, 205, 220),
    "pink": (245, 135, 195),
}
BACKGROUNDS = {
    "white": (246, 246, 246),
    "black": (16, 16, 18),
    "gray": (128, 128, 130),
    "tan": (205, 180, 140),
    "navy": (22, 32, 88),
}
SIZES = ("small", "large")
COLOUR_NAMES = tuple(COLOURS)
BACKGROUND_NAMES = tuple(BACKGROUNDS)
PLACES = ("top left", "top right", "bottom left", "bottom right")  # reading order: the cell's number

SIDE = 64  # pixels of a picture's side
CELL = 32  # pixels of a cell's side
RADIUS = {"small": 8.5, "large": 13.0}  # pixels
JITTER = {"small": 2, "large": 1}  # a thing is off its cell's centre by at most so many whole pixels
SUBPIXELS = 8


class Thing(NamedTuple):
    """One coloured shape."""

    shape: str
    colour: str
    size: str


class Scene:
    """A background and things by cell. Two scenes are the same when their `key` is; jitter is not content."""

    __slots__ = ("background", "jitter", "things")

    def __init__(
        self,
        things: dict[int, Thing],
        background: str,
        rng: random.Random,
        jitter: dict[int, tuple[int, int]] | None = None,
    ):
        self.things = dict(sorted(things.items()))
        self.background = background
        self.jitter = {}
        for cell, thing in self.things.items():
            limit = JITTER[thing.size]
            x, y = (jitter or {}).get(cell) or (rng.randint(-limit, limit), rng.randint(-limit, limit))
            self.jitter[cell] = (max(-limit, min(limit, x)), max(-limit, min(limit, y)))

    @property
    def key(self) -> tuple:
        """The content that counts: background and things by cell."""
        return (self.background, tuple(self.things.items()))

    def codes(self) -> list[int]:
        """Thirteen integers: (shape, colour, size) of each cell, where one past the last means empty; background."""
        codes = []
        for cell in range(4):
            thing = self.things.get(cell)
            if thing is None:
                codes += [len(SHAPES), len(COLOURS), len(SIZES)]
            else:
                codes += [SHAPES.index(thing.shape), COLOUR_NAMES.index(thing.colour), SIZES.index(thing.size)]
        return [*codes, BACKGROUND_NAMES.index(self.background)]

    def draw(self) -> np.ndarray:
        """The picture, bytes of shape (64, 64, 3)."""
        picture = np.empty((SIDE, SIDE, 3), np.float32)
        picture[:] = BACKGROUNDS[self.background]
        for cell, thing in self.things.items():
            top, left = (cell // 2) * CELL, (cell % 2) * CELL
            cover = mask(thing.shape, thing.size, *self.jitter[cell])[:, :, None]
            part = picture[top : top + CELL, left : left + CELL]
            part[:] = part * (1 - cover) + np.array(COLOURS[thing.colour], np.float32) * cover
        return np.clip(picture + 0.5, 0, 255).astype(np.uint8)

    def to_json(self) -> dict:
        """A plain form for suite files."""
        things = {PLACES[cell]: thing._asdict() for cell, thing in self.things.items()}
        return {"background": self.background, "things": things}


def outline(shape: str, radius: float) -> list[tuple[float, float]]:
    """Corners of a shape around the origin, y downwards; a circle has none."""
    if shape == "square":
        a = radius * 0.9
        return [(-a, -a), (a, -a), (a, a), (-a, a)]
    if shape == "triangle":
        return [(0, -radius), (radius, radius * 0.85), (-radius, radius * 0.85)]
    if shape == "diamond":
        return [(0, -radius), (radius * 0.78, 0), (0, radius), (-radius * 0.78, 0)]
    if shape == "star":
        corners = []
        for corner in range(10):
            reach = radius * (1.08 if corner % 2 == 0 else 0.45)
            angle = -math.pi / 2 + corner * math.pi / 5
            corners.append((reach * math.cos(angle), reach * math.sin(angle)))
        return corners
    if shape == "cross":
        a, b = radius * 0.34, radius
        return [
            (-a, -b),
            (a, -b),
            (a, -a),
            (b, -a),
            (b, a),
            (a, a),
            (a, b),
            (-a, b),
            (-a, a),
            (-b, a),
            (-b, -a),
            (-a, -a),
        ]
    return []


@functools.cache
def mask(shape: str, size: str, dx: int, dy: int) -> np.ndarray:
    """Share of every pixel of a cell that a shape covers, f32 of shape (32, 32)."""
    radius = RADIUS[size]
    steps = (np.arange(CELL * SUBPIXELS) + 0.5) / SUBPIXELS - CELL / 2
    x, y = (steps - dx)[None, :], (steps - dy)[:, None]
    if shape == "circle":
        inside = x * x + y * y <= (0.97 * radius) ** 2
    else:
        corners = outline(shape, radius)
        inside = np.zeros((len(steps), len(steps)), bool)
        for (xa, ya), (xb, yb) in zip(corners, corners[1:] + corners[:1], strict=True):
            if ya == yb:
                continue
            crosses = (ya > y) != (yb > y)
            inside ^= crosses & (x < (xb - xa) * (y - ya) / (yb - ya) + xa)
    cells = inside.reshape(CELL, SUBPIXELS, CELL, SUBPIXELS)
    return cells.mean((1, 3)).astype(np.float32)


def contact_sheet(pictures: list[np.ndarray], columns: int = 8, scale: int = 2) -> np.ndarray:
    """Pictures side by side on gray, each enlarged `scale` times."""
    step = SIDE * scale + 2
    rows = (len(pictures) + columns - 1) // columns
    sheet = np.full((rows * step + 2, columns * step + 2, 3), 90, np.uint8)
    for index, picture in enumerate(pictures):
        top, left = (index // columns) * step + 2, (index % columns) * step + 2
        sheet[top : top + SIDE * scale, left : left + SIDE * scale] = picture.repeat(scale, 0).repeat(scale, 1)
    return sheet
