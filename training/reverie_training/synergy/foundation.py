"""What every model of the laboratory shares and none trains: vision tower, autoencoder, denoiser.

As in DreamLLM, whose CLIP and Stable Diffusion are pretrained and frozen: tower and autoencoder come from the recipe's
own stages, the denoiser is pretrained here, shortly, under the fixed codes of the laboratory's scenes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch

from .. import diffusion, models, precision, settings
from ..codes import ConditionCodes, WordVectors
from ..optimiser import MuonAdamW
from ..scenes import Scene
from ..settings import Plan
from ..snapshots import finished, weights
from ..stages import run
from ..stages.unet import drawn_figures
from ..stages.vae import pictures, scenes
from .plans import MOST_THINGS, Size

_POOL = 4000  # scenes whose latents are made once
_PROJECTOR_SCENES = 500
_DENOISER_BATCH, _DENOISER_RATES = 32, (5e-3, 2e-3)


@dataclass(frozen=True)
class Drawing:
    """What turns conditions into pictures."""

    vae: torch.nn.Module
    scale: float
    unet: torch.nn.Module


@dataclass(frozen=True)
class Foundation:
    """Frozen networks, and where a language model's input projector begins. No `drawing` for models that never draw."""

    tower: torch.nn.Module
    projector: dict[str, torch.Tensor]
    drawing: Drawing | None


def simple_scenes(rng: random.Random, count: int, fold: str = "train") -> list[Scene]:
    """Scenes of the laboratory's world."""
    chosen: list[Scene] = []
    while len(chosen) < count:
        chosen += [scene for scene in scenes(rng, count, fold) if len(scene.things) <= MOST_THINGS]
    return chosen[:count]


class DenoiserStage:
    """The denoiser on simple scenes under their fixed codes; a stage like the recipe's, shorter."""

    def __init__(self, size: Size):
        torch.manual_seed(settings.SEED)
        self.name = _denoiser(size)
        self.plan = Plan(size.denoiser_steps, _DENOISER_BATCH, _DENOISER_RATES, plateau=0.3)
        self.unet, self.codes = models.unet(), ConditionCodes()
        self.vae, self.scale = _autoencoder()
        chosen = simple_scenes(random.Random(f"{settings.SEED}/synergy/pool"), _POOL)
        self.scene_codes = torch.tensor([scene.codes() for scene in chosen])
        with precision.autocast():
            self.mean, self.deviation = diffusion.encode(self.vae, self.scale, pictures(chosen))
        self._optimisers = [MuonAdamW(self.unet.named_parameters(), self.plan.rates, ("conv_in", "conv_out"))]

    def parts(self):
        return {"unet": self.unet}

    def optimisers(self):
        return self._optimisers

    def step(self, number, rng):
        chosen = torch.randint(0, len(self.mean), (self.plan.batch,))
        latents = self.mean[chosen] + self.deviation[chosen] * torch.randn_like(self.mean[chosen])
        conditions = diffusion.drop_conditions(self.codes(self.scene_codes[chosen]), self.codes.unconditional())
        return {"loss": diffusion.denoising_loss(self.unet, latents, conditions)}

    def after(self):
        return drawn_figures(self, "test", 50)


def _autoencoder() -> tuple[torch.nn.Module, float]:
    coder, vae = weights("vae"), models.autoencoder()
    vae.load_state_dict(coder["vae"])
    return vae.eval().requires_grad_(False), float(coder["scale"]["factor"])


def _tower() -> torch.nn.Module:
    tower = models.vision_tower()
    tower.load_state_dict(weights("vit")["tower"])
    return tower.eval().requires_grad_(False)


@torch.no_grad()
def _projector(tower: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The linear map from patches to the words' vectors of this size, by least squares."""
    chosen = simple_scenes(random.Random(f"{settings.SEED}/synergy/projector"), _PROJECTOR_SCENES)
    features = models.patch_features(tower, pictures(chosen)).float().flatten(0, 1)
    wanted = WordVectors().patches(torch.tensor([scene.codes() for scene in chosen])).flatten(0, 1)
    inputs = torch.cat([features, torch.ones(len(features), 1)], 1)
    solution = torch.linalg.lstsq(inputs, wanted).solution
    return {"weight": solution[:-1].T.contiguous(), "bias": solution[-1].contiguous()}


def _denoiser(size: Size) -> str:
    return f"synergy-unet-{size.denoiser_steps}"


def prepare_denoiser(size: Size) -> None:
    """Trains the denoiser, or goes on with it; does nothing where it is finished."""
    if not finished(_denoiser(size)).exists():
        run(DenoiserStage(size))


def missing_stages() -> list[str]:
    """The recipe's own stages that are to be trained before anything else."""
    return [name for name in ("vae", "vit") if not finished(name).exists()]


def load(size: Size, draws: bool) -> Foundation:
    """The shared parts, frozen; autoencoder and denoiser for a model that draws.

    Raises FileNotFoundError where a part has not been prepared.
    """
    tower = _tower()
    return Foundation(tower, _projector(tower), _drawing(size) if draws else None)


def _drawing(size: Size) -> Drawing:
    vae, scale = _autoencoder()
    unet = models.unet()
    unet.load_state_dict(weights(_denoiser(size))["unet"])
    return Drawing(vae, scale, unet.eval().requires_grad_(False))
