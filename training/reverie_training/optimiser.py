"""Muon for matrices and kernels, AdamW for the rest, in one optimiser. Knows no model beyond parameter names.

Muon orthogonalises the momentum of every weight of two or more dimensions (Jordan et al. 2024); its step is
scaled to AdamW's root mean square (Liu et al. 2025), so both share the meaning of a learning rate.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from . import precision

_QUINTIC = (3.4445, -4.7750, 2.0315)
_MOMENTUM = 0.95
_BETAS = (0.9, 0.98)


def orthogonalise(batch: torch.Tensor, iterations: int = 5) -> torch.Tensor:
    """Nearest semi-orthogonal matrices of a batch (n, rows, columns), by the Newton-Schulz quintic."""
    a, b, c = _QUINTIC
    x = batch.to(precision.dtype())
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(iterations):
        square = x @ x.mT
        x = a * x + (b * square + c * (square @ square)) @ x
    return (x.mT if tall else x).float()


class MuonAdamW(torch.optim.Optimizer):
    """Parameters whose name contains one of `plain` go to AdamW although they are matrices."""

    def __init__(
        self,
        named: Iterable[tuple[str, torch.nn.Parameter]],
        rates: tuple[float, float],
        plain: tuple[str, ...] = (),
        decay: float = 0.0,
    ):
        matrices, others = [], []
        for name, parameter in named:
            if parameter.requires_grad:
                is_matrix = parameter.dim() >= 2 and not any(word in name for word in plain)
                (matrices if is_matrix else others).append(parameter)
        groups = [
            {"params": matrices, "muon": True, "lr": rates[0], "peak": rates[0]},
            {"params": others, "muon": False, "lr": rates[1], "peak": rates[1]},
        ]
        super().__init__([group for group in groups if group["params"]], {})
        self.decay = decay

    def scale(self, factor: float) -> None:
        """Sets every rate to this share of its peak."""
        for group in self.param_groups:
            group["lr"] = group["peak"] * factor

    @torch.no_grad()
    def step(self) -> None:
        """One update from the gradients present."""
        for group in self.param_groups:
            (self._muon if group["muon"] else self._adamw)(group)

    def _muon(self, group: dict) -> None:
        by_shape: dict[tuple, list] = {}
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            gradient = parameter.grad.reshape(len(parameter), -1)
            state = self.state[parameter]
            if not state:
                state["momentum"] = torch.zeros_like(gradient)
            state["momentum"].lerp_(gradient, 1 - _MOMENTUM)
            by_shape.setdefault(tuple(gradient.shape), []).append(
                (parameter, gradient.lerp(state["momentum"], _MOMENTUM))
            )
        for shape, members in by_shape.items():
            directions = orthogonalise(torch.stack([direction for _, direction in members]))
            length = 0.2 * max(shape) ** 0.5 * group["lr"]
            for (parameter, _), direction in zip(members, directions, strict=True):
                parameter.mul_(1 - group["lr"] * self.decay)
                parameter.add_(direction.reshape(parameter.shape), alpha=-length)

    def _adamw(self, group: dict) -> None:
        first, second = _BETAS
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            state = self.state[parameter]
            if not state:
                state.update(mean=torch.zeros_like(parameter), square=torch.zeros_like(parameter), count=0)
            state["count"] += 1
            gradient = parameter.grad
            state["mean"].lerp_(gradient, 1 - first)
            state["square"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
            mean = state["mean"] / (1 - first ** state["count"])
            square = state["square"] / (1 - second ** state["count"])
            parameter.addcdiv_(mean, square.sqrt_().add_(1e-8), value=-group["lr"])
