"""Paired differences with intervals by Student's t. Knows numbers only."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt
from statistics import mean, stdev

# Two-sided 95 % quantiles of Student's t for 1, 2, ... 30 degrees of freedom, from the standard table.
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


@dataclass(frozen=True)
class Estimate:
    """A mean and half the width of its 95 % interval, which one value alone leaves infinite."""

    mean: float
    half: float
    count: int

    @property
    def low(self) -> float:
        """The lower end."""
        return self.mean - self.half

    @property
    def high(self) -> float:
        """The upper end."""
        return self.mean + self.half

    @property
    def decided(self) -> bool:
        """Whether the interval leaves out nought."""
        return self.low > 0 or self.high < 0


def estimate(values: list[float]) -> Estimate:
    """The mean of independent values. Raises ValueError where there is none."""
    if not values:
        raise ValueError("no values")
    if len(values) == 1:
        return Estimate(values[0], inf, 1)
    quantile = _T[min(len(values) - 1, len(_T)) - 1]
    return Estimate(mean(values), quantile * stdev(values) / sqrt(len(values)), len(values))


def paired(one: dict[int, float], other: dict[int, float]) -> Estimate:
    """The mean of `one - other` over the seeds that both have."""
    return estimate([one[seed] - other[seed] for seed in sorted(one.keys() & other.keys())])
