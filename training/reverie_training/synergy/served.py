"""Judges the laboratory's models as a user meets them: exported, served, asked by `reverie eval`. Trains nothing."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from .. import suite
from ..export import export
from . import foundation, measures, worker
from .arms import Arm
from .plans import Size
from .results import Key, condition_keys, language_keys

Line = dict[str, Any]
_README = "# A model of the synergy laboratory\n\nTrained for minutes to be compared with others, not to be used: {}.\n"


def tasks_of(arm: Arm) -> tuple[str, ...]:
    """What a model of these abilities is asked."""
    match arm:
        case Arm.CREATION:
            return ("drawing",)
        case Arm.COMPREHENSION:
            return measures.WORDS
        case Arm.JOINT:
            return (*measures.WORDS, "drawing")


def cases(task: str, count: int) -> list[suite.Case]:
    """Requests of the laboratory's world; a bare pair of picture and caption has none."""
    asked = [one for one in measures.documents(task, 2 * count) if task != "caption" or one.kind != "raw"]
    return [suite.case_of(one, f"{task}-{number:04d}", "test") for number, one in enumerate(asked[:count])]


def write_suite(folder: Path, arm: Arm, size: Size) -> Path:
    """The suite of an arm. Returns its file."""
    made = [
        case for task in tasks_of(arm) for case in cases(task, size.pictures if task == "drawing" else size.documents)
    ]
    suite.write(folder, made)
    return folder / "suite.jsonl"


def export_run(key: Key, arm: Arm, folder: Path, size: Size) -> None:
    """A run's checkpoint; its configuration says what it was trained for. Raises FileNotFoundError without weights."""
    shared = foundation.load(size, True)
    drawing = shared.drawing
    parts = {
        "dreamer": torch.load(worker.weights_of(key, size), weights_only=True),
        "tower": shared.tower.state_dict(),
        "unet": drawing.unet.state_dict(),
        "vae": drawing.vae.state_dict(),
        "scale": {"factor": torch.tensor(drawing.scale)},
    }
    export(parts, folder, abilities=arm.abilities, readme=_README.format(key.name))


def figures(record: dict[str, Any]) -> dict[str, float]:
    """The shares of a record of `reverie eval`, under the names that the tables have for them."""
    found = {}
    for task in record["tasks"]:
        share = task["right"]["share"]
        if task["task"] == "drawing":
            found |= {"pictures": share, "all": share}
            found |= {name: tally["share"] for name, tally in task["attributes"].items() if tally["share"] is not None}
        else:
            found[task["task"]] = share
    return found


def judged(lines: list[Line], binary: Path, folder: Path, size: Size) -> list[Line]:
    """The lines with what a running server was seen to do; a record that exists is not made again.

    Raises CalledProcessError where the evaluation itself fails.
    """
    keys = {key.name: key for key in [*language_keys(size.seeds), *condition_keys(size.seeds)]}
    suites = {arm: write_suite(folder / "suites" / arm, arm, size) for arm in Arm}
    result = []
    for line in tqdm(lines, desc="reverie eval", unit="model", dynamic_ncols=True):
        arm = Arm(line.get("arm", Arm.CREATION))
        target = folder / "served" / f"{line['name']}.json"
        if not target.exists():
            checkpoint = worker.weights_of(keys[line["name"]], size).with_suffix("")
            export_run(keys[line["name"]], arm, checkpoint, size)
            _evaluate(binary, suites[arm], checkpoint, target)
        result.append({**line, "figures": line["figures"] | figures(json.loads(target.read_text()))})
    return result


def _evaluate(binary: Path, cases_file: Path, checkpoint: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    command = [binary, "eval", "--model", checkpoint, "--suite", cases_file, "--json", partial]
    subprocess.run([str(part) for part in command], check=True)
    partial.replace(target)
