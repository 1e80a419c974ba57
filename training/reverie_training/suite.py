"""Suites: requests with what a right answer is, and the verdict on an answer. Runs no model.

A suite is a folder: `suite.jsonl`, one case a line, and `pictures.png`, on which the pictures that they name lie as
tiles of 64x64 in reading order: one file of pictures compresses better than thousands. `reverie eval` sends the cases
to a server; `evaluation.answered` gives them to the Python model. The verdict is the same.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from . import settings, words
from .documents import Document, Dream, Picture, Text
from .reader import attributes, read
from .scenes import PLACES, SIDE, Scene, Thing
from .tasks import document, stories

Piece = str | np.ndarray

SHEET, SHEET_COLUMNS = "pictures.png", 16
WORDS_ONLY = ("caption", "questions", "comparison", "chat", "outside")  # tasks whose answers have no pictures


@dataclass(frozen=True)
class Case:
    """One request. `expect` has exactly one of: answer, scene, steps, story, plan."""

    name: str
    task: str
    kind: str
    fold: str
    raw: bool  # no chat: a bare caption for the picture door
    pieces: tuple[Piece, ...]
    expect: dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is wholly right, whether pictures came when and only when asked, and the attributes read."""

    right: bool
    pictures_as_asked: bool
    attributes: dict[str, list[bool]]


def scene_of(value: dict) -> Scene:
    """A scene from its plain form."""
    things = {PLACES.index(place): Thing(**thing) for place, thing in value["things"].items()}
    return Scene(things, value["background"], random.Random(0))


def _expectation(one: Document) -> dict[str, Any]:
    """What the first answer of a document must be."""
    answer: list = []
    for part in one.parts:
        if isinstance(part, Text) and not part.learnt:
            if answer:
                break
        elif isinstance(part, Dream) or (isinstance(part, Text) and part.learnt):
            answer.append(part)
    drawn = [part.scene for part in answer if isinstance(part, Dream)]
    said = [part.text for part in answer if isinstance(part, Text)]
    match one.task:
        case "story":
            hero = one.facts["hero"]
            return {"story": hero._asdict() if hero else None}
        case "steps":
            return {"steps": {"texts": said, "scenes": [scene.to_json() for scene in drawn]}}
        case "planning" if drawn:
            return {"plan": drawn[0].to_json() if one.kind == "asked" else None}
    return {"scene": drawn[0].to_json()} if drawn else {"answer": said[0]}


def case_of(one: Document, name: str, fold: str) -> Case:
    """The first turn of a document as a case."""
    pieces: list[Piece] = []
    for part in one.parts:
        if isinstance(part, Picture):
            pieces.append(part.scene.draw())
        elif isinstance(part, Text) and not part.learnt:
            pieces.append(part.text)
        else:
            break
    raw = not (isinstance(pieces[0], str) and pieces[0] == "USER:") if pieces else True
    return Case(name, one.task, one.kind, fold, raw, tuple(pieces), _expectation(one))


def cases(fold: str, task: str, count: int) -> list[Case]:
    """The cases of a task, the same ones every time. Bare pairs of picture and caption have no request to send."""
    rng = random.Random(f"{settings.SEED}/suite/{fold}/{task}")
    made: list[Case] = []
    while len(made) < count:
        one = document(rng, fold, task)
        if one.task == "caption" and one.kind == "raw":
            continue
        made.append(case_of(one, f"{fold}-{task}-{len(made):04d}", fold))
    return made


def judge(case: Case, answer: list[Piece]) -> Verdict:
    """The verdict on texts and pictures in order, as a model gave them."""
    texts = [piece.strip() for piece in answer if isinstance(piece, str)]
    pictures = [piece for piece in answer if not isinstance(piece, str)]
    rng = random.Random(0)
    expect = case.expect
    if "answer" in expect:
        return Verdict(" ".join(texts) == expect["answer"] and not pictures, not pictures, {})
    if "scene" in expect:
        return _one_picture(pictures, scene_of(expect["scene"]))
    if "plan" in expect:
        told = words.scene_of_caption(texts[0], rng) if texts else None
        wanted = scene_of(expect["plan"]) if expect["plan"] else told
        verdict = _one_picture(pictures, wanted) if wanted else Verdict(False, len(pictures) == 1, {})
        agrees = told is not None and wanted is not None and told.key == wanted.key
        return Verdict(verdict.right and agrees, verdict.pictures_as_asked, verdict.attributes)
    if "steps" in expect:
        scenes = [scene_of(value) for value in expect["steps"]["scenes"]]
        drawn = len(pictures) == len(scenes) and all(
            _fits(picture, scene) for picture, scene in zip(pictures, scenes, strict=True)
        )
        return Verdict(drawn and texts == expect["steps"]["texts"], len(pictures) >= 1, {})
    return _story(case, answer, rng)


def _fits(picture: np.ndarray, scene: Scene) -> bool:
    reading = read(picture)
    return reading.matches(scene) and reading.clean


def _one_picture(pictures: list[np.ndarray], wanted: Scene) -> Verdict:
    if len(pictures) != 1:
        return Verdict(False, False, {})
    hits = attributes(read(pictures[0]), wanted)
    return Verdict(all(hits["all"]), True, hits)


def _story(case: Case, answer: list[Piece], rng: random.Random) -> Verdict:
    """A story is right if every sentence follows, every picture shows what was just told, and it ends."""
    scene: Scene | None = None
    pictures, right = 0, bool(answer) and isinstance(answer[-1], str) and answer[-1] == "The end."
    for piece in answer:
        if isinstance(piece, str):
            if piece == "The end.":
                continue
            scene = stories.tell(piece, scene, rng)
            right = right and scene is not None
            hero = case.expect["story"]
            if pictures == 0 and right and hero:
                right = stories.hero_of(Thing(**hero), scene)
        else:
            pictures += 1
            right = right and scene is not None and _fits(piece, scene)
    return Verdict(right and pictures >= 2, pictures >= 1, {})


def write(folder: Path, made: list[Case]) -> None:
    """Writes a suite: the lines, and the sheet of the pictures that they name; equal pictures share a tile."""
    folder.mkdir(parents=True, exist_ok=True)
    tiles: dict[bytes, int] = {}
    with (folder / "suite.jsonl").open("w") as file:
        for case in made:
            file.write(json.dumps(_line(case, tiles)) + "\n")
    if tiles:
        save_sheet(folder / SHEET, [np.frombuffer(tile, np.uint8).reshape(SIDE, SIDE, 3) for tile in tiles])


def _line(case: Case, tiles: dict[bytes, int]) -> dict[str, Any]:
    content = []
    for piece in case.pieces:
        if not isinstance(piece, str):
            tile = tiles.setdefault(piece.tobytes(), len(tiles))
            content.append({"type": "image", "file": SHEET, "tile": tile})
        elif piece not in ("USER:", "ASSISTANT:"):
            content.append({"type": "text", "text": piece})
    line = {"name": case.name, "task": case.task, "kind": case.kind, "split": case.fold}
    return line | {"door": "picture" if case.raw else "chat", "content": content, "expect": case.expect}


def save_sheet(path: Path, pictures: list[np.ndarray]) -> None:
    """Writes pictures as tiles in reading order, `SHEET_COLUMNS` a row; the last row is filled with black."""
    rows = -(-len(pictures) // SHEET_COLUMNS)
    tiles = np.zeros((rows * SHEET_COLUMNS, SIDE, SIDE, 3), np.uint8)
    tiles[: len(pictures)] = pictures
    sheet = tiles.reshape(rows, SHEET_COLUMNS, SIDE, SIDE, 3).transpose(0, 2, 1, 3, 4)
    Image.fromarray(sheet.reshape(rows * SIDE, SHEET_COLUMNS * SIDE, 3)).save(path, optimize=True)
