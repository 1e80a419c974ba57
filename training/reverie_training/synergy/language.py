"""One model of the first table: trained on one diet, judged by what its arm can do. Knows no other run."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import torch
import torch.nn.functional as functional

from .. import models, settings
from ..codes import ConditionCodes
from ..dreamer import Dreamer
from ..encoding import Batch, collate
from ..optimiser import MuonAdamW
from ..stages import update
from ..stages.llm import DECAY, PLAIN, UNCONDITIONAL_EVERY, language_loss
from . import measures
from .arms import Arm
from .diets import Diet
from .foundation import Foundation
from .plans import ALIGNMENT_WEIGHT, UNCONDITIONAL_WEIGHT, Size


def beginning(seed: int, foundation: Foundation) -> Dreamer:
    """The untrained language side of a seed, the same for every arm."""
    torch.manual_seed(settings.SEED + seed)
    dreamer = Dreamer()
    dreamer.projector_in.load_state_dict(foundation.projector)
    return dreamer


class LanguageRun:
    """Cross-entropy on the words, alignment with the fixed codes for the dreams: whichever the documents have."""

    name = "synergy"

    def __init__(self, dreamer: Dreamer, fed: Diet, foundation: Foundation, size: Size):
        self.dreamer, self.fed, self.tower = dreamer, fed, foundation.tower
        self.plan, self.codes = size.plan(len(fed)), ConditionCodes()
        self._optimisers = [MuonAdamW(dreamer.named_parameters(), self.plan.rates, PLAIN, DECAY)]

    def parts(self):
        return {"dreamer": self.dreamer}

    def optimisers(self):
        return self._optimisers

    def step(self, number, rng):
        batch = collate(self.fed[number])
        logits, labels, weight, conditions = self.dreamer(batch, seen(self.tower, batch))
        losses = {}
        if len(labels):
            losses["words"] = language_loss(logits, labels, weight)
        if len(conditions):
            losses["align"] = alignment(self.codes, self.dreamer, conditions, batch, number)
        return {"loss": losses.get("words", 0.0) + ALIGNMENT_WEIGHT * losses.get("align", 0.0), **losses}

    def after(self):
        return {}


@torch.no_grad()
def seen(tower: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """Features of a batch's scenes, of none where no picture is shown."""
    shown = batch.drawn() if len(batch.picture_positions) else torch.empty(0)
    return models.patch_features(tower, shown).float()


def alignment(
    codes: ConditionCodes, dreamer: Dreamer, conditions: torch.Tensor, batch: Batch, number: int
) -> torch.Tensor:
    """Squared distance of conditions from their scenes' codes; now and then that of the unconditional sequence too."""
    loss = functional.mse_loss(conditions, codes(batch.codes()[batch.dream_numbers]))
    if number % UNCONDITIONAL_EVERY == 0:
        loss = loss + UNCONDITIONAL_WEIGHT * functional.mse_loss(dreamer.unconditional(), codes.unconditional())
    return loss


def train(run, seed: int, say: Callable[[int, dict[str, float]], None]) -> float:
    """All steps of a run, every draw of a step from (seed, step). Returns its CPU seconds."""
    begin = time.process_time()
    for number in range(run.plan.steps):
        rng = random.Random(f"{settings.SEED}/{run.name}/{seed}/{number}")
        torch.manual_seed(rng.getrandbits(60))
        say(number + 1, update(run, number, rng))
    return time.process_time() - begin


def judged(arm: Arm, dreamer: Dreamer, foundation: Foundation, size: Size, alone: bool) -> dict[str, float]:
    """The figures of a finished model: the measures of its abilities, no others.

    Unless the training judges alone, only what no server shows.
    """
    figures = {}
    if alone and arm is not Arm.CREATION:
        figures |= measures.words(dreamer, foundation.tower, size)
    if arm is not Arm.COMPREHENSION:
        scenes, found = measures.conditions(dreamer, foundation.tower, size)
        figures["conditions"] = measures.conditions_right(scenes, found)
        if alone:
            some = slice(size.pictures)
            figures["pictures"] = measures.pictures(dreamer, foundation.drawing, scenes[some], found[some])["all"]
    return figures
