"""The collected phrases: every slot is known and filled, and what is typed means what was meant."""

import importlib
import pkgutil
import random
import re
import string

import pytest

from reverie_training import phrases, speech, words
from reverie_training.documents import Document, Text
from reverie_training.phrases import changing, chatting, checking, combining, groups, names, showing, slips, wishes
from reverie_training.sampling import random_scene
from reverie_training.scenes import BACKGROUND_NAMES, COLOUR_NAMES, PLACES, SHAPES, SIZES
from reverie_training.splits import has_held_out
from reverie_training.tasks import chat, comparisons, composition, document, editing, questions, regrouping, subjects
from reverie_training.tokenizer import load

# What each table of a change may name; the thing meant is always `it`.
EDIT_SLOTS = {
    "recolour": {"it", "colour", "a_colour"},
    "reshape": {"it", "a_shape"},
    "resize": {"it", "size", "a_size", "sizer", "grow"},
    "resize large": {"it"},
    "resize small": {"it"},
    "move": {"it", "corner"},
    "add": {"a_thing", "place"},
    "remove": {"it"},
    "replace": {"it", "a_thing"},
    "background": {"ground", "a_ground"},
}
ONE = {"shape", "a_shape", "shapes", "colour", "a_colour", "size", "a_size", "place", "corner"}
GROUND = {"ground", "a_ground"}
COUNTED = {"number", "thing", "a_thing", "things"}


def slots(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def texts(table) -> list[str]:
    if isinstance(table, str):
        return [table]
    return [text for part in (table.values() if isinstance(table, dict) else table) for text in texts(part)]


def modules():
    return [
        importlib.import_module(f"{phrases.__name__}.{found.name}") for found in pkgutil.iter_modules(phrases.__path__)
    ]


def tables():
    return [(name, table) for module in modules() for name, table in vars(module).items() if name.isupper()]


def test_phrases_hold_tables_and_nothing_else():
    for module in modules():
        assert all(name.isupper() or name.startswith("__") for name in vars(module)), module.__name__


@pytest.mark.parametrize(("name", "table"), tables(), ids=[name for name, _ in tables()])
def test_every_slot_is_documented(name, table):
    known = set(re.findall(r"`(\w+)`", phrases.__doc__))
    for text in texts(table):
        assert text.strip() or name in ("POLITE_AFTER", "POLITE_BEFORE")
        assert slots(text) <= known, text


@pytest.mark.parametrize(
    "kind", [*questions.PHRASES, *(kind for kind in questions.COLLECTED if kind not in questions.PHRASES)]
)
def test_every_question_of_every_kind_can_be_asked(kind):
    rng, asked = random.Random(kind), 0
    while asked < 40:
        one = questions.question(random_scene(rng, "train"), rng, kind)
        if one.kind != kind:
            continue
        asked += 1
        for phrase in (*questions.PHRASES.get(kind, ()), *questions.COLLECTED.get(kind, ())):
            assert "{" not in phrase.format(**one.slots(rng))


def test_every_comparison_of_every_kind_can_be_asked():
    rng, kinds = random.Random(3), {}
    for _ in range(1500):
        one = document(rng, "train", "comparison")
        for question in one.facts["questions"]:
            kinds[question.kind] = question
            for phrase in (*comparisons.PHRASES.get(question.kind, ()), *showing.COMPARISONS.get(question.kind, ())):
                assert "{" not in phrase.format(**question.slots(rng))
    assert set(kinds) >= set(comparisons.PHRASES)


@pytest.mark.parametrize(
    ("table", "allowed"),
    [
        (wishes.DRAW, {"it"}),
        *((getattr(wishes, name), ONE) for name in vars(wishes) if name.startswith(("ONE_SIZED", "ONE_PLA", "VAGUE"))),
        (wishes.ONE_GROUND_KEYWORDS, ONE | GROUND),
        *((getattr(wishes, name), GROUND) for name in ("GROUND_TAIL", "GROUND_CLAUSE", "EMPTY")),
        *((getattr(wishes, name), GROUND | {"it"}) for name in ("GROUND_HEAD", "GROUND_WHOLE")),
        (groups.LIST_TWO, {"one", "two"}),
        (groups.LIST_THREE, {"one", "two", "three"}),
        (groups.LIST_FOUR, {"one", "two", "three", "four"}),
        (groups.GRID, {"tl", "tr", "bl", "br"}),
        (groups.RELATION_VERTICAL, {"up", "down"}),
        (groups.RELATION_HORIZONTAL, {"left", "right"}),
        (groups.RELATION_BESIDE, {"one", "two"}),
        (groups.RELATION_DIAGONAL, {"one", "two", "place"}),
        (groups.RELATION_PLACED, {"one", "two", "place"}),
        *((getattr(groups, name), COUNTED) for name in vars(groups) if name.startswith("COUNT_") and "MIXED" not in name and name not in ("COUNT_GROUPS", "COUNT_LINES")),
        (groups.COUNT_LINES, COUNTED | {"corner"}),
        (combining.STEPS, {"it"}), (combining.STORY, set()), (combining.STORY_ABOUT, {"it"}),
        (combining.SUBJECT_WAYS, set()), (changing.TWO_EDITS, {"first", "second"}), (changing.UNDO, set()), (changing.AGAIN, set()),
        (chatting.CHAT, set()), (chatting.OUTSIDE, set()), (chatting.OUTSIDE_THINGS, set()), (slips.REASONS, set()),
    ],
)  # fmt: skip
def test_a_table_names_only_what_is_filled(table, allowed):
    for text in texts(table):
        assert slots(text) <= allowed, text


def test_changes_name_only_what_is_filled():
    assert set(changing.EDITS) == set(EDIT_SLOTS) >= set(editing.PHRASES)
    for kind, table in changing.EDITS.items():
        for text in table:
            assert slots(text) <= EDIT_SLOTS[kind], text


def test_kinds_of_the_collection_are_those_of_the_tasks():
    assert set(combining.COMPOSE) == set(composition.PHRASES)
    assert set(combining.SUBJECTS) >= set(subjects.PHRASES)
    assert set(chatting.CHAT) - {"joke"} == set(chat.ANSWERS)
    assert not set(checking.CHECKS) & set(questions.PHRASES) - {"exists", "exists shape", "exists colour", "relation"}


def test_other_names_cover_the_world_and_mean_one_thing_each():
    for table, world in (
        (names.COLOUR_WAYS, COLOUR_NAMES), (names.COLOUR_WAYS_LOOSE, COLOUR_NAMES), (names.BACKGROUND_WAYS, BACKGROUND_NAMES),
        (names.SHAPE_WAYS, SHAPES), (names.SHAPE_WAYS_LOOSE, SHAPES), (names.SIZE_WAYS, SIZES), (names.PLACE_WAYS, PLACES),
        (names.CORNER_WAYS, PLACES),
    ):  # fmt: skip
        assert set(table) == set(world)
    for tables in (
        (names.COLOUR_WAYS, names.COLOUR_WAYS_LOOSE),
        (names.SHAPE_WAYS, names.SHAPE_WAYS_LOOSE),
        (names.PLACE_WAYS,),
        (names.SIZE_WAYS,),
    ):
        said = [way for table in tables for ways in table.values() for way in set(ways)]
        assert len(said) == len(set(said))


def test_a_misspelling_is_no_other_word_of_the_world():
    world = {*SHAPES, *COLOUR_NAMES, *BACKGROUND_NAMES, *SIZES, *(word for place in PLACES for word in place.split())}
    for word, wrong in slips.TYPOS.items():
        assert not set(wrong) & (world - {word})
        assert word not in wrong


def test_typing_changes_at_most_two_words_of_what_is_said():
    rng = random.Random(5)
    for _ in range(2000):
        typed = speech.request("{it}", rng, it="large red circle beside small blue star").lower()
        kept = [word for word in "large red circle beside small blue star".split() if word in typed]
        assert len(kept) >= 5, typed


def test_places_and_sides_are_said_unmistakably():
    rng = random.Random(6)
    for cell, place in enumerate(PLACES):
        row, column = place.split()
        wrong_row, wrong_column = ({"top", "bottom"} - {row}).pop(), ({"left", "right"} - {column}).pop()
        for _ in range(200):
            said = words.place(cell, rng) + " " + words.corner(cell, rng)
            assert not re.search(rf"\b({wrong_row}|{wrong_column})\b", said), said


def said(one: Document) -> str:
    return " ".join(part.text for part in one.parts if isinstance(part, Text))


@pytest.mark.parametrize("task", ["drawing", "editing", "composition", "subject"])
def test_no_held_out_pair_is_asked_for_in_training(task):
    rng = random.Random(f"pairs/{task}")
    for _ in range(400):
        one = document(rng, "train", task)
        assert not any(has_held_out(scene.things.values()) for scene in one.scenes())


def test_changes_of_several_things_are_steps_that_follow_each_other():
    rng, found = random.Random(8), 0
    while found < 200:
        scene = random_scene(rng, "train", 2, 4)
        made = regrouping.change(scene, rng, "train")
        if made is None:
            continue
        found += 1
        before = scene
        for start, edit, after in made[1]:
            assert start.key == before.key and edit.apply(start, rng).key == after.key != start.key
            before = after


def test_what_is_announced_names_the_thing_meant_and_its_place():
    rng = random.Random(9)
    for _ in range(300):
        scene = random_scene(rng, "train", 1, 4)
        _, steps = editing.change(scene, rng, "train")
        text = editing.announced(steps)
        for before, edit, _ in steps:
            if edit.kind == "background":
                assert edit.background in text
            elif edit.kind == "add":
                assert words.full_name(edit.thing) in text and PLACES[edit.cell] in text
            else:
                assert f"{words.name(before.things[edit.cell])} at the {PLACES[edit.cell]}" in text


def test_scenes_in_which_nothing_can_be_named_still_have_a_change():
    rng = random.Random(10)
    thing = random_scene(rng, "train", 1, 1).things.popitem()[1]
    full = random_scene(rng, "train", 4, 4)
    alike = type(full)(dict.fromkeys(range(4), thing), "white", rng)
    for _ in range(300):
        _, steps = editing.change(alike, rng, "train")
        assert steps[-1][-1].key != alike.key


@pytest.mark.parametrize(
    "text", [text for name in ("COLOUR_WAYS", "PLACE_WAYS", "SIZE_WAYS") for text in texts(getattr(names, name))]
)
def test_the_vocabulary_spells_every_name_without_bytes(text):
    assert not any(token.startswith("<0x") for token in load().encode(text, add_special_tokens=False).tokens)
