"""What a person sees of a training: a bar, a curve file, a plot. Knows no stage."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tqdm import tqdm

from . import settings

_SMOOTHING = 0.96
_CURVE_EVERY = 20


class Progress:
    """A bar on the terminal and one line of JSON every few steps in `<stage>.curve.jsonl`."""

    def __init__(self, stage: str, steps: int, start: int):
        self.path: Path = settings.cache() / f"{stage}.curve.jsonl"
        self._bar = tqdm(total=steps, initial=start, desc=stage, unit="step", mininterval=2.0, dynamic_ncols=True)
        self._smooth: dict[str, float] = {}
        self._begin, self._cpu = time.monotonic(), time.process_time()

    def step(self, number: int, losses: dict[str, float]) -> None:
        """Counts one finished step."""
        for name, value in losses.items():
            old = self._smooth.get(name, value)
            self._smooth[name] = _SMOOTHING * old + (1 - _SMOOTHING) * value
        self._bar.set_postfix({name: f"{value:.4f}" for name, value in self._smooth.items()}, refresh=False)
        self._bar.update()
        if (number + 1) % _CURVE_EVERY == 0:
            self.note(number + 1, self._smooth)

    def note(self, number: int, values: dict[str, float]) -> None:
        """Appends one line to the curve."""
        times = {"wall": round(time.monotonic() - self._begin, 1), "cpu": round(time.process_time() - self._cpu, 1)}
        line = {"step": number, **times, **{name: round(float(value), 5) for name, value in values.items()}}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def close(self) -> None:
        """Ends the bar."""
        self._bar.close()


_LOSSES = ("loss", "l1", "l2", "kl", "naming", "words", "align", "order", "denoise")


def plot(stage: str, target: Path) -> None:
    """Draws a stage's curve as a PNG: losses on the left, counted figures on the right."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as pyplot

    lines = [json.loads(line) for line in (settings.cache() / f"{stage}.curve.jsonl").read_text().splitlines()]
    names = sorted({name for line in lines for name in line if ":" not in name} - {"step", "wall", "cpu"})
    panels = [[name for name in names if name in _LOSSES], [name for name in names if name not in _LOSSES]]
    panels = [panel for panel in panels if panel]
    figure, axes = pyplot.subplots(1, len(panels), figsize=(7 * len(panels), 4.5), squeeze=False)
    for axis, panel in zip(axes[0], panels, strict=True):
        for name in panel:
            points = [(line["step"], line[name]) for line in lines if name in line]
            axis.plot(*zip(*points, strict=True), label=name, marker="." if len(points) < 20 else "")
        axis.set_xlabel("step")
        axis.set_title(stage)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=6, ncols=2)
        if panel[0] in _LOSSES:
            axis.set_yscale("log")
    figure.tight_layout()
    figure.savefig(target, dpi=80)
    pyplot.close(figure)
