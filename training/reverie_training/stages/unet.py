"""Stage two of the creation half: the denoiser on the VAE's latents, under the fixed condition codes."""

from __future__ import annotations

import random

import numpy as np
import torch

from .. import diffusion, models, precision, settings
from ..codes import ConditionCodes
from ..optimiser import MuonAdamW
from ..reader import attributes, read
from ..snapshots import weights
from ..tasks import drawing
from .vae import pictures, scenes

_POOL = 10_000  # scenes whose latents are made once
_WISHES = 0.35  # share of the pool that people's wishes mean: rows of equal things, white grounds
_PLAIN = ("conv_in", "conv_out")


def pool(vae, scale: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Means, deviations and codes of the pool's scenes; kept in the cache, for they cost a minute."""
    path = settings.cache() / "unet.latents.pt"
    if path.exists():
        return tuple(torch.load(path, weights_only=True))
    rng = random.Random(f"{settings.SEED}/unet/pool")
    chosen = scenes(rng, int(_POOL * (1 - _WISHES)))
    while len(chosen) < _POOL:
        document = drawing.make(rng, "train")
        if document.fits("train"):
            chosen.append(document.scenes()[0])
    parts = []
    with precision.autocast():
        for begin in range(0, _POOL, 200):
            parts.append(diffusion.encode(vae, scale, pictures(chosen[begin : begin + 200])))
    made = (
        torch.cat([mean for mean, _ in parts]),
        torch.cat([deviation for _, deviation in parts]),
        torch.tensor([scene.codes() for scene in chosen]),
    )
    torch.save(list(made), path)
    return made


def drawn_figures(stage: UnetStage, fold: str, count: int) -> dict[str, float]:
    """What the reader sees in pictures sampled under the codes of a fold's scenes."""
    batch = scenes(random.Random(f"{settings.SEED}/unet/{fold}"), count, fold)
    conditions = stage.codes(torch.tensor([scene.codes() for scene in batch]))
    noise = diffusion.noise_like(count, torch.Generator().manual_seed(settings.SEED))
    with precision.autocast():
        latents = diffusion.sample(stage.unet, conditions, stage.codes.unconditional(), noise)
        drawn = diffusion.decode(stage.vae, stage.scale, latents).numpy()
    hits = [attributes(read(picture), scene) for picture, scene in zip(drawn, batch, strict=True)]
    return {name: float(np.mean([value for hit in hits for value in hit[name]])) for name in hits[0]}


class UnetStage:
    """v-prediction with the same unconditional share and schedule that inference uses."""

    name = "unet"
    plan = settings.PLANS["unet"]
    evaluate_every = 500

    def __init__(self):
        torch.manual_seed(settings.SEED)
        self.unet = models.unet()
        seen = weights("vae")
        self.vae, self.scale = models.autoencoder(), float(seen["scale"]["factor"])
        self.vae.load_state_dict(seen["vae"])
        self.vae.eval().requires_grad_(False)
        self.codes = ConditionCodes()
        self.mean, self.deviation, self.scene_codes = pool(self.vae, self.scale)
        self._optimisers = [MuonAdamW(self.unet.named_parameters(), self.plan.rates, _PLAIN)]

    def parts(self):
        return {"unet": self.unet}

    def optimisers(self):
        return self._optimisers

    def step(self, number, rng):
        chosen = torch.randint(0, len(self.mean), (self.plan.batch,))
        latents = self.mean[chosen] + self.deviation[chosen] * torch.randn_like(self.mean[chosen])
        conditions = diffusion.drop_conditions(self.codes(self.scene_codes[chosen]), self.codes.unconditional())
        return {"loss": diffusion.denoising_loss(self.unet, latents, conditions)}

    def figures(self, number):
        """Pictures of the validation fold, every so many steps."""
        if (number + 1) % self.evaluate_every:
            return None
        return drawn_figures(self, "validation", 48)

    def after(self):
        return drawn_figures(self, "test", 200)
