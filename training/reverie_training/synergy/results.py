"""Runs and what came of them: one line of JSON for each finished run, in the order of finishing. Trains nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import settings
from .arms import Arm
from .conditions import Objective
from .diets import Mixture, Protocol
from .measures import UNSEEN
from .plans import Size


@dataclass(frozen=True)
class LanguageKey:
    """A run of the first table. A joint run is the same under every protocol, and listed once."""

    arm: Arm
    mixture: Mixture
    protocol: Protocol
    seed: int

    @property
    def name(self) -> str:
        """What it is called in files."""
        parts = [self.arm] if self.arm is Arm.JOINT else [self.arm, self.protocol]
        return "_".join([*parts, self.mixture, str(self.seed)]).replace(" ", "-")

    @property
    def says(self) -> dict[str, Any]:
        """Its place in the table."""
        return {"table": "synergy", "arm": self.arm, "mixture": self.mixture, "protocol": self.protocol}


@dataclass(frozen=True)
class ConditionKey:
    """A run of the second table."""

    objective: Objective
    seed: int

    @property
    def name(self) -> str:
        """What it is called in files."""
        return f"conditions_{self.objective}_{self.seed}".replace(" ", "-")

    @property
    def says(self) -> dict[str, Any]:
        """Its place in the table."""
        return {"table": "conditions", "objective": self.objective}

    @property
    def beginning(self) -> LanguageKey:
        """The model that it begins as."""
        return LanguageKey(Arm.COMPREHENSION, Mixture.PAIRS, Protocol.COMPUTE, self.seed)


Key = LanguageKey | ConditionKey


def weights_of(key: Key, size: Size) -> Path:
    """Where a run's weights lie, in half the precision they were trained in."""
    return settings.cache() / "synergy" / size.name / f"{key.name}.pt"


def language_keys(seeds: int) -> list[LanguageKey]:
    """Every run of the first table, seed by seed."""
    keys = []
    for seed in range(seeds):
        for mixture in Mixture:
            keys.append(LanguageKey(Arm.JOINT, mixture, Protocol.COMPUTE, seed))
            keys += [
                LanguageKey(arm, mixture, protocol, seed)
                for arm in (Arm.COMPREHENSION, Arm.CREATION)
                for protocol in Protocol
            ]
    return keys


def condition_keys(seeds: int) -> list[ConditionKey]:
    """Every run of the second table, seed by seed."""
    return [ConditionKey(objective, seed) for seed in range(seeds) for objective in Objective]


def _judged(line: dict[str, Any], served: bool) -> bool:
    """Whether a server was seen to answer; or else, whether the training judged by itself what a server could."""
    if served:
        return "served" in line
    return "served" not in line or not line["figures"].keys() <= set(UNSEEN)


class Results:
    """The file of finished runs of one size. A torn last line, left by a lost machine, is a run not finished."""

    def __init__(self, path: Path, size: Size):
        self.path, self.size, self._recipe = path, size, size.recipe()
        path.parent.mkdir(parents=True, exist_ok=True)

    def lines(self, served: bool) -> list[dict[str, Any]]:
        """What was found by this recipe and judged through the server, or else by the training itself; a run each.

        The first finding stands, also where the model was trained again since, for others to begin as.
        """
        found: dict[str, dict[str, Any]] = {}
        for text in self.path.read_text().splitlines() if self.path.exists() else []:
            try:
                line = json.loads(text)
            except json.JSONDecodeError:
                continue
            if line["recipe"] == self._recipe and _judged(line, served):
                found.setdefault(line["name"], line)
        return list(found.values())

    def missing(self, keys: list, served: bool) -> list:
        """The runs that have not been finished and judged so."""
        finished = {line["name"] for line in self.lines(served)}
        return [key for key in keys if key.name not in finished]

    def trained(self, key: Key) -> dict[str, Any] | None:
        """What training found, for a model whose weights are kept too."""
        if not weights_of(key, self.size).exists():
            return None
        found = [line for line in self.lines(served=False) if line["name"] == key.name]
        return {name: found[0][name] for name in ("eaten", "figures", "cpu_seconds")} if found else None

    def add(self, key: Key, found: dict[str, Any]) -> dict[str, Any]:
        """Appends a finished run and returns its line."""
        line = {"name": key.name, **key.says, "seed": key.seed, **found, "recipe": self._recipe}
        torn = self.path.exists() and not self.path.read_bytes().endswith(b"\n") and self.path.stat().st_size > 0
        with self.path.open("a") as file:
            file.write(("\n" if torn else "") + json.dumps(line) + "\n")
        return line
