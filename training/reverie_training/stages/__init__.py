"""The stages of training and the loop that they share. A stage says what one step is; the loop does the rest.

Every random draw of a step comes from (seed, stage, step), so that a resumed run is the run not interrupted.
"""

from __future__ import annotations

import random
import signal
from typing import Protocol

import torch

from .. import precision, settings
from ..progress import Progress
from ..settings import Plan
from ..snapshots import Snapshots, finished
from .twin import Twin


class Stage(Protocol):
    """What the loop needs of a stage."""

    name: str
    plan: Plan

    def parts(self) -> dict[str, torch.nn.Module]:
        """The networks by name: trained ones, and those a later stage wants from this one."""

    def optimisers(self) -> list:
        """The optimisers, in a fixed order."""

    def step(self, number: int, rng: random.Random) -> dict[str, torch.Tensor]:
        """The losses of one step; the one named `loss` is differentiated."""

    def after(self) -> dict[str, float]:
        """Figures of the finished stage, and whatever it must settle before its weights are kept."""


def snapshot_of(stage: Stage, number: int) -> dict:
    """What a stage goes on from at its step `number`."""
    return {
        "step": number,
        "weights": {name: part.state_dict() for name, part in stage.parts().items()},
        "optimisers": [optimiser.state_dict() for optimiser in stage.optimisers()],
    }


def resume(stage: Stage) -> int:
    """Loads the latest snapshot into a stage and says which step comes next."""
    state = Snapshots(stage.name).load()
    if state is None:
        return 0
    for name, part in stage.parts().items():
        part.load_state_dict(state["weights"][name])
    for optimiser, saved in zip(stage.optimisers(), state["optimisers"], strict=True):
        optimiser.load_state_dict(saved)
    return state["step"]


def run(stage: Stage) -> None:
    """Trains a stage to its end, from its snapshot if there is one. A stop signal ends at a snapshot."""
    if finished(stage.name).exists():
        print(f"{stage.name}: already finished")
        return
    torch.set_num_threads(1)
    start = resume(stage)
    snapshots, progress = Snapshots(stage.name), Progress(stage.name, stage.plan.steps, start)
    stopping, twin = [], None
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    for number in range(start, stage.plan.steps):
        seed = f"{settings.SEED}/{stage.name}/{number}"
        rng = random.Random(seed)
        torch.manual_seed(rng.getrandbits(60))
        if twin is None and stage.plan.twin is not None and number >= stage.plan.twin:
            twin = Twin(stage, gradients)
        losses = update(stage, number, rng, twin)
        progress.step(number, losses)
        if (figures := getattr(stage, "figures", lambda _: None)(number)) is not None:
            progress.note(number + 1, figures)
        snapshots.save_when_due(lambda done=number + 1: snapshot_of(stage, done))
        if stopping:
            snapshots.save(snapshot_of(stage, number + 1))
            progress.close()
            raise SystemExit(143)
    snapshots.save(snapshot_of(stage, stage.plan.steps))
    figures = stage.after()
    progress.note(stage.plan.steps, figures)
    progress.close()
    print(stage.name, {name: round(value, 4) for name, value in figures.items()})
    snapshots.save(snapshot_of(stage, stage.plan.steps))
    torch.save({name: part.state_dict() for name, part in stage.parts().items()}, finished(stage.name))


def update(stage: Stage, number: int, rng: random.Random, twin: Twin | None = None) -> dict[str, float]:
    """One step of a stage's optimisers at its plan's rate, and the losses before it; of two batches with a twin."""
    share = stage.plan.rate(number)
    if twin:
        twin.begin(number)
    losses = gradients(stage, number, rng)
    if twin:
        losses = twin.average(losses)
    for optimiser in stage.optimisers():
        optimiser.scale(share)
        parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
    return losses


def gradients(stage: Stage, number: int, rng: random.Random) -> dict[str, float]:
    """The losses of one step; their gradients are left in the parameters."""
    with precision.autocast():
        losses = stage.step(number, rng)
    for optimiser in stage.optimisers():
        optimiser.zero_grad()
    losses["loss"].backward()
    return {name: float(value.detach()) for name, value in losses.items()}
