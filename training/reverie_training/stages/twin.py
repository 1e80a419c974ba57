"""A second process for a stage with both cores: it computes a second batch's gradient while the first is at its own.

Both work on the same weights in shared memory and the gradients are averaged in one order, so that the numbers do not
depend on which process is faster, nor on how many cores there are. Threads would: and where others use the cores too,
two threads of one product wait for each other in a loop, which made a step five times as slow as one thread alone.
"""

from __future__ import annotations

import random
import signal

import torch
import torch.multiprocessing as multiprocessing

from .. import settings


class Twin:
    """The second process of a stage. It ends with the first."""

    def __init__(self, stage, gradients):
        self._parameters = [
            parameter
            for optimiser in stage.optimisers()
            for group in optimiser.param_groups
            for parameter in group["params"]
        ]
        for parameter in self._parameters:
            parameter.share_memory_()
        self._shared = torch.zeros(sum(parameter.numel() for parameter in self._parameters)).share_memory_()
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        context.Process(target=self._work, args=(stage, gradients, theirs), daemon=True).start()
        theirs.close()

    def begin(self, number: int) -> None:
        """Lets it compute a step's gradient."""
        self._pipe.send(number)

    def average(self, losses: dict[str, float]) -> dict[str, float]:
        """Waits for it, and makes gradients and losses the mean of both."""
        theirs = self._pipe.recv()
        for parameter, gradient in zip(self._parameters, self._pieces(), strict=True):
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            parameter.grad.add_(gradient).mul_(0.5)
        return {name: (value + theirs.get(name, value)) / 2 for name, value in losses.items()}

    def _pieces(self) -> list[torch.Tensor]:
        flat = self._shared.split([parameter.numel() for parameter in self._parameters])
        return [piece.view_as(parameter) for piece, parameter in zip(flat, self._parameters, strict=True)]

    def _work(self, stage, gradients, pipe) -> None:
        self._pipe.close()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        torch.set_num_threads(1)
        stage.stream = stage.stream.twin()
        while True:
            try:
                number = pipe.recv()
            except EOFError:
                return
            rng = random.Random(f"{settings.SEED}/{stage.name}/{number}/twin")
            torch.manual_seed(rng.getrandbits(60))
            losses = gradients(stage, number, rng)
            for parameter, piece in zip(self._parameters, self._pieces(), strict=True):
                piece.zero_() if parameter.grad is None else piece.copy_(parameter.grad)
            pipe.send(losses)
