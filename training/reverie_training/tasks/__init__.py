"""Every kind of document, and the mixture in which they are trained. A task draws scenes and words, no tokens."""

from __future__ import annotations

import random
from collections.abc import Callable

from ..documents import Document
from . import (
    captions,
    chat,
    comparisons,
    composition,
    drawing,
    editing,
    outside,
    planning,
    questions,
    steps,
    stories,
    subjects,
)

Maker = Callable[[random.Random, str], Document]

# Name: maker, share of the documents. Most tokens are of pictures compared and of questions, the hardest to learn; a
# wish is short, and said in the most ways: a quarter of the documents are wishes.
TASKS: dict[str, tuple[Maker, float]] = {
    "caption": (captions.make, 7),
    "questions": (questions.make, 19),
    "comparison": (comparisons.make, 17),
    "drawing": (drawing.make, 27),
    "editing": (editing.make, 16),
    "subject": (subjects.make, 6),
    "composition": (composition.make, 6),
    "steps": (steps.make, 4),
    "story": (stories.make, 4),
    "web": (stories.make_web, 2),
    "planning": (planning.make, 3),
    "chat": (chat.make, 3),
    "outside": (outside.make, 12),
}


def document(rng: random.Random, fold_name: str, task: str | None = None) -> Document:
    """A document of one fold, of the mixture or of one task."""
    names = list(TASKS)
    chosen = task or rng.choices(names, [share for _, share in TASKS.values()])[0]
    while True:
        made = TASKS[chosen][0](rng, fold_name)
        if made.fits(fold_name):
            return made
