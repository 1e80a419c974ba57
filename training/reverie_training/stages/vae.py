"""Stage one of the creation half: the autoencoder, on drawn scenes. The second part trains its decoder alone."""

from __future__ import annotations

import math
import random

import numpy as np
import torch

from .. import models, settings
from ..optimiser import MuonAdamW
from ..reader import attributes, read
from ..sampling import random_scene

_KL_WEIGHT = 1.5e-6
_DECODER_ONLY_FROM = 0.7  # share of the steps after which latents no longer move
_PLAIN = ("encoder.conv_in", "decoder.conv_out")


def scenes(rng: random.Random, count: int, fold: str = "train"):
    """Scenes of one fold, every number of things."""
    return [random_scene(rng, fold) for _ in range(count)]


def pictures(batch) -> torch.Tensor:
    """Drawn scenes as bytes (n, 64, 64, 3)."""
    return torch.from_numpy(np.stack([scene.draw() for scene in batch]))


class VaeStage:
    """l1 + l2 + a little KL; no adversary and no perceptual network, the world has no texture."""

    name = "vae"
    plan = settings.PLANS["vae"]

    def __init__(self):
        torch.manual_seed(settings.SEED)
        self.vae = models.autoencoder()
        # The scale of the latents is measured at the end and travels with the weights.
        self.scale = torch.nn.Module()
        self.scale.register_buffer("factor", torch.ones(()))
        self._optimisers = [MuonAdamW(self.vae.named_parameters(), self.plan.rates, _PLAIN)]

    def parts(self):
        return {"vae": self.vae, "scale": self.scale}

    def optimisers(self):
        return self._optimisers

    def step(self, number, rng):
        target = models.vae_input(pictures(scenes(rng, self.plan.batch)))
        moving = number < _DECODER_ONLY_FROM * self.plan.steps
        with torch.set_grad_enabled(moving):
            posterior = self.vae.encode(target).latent_dist
            latents = posterior.sample()
        result = self.vae.decode(latents).sample.float()
        error = result - target
        l1, l2 = error.abs().mean(), error.square().mean()
        loss = l1 + 2 * l2
        if moving:
            loss = loss + _KL_WEIGHT * posterior.kl().float().mean()
        return {"loss": loss, "l1": l1, "l2": l2}

    @torch.no_grad()
    def after(self):
        batch = scenes(random.Random(f"{settings.SEED}/vae/after"), 400, "validation")
        target = models.vae_input(pictures(batch))
        latents = torch.cat([self.vae.encode(part).latent_dist.mode() for part in target.split(40)])
        self.scale.factor.fill_(1 / float(latents.std()))
        result = torch.cat([self.vae.decode(part).sample for part in latents.split(40)])
        psnr = 10 * math.log10(4 / float((result - target).square().mean()))
        hits = [
            attributes(read(picture), scene)
            for picture, scene in zip(models.to_bytes(result).numpy(), batch, strict=True)
        ]
        figures = {name: float(np.mean([value for hit in hits for value in hit[name]])) for name in hits[0]}
        return {"psnr": psnr, "scale": float(self.scale.factor), **figures}
