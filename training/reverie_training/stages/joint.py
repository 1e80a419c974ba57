"""The last stage: DreamLLM's own objective, cross-entropy and denoising error through the UNet, and nothing else.

The alignment with fixed codes has no weight here. A share of the pictures that the model sees went through the VAE,
as those that it draws will.
"""

from __future__ import annotations

import torch

from .. import diffusion, models, settings
from ..dreamer import Dreamer
from ..encoding import Stream
from ..evaluation import teacher_forced
from ..optimiser import MuonAdamW
from ..snapshots import weights
from ..tasks import document
from .llm import DECAY, PLAIN, language_loss

DENOISING_WEIGHT = 2.0
LATENTS = 24  # rows of the denoising loss a step; the batch's dreams are repeated at other times to fill them
_UNET_RATE = 1.0  # of the language side's


class JointStage:
    """CE + denoising MSE; vision tower and VAE frozen."""

    name = "joint"
    plan = settings.PLANS["joint"]

    def __init__(self):
        torch.manual_seed(settings.SEED)
        language, denoiser, coder = weights("llm"), weights("unet"), weights("vae")
        self.dreamer, self.tower = Dreamer(), models.vision_tower()
        self.unet, self.vae = models.unet(), models.autoencoder()
        self.scale = torch.nn.Module()
        self.scale.register_buffer("factor", coder["scale"]["factor"].clone())
        self.dreamer.load_state_dict(language["dreamer"])
        self.tower.load_state_dict(language["tower"])
        self.unet.load_state_dict(denoiser["unet"])
        self.vae.load_state_dict(coder["vae"])
        for frozen in (self.tower, self.vae):
            frozen.eval().requires_grad_(False)
        self.stream = Stream(self.name, self.plan.batch, lambda rng: document(rng, "train"))
        self._optimisers = [
            MuonAdamW(self.dreamer.named_parameters(), self.plan.rates, PLAIN, DECAY),
            MuonAdamW(
                self.unet.named_parameters(),
                tuple(_UNET_RATE * rate for rate in self.plan.rates),
                ("conv_in", "conv_out"),
            ),
        ]

    def parts(self):
        return {"dreamer": self.dreamer, "tower": self.tower, "unet": self.unet, "vae": self.vae, "scale": self.scale}

    def optimisers(self):
        return self._optimisers

    def step(self, number, rng):
        batch = self.stream.batch(number)
        pictures = batch.drawn()
        factor = float(self.scale.factor)
        with torch.no_grad():
            through_vae = torch.rand(len(pictures)) < settings.RECONSTRUCTION_SHARE
            if through_vae.any():
                mean, _ = diffusion.encode(self.vae, factor, pictures[through_vae])
                seen = pictures.clone()
                seen[through_vae] = diffusion.decode(self.vae, factor, mean)
            else:
                seen = pictures
            features = models.patch_features(self.tower, seen).float()
        logits, labels, weight, conditions = self.dreamer(batch, features)
        losses = {"words": language_loss(logits, labels, weight)}
        loss = losses["words"]
        if len(conditions):
            losses["denoise"] = self._denoise(pictures[batch.dream_numbers], conditions, factor)
            loss = loss + DENOISING_WEIGHT * losses["denoise"]
        return {"loss": loss, **losses}

    def _denoise(self, wanted: torch.Tensor, conditions: torch.Tensor, factor: float) -> torch.Tensor:
        rows = (
            torch.arange(LATENTS) % len(conditions)
            if len(conditions) < LATENTS
            else torch.randperm(len(conditions))[:LATENTS]
        )
        used, places = rows.unique(return_inverse=True)
        mean, deviation = diffusion.encode(self.vae, factor, wanted[used])
        latents = mean[places] + deviation[places] * torch.randn_like(mean[places])
        chosen = diffusion.drop_conditions(conditions[rows], self.dreamer.unconditional())
        return diffusion.denoising_loss(self.unet, latents, chosen)

    def after(self):
        return teacher_forced(self.dreamer, self.tower, "test", 100)
