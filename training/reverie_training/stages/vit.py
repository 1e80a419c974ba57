"""Stage one of the comprehension half: the vision tower and the projector behind it, on drawn scenes.

In place of CLIP's four hundred million captions: every patch must name its cell's attributes (heads that are
dropped afterwards) and, behind the projector, be the sum of those words' vectors.
"""

from __future__ import annotations

import random

import numpy as np
import torch
import torch.nn.functional as functional
from torch import nn

from .. import models, settings
from ..codes import WordVectors, cell_of_patch
from ..optimiser import MuonAdamW
from ..scenes import BACKGROUND_NAMES, COLOUR_NAMES, SHAPES, SIZES
from .vae import pictures, scenes

_CLASSES = (len(SHAPES) + 1, len(COLOUR_NAMES) + 1, len(SIZES) + 1, len(BACKGROUND_NAMES))
_PLAIN = ("patch_embedding", "class_embedding", "position_embedding", "heads")


def blemish(batch: torch.Tensor, rng: random.Random) -> torch.Tensor:
    """Pictures as a decoder might give them: blurred, noisy, faded, by chance."""
    images = batch.permute(0, 3, 1, 2).float()
    if rng.random() < 0.4:
        images = functional.avg_pool2d(functional.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    if rng.random() < 0.3:
        coarse = functional.interpolate(images, scale_factor=0.5, mode="area")
        images = functional.interpolate(coarse, scale_factor=2, mode="bilinear")
    if rng.random() < 0.5:
        strength = torch.rand(len(images), 1, 1, 1)
        images = images + strength * 14 * torch.randn_like(images)
        mottle = functional.interpolate(torch.randn(len(images), 3, 16, 16), scale_factor=4, mode="bilinear")
        images = images + strength * 14 * mottle
    return images.clamp(0, 255).byte().permute(0, 2, 3, 1)


class VitStage:
    """Dense attribute heads on two layers, and the projector towards the words' vectors."""

    name = "vit"
    plan = settings.PLANS["vit"]

    def __init__(self):
        torch.manual_seed(settings.SEED)
        self.tower = models.vision_tower()
        self.projector = nn.Linear(settings.VISION_WIDTH, settings.LANGUAGE_WIDTH)
        self.heads = nn.ModuleList([nn.Linear(settings.VISION_WIDTH, sum(_CLASSES)) for _ in range(2)])
        self.words = WordVectors()
        named = [
            (f"{part}.{name}", weight) for part, net in self.parts().items() for name, weight in net.named_parameters()
        ]
        self._optimisers = [MuonAdamW(named, self.plan.rates, _PLAIN, decay=0.1)]

    def parts(self):
        return {"tower": self.tower, "projector": self.projector, "heads": self.heads}

    def optimisers(self):
        return self._optimisers

    def _losses(self, images: torch.Tensor, codes: torch.Tensor):
        states = self.tower(pixel_values=models.clip_input(images), output_hidden_states=True)
        cells = codes[:, :12].view(-1, 4, 3)[:, cell_of_patch()]
        targets = (*cells.unbind(-1), codes[:, 12:].expand(-1, settings.PATCHES))
        layers = (states.hidden_states[settings.VISION_SELECT][:, 1:], states.last_hidden_state[:, 1:])
        naming, right = 0.0, []
        for layer, head in zip(layers, self.heads, strict=True):
            for logits, target in zip(head(layer.float()).float().split(_CLASSES, -1), targets, strict=True):
                naming = naming + functional.cross_entropy(logits.flatten(0, 1), target.flatten())
                right.append(logits.argmax(-1) == target)
        words = functional.mse_loss(self.projector(layers[0]).float(), self.words.patches(codes))
        return naming, words, right

    def step(self, number, rng):
        batch = scenes(rng, self.plan.batch)
        images = blemish(pictures(batch), rng) if number % 2 else pictures(batch)
        naming, words, _ = self._losses(images, torch.tensor([scene.codes() for scene in batch]))
        return {"loss": naming + 4 * words, "naming": naming, "words": words}

    @torch.no_grad()
    def after(self):
        batch = scenes(random.Random(f"{settings.SEED}/vit/after"), 400, "test")
        codes = torch.tensor([scene.codes() for scene in batch])
        naming, words, right = self._losses(pictures(batch), codes)
        names = ("shape", "colour", "size", "background")
        figures = {name: float(hits.float().mean()) for name, hits in zip(names, right, strict=False)}
        small = (codes[:, :12].view(-1, 4, 3)[..., 2] == 0)[:, cell_of_patch()]
        figures["small shape"] = float(np.mean(right[0][small].numpy()))
        return {"naming": float(naming), "words": float(words), **figures}
