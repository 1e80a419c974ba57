"""What every model of the laboratory shares and none trains: vision tower, autoencoder, denoiser.

As in DreamLLM, whose CLIP and Stable Diffusion are pretrained and frozen: all three are the shipped checkpoint's. Its
denoiser was pretrained under the same fixed codes that the laboratory aligns dreams with, and still draws from them.
"""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass

import torch

from .. import export, models, settings
from ..codes import WordVectors
from ..scenes import Scene
from ..stages.vae import pictures, scenes

_PROJECTOR_SCENES = 500
_MOST_THINGS = 2  # of one of them


@dataclass(frozen=True)
class Drawing:
    """What turns conditions into pictures."""

    vae: torch.nn.Module
    scale: float
    unet: torch.nn.Module


@dataclass(frozen=True)
class Foundation:
    """Frozen networks, and where a language model's input projector begins."""

    tower: torch.nn.Module
    projector: dict[str, torch.Tensor]
    drawing: Drawing


def simple_scenes(rng: random.Random, count: int, fold: str = "train") -> list[Scene]:
    """Scenes of the laboratory's world."""
    chosen: list[Scene] = []
    while len(chosen) < count:
        chosen += [scene for scene in scenes(rng, count, fold) if len(scene.things) <= _MOST_THINGS]
    return chosen[:count]


@torch.no_grad()
def _projector(tower: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The linear map from patches to the words' vectors of this size, by least squares."""
    chosen = simple_scenes(random.Random(f"{settings.SEED}/synergy/projector"), _PROJECTOR_SCENES)
    features = models.patch_features(tower, pictures(chosen)).float().flatten(0, 1)
    wanted = WordVectors().patches(torch.tensor([scene.codes() for scene in chosen])).flatten(0, 1)
    inputs = torch.cat([features, torch.ones(len(features), 1)], 1)
    solution = torch.linalg.lstsq(inputs, wanted).solution
    return {"weight": solution[:-1].T.contiguous(), "bias": solution[-1].contiguous()}


def _frozen(network: torch.nn.Module, weights: dict[str, torch.Tensor]) -> torch.nn.Module:
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)


@functools.cache
def load() -> Foundation:
    """The shared parts of the shipped checkpoint, frozen; read once a process.

    Raises FileNotFoundError where it lacks a file.
    """
    parts = export.load(settings.SHIPPED)
    tower = _frozen(models.vision_tower(), parts["tower"])
    vae, unet = _frozen(models.autoencoder(), parts["vae"]), _frozen(models.unet(), parts["unet"])
    return Foundation(tower, _projector(tower), Drawing(vae, float(parts["scale"]["factor"]), unet))
