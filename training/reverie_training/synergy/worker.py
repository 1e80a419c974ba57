"""What one process of the laboratory does: it trains, keeps and judges one model."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import torch

from . import conditions, foundation, language
from .arms import Arm
from .diets import Diet, Mixture, Protocol, diet, eaten
from .plans import Size
from .results import ConditionKey, Key, LanguageKey, weights_of
from .served import Server

_SAY_EVERY = 200  # steps


def begin() -> None:
    """Settles a fresh process: a core for each."""
    torch.set_num_threads(1)


def work(key: Key, size: Size, server: Server | None = None, trained: dict[str, Any] | None = None) -> dict[str, Any]:
    """Trains one model and judges it, also by what a server is seen to answer where there is one.

    Returns what it was fed, its figures, those through the server, and its training's CPU seconds. A model that has
    been `trained` and whose weights are kept is only judged through the server.
    """
    found = trained or _trained(key, size, alone=server is None)
    return found | {"served": server.judged(key, size)} if server else found


def _trained(key: Key, size: Size, alone: bool) -> dict[str, Any]:
    match key:
        case LanguageKey():
            return _language(key, size, alone)
        case ConditionKey():
            return _conditions(key, size, alone)


def _language(key: LanguageKey, size: Size, alone: bool) -> dict[str, Any]:
    shared = foundation.load()
    dreamer = language.beginning(key.seed, shared)
    fed = diet(key.arm, key.mixture, key.protocol, key.seed, size)
    run = language.LanguageRun(dreamer, fed, shared, size)
    return _finished(key, size, run, fed, lambda: language.judged(key.arm, dreamer, shared, size, alone))


def _conditions(key: ConditionKey, size: Size, alone: bool) -> dict[str, Any]:
    shared = foundation.load()
    dreamer = language.beginning(key.seed, shared)
    dreamer.load_state_dict(torch.load(weights_of(key.beginning, size), weights_only=True))
    fed = diet(Arm.CREATION, Mixture.PAIRS, Protocol.COMPUTE, key.seed, size.for_conditions(key.objective.steps(size)))
    run = conditions.ConditionRun(dreamer, fed, shared, size, key.objective)
    return _finished(key, size, run, fed, lambda: conditions.judged(dreamer, shared, size, alone))


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
