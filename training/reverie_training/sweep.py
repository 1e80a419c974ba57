"""Quality against sampler steps and guidance, measured on wishes of the test fold: how the defaults are chosen."""

from __future__ import annotations

import json
import time

import numpy as np
import torch

from . import models, precision, settings
from .dreaming import Pipeline
from .encoding import collate, encode
from .evaluation import documents
from .reader import attributes, read

STEPS = (4, 6, 10, 15, 20, 30)
GUIDANCE = (1.0, 1.5, 2.0, 3.0, 5.0)


def sweep(pipeline: Pipeline, count: int) -> list[dict[str, float]]:
    """One row for every pair of steps and guidance: shares right and clean, seconds a picture."""
    wanted, conditions = _wishes(pipeline, count)
    rows = []
    for steps in STEPS:
        for guidance in GUIDANCE:
            begin = time.process_time()
            generator = torch.Generator().manual_seed(settings.SEED)
            with precision.autocast():
                drawn = pipeline.draw(conditions, generator, (steps, guidance))
            seconds = (time.process_time() - begin) / count
            hits = [attributes(read(picture), scene) for picture, scene in zip(drawn, wanted, strict=True)]
            shares = {
                name: float(np.mean([value for hit in hits for value in hit[name]]))
                for name in ("all", "clean", "shape")
            }
            rows.append({"steps": steps, "guidance": guidance, "seconds": round(seconds, 3), **shares})
            print(json.dumps(rows[-1]), flush=True)
    return rows


@torch.no_grad()
def _wishes(pipeline: Pipeline, count: int):
    """Scenes and the model's own conditions for them, the words given."""
    chosen = [encode(one) for one in documents("test", "drawing", count)]
    scenes, conditions = [], []
    for one in chosen:
        batch = collate([one])
        features = models.patch_features(pipeline.tower, batch.drawn())
        conditions.append(pipeline.dreamer(batch, features)[-1][:1])
        scenes.append(batch.scenes[int(batch.dream_numbers[0])])
    return scenes, torch.cat(conditions)


def plot(rows: list[dict[str, float]], target) -> None:
    """Share wholly right and clean against steps, a line for each guidance."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as pyplot

    figure, axis = pyplot.subplots(figsize=(6, 4))
    for guidance in GUIDANCE:
        line = [row for row in rows if row["guidance"] == guidance]
        axis.plot(
            [row["steps"] for row in line], [row["all"] for row in line], marker="o", label=f"guidance {guidance}"
        )
    axis.set_xlabel("sampler steps (DDIM)")
    axis.set_ylabel("pictures wholly right and clean")
    axis.legend()
    figure.tight_layout()
    figure.savefig(target, dpi=90)
    pyplot.close(figure)
