"""Recorded readings and verdicts, by which the reader and the judge of `reverie eval` are kept equal to ours.

A clean picture is written as its scene, to be drawn again; a blemished one as a tile of a sheet. Runs no model.
"""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter

from . import settings, suite, words
from .documents import Dream, Text
from .reader import Reading, attributes, read
from .sampling import random_scene
from .scenes import COLOUR_NAMES, COLOURS, JITTER, SHAPES, SIDE, SIZES, Scene, mask
from .splits import FOLDS
from .stages.vit import blemish
from .tasks import TASKS, document, outside, stories

CLEAN, BLEMISHED = 600, 400  # pictures
VERDICTS = 16  # documents a task
_NO_JITTER = [0, 0]


def write(folder: Path) -> None:
    """Writes `readings.json`, `blemished.png` and `verdicts.jsonl`."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(f"{settings.SEED}/vectors")
    torch.manual_seed(settings.SEED)
    scenes = [random_scene(rng, rng.choice(FOLDS)) for _ in range(CLEAN)]
    blemished = [_blemished(rng, number) for number in range(BLEMISHED)]
    record = {
        "masks": _digest(b"".join(_covers())),
        "honest": list(outside.HONEST.values()),
        "clean": [
            _packed(scene) | {"sha256": _digest(scene.draw().tobytes())} | _reading(read(scene.draw()))
            for scene in scenes
        ],
        "blemished": [
            _packed(scene) | _reading(read(picture)) | {"hits": attributes(read(picture), scene)}
            for scene, picture in blemished
        ],
    }
    (folder / "readings.json").write_text(json.dumps(record, separators=(",", ":")) + "\n")
    suite.save_sheet(folder / "blemished.png", [picture for _, picture in blemished])
    with (folder / "verdicts.jsonl").open("w") as file:
        for line in _verdicts(rng, [picture for _, picture in blemished]):
            file.write(json.dumps(line, separators=(",", ":")) + "\n")


def _digest(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()[:16]


def _covers():
    """Every template of the reader as bytes: how many of a pixel's 64 points are covered."""
    for shape in SHAPES:
        for size in SIZES:
            reach = range(-JITTER[size], JITTER[size] + 1)
            for dx in reach:
                for dy in reach:
                    yield (mask(shape, size, dx, dy) * 64).astype(np.uint8).tobytes()


def _packed(scene: Scene) -> dict[str, Any]:
    return {"codes": scene.codes(), "jitter": [scene.jitter.get(cell, _NO_JITTER) for cell in range(4)]}


def _reading(reading: Reading) -> dict[str, Any]:
    seen = Scene(reading.things, reading.background, random.Random(0))
    return {"seen": seen.codes(), "error": reading.error, "is_clean": reading.clean}


# ---------------------------------------------------------------- pictures that are not clean


def _blemished(rng: random.Random, number: int) -> tuple[Scene, np.ndarray]:
    """A scene and what a poor painter makes of it."""
    scene = random_scene(rng, rng.choice(FOLDS))
    picture = scene.draw()
    match number % 8:
        case 0 | 1:
            picture = blemish(torch.from_numpy(picture)[None], rng)[0].numpy()
        case 2 | 3:
            picture = _blurred(picture, rng.uniform(0.4, 3.5))
        case 4:
            picture = _blurred(_odd_shapes(scene, rng), rng.choice((0.0, 0.6)))
        case 5:
            other = random_scene(rng, rng.choice(FOLDS)).draw()
            share = rng.uniform(0.05, 0.6)
            picture = (picture * (1 - share) + other * share).astype(np.uint8)
        case 6:
            picture = np.roll(picture, (rng.randint(-9, 9), rng.randint(-9, 9)), (0, 1))
        case _:
            tint = np.array([rng.randint(-70, 70) for _ in range(3)])
            picture = (picture.astype(int) + tint).clip(0, 255).astype(np.uint8)
    return scene, picture


def _blurred(picture: np.ndarray, radius: float) -> np.ndarray:
    return np.array(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))


def _odd_shapes(scene: Scene, rng: random.Random) -> np.ndarray:
    """The scene's places and colours, but ovals, bars, polygons and scribbles; sometimes one across two cells."""
    picture = Image.fromarray(Scene({}, scene.background, rng).draw())
    pen = ImageDraw.Draw(picture)
    for cell, thing in scene.things.items():
        x, y = (cell % 2) * 32 + rng.randint(8, 24), (cell // 2) * 32 + rng.randint(8, 24)
        a, b = rng.randint(2, 16), rng.randint(2, 16)
        fill = COLOURS[thing.colour if rng.random() < 0.7 else rng.choice(COLOUR_NAMES)]
        match rng.randrange(4):
            case 0:
                pen.ellipse((x - a, y - b, x + a, y + b), fill)
            case 1:
                pen.rectangle((x - a, y - b, x + a, y + b), fill)
            case 2:
                pen.regular_polygon((x, y, max(a, 4)), rng.randint(3, 8), rng.randint(0, 90), fill)
            case _:
                pen.line([(rng.randrange(SIDE), rng.randrange(SIDE)) for _ in range(4)], fill, rng.randint(1, 5))
    return np.array(picture)


# ---------------------------------------------------------------- answers, right and wrong


def _verdicts(rng: random.Random, blemished: list[np.ndarray]):
    """Cases with right answers and with ones spoilt in many ways, and the verdict on each."""
    for task in (task for task in TASKS if task != "web"):
        for number in range(VERDICTS):
            one = document(rng, rng.choice(("test", "held-out")), task)
            case = suite.case_of(one, f"{task}-{number}", "test")
            for answer in _answers(_perfect(case, one), rng, len(blemished)):
                shown = [_shown(piece, blemished) for piece in answer]
                verdict = suite.judge(case, shown)
                yield {
                    "expect": case.expect,
                    "answer": [piece if not isinstance(piece, Scene) else _packed(piece) for piece in answer],
                    "right": verdict.right,
                    "pictures_as_asked": verdict.pictures_as_asked,
                    "attributes": verdict.attributes,
                }


def _perfect(case: suite.Case, one) -> list:
    answer: list = []
    for part in one.parts[len(case.pieces) :]:
        if isinstance(part, Dream):
            answer.append(part.scene)
        elif isinstance(part, Text) and part.learnt:
            answer.append(part.text)
        else:
            break
    return answer


def _shown(piece, blemished: list[np.ndarray]):
    if isinstance(piece, Scene):
        return piece.draw()
    return blemished[piece["tile"]] if isinstance(piece, dict) else piece


def _answers(perfect: list, rng: random.Random, tiles: int):
    """The answer as it should be; its scenes drawn anew; then one thing wrong with it at a time."""
    yield perfect
    yield [Scene(piece.things, piece.background, rng) if isinstance(piece, Scene) else piece for piece in perfect]
    place = rng.randrange(len(perfect))
    yield [*perfect[:place], _spoilt(perfect[place], rng, tiles), *perfect[place + 1 :]]
    yield [*perfect[:place], *perfect[place + 1 :]]
    place = rng.randrange(len(perfect) + 1)
    more = rng.choice((random_scene(rng, "test"), "The end.", "Then the background turns navy.", "red"))
    yield [*perfect[:place], more, *perfect[place:]]
    yield rng.sample(perfect, len(perfect))


def _spoilt(piece, rng: random.Random, tiles: int):
    if isinstance(piece, Scene):
        return random_scene(rng, "test") if rng.random() < 0.5 else {"tile": rng.randrange(tiles)}
    match rng.randrange(5):
        case 0:
            return piece.lower()
        case 1:
            return piece[: rng.randrange(len(piece))]
        case 2:
            exchanges = (("red", "blue"), ("large", "small"), ("circle", "star"), ("top", "left"))
            return piece.replace(*rng.choice(exchanges))
        case 3:
            return " ".join(rng.sample(piece.split(" "), len(piece.split(" "))))
        case _:
            scene = random_scene(rng, "test", 1, 3)
            ((_, thing), *_) = scene.things.items()
            begin = f"Once there was {words.full_name(thing)} at the top left on a {scene.background} background."
            edit = stories.random_edit(scene, rng, "test", ("recolour", "move", "add"))
            return rng.choice((words.caption(scene), begin, stories.sentence(edit, scene)))
