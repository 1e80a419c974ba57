"""Every number of the laboratory: how many seeds, how long a run, how much is counted. Trains nothing."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from ..settings import SHIPPED, Plan

RATES = (4e-3, 2e-3)  # Muon, AdamW
STEPS_WITHOUT_DENOISING = 4.5  # of the second table, for one with it: measured CPU seconds a step
ALIGNMENT_WEIGHT, DENOISING_WEIGHT, UNCONDITIONAL_WEIGHT = 4.0, 2.0, 0.2

# Shares of the documents. The second group alternates text and pictures drawn; a specialist can use each of them.
PAIRS = {"caption": 3, "questions": 3, "drawing": 7}
INTERLEAVED = {"steps": 1, "story": 1, "web": 1, "planning": 1}


@dataclass(frozen=True)
class Size:
    """One size of the whole laboratory."""

    name: str
    seeds: int
    steps: int  # of a joint run
    tokens: int  # of a step, without padding
    condition_steps: int  # of a run of the second table that has the denoising loss
    condition_tokens: int  # of its step; a wish and its dream are about 28
    documents: int  # counted a task
    pictures: int  # drawn and read
    things: int  # of a scene, at most: fewer are learnt sooner

    def plan(self, steps: int) -> Plan:
        """The rates of a run of so many steps."""
        return Plan(steps, self.tokens, RATES, warmup=min(40, max(1, steps // 5)), plateau=0.3)

    def for_conditions(self, steps: int) -> Size:
        """The budget of a run of the second table."""
        return replace(self, steps=steps, tokens=self.condition_tokens)

    def recipe(self) -> dict:
        """What a result depends on beside its run: a result of another recipe belongs to another table."""
        numbers = asdict(self)
        for name in ("name", "seeds"):
            del numbers[name]
        numbers["weights"] = [ALIGNMENT_WEIGHT, DENOISING_WEIGHT, UNCONDITIONAL_WEIGHT]
        numbers["foundation"] = json.loads((SHIPPED / "sha256.json").read_text())["model.safetensors"][:12]
        numbers |= {"ratio": STEPS_WITHOUT_DENOISING, "rates": list(RATES)}
        return numbers | {"shares": PAIRS | INTERLEAVED}


# For the same computing 400 steps of 2,000 tokens taught a joint model far more than 800 of 500 (captions .73 for .59,
# conditions .36 for .17), and more than 600 of 1,000 or 250 of 4,000; rates below and above were worse.
# What is quick has to be simpler too: after 110 steps of 2,000 tokens every figure was nought. Of scenes with one thing
# 400 steps of 500, which take hardly longer, taught captions .85 and conditions .43 where those taught .10 and nought.
QUICK = Size("quick", 3, 280, 500, 60, 400, 60, 30, things=1)
FULL = Size("full", 8, 400, 2000, 320, 400, 300, 100, things=2)
