"""Stage two of the comprehension half: the language model on the whole mixture, the vision tower frozen.

Cross-entropy on the assistant's words. Dreams are aligned with the fixed codes that the UNet is being trained on at
the same time, so this stage needs no UNet. Early in the network every patch is asked which picture of the document it
is of. The joint stage ends the alignment and the asking.
"""

from __future__ import annotations

import random

import torch
import torch.nn.functional as functional

from .. import models, settings
from ..codes import ConditionCodes
from ..dreamer import Dreamer
from ..encoding import Stream
from ..evaluation import teacher_forced
from ..optimiser import MuonAdamW
from ..snapshots import weights
from ..tasks import document
from .vit import blemish

ALIGNMENT_WEIGHT, UNCONDITIONAL_WEIGHT = 1.5, 0.2
# "The second picture" is learnt last of all: nothing in a document says which picture is which but its place. So the
# states after this many layers are asked for it; the layers above look it up like a colour.
ORDER_LAYER, ORDER_WEIGHT = 2, 0.2
# Little: at 0.2 the weights turned by several percent a step in equilibrium and the loss stood still at the peak rate.
DECAY = 0.02
UNCONDITIONAL_EVERY = 5
EVALUATE_EVERY = 1000
PLAIN = ("embed_tokens", "lm_head", "queries")


def language_loss(logits: torch.Tensor, labels: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Cross-entropy, weighted so that a short answer counts for more than one of a caption's many tokens."""
    return (functional.cross_entropy(logits, labels, reduction="none") * weight).sum() / weight.sum()


def fed_pictures(pictures: torch.Tensor, rng: random.Random) -> torch.Tensor:
    """Pictures of which a share looks as if a decoder had made them."""
    count = int(len(pictures) * settings.RECONSTRUCTION_SHARE)
    if count:
        pictures = pictures.clone()
        chosen = torch.randperm(len(pictures))[:count]
        pictures[chosen] = blemish(pictures[chosen], rng)
    return pictures


class LlmStage:
    """CE + alignment, on an endless stream."""

    name = "llm"
    plan = settings.PLANS["llm"]

    def __init__(self):
        torch.manual_seed(settings.SEED)
        self.dreamer = Dreamer()
        seen = weights("vit")
        self.tower = models.vision_tower()
        self.tower.load_state_dict(seen["tower"])
        self.tower.eval().requires_grad_(False)
        self.dreamer.projector_in.load_state_dict(seen["projector"])
        self.codes = ConditionCodes()
        self.stream = Stream(self.name, self.plan.batch, lambda rng: document(rng, "train"))
        self._optimisers = [MuonAdamW(self.dreamer.named_parameters(), self.plan.rates, PLAIN, DECAY)]

    def parts(self):
        return {"dreamer": self.dreamer, "tower": self.tower}

    def optimisers(self):
        return self._optimisers

    def step(self, number, rng):
        batch = self.stream.batch(number)
        with torch.no_grad():
            features = models.patch_features(self.tower, fed_pictures(batch.drawn(), rng)).float()
        states = self.dreamer.states(batch, features)
        logits, labels, weight, conditions = self.dreamer.outputs(batch, states[-1])
        losses = {"words": language_loss(logits, labels, weight)}
        loss = losses["words"]
        if len(batch.picture_positions):
            losses["order"] = functional.cross_entropy(*self.dreamer.orders(batch, states[ORDER_LAYER]))
            loss = loss + ORDER_WEIGHT * losses["order"]
        if len(conditions):
            losses["align"] = functional.mse_loss(conditions, self.codes(batch.codes()[batch.dream_numbers]))
            loss = loss + ALIGNMENT_WEIGHT * losses["align"]
        if number % UNCONDITIONAL_EVERY == 0:
            loss = loss + UNCONDITIONAL_WEIGHT * functional.mse_loss(
                self.dreamer.unconditional(), self.codes.unconditional()
            )
        return {"loss": loss, **losses}

    def figures(self, number: int) -> dict[str, float] | None:
        """Accuracies on the validation fold, every so many steps."""
        if (number + 1) % EVALUATE_EVERY:
            return None
        return teacher_forced(self.dreamer, self.tower, "validation", 30)

    def after(self):
        return teacher_forced(self.dreamer, self.tower, "test", 100)
