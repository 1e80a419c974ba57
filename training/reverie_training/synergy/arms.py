"""What is left of a document for a model that learns only one of the two abilities. Knows no tokens and no network.

The words' objective is the assistant's text, the dreams' objective is the condition of every picture drawn. A
specialist has one of them, and nothing that only the other needs: a comprehension-only model is shown the pictures
where a joint one draws them; a creation-only model sees no picture, and reads text without learning to write it.
Announcing a picture ("Here is the picture:") is learnt by joint models alone: it belongs to neither ability by itself.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from ..documents import Document, Dream, End, Part, Picture, Text
from ..tasks.editing import HERE


class Arm(StrEnum):
    """What a model learns."""

    CREATION = "creation-only"
    COMPREHENSION = "comprehension-only"
    JOINT = "joint"

    @property
    def abilities(self) -> tuple[str, ...]:
        """The abilities by the names that a checkpoint's configuration has for them."""
        match self:
            case Arm.CREATION:
                return ("creation",)
            case Arm.COMPREHENSION:
                return ("comprehension",)
            case Arm.JOINT:
                return ("comprehension", "creation")


def project(document: Document, arm: Arm) -> Document | None:
    """The part of a document that an arm can learn from, or nothing."""
    match arm:
        case Arm.JOINT:
            return document
        case Arm.CREATION:
            return _creation(document)
        case Arm.COMPREHENSION:
            return _comprehension(document)


def _creation(document: Document) -> Document | None:
    """Up to the last dream, which nothing after it can change; no document with a user's picture."""
    places = [number for number, part in enumerate(document.parts) if isinstance(part, Dream)]
    if not places or any(isinstance(part, Picture) for part in document.parts):
        return None
    parts: list[Part] = []
    for part in document.parts[: places[-1] + 1]:
        match part:
            case Text(text):
                parts.append(Text(text))
            case Dream(scene):
                parts.append(Dream(scene, forced=True))
            case End():
                parts.append(End(learnt=False))
    return replace(document, parts=parts)


def _comprehension(document: Document) -> Document | None:
    """Dreams are pictures given; neither their announcement nor the end of a turn after one is learnt."""
    parts: list[Part] = []
    for part in document.parts:
        match part:
            case Dream(scene):
                parts.append(Picture(scene))
            case Text(text, learnt):
                parts.append(Text(text, learnt and text != HERE))
            case End(learnt):
                parts.append(End(learnt and isinstance(parts[-1], Text) and parts[-1].learnt))
            case Picture():
                parts.append(part)
    return replace(document, parts=parts) if any(isinstance(part, Text) and part.learnt for part in parts) else None
