"""What a trained model of the laboratory gets right on scenes that it never saw. Trains nothing.

Words are counted teacher-forced (an answer counts when greedy decoding would have given it), conditions are read back
as the nearest scene, pictures are drawn from them by the shared denoiser and read by the programmatic reader.
"""

from __future__ import annotations

import random

import numpy as np
import torch

from .. import diffusion, precision, settings
from ..codes import ConditionCodes
from ..documents import Document, Dream
from ..dreamer import Dreamer
from ..encoding import Encoded, collate, encode
from ..evaluation import predict, same_scene, segments
from ..reader import attributes, read
from ..scenes import Scene
from ..tasks import document
from .diets import simple
from .foundation import Drawing
from .plans import Size

_ROWS = 20  # documents a forward
_EFFORT = (10, settings.GUIDANCE)  # sampler steps, guidance
WORDS = ("caption", "questions")
UNSEEN = ("conditions", "denoising error")  # what no answer of a server shows


def documents(task: str, count: int, things: int) -> list[Document]:
    """Test documents of a task in the laboratory's world, the same ones for every model."""
    rng = random.Random(f"{settings.SEED}/synergy/test/{task}")
    chosen: list[Document] = []
    while len(chosen) < count:
        one = document(rng, "test", task)
        if simple(one, things) and (task != "drawing" or one.kind != "empty"):
            chosen.append(one)
    return chosen


def words(dreamer: Dreamer, tower: torch.nn.Module, size: Size) -> dict[str, float]:
    """Shares of whole answers right, by task."""
    figures = {}
    for task in WORDS:
        asked = documents(task, size.documents, size.things)
        encoded = sorted((encode(one) for one in asked), key=lambda one: len(one.ids))
        hits: list[bool] = []
        for begin in range(0, len(encoded), _ROWS):
            batch = collate(encoded[begin : begin + _ROWS])
            right, _ = predict(dreamer, tower, batch)
            hits += [
                bool(right[row, a:b].all()) for row in range(len(batch.labels)) for a, b in segments(batch.labels[row])
            ]
        figures[task] = sum(hits) / len(hits)
    return figures


def _wishes(size: Size) -> list[Encoded]:
    """Wishes up to their first picture."""
    chosen = []
    for one in documents("drawing", size.documents, size.things):
        end = next(number for number, part in enumerate(one.parts) if isinstance(part, Dream))
        chosen.append(encode(Document(one.task, one.kind, one.parts[: end + 1], one.facts), fed_back=False))
    return chosen


def conditions(dreamer: Dreamer, tower: torch.nn.Module, size: Size) -> tuple[list[Scene], torch.Tensor]:
    """The scenes that wishes mean, and the model's conditions for them (size.documents, queries, width)."""
    scenes: list[Scene] = []
    found = []
    encoded = _wishes(size)
    for begin in range(0, len(encoded), _ROWS):
        batch = collate(encoded[begin : begin + _ROWS])
        found.append(predict(dreamer, tower, batch)[1])
        scenes += batch.scenes
    return scenes, torch.cat(found)


def conditions_right(scenes: list[Scene], found: torch.Tensor) -> float:
    """Share of conditions whose nearest code is that of the scene meant."""
    wanted = torch.tensor([scene.codes() for scene in scenes])
    return float(same_scene(ConditionCodes().read(found), wanted).float().mean())


@torch.no_grad()
def pictures(dreamer: Dreamer, drawing: Drawing, scenes: list[Scene], found: torch.Tensor) -> dict[str, float]:
    """Shares of what the reader sees in pictures of these conditions: each attribute, and all of a clean picture."""
    noise = diffusion.noise_like(len(found), torch.Generator().manual_seed(settings.SEED))
    with precision.autocast():
        unconditional = dreamer.unconditional()
        latents = diffusion.sample(drawing.unet, found, unconditional, noise, _EFFORT)
        drawn = diffusion.decode(drawing.vae, drawing.scale, latents).numpy()
    hits = [attributes(read(picture), scene) for picture, scene in zip(drawn, scenes, strict=True)]
    gathered = {name: [value for hit in hits for value in hit[name]] for name in hits[0]}
    return {name: sum(values) / len(values) for name, values in gathered.items()}


@torch.no_grad()
def denoising_error(drawing: Drawing, scenes: list[Scene], found: torch.Tensor) -> float:
    """Mean squared error of the velocity under these conditions, times and noise the same for every model."""
    drawn = torch.from_numpy(np.stack([scene.draw() for scene in scenes]))
    errors = []
    with precision.autocast(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.SEED)
        for begin in range(0, len(drawn), _ROWS):
            rows = slice(begin, begin + _ROWS)
            latents, _ = diffusion.encode(drawing.vae, drawing.scale, drawn[rows])
            error = diffusion.denoising_loss(drawing.unet, latents, found[rows])
            errors.append(float(error) * len(latents))
    return sum(errors) / len(drawn)
