"""The programmatic reader: attributes back from any picture of the world's size. Knows nothing of who drew it.

It always answers; `clean` says whether the picture really looks like what was read.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from .scenes import (
    BACKGROUND_NAMES,
    BACKGROUNDS,
    CELL,
    COLOUR_NAMES,
    COLOURS,
    JITTER,
    SHAPES,
    SIZES,
    Scene,
    Thing,
    mask,
)

FOREGROUND_DISTANCE = 55.0  # a pixel this far (RGB, Euclidean) from the background belongs to a thing
FEWEST_PIXELS = 30  # a cell with fewer such pixels is empty
CLEAN_TEMPLATE_ERROR = 0.15  # worst root mean square between coverage read and the template's
CLEAN_STRAY_PIXELS = 12  # most foreground pixels that an empty cell of a clean picture has

_PALETTE = np.array(list(COLOURS.values()), np.float64)
_GROUNDS = np.array(list(BACKGROUNDS.values()), np.float64)


@dataclass(frozen=True)
class Reading:
    """What the reader saw. `error` is the worst template error of the things found."""

    background: str
    things: dict[int, Thing]
    error: float
    clean: bool

    def matches(self, scene: Scene) -> bool:
        """Every attribute of every thing and the background are the scene's."""
        return self.background == scene.background and self.things == scene.things


@functools.cache
def _templates() -> tuple[list[tuple[str, str]], np.ndarray]:
    names, covers = [], []
    for shape in SHAPES:
        for size in SIZES:
            reach = range(-JITTER[size], JITTER[size] + 1)
            for dx in reach:
                for dy in reach:
                    names.append((shape, size))
                    covers.append(mask(shape, size, dx, dy).reshape(-1))
    return names, np.stack(covers).astype(np.float64)


def _median(values: np.ndarray) -> np.ndarray:
    """The upper median of each column: no averaging, so that every language gets the same number."""
    return np.sort(values, axis=0)[len(values) // 2]


def _nearest(palette: np.ndarray, colour: np.ndarray) -> int:
    return int(((palette - colour) ** 2).sum(1).argmin())


def read(picture: np.ndarray) -> Reading:
    """Reads a picture, bytes of shape (64, 64, 3)."""
    pixels = picture.astype(np.float64)
    lines = (
        pixels[0],
        pixels[-1],
        pixels[:, 0],
        pixels[:, -1],
        pixels[CELL - 1],
        pixels[CELL],
        pixels[:, CELL - 1],
        pixels[:, CELL],
    )
    ground = _median(np.concatenate(lines))
    names, covers = _templates()
    things: dict[int, Thing] = {}
    worst, stray = 0.0, 0
    for cell in range(4):
        top, left = (cell // 2) * CELL, (cell % 2) * CELL
        part = pixels[top : top + CELL, left : left + CELL].reshape(-1, 3)
        squared = ((part - ground) ** 2).sum(1)
        front = squared > FOREGROUND_DISTANCE**2
        if front.sum() < FEWEST_PIXELS:
            stray = max(stray, int(front.sum()))
            continue
        core = front & (squared >= _median(squared[front]))
        colour = _nearest(_PALETTE, _median(part[core]))
        axis = _PALETTE[colour] - ground
        # A background of exactly a thing's colour has no way from one to the other: nothing is covered.
        length = axis @ axis
        cover = np.clip((part - ground) @ axis / length, 0, 1) if length else np.zeros(len(part))
        errors = ((covers - cover) ** 2).mean(1)
        best = int(errors.argmin())
        worst = max(worst, float(errors[best]) ** 0.5)
        things[cell] = Thing(names[best][0], COLOUR_NAMES[colour], names[best][1])
    background = BACKGROUND_NAMES[_nearest(_GROUNDS, ground)]
    return Reading(background, things, worst, worst < CLEAN_TEMPLATE_ERROR and stray <= CLEAN_STRAY_PIXELS)


def attributes(reading: Reading, scene: Scene) -> dict[str, list[bool]]:
    """Hits per attribute against the scene that was wanted: one entry per thing, or per picture."""
    hits: dict[str, list[bool]] = {
        "background": [reading.background == scene.background],
        "places": [set(reading.things) == set(scene.things)],
        "shape": [],
        "colour": [],
        "size": [],
    }
    for cell, wanted in scene.things.items():
        seen = reading.things.get(cell)
        hits["shape"].append(seen is not None and seen.shape == wanted.shape)
        hits["colour"].append(seen is not None and seen.colour == wanted.colour)
        hits["size"].append(seen is not None and seen.size == wanted.size)
    hits["clean"] = [reading.clean]
    hits["all"] = [reading.matches(scene) and reading.clean]
    return hits
