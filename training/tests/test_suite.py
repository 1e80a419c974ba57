"""The verdicts: right answers are right, wrong ones are wrong, for every kind of expectation."""

import json

import numpy as np
import pytest
from PIL import Image

from reverie_training import suite
from reverie_training.documents import Dream, Text
from reverie_training.tasks import TASKS, document

TASK_NAMES = [task for task in TASKS if task != "web"]


def perfect(case: suite.Case, one) -> list:
    """The document's own first answer."""
    answer = []
    for part in one.parts[len(case.pieces) :]:
        if isinstance(part, Dream):
            answer.append(part.scene.draw())
        elif isinstance(part, Text) and part.learnt:
            answer.append(part.text)
        else:
            break
    return answer


def pairs(task: str, count: int = 25):
    import random

    rng = random.Random(f"verdicts/{task}")
    for number in range(count):
        one = document(rng, "test", task)
        yield suite.case_of(one, str(number), "test"), one


@pytest.mark.parametrize("task", TASK_NAMES)
def test_a_documents_own_answer_is_right(task):
    for case, one in pairs(task):
        verdict = suite.judge(case, perfect(case, one))
        assert verdict.right and verdict.pictures_as_asked


@pytest.mark.parametrize("task", TASK_NAMES)
def test_an_answer_without_its_last_part_is_wrong(task):
    for case, one in pairs(task):
        assert not suite.judge(case, perfect(case, one)[:-1]).right


@pytest.mark.parametrize("task", ["drawing", "editing", "subject", "composition", "planning"])
def test_a_smeared_picture_is_wrong(task):
    for case, one in pairs(task):
        answer = perfect(case, one)
        if isinstance(answer[-1], np.ndarray):
            answer[-1] = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
            assert not suite.judge(case, answer).right


def test_a_picture_that_nobody_asked_for_is_wrong():
    for case, one in pairs("caption"):
        verdict = suite.judge(case, [*perfect(case, one), one.scenes()[0].draw()])
        assert not verdict.right and not verdict.pictures_as_asked


def test_a_written_suite_names_its_pictures(tmp_path):
    made = suite.cases("test", "comparison", 5) + suite.cases("held-out", "drawing", 5)
    suite.write(tmp_path, made)
    lines = [json.loads(line) for line in (tmp_path / "suite.jsonl").read_text().splitlines()]
    assert len(lines) == 10
    sheet = np.array(Image.open(tmp_path / suite.SHEET))
    seen = 0
    for case, line in zip(made, lines, strict=True):
        tiles = [part["tile"] for part in line["content"] if part["type"] == "image"]
        shown = [piece for piece in case.pieces if not isinstance(piece, str)]
        assert len(tiles) == len(shown)
        for tile, picture in zip(tiles, shown, strict=True):
            top, left = tile // suite.SHEET_COLUMNS * 64, tile % suite.SHEET_COLUMNS * 64
            assert (sheet[top : top + 64, left : left + 64] == picture).all()
            seen += 1
    assert seen >= 10


def test_pictures_are_asked_for_by_the_door_where_the_words_are_a_bare_caption():
    doors = {case.raw: suite._line(case, {})["door"] for case in suite.cases("test", "drawing", 60)}
    assert doors == {True: "picture", False: "chat"}
