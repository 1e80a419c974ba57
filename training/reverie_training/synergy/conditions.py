"""One model of the second table: conditions learnt by alignment, by the denoising loss, or by both. Knows no other run.

As in DreamLLM, the language model begins knowing words (the comprehension-only model of its seed, trained on pairs) and
the denoiser is pretrained and frozen, so that only the conditions differ between the rows.
"""

from __future__ import annotations

from enum import StrEnum

import torch

from .. import diffusion
from ..codes import ConditionCodes
from ..dreamer import Dreamer
from ..encoding import Batch, collate
from ..optimiser import MuonAdamW
from ..stages.llm import DECAY, PLAIN
from . import measures
from .diets import Diet
from .foundation import Foundation
from .language import alignment, seen
from .plans import ALIGNMENT_WEIGHT, DENOISING_WEIGHT, STEPS_WITHOUT_DENOISING, Size


class Objective(StrEnum):
    """What teaches the conditions."""

    ALIGNMENT = "alignment to fixed codes"
    DENOISING = "denoising loss"
    BOTH = "both"

    def steps(self, size: Size) -> int:
        """Updates that take the same computing as those of the others."""
        return round(size.condition_steps * (STEPS_WITHOUT_DENOISING if self is Objective.ALIGNMENT else 1))


class ConditionRun:
    """The dreams' objective alone, through one or two losses; everything but the language side is frozen."""

    name = "synergy-conditions"

    def __init__(self, dreamer: Dreamer, fed: Diet, foundation: Foundation, size: Size, objective: Objective):
        self.dreamer, self.fed, self.foundation, self.objective = dreamer, fed, foundation, objective
        self.plan, self.codes = size.plan(len(fed)), ConditionCodes()
        self._optimisers = [MuonAdamW(dreamer.named_parameters(), self.plan.rates, PLAIN, DECAY)]

    def parts(self):
        return {"dreamer": self.dreamer}

    def optimisers(self):
        return self._optimisers

    def step(self, number, rng):
        batch = collate(self.fed[number])
        conditions = self.dreamer(batch, seen(self.foundation.tower, batch))[-1]
        losses = {}
        if self.objective is not Objective.DENOISING:
            losses["align"] = alignment(self.codes, self.dreamer, conditions, batch, number)
        if self.objective is not Objective.ALIGNMENT:
            losses["denoise"] = self._denoise(batch, conditions)
        loss = ALIGNMENT_WEIGHT * losses.get("align", 0.0) + DENOISING_WEIGHT * losses.get("denoise", 0.0)
        return {"loss": loss, **losses}

    def _denoise(self, batch: Batch, conditions: torch.Tensor) -> torch.Tensor:
        wanted = batch.drawn()[batch.dream_numbers]
        drawing = self.foundation.drawing
        mean, deviation = diffusion.encode(drawing.vae, drawing.scale, wanted)
        latents = mean + deviation * torch.randn_like(mean)
        chosen = diffusion.drop_conditions(conditions, self.dreamer.unconditional())
        return diffusion.denoising_loss(drawing.unet, latents, chosen)

    def after(self):
        return {}


def judged(dreamer: Dreamer, foundation: Foundation, size: Size, alone: bool) -> dict[str, float]:
    """What the reader sees in the pictures, and the denoiser's error under these conditions.

    Unless the training judges alone, only what no server shows.
    """
    scenes, found = measures.conditions(dreamer, foundation.tower, size)
    some = slice(size.pictures)
    drawn = measures.pictures(dreamer, foundation.drawing, scenes[some], found[some]) if alone else {}
    return {
        **drawn,
        "denoising error": measures.denoising_error(foundation.drawing, scenes, found),
        "conditions": measures.conditions_right(scenes, found),
    }
