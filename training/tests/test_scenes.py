"""Drawing, reading back, and the folds."""

import random

import numpy as np
import pytest

from reverie_training.reader import attributes, read
from reverie_training.sampling import random_scene
from reverie_training.scenes import BACKGROUND_NAMES, COLOUR_NAMES, JITTER, SHAPES, SIZES, Scene, Thing
from reverie_training.splits import FOLDS, HELD_OUT_PAIRS, fold


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_jitter_of_every_shape_is_read_back_and_clean(shape, size):
    rng = random.Random(0)
    limit = JITTER[size]
    for dx in range(-limit, limit + 1):
        for dy in range(-limit, limit + 1):
            thing = Thing(shape, rng.choice(COLOUR_NAMES), size)
            scene = Scene(
                {rng.randrange(4): thing}, rng.choice(BACKGROUND_NAMES), rng, dict.fromkeys(range(4), (dx, dy))
            )
            reading = read(scene.draw())
            assert reading.matches(scene) and reading.clean


def test_every_colour_on_every_background_is_read_back():
    rng = random.Random(1)
    for colour in COLOUR_NAMES:
        for background in BACKGROUND_NAMES:
            scene = Scene({1: Thing("star", colour, "small"), 2: Thing("circle", colour, "large")}, background, rng)
            assert read(scene.draw()).matches(scene)


@pytest.mark.parametrize("name", FOLDS)
def test_scenes_of_each_fold_are_read_back(name):
    rng = random.Random(2)
    for _ in range(60):
        scene = random_scene(rng, name)
        hits = attributes(read(scene.draw()), scene)
        assert all(all(values) for values in hits.values())


def test_noise_is_read_but_not_called_clean():
    rng = np.random.default_rng(3)
    assert not read(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).clean


def test_a_faded_or_smeared_shape_is_not_clean():
    scene = Scene({0: Thing("star", "red", "large")}, "white", random.Random(4))
    picture = scene.draw()
    picture[5:27, 14:18] = 246
    assert not read(picture).clean


def test_a_scene_has_one_fold_whatever_its_jitter():
    rng = random.Random(5)
    for _ in range(100):
        scene = random_scene(rng, "train")
        assert fold(Scene(scene.things, scene.background, rng)) == "train"


def test_folds_have_their_shares():
    rng = random.Random(6)
    keys, counts = set(), dict.fromkeys(FOLDS, 0)
    while len(keys) < 3000:
        chosen = rng.sample(range(4), 2)
        scene = Scene(
            {c: Thing(rng.choice(SHAPES), rng.choice(COLOUR_NAMES), rng.choice(SIZES)) for c in chosen},
            rng.choice(BACKGROUND_NAMES),
            rng,
        )
        if scene.key not in keys:
            keys.add(scene.key)
            counts[fold(scene)] += 1
    seen = counts["train"] + counts["validation"] + counts["test"]
    assert abs(counts["test"] / seen - 0.10) < 0.03
    assert abs(counts["validation"] / seen - 0.05) < 0.02
    assert counts["held-out"] > 0


def test_every_shape_and_colour_of_a_held_out_pair_is_seen_apart():
    for shape, colour in HELD_OUT_PAIRS:
        assert any((shape, other) not in HELD_OUT_PAIRS for other in COLOUR_NAMES)
        assert any((other, colour) not in HELD_OUT_PAIRS for other in SHAPES)
