"""Accuracies, counted: whole answers teacher-forced, conditions read back, drawn pictures read. Trains nothing."""

from __future__ import annotations

import random
from collections import defaultdict

import torch

from . import models, precision, settings, suite
from .codes import ConditionCodes
from .documents import Document
from .dreaming import Limits
from .encoding import IGNORED, Batch, collate, encode
from .tasks import TASKS, comparisons, document, questions

ROWS = 20  # documents a forward
STORY_TEMPERATURE = 0.8  # a free story is sampled; everything else is greedy


def documents(fold: str, task: str, count: int) -> list[Document]:
    """The evaluation documents of a task, the same ones every time."""
    rng = random.Random(f"{settings.SEED}/evaluation/{fold}/{task}")
    return [document(rng, fold, task) for _ in range(count)]


def segments(row: torch.Tensor) -> list[tuple[int, int]]:
    """Runs of labelled positions of one row of labels, as (begin, end): an answer each."""
    wanted = (row != IGNORED).tolist()
    runs, begin = [], None
    for position, one in enumerate([*wanted, False]):
        if one and begin is None:
            begin = position
        elif not one and begin is not None:
            runs.append((begin, position))
            begin = None
    return runs


@torch.no_grad()
def predict(dreamer, tower, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Which labels are predicted right (rows, length), and the conditions of every dream."""
    with precision.autocast():
        features = models.patch_features(tower, batch.drawn()).float()
        logits, labels, _, conditions = dreamer(batch, features)
    right = torch.zeros(batch.labels.shape, dtype=torch.bool)
    right[:, 1:][batch.labels[:, 1:] != IGNORED] = logits.argmax(-1) == labels
    return right, conditions


def teacher_forced(dreamer, tower, fold: str, count: int, tasks=tuple(TASKS)) -> dict[str, float]:
    """Shares by task: `words` whole answers right (as greedy decoding would give them), `dream` conditions right."""
    codes = ConditionCodes()
    hits: dict[str, list[bool]] = defaultdict(list)
    for task in tasks:
        encoded = sorted((encode(one) for one in documents(fold, task, count)), key=lambda one: len(one.ids))
        for begin in range(0, len(encoded), ROWS):
            batch = collate(encoded[begin : begin + ROWS])
            right, conditions = predict(dreamer, tower, batch)
            for row, one in enumerate(batch.documents):
                answers = [bool(right[row, a:b].all()) for a, b in segments(batch.labels[row])]
                hits[f"{task} words"] += answers
                _by_kind(hits, task, one, answers)
            if len(conditions):
                wanted = batch.codes()[batch.dream_numbers]
                hits[f"{task} dream"] += same_scene(codes.read(conditions), wanted).tolist()
    return {name: sum(values) / len(values) for name, values in hits.items()}


def _by_kind(hits: dict[str, list[bool]], task: str, document: Document, answers: list[bool]) -> None:
    for question, right in zip(document.facts.get("questions", []), answers, strict=False):
        if isinstance(question, questions.Question | comparisons.Comparison):
            hits[f"{task} words: {question.kind}"].append(right)


def same_scene(read: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Whether codes mean the same scene (n,); an empty cell has no colour or size to get wrong."""
    empty = (wanted[:, :12].view(-1, 4, 3)[..., 0] == 6)[..., None]
    cells = (read[:, :12].view(-1, 4, 3) == wanted[:, :12].view(-1, 4, 3)) | empty
    gone = read[:, :12].view(-1, 4, 3)[..., 0] == wanted[:, :12].view(-1, 4, 3)[..., 0]
    return cells.all(-1).all(-1) & gone.all(-1) & (read[:, 12] == wanted[:, 12])


def answered(pipeline, fold: str, count: int, tasks: tuple[str, ...], say=None) -> dict[str, float]:
    """Shares by task of cases answered wholly right by the real document loop; attributes of drawn pictures too."""
    hits: dict[str, list[bool]] = defaultdict(list)
    for task in tasks:
        for number, case in enumerate(suite.cases(fold, task, count)):
            free = "story" in case.expect
            limits = Limits(temperature=STORY_TEMPERATURE if free else 0.0)
            verdict = suite.judge(case, pipeline.answer(list(case.pieces), number, limits, force_picture=case.raw))
            hits[task].append(verdict.right)
            hits["pictures as asked"].append(verdict.pictures_as_asked)
            for name, values in verdict.attributes.items():
                hits[f"{task} {name}"] += values
        if say:
            say(task, sum(hits[task]) / len(hits[task]))
    return {name: sum(values) / len(values) for name, values in hits.items()}
