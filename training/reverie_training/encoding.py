"""Documents as token ids, labels and the places of pictures; batches of them. Knows the token layout, no network.

The layout is DreamLLM's: a dream is `<dream_start>` + queries + `<dream_end>`, followed by the picture drawn as the
model sees it; a picture is `<im_start>` + patches + `<im_end>`. Every text segment is stripped and encoded by itself.
"""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass, field

import numpy as np
import torch

from . import settings
from .documents import Document, Dream, End, Picture, Text
from .scenes import Scene
from .tokenizer import load, token_id

IGNORED = -100


@functools.lru_cache(200_000)
def text_ids(text: str) -> tuple[int, ...]:
    """Ids of one stripped segment."""
    return tuple(load().encode(text.strip(), add_special_tokens=False).ids)


def picture_ids() -> list[int]:
    """The block of one picture."""
    return [token_id("<im_start>"), *[token_id("<im_patch>")] * settings.PATCHES, token_id("<im_end>")]


def dream_ids() -> list[int]:
    """The block of one dream."""
    return [token_id("<dream_start>"), *[token_id("<im_patch>")] * settings.QUERIES, token_id("<dream_end>")]


def unconditional_ids() -> list[int]:
    """The whole sequence of no wish at all, the same in training and in guidance."""
    return [token_id("<s>"), *dream_ids(), token_id("</s>")]


@dataclass
class Encoded:
    """One document in tokens. Positions are those of the first patch or query; pictures are numbered in order."""

    document: Document
    ids: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    pictures: list[tuple[int, int]] = field(default_factory=list)
    dreams: list[tuple[int, int]] = field(default_factory=list)
    scenes: list[Scene] = field(default_factory=list)

    def _add(self, ids, learnt: bool, weight: float = 1.0) -> None:
        self.ids += ids
        self.labels += ids if learnt else [IGNORED] * len(ids)
        self.weights += [weight] * len(ids)

    def _add_picture(self) -> None:
        self.pictures.append((len(self.ids) + 1, len(self.scenes) - 1))
        self._add(picture_ids(), False)


def encode(document: Document, fed_back: bool = True) -> Encoded:
    """Ids, labels (the assistant's words, `<dream_start>`, `</s>`), weights: a token of a long segment weighs less.

    Without `fed_back` the model does not see what it has drawn.
    """
    result = Encoded(document)
    result._add([token_id("<s>")], False)
    for part in document.parts:
        match part:
            case Text(text, learnt):
                ids = list(text_ids(text))
                result._add(ids, learnt, len(ids) ** -0.5)
            case End(learnt):
                result._add([token_id("</s>")], learnt, 0.5)
            case Picture(scene):
                result.scenes.append(scene)
                result._add_picture()
            case Dream(scene, forced):
                result.scenes.append(scene)
                result.dreams.append((len(result.ids) + 1, len(result.scenes) - 1))
                block = dream_ids()
                result._add(block[:1], not forced)
                result._add(block[1:], False)
                if fed_back:
                    result._add_picture()
    return result


@dataclass
class Batch:
    """Documents of similar length. Positions are flat (row x length + column); numbers index `scenes`."""

    ids: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor
    picture_positions: torch.Tensor
    picture_numbers: torch.Tensor
    dream_positions: torch.Tensor
    dream_numbers: torch.Tensor
    scenes: list[Scene]
    documents: list[Document]

    def codes(self) -> torch.Tensor:
        """Integer codes of every scene (n, 13)."""
        return torch.tensor([scene.codes() for scene in self.scenes]).view(-1, 13)

    def picture_orders(self) -> torch.Tensor:
        """For every picture, how many come before it in its document."""
        rows = self.picture_positions // self.ids.shape[1]
        return torch.arange(len(rows)) - torch.searchsorted(rows, rows)

    def drawn(self) -> torch.Tensor:
        """Every scene as a picture, bytes (n, 64, 64, 3)."""
        shape = (0, settings.PICTURE_SIDE, settings.PICTURE_SIDE, 3)
        return (
            torch.from_numpy(np.stack([scene.draw() for scene in self.scenes]))
            if self.scenes
            else torch.empty(shape).byte()
        )


def collate(encoded: list[Encoded]) -> Batch:
    """Pads documents on the right."""
    length = max(len(one.ids) for one in encoded)
    ids = np.full((len(encoded), length), token_id("[PAD]"), np.int64)
    labels = np.full((len(encoded), length), IGNORED, np.int64)
    weights = np.zeros((len(encoded), length), np.float32)
    pictures, dreams, scenes = [], [], []
    for row, one in enumerate(encoded):
        ids[row, : len(one.ids)] = one.ids
        labels[row, : len(one.labels)] = one.labels
        weights[row, : len(one.weights)] = one.weights
        pictures += [(row * length + position, len(scenes) + number) for position, number in one.pictures]
        dreams += [(row * length + position, len(scenes) + number) for position, number in one.dreams]
        scenes += one.scenes
    pictures_t, dreams_t = (torch.tensor(pairs, dtype=torch.long).view(-1, 2) for pairs in (pictures, dreams))
    return Batch(
        torch.from_numpy(ids),
        torch.from_numpy(labels),
        torch.from_numpy(weights),
        pictures_t[:, 0],
        pictures_t[:, 1],
        dreams_t[:, 0],
        dreams_t[:, 1],
        scenes,
        [one.document for one in encoded],
    )


class Stream:
    """An endless stream of training batches of about `budget` tokens, addressable by step."""

    CHUNK = 12  # batches that are made together, so that each holds documents of like length

    def __init__(self, name: str, budget: int, make):
        self._name, self._budget, self._make = name, budget, make
        self._number, self._batches = -1, []

    def twin(self) -> Stream:
        """A stream of other documents of the same kind."""
        return Stream(f"{self._name}/twin", self._budget, self._make)

    def batch(self, step: int) -> Batch:
        """The batch of a step: the same one whenever and wherever it is asked for."""
        number = step // self.CHUNK
        if number != self._number:
            self._number, self._batches = number, self._chunk(random.Random(f"{settings.SEED}/{self._name}/{number}"))
        return collate(self._batches[step % self.CHUNK])

    def _chunk(self, rng: random.Random) -> list[list[Encoded]]:
        documents, total = [], 0
        while total < self._budget * self.CHUNK:
            one = encode(self._make(rng))
            if len(one.ids) <= settings.POSITIONS:
                documents.append(one)
                total += len(one.ids)
        documents.sort(key=lambda one: len(one.ids))
        batches: list[list[Encoded]] = [[] for _ in range(self.CHUNK)]
        reached = 0
        for one in documents:
            batches[min(self.CHUNK - 1, reached * self.CHUNK // total)].append(one)
            reached += len(one.ids)
        rng.shuffle(batches)
        return batches
