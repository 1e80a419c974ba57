"""Snapshots of a running stage: written every few minutes, replaced atomically, resumed from. Knows no stage."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import torch

from . import settings


class Snapshots:
    """The snapshot of one stage. The state is whatever `torch.save` takes."""

    def __init__(self, stage: str, every: float = settings.SNAPSHOT_SECONDS):
        self.path: Path = settings.cache() / f"{stage}.snapshot.pt"
        self.every = every
        self._last = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """The latest state, or nothing where the stage has not begun."""
        if not self.path.exists():
            return None
        return torch.load(self.path, map_location="cpu", weights_only=True)

    def save(self, state: dict[str, Any]) -> None:
        """Writes now. A reader sees the old or the new file, never a part."""
        partial = self.path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, self.path)
        self._last = time.monotonic()

    def save_when_due(self, state) -> bool:
        """Calls `state()` and writes what it returns if the last writing is long enough ago."""
        if time.monotonic() - self._last < self.every:
            return False
        self.save(state())
        return True


def finished(stage: str) -> Path:
    """Where a finished stage's weights lie; the file exists only then."""
    return settings.cache() / f"{stage}.pt"


def weights(stage: str) -> dict[str, Any]:
    """Weights of a stage by component: the finished ones, else those of its latest snapshot."""
    if finished(stage).exists():
        return torch.load(finished(stage), map_location="cpu", weights_only=True)
    state = Snapshots(stage).load()
    if state is None:
        raise FileNotFoundError(f"stage {stage} has no weights in {settings.cache()}: run it first")
    return state["weights"]
