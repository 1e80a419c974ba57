"""The grammar: folds are kept, answers follow from the pictures, wishes are varied."""

import itertools
import random
import re

import pytest

from reverie_training import words
from reverie_training.documents import Document, Dream, End, Picture, Text
from reverie_training.reader import read
from reverie_training.scenes import COLOUR_NAMES, SHAPES, Scene
from reverie_training.splits import HELD_OUT_PAIRS, fold
from reverie_training.tasks import (
    TASKS,
    chat,
    comparisons,
    composition,
    document,
    drawing,
    editing,
    outside,
    planning,
    questions,
    stories,
    subjects,
)
from reverie_training.tasks.captions import ASK as CAPTION_ASK
from reverie_training.tasks.steps import ASK as STEPS_ASK

COUNT = 60


def samples(task: str, name: str = "train", count: int = COUNT) -> list[Document]:
    rng = random.Random(f"{task}/{name}")
    return [document(rng, name, task) for _ in range(count)]


def seen(scene: Scene, rng: random.Random) -> Scene:
    """The scene as the reader gets it back from the picture, not as it was made."""
    reading = read(scene.draw())
    return Scene(reading.things, reading.background, rng)


def said(one: Document) -> list[str]:
    return [part.text for part in one.parts if isinstance(part, Text) and part.learnt]


@pytest.mark.parametrize("task", TASKS)
def test_training_documents_hold_training_scenes_only(task):
    for one in samples(task):
        assert all(fold(scene) == "train" for scene in one.scenes())


@pytest.mark.parametrize("task", TASKS)
def test_test_documents_ask_about_test_scenes_only(task):
    for one in samples(task, "test", 20):
        assert all(fold(scene) == "test" for scene in one.asked())


@pytest.mark.parametrize("task", [task for task in TASKS if task not in ("chat", "outside")])
def test_held_out_documents_show_or_ask_for_a_held_out_pair(task):
    for one in samples(task, "held-out", 15):
        if one.asked():
            assert any(fold(scene) == "held-out" for scene in one.asked())


@pytest.mark.parametrize("task", TASKS)
def test_training_text_never_names_a_held_out_pair(task):
    rng = random.Random(0)
    pairs = [
        f"{words.colour(colour, rng)} {form}"
        for shape, colour in HELD_OUT_PAIRS
        for form in (shape, words.shape(shape, rng))
    ]
    for one in samples(task, "train", 150):
        text = " ".join(part.text.lower() for part in one.parts if isinstance(part, Text))
        assert not any(pair in text for pair in pairs), text


@pytest.mark.parametrize("task", TASKS)
def test_an_assistant_turn_ends_and_begins_as_the_chat_form_says(task):
    for one in samples(task):
        assert isinstance(one.parts[-1], End)
        users = sum(part == Text("USER:") for part in one.parts)
        assistants = sum(part == Text("ASSISTANT:") for part in one.parts)
        assert users == assistants and sum(isinstance(part, End) for part in one.parts) == max(1, users)


@pytest.mark.parametrize("task", ["questions", "comparison"])
def test_answers_follow_from_the_pictures_alone(task):
    rng = random.Random(1)
    for one in samples(task):
        scenes = [seen(part.scene, rng) for part in one.parts if isinstance(part, Picture)]
        answers = said(one)
        for question, answer in zip(one.facts["questions"], answers, strict=True):
            assert question.answer(scenes[0] if task == "questions" else scenes) == answer


def test_captions_can_be_read_back_into_their_scene():
    rng = random.Random(2)
    for one in samples("caption"):
        (text,) = said(one)
        assert words.scene_of_caption(text, rng).key == one.scenes()[0].key


def test_edits_applied_to_the_picture_read_give_the_picture_drawn():
    rng = random.Random(3)
    for one in samples("editing"):
        for before, edit, after in one.facts["edits"]:
            assert edit.apply(seen(before, rng), rng).key == seen(after, rng).key
            assert before.key != after.key


def test_stories_can_be_followed_sentence_by_sentence():
    rng = random.Random(4)
    for one in samples("story"):
        scene = None
        for part in one.parts:
            match part:
                case Text(text, learnt=True) if text != "The end.":
                    scene = stories.tell(text, scene, rng)
                    assert scene is not None, text
                case Dream(drawn):
                    assert drawn.key == scene.key


@pytest.mark.parametrize(
    "text", ["Then the red circle turns red of joy.", "Then the blue star becomes small.", "Hello."]
)
def test_a_story_that_contradicts_itself_is_not_followed(text):
    rng = random.Random(5)
    begun = stories.tell("Once there was a large red circle at the top left on a tan background.", None, rng)
    assert begun is not None and stories.tell(text, begun, rng) is None


def test_steps_have_two_to_five_pictures_that_grow():
    for one in samples("steps"):
        drawn = [part.scene for part in one.parts if isinstance(part, Dream)]
        assert 2 <= len(drawn) <= 5
        for before, after in itertools.pairwise(drawn):
            assert len(after.things) == len(before.things) + 1 and before.things.items() <= after.things.items()


@pytest.mark.parametrize("task", ["questions", "comparison", "caption", "chat", "outside"])
def test_answers_in_words_have_no_picture(task):
    for one in samples(task):
        assert not any(isinstance(part, Dream) for part in one.parts)


@pytest.mark.parametrize("task", ["drawing", "editing", "subject", "composition", "steps", "story", "web"])
def test_wishes_for_pictures_have_one(task):
    for one in samples(task):
        assert any(isinstance(part, Dream) for part in one.parts)


def test_an_honest_answer_is_given_only_where_the_wish_leaves_the_world():
    for one in samples("outside", count=200):
        if one.kind in ("thing", "colour"):
            text = " ".join(part.text.lower() for part in one.parts if isinstance(part, Text) and not part.learnt)
            plain = re.fullmatch(
                rf"user: \W*(draw )?an? (({'|'.join(COLOUR_NAMES)}) )?({'|'.join(SHAPES)})\W* assistant:", text
            )
            assert plain is None, text


@pytest.mark.parametrize(
    "phrases",
    [
        *questions.PHRASES.values(), *comparisons.PHRASES.values(), *editing.PHRASES.values(), *subjects.PHRASES.values(),
        *composition.PHRASES.values(), drawing.ASK, CAPTION_ASK, STEPS_ASK, stories.ASK, planning.THEN_DRAW, planning.THIS_THEN_DRAW,
        planning.NO_PICTURE, *(asks for asks, _ in chat.TALK.values()),
    ],
)  # fmt: skip
def test_every_wish_has_eight_different_phrasings(phrases):
    assert len(set(phrases)) >= 8


def test_the_same_seed_gives_the_same_documents():
    first, second = (samples("drawing", count=10) for _ in range(2))
    assert [said(one) for one in first] == [said(one) for one in second]
    assert [scene.key for one in first for scene in one.scenes()] == [
        scene.key for one in second for scene in one.scenes()
    ]


def test_outside_requests_name_every_kind_of_limit():
    kinds = {one.kind for one in samples("outside", count=200)}
    assert kinds == set(outside.HONEST)
