"""Judges the laboratory's models as a user meets them: exported, served, asked by `reverie eval`. Trains nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .. import suite
from ..export import export
from . import foundation, measures
from .arms import Arm
from .plans import Size
from .results import Key, LanguageKey, weights_of

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


def cases(task: str, count: int, things: int) -> list[suite.Case]:
    """Requests of the laboratory's world; a bare pair of picture and caption has none."""
    asked = [one for one in measures.documents(task, 2 * count, things) if task != "caption" or one.kind != "raw"]
    return [suite.case_of(one, f"{task}-{number:04d}", "test") for number, one in enumerate(asked[:count])]


def write_suite(folder: Path, arm: Arm, size: Size) -> Path:
    """The suite of an arm. Returns its file."""
    made = [
        case
        for task in tasks_of(arm)
        for case in cases(task, size.pictures if task == "drawing" else size.documents, size.things)
    ]
    suite.write(folder, made)
    return folder / "suite.jsonl"


def export_run(key: Key, arm: Arm, folder: Path, size: Size) -> None:
    """A run's checkpoint; its configuration says what it was trained for. Raises FileNotFoundError without weights."""
    shared = foundation.load()
    drawing = shared.drawing
    parts = {
        "dreamer": torch.load(weights_of(key, size), weights_only=True),
        "tower": shared.tower.state_dict(),
        "unet": drawing.unet.state_dict(),
        "vae": drawing.vae.state_dict(),
        "scale": {"factor": torch.tensor(drawing.scale)},
    }
    export(parts, folder, abilities=arm.abilities, readme=_README.format(key.name))


def figures(record: dict[str, Any]) -> dict[str, float]:
    """The shares of a record of `reverie eval`, under the names that the tables have for them.

    Raises ValueError where requests were not answered: those say nothing about the model.
    """
    found = {}
    for task in record["tasks"]:
        if task["errors"]:
            raise ValueError(f"{task['errors']} requests of {task['task']} were not answered")
        share = task["right"]["share"]
        if task["task"] == "drawing":
            found |= {"pictures": share, "all": share}
            found |= {name: tally["share"] for name, tally in task["attributes"].items() if tally["share"] is not None}
        else:
            found[task["task"]] = share
    return found


@dataclass(frozen=True)
class Server:
    """The binary that serves a model and asks it, and the folder of the suites it asks and of the records it makes."""

    binary: Path
    folder: Path

    def write_suites(self, size: Size) -> None:
        """What each arm is asked. Once, before any model is judged."""
        for arm in Arm:
            write_suite(self.folder / "suites" / arm, arm, size)

    def judged(self, key: Key, size: Size) -> dict[str, float]:
        """The figures of a trained model, exported, served and asked. Raises CalledProcessError where that fails."""
        arm = key.arm if isinstance(key, LanguageKey) else Arm.CREATION
        checkpoint = weights_of(key, size).with_suffix("")
        record = (self.folder / "records" / key.name).with_suffix(".json")
        record.parent.mkdir(parents=True, exist_ok=True)
        export_run(key, arm, checkpoint, size)
        cases_file = self.folder / "suites" / arm / "suite.jsonl"
        command = [self.binary, "eval", "--model", checkpoint, "--suite", cases_file, "--json", record]
        subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(checkpoint)
        return figures(json.loads(record.read_text()))
