"""Fixed codes of scenes: the stand-ins for pretrained encoders. Knows scenes' integer codes, no text grammar.

`ConditionCodes` take the place of Stable Diffusion's text encoder: the UNet begins on them and the dream queries
are aligned with them until the joint stage, whose alignment weight is nothing. `WordVectors` take the place of
CLIP's language alignment: the vision tower learns to give every patch the sum of its words' vectors, and the
language model begins with the same vectors as those words' embeddings.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional

from . import settings
from .scenes import BACKGROUND_NAMES, COLOUR_NAMES, SHAPES, SIZES

_PLACE_WORDS = ("top", "bottom", "left", "right")
ATTRIBUTE_WORDS = (*SHAPES, *COLOUR_NAMES, *SIZES, *BACKGROUND_NAMES, *_PLACE_WORDS)


def _draws(seed: int):
    generator = torch.Generator().manual_seed(seed)
    return lambda rows, width: torch.randn(rows, width, generator=generator)


class ConditionCodes:
    """Eight tokens a scene: one (shape, size) and one (colour) token a cell, each with the background in it."""

    def __init__(self):
        draw, width = _draws(1234), settings.CONDITION_WIDTH
        self._shape = draw(len(SHAPES) + 1, width)
        self._size = draw(len(SIZES) + 1, width)
        self._colour = draw(len(COLOUR_NAMES) + 1, width)
        self._slot = draw(settings.QUERIES, width)
        self._background = draw(len(BACKGROUND_NAMES), width)
        self._nothing = draw(settings.QUERIES, width)

    def __call__(self, codes: torch.Tensor) -> torch.Tensor:
        """Codes of scenes (n, 13) to conditions (n, 8, width)."""
        cells = codes[:, :12].view(-1, 4, 3)
        form = self._shape[cells[..., 0]] + self._size[cells[..., 2]]
        tokens = torch.stack([form, self._colour[cells[..., 1]]], 2).flatten(1, 2)
        tokens = tokens + self._slot + 0.7 * self._background[codes[:, 12]][:, None]
        return functional.layer_norm(tokens, (settings.CONDITION_WIDTH,))

    def unconditional(self) -> torch.Tensor:
        """The condition of no wish at all (1, 8, width)."""
        return functional.layer_norm(self._nothing, (settings.CONDITION_WIDTH,))[None]

    def read(self, conditions: torch.Tensor) -> torch.Tensor:
        """The nearest scene's codes (n, 13), attribute by attribute: what a condition says, without any UNet."""
        count = len(conditions)
        best = torch.full((count,), torch.inf)
        codes = torch.zeros(count, 13, dtype=torch.long)
        for ground in range(len(BACKGROUND_NAMES)):
            total, found = self._nearest_cells(conditions.float(), ground)
            better = total < best
            best = torch.where(better, total, best)
            codes[better] = found[better]
        return codes

    def _nearest_cells(self, conditions: torch.Tensor, ground: int) -> tuple[torch.Tensor, torch.Tensor]:
        count = len(conditions)
        base = self._slot + 0.7 * self._background[ground]
        forms = (self._shape[:, None] + self._size[None]).flatten(0, 1)
        total, found = torch.zeros(count), torch.full((count, 13), ground)
        for cell in range(4):
            for part, options in enumerate((forms, self._colour)):
                slot = 2 * cell + part
                wanted = functional.layer_norm(options + base[slot], (settings.CONDITION_WIDTH,))
                distance = torch.cdist(conditions[:, slot], wanted).square()
                value, index = distance.min(1)
                total += value
                if part == 0:
                    found[:, 3 * cell], found[:, 3 * cell + 2] = index // (len(SIZES) + 1), index % (len(SIZES) + 1)
                else:
                    found[:, 3 * cell + 1] = index
        return total, found


class WordVectors:
    """One vector of the language model's width for every attribute word, and their sums by patch."""

    def __init__(self):
        vectors = 0.5 * _draws(4321)(len(ATTRIBUTE_WORDS), settings.LANGUAGE_WIDTH)
        self.vector = dict(zip(ATTRIBUTE_WORDS, vectors, strict=True))
        nothing = torch.zeros(1, settings.LANGUAGE_WIDTH)
        self._shape = torch.cat([self._rows(SHAPES), nothing])
        self._colour = torch.cat([self._rows(COLOUR_NAMES), nothing])
        self._size = torch.cat([self._rows(SIZES), nothing])
        self._background = self._rows(BACKGROUND_NAMES)
        top, bottom, left, right = self._rows(_PLACE_WORDS)
        self._place = torch.stack([top + left, top + right, bottom + left, bottom + right])

    def _rows(self, words) -> torch.Tensor:
        return torch.stack([self.vector[word] for word in words])

    def patches(self, codes: torch.Tensor) -> torch.Tensor:
        """Codes of scenes (n, 13) to one sum of words for every patch (n, patches, width)."""
        cells = codes[:, :12].view(-1, 4, 3)
        words = self._shape[cells[..., 0]] + self._colour[cells[..., 1]] + self._size[cells[..., 2]] + self._place
        words = words + 0.5 * self._background[codes[:, 12]][:, None]
        return words[:, cell_of_patch()]


def cell_of_patch() -> torch.Tensor:
    """The cell in which each patch lies, row by row."""
    side = settings.PICTURE_SIDE // settings.PATCH_SIDE
    rows = torch.arange(side) * 2 // side
    return (rows[:, None] * 2 + rows[None]).flatten()
