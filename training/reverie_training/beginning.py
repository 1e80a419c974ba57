"""A language stage that goes on from a checkpoint instead of from nothing: with its weights and at its own first step.

The checkpoint's other parts and its vocabulary become what the cache holds, as if the stages before had made them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from . import export, settings, tokenizer
from .snapshots import Snapshots, finished


def begin(checkpoint: Path) -> None:
    """Fills an empty cache. The stages `llm` and `joint` come next; the optimiser's memory is not in a checkpoint."""
    if any(settings.cache().iterdir()):
        raise FileExistsError(f"{settings.cache()} is not empty: a training begun there would be lost")
    place = settings.cache() / "tokenizer"
    place.mkdir()
    for name in tokenizer.FILES:
        shutil.copyfile(checkpoint / name, place / name)
    parts = export.load(checkpoint)
    projector = {name: parts["dreamer"][f"projector_in.{name}"] for name in ("weight", "bias")}
    torch.save({"vae": parts["vae"], "scale": parts["scale"]}, finished("vae"))
    torch.save({"unet": parts["unet"]}, finished("unet"))
    torch.save({"tower": parts["tower"], "projector": projector}, finished("vit"))
    # Only now: the stage looks for the tower, and the networks for the vocabulary.
    from .stages import snapshot_of
    from .stages.llm import LlmStage

    stage = LlmStage()
    stage.dreamer.load_state_dict(parts["dreamer"])
    Snapshots(stage.name).save(snapshot_of(stage, 0))
