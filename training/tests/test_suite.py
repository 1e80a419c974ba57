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
    suite.write(tmp_path, suite.cases("test", "comparison", 5) + suite.cases("held-out", "drawing", 5))
    lines = [json.loads(line) for line in (tmp_path / "suite.jsonl").read_text().splitlines()]
    assert len(lines) == 10
    files = [part["file"] for line in lines for part in line["content"] if part["type"] == "image"]
    assert len(files) >= 10 and all(Image.open(tmp_path / file).size == (64, 64) for file in files)
