"""What a training document is: text, pictures and dreams in order. Knows no words and no token ids."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .scenes import Scene
from .splits import fold, has_held_out


@dataclass(frozen=True)
class Text:
    """A piece of text; learnt where it is the assistant's."""

    text: str
    learnt: bool = False


@dataclass(frozen=True)
class Picture:
    """A picture that the user gives."""

    scene: Scene


@dataclass(frozen=True)
class Dream:
    """A picture that the assistant draws and then sees. Forced: a client demanded it, the model did not choose."""

    scene: Scene
    forced: bool = False


@dataclass(frozen=True)
class End:
    """The end of the assistant's turn; learnt unless nothing was answered by text or picture."""

    learnt: bool = True


Part = Text | Picture | Dream | End


@dataclass
class Document:
    """One document. `facts` holds what its answers were derived from, for tests and suites."""

    task: str
    kind: str
    parts: list[Part]
    facts: dict[str, Any] = field(default_factory=dict)

    def scenes(self) -> list[Scene]:
        """Every scene in order, given and drawn."""
        return [part.scene for part in self.parts if isinstance(part, Picture | Dream)]

    def asked(self) -> list[Scene]:
        """The scenes that decide the document's fold: those given, and the last one drawn."""
        given = [part.scene for part in self.parts if isinstance(part, Picture)]
        drawn = [part.scene for part in self.parts if isinstance(part, Dream)]
        return given + drawn[-1:]

    def fits(self, fold_name: str) -> bool:
        """Whether the document belongs to a fold: strict for training, by the asked scenes for the others."""
        if fold_name == "train":
            return all(fold(scene) == "train" for scene in self.scenes())
        if fold_name == "held-out":
            return any(fold(scene) == "held-out" for scene in self.asked()) or not self.asked()
        no_held_out = not any(has_held_out(scene.things.values()) for scene in self.scenes())
        return no_held_out and all(fold(scene) == fold_name for scene in self.asked())


def turn(*request: Part | str) -> list[Part]:
    """A user's turn in the Vicuna form, up to where the assistant begins."""
    parts: list[Part] = [Text(part) if isinstance(part, str) else part for part in request if part != ""]
    return [Text("USER:"), *parts, Text("ASSISTANT:")]


def say(text: str) -> list[Part]:
    """An assistant's answer in words only."""
    return [Text(text, learnt=True), End()]
