"""Which documents a model is fed, in which steps: the three ways to compare a specialist with a joint model.

Everything follows from (arm, mixture, protocol, seed, size). In the laboratory's mixtures every target of an objective
lies in a document that this objective's specialist can use (but for a joint model's announcing of pictures), so
identical documents are identical targets already; the third protocol also holds the number of updates, so that only
the other objective is missing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from enum import StrEnum

from .. import settings
from ..documents import Document
from ..encoding import IGNORED, Encoded, encode
from ..tasks import document
from .arms import Arm, project
from .plans import INTERLEAVED, PAIRS, Size

Diet = list[list[Encoded]]  # documents by step
_CHUNK = 12  # steps whose documents are dealt together, so that each holds documents of like length


class Mixture(StrEnum):
    """Which kinds of documents there are."""

    PAIRS = "pairs"
    INTERLEAVED = "pairs and interleaved"


class Protocol(StrEnum):
    """What a specialist has in common with the joint model of its seed."""

    DOCUMENTS = "identical documents"  # the same tokens a step, hence fewer steps
    COMPUTE = "identical compute"  # the same steps and tokens a step, hence further documents
    TARGETS = "identical targets"  # the same documents in as many steps, hence fewer tokens a step


def simple(one: Document, things: int) -> bool:
    """Whether a document belongs to the laboratory's world, whose scenes have no more things than so many."""
    return all(len(scene.things) <= things for scene in one.scenes())


def stream(mixture: Mixture, seed: int, things: int) -> Iterator[Document]:
    """The endless training documents of a mixture, the same ones for every arm."""
    shares = PAIRS | (INTERLEAVED if mixture is Mixture.INTERLEAVED else {})
    rng = random.Random(f"{settings.SEED}/synergy/{mixture}/{seed}")
    while True:
        one = document(rng, "train", rng.choices(list(shares), list(shares.values()))[0])
        if simple(one, things):
            yield one


def _usable(arm: Arm, one: Document) -> Encoded | None:
    projected = project(one, arm)
    encoded = encode(projected, fed_back=arm is not Arm.CREATION) if projected else None
    return encoded if encoded and len(encoded.ids) <= settings.POSITIONS else None


def _until(arm: Arm, documents: Iterator[Document], tokens: int) -> tuple[list[Encoded], int]:
    """What an arm can use, until it has so many tokens; and how many documents were looked at."""
    chosen, total, seen = [], 0, 0
    while total < tokens:
        seen += 1
        if encoded := _usable(arm, next(documents)):
            chosen.append(encoded)
            total += len(encoded.ids)
    return chosen, seen


def pack(encoded: list[Encoded], steps: int, rng: random.Random) -> Diet:
    """Deals documents to steps of about equally many tokens, like lengths together, the steps in random order."""
    diet: Diet = []
    for begin in range(0, steps, _CHUNK):
        count = min(_CHUNK, steps - begin)
        share = encoded[len(encoded) * begin // steps : len(encoded) * (begin + count) // steps]
        share = sorted(share, key=lambda one: len(one.ids))
        total, reached = sum(len(one.ids) for one in share), 0
        some: Diet = [[] for _ in range(count)]
        for one in share:
            some[min(count - 1, reached * count // total)].append(one)
            reached += len(one.ids)
        rng.shuffle(some)
        diet += some
    return [step for step in diet if step]


def diet(arm: Arm, mixture: Mixture, protocol: Protocol, seed: int, size: Size) -> Diet:
    """The documents of every step of a run. For the joint arm every protocol gives the same."""
    budget = size.steps * size.tokens
    rng = random.Random(f"{settings.SEED}/synergy/packing/{seed}")
    if arm is Arm.JOINT or protocol is Protocol.COMPUTE:
        chosen, _ = _until(arm, stream(mixture, seed, size.things), budget)
        return pack(chosen, size.steps, rng)
    _, count = _until(Arm.JOINT, stream(mixture, seed, size.things), budget)
    documents = stream(mixture, seed, size.things)
    chosen = [encoded for _ in range(count) if (encoded := _usable(arm, next(documents)))]
    if protocol is Protocol.TARGETS:
        return pack(chosen, size.steps, rng)
    return pack(chosen, max(1, round(sum(len(one.ids) for one in chosen) / size.tokens)), rng)


def eaten(fed: Diet) -> dict[str, int]:
    """How much a diet is: steps, documents, tokens, and the targets of either objective."""
    documents = [one for step in fed for one in step]
    return {
        "steps": len(fed),
        "documents": len(documents),
        "tokens": sum(len(one.ids) for one in documents),
        "words": sum(label != IGNORED for one in documents for label in one.labels),
        "dreams": sum(len(one.dreams) for one in documents),
    }
