"""What one process of the laboratory does: it trains, judges and keeps one model."""

from __future__ import annotations

import functools
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from .. import settings
from . import conditions, foundation, language
from .arms import Arm
from .diets import Diet, Mixture, Protocol, diet, eaten
from .plans import Size
from .results import ConditionKey, Key, LanguageKey

_SAY_EVERY = 150  # steps


def begin() -> None:
    """Settles a fresh process: a core for each."""
    torch.set_num_threads(1)


def weights_of(key: Key, size: Size) -> Path:
    """Where a run's weights lie, in half the precision they were trained in."""
    return settings.cache() / "synergy" / size.name / f"{key.name}.pt"


@functools.cache
def _foundation(size: Size, draws: bool) -> foundation.Foundation:
    return foundation.load(size, draws)


def work(key: Key, size: Size) -> dict[str, Any]:
    """Trains and judges one model. What it was fed, its figures, and its training's CPU seconds."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a stage trained here before ends at a snapshot; this has none
    match key:
        case LanguageKey():
            return _language(key, size)
        case ConditionKey():
            return _conditions(key, size)


def _language(key: LanguageKey, size: Size) -> dict[str, Any]:
    shared = _foundation(size, key.arm is not Arm.COMPREHENSION)
    dreamer = language.beginning(key.seed, shared)
    fed = diet(key.arm, key.mixture, key.protocol, key.seed, size)
    run = language.LanguageRun(dreamer, fed, shared, size)
    return _finished(key, size, run, fed, lambda: language.judged(key.arm, dreamer, shared, size))


def _conditions(key: ConditionKey, size: Size) -> dict[str, Any]:
    shared = _foundation(size, True)
    dreamer = language.beginning(key.seed, shared)
    dreamer.load_state_dict(torch.load(weights_of(key.beginning, size), weights_only=True))
    fed = diet(Arm.CREATION, Mixture.PAIRS, Protocol.COMPUTE, key.seed, size.for_conditions(key.objective.steps(size)))
    run = conditions.ConditionRun(dreamer, fed, shared, size, key.objective)
    return _finished(key, size, run, fed, lambda: conditions.judged(dreamer, shared, size))


def _finished(key: Key, size: Size, run, fed: Diet, judged: Callable[[], dict[str, float]]) -> dict[str, Any]:
    clock = time.monotonic()

    def say(number: int, losses: dict[str, float]) -> None:
        if number % _SAY_EVERY == 0:
            seen = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
            spent = time.monotonic() - clock
            print(f"{key.name}: step {number} of {run.plan.steps}, {seen}, {spent:.0f} s", flush=True)

    seconds = language.train(run, key.seed, say)
    path = weights_of(key, size)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save({name: tensor.to(torch.bfloat16) for name, tensor in run.dreamer.state_dict().items()}, partial)
    os.replace(partial, path)
    return {"eaten": eaten(fed), "figures": judged(), "cpu_seconds": round(seconds, 1)}
