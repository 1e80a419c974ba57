"""The laboratory: what each arm is fed, that runs are paired, seeded and resumable, and that the sums are right."""

import itertools
import json
import math
import random
from types import SimpleNamespace

import pytest
import torch

from reverie_training.codes import ConditionCodes
from reverie_training.documents import Dream, Picture, Text
from reverie_training.encoding import IGNORED, encode
from reverie_training.synergy import command, foundation, intervals, measures, report, served, worker
from reverie_training.synergy.arms import Arm, project
from reverie_training.synergy.conditions import Objective
from reverie_training.synergy.diets import Mixture, Protocol, diet, eaten, stream
from reverie_training.synergy.plans import QUICK, Size
from reverie_training.synergy.results import (
    ConditionKey,
    LanguageKey,
    Results,
    condition_keys,
    language_keys,
    weights_of,
)
from reverie_training.tasks.editing import HERE
from reverie_training.tokenizer import token_id

TINY = Size("tiny", 1, 3, 200, 2, 60, 4, 2, things=2)
SPECIALISTS = (Arm.CREATION, Arm.COMPREHENSION)


def some_documents(mixture, count=150):
    return list(itertools.islice(stream(mixture, 1, TINY.things), count))


def names(fed):
    return sorted(id(one) for step in fed for one in step)


def learnt_words(one):
    """The words of a document that are not about drawing."""
    parts = one.parts if one else []
    return [part.text for part in parts if isinstance(part, Text) and part.learnt and part.text != HERE]


# ---------------------------------------------------------------- what an arm is fed


def test_scenes_have_no_more_things_than_the_size_says():
    for things in (1, 2):
        some = itertools.islice(stream(Mixture.INTERLEAVED, 1, things), 100)
        most = max(len(scene.things) for one in some for scene in one.scenes())
        asked = measures.documents("drawing", 20, things)
        assert most == max(len(scene.things) for one in asked for scene in one.scenes()) == things


def test_a_creation_only_model_sees_no_picture_and_learns_no_word():
    for one in some_documents(Mixture.INTERLEAVED):
        if left := project(one, Arm.CREATION):
            encoded = encode(left, fed_back=False)
            assert encoded.dreams and not encoded.pictures
            assert set(encoded.labels) == {IGNORED}


def test_a_comprehension_only_model_is_shown_the_pictures_and_draws_none():
    shown = 0
    for one in some_documents(Mixture.INTERLEAVED):
        if left := project(one, Arm.COMPREHENSION):
            encoded = encode(left)
            assert not encoded.dreams and token_id("<dream_start>") not in encoded.ids
            assert learnt_words(left) and Text(HERE, True) not in left.parts
            assert len(encoded.pictures) == len(one.scenes())
            shown += any(isinstance(part, Dream) for part in one.parts)
    assert shown


@pytest.mark.parametrize("mixture", Mixture)
def test_every_target_of_an_objective_is_left_to_its_specialist(mixture):
    for one in some_documents(mixture):
        whole = encode(one)
        creation, comprehension = (project(one, arm) for arm in SPECIALISTS)
        dreams = encode(creation, fed_back=False).dreams if creation else []
        assert len(dreams) == len(whole.dreams)
        assert learnt_words(one) == learnt_words(comprehension)


def test_only_one_mixture_alternates_texts_and_drawn_pictures():
    kinds = {mixture: {one.task for one in some_documents(mixture, 300)} for mixture in Mixture}
    assert kinds[Mixture.INTERLEAVED] - kinds[Mixture.PAIRS] == {"steps", "story", "web", "planning"}


@pytest.mark.parametrize("arm", SPECIALISTS)
def test_the_protocols_hold_what_they_say(arm):
    size = Size("test", 1, 40, 600, 1, 60, 1, 1, things=2)
    together = eaten(diet(Arm.JOINT, Mixture.PAIRS, Protocol.COMPUTE, 1, size))
    by = {protocol: eaten(diet(arm, Mixture.PAIRS, protocol, 1, size)) for protocol in Protocol}
    same, compute, targets = (by[protocol] for protocol in Protocol)
    objective = "dreams" if arm is Arm.CREATION else "words"
    assert compute["steps"] == targets["steps"] == together["steps"] == size.steps
    assert same["tokens"] == targets["tokens"] < together["tokens"]
    assert same["steps"] == pytest.approx(same["tokens"] / size.tokens, abs=1)
    assert same[objective] == targets[objective] < compute[objective]
    assert compute["tokens"] == pytest.approx(together["tokens"], rel=0.02)
    if arm is Arm.CREATION:
        assert targets["dreams"] == together["dreams"]


def test_packing_deals_every_document_once_and_a_diet_is_the_same_again():
    arguments = (Arm.COMPREHENSION, Mixture.INTERLEAVED, Protocol.TARGETS, 2, TINY)
    fed, again = diet(*arguments), diet(*arguments)
    assert len(set(names(fed))) == len(names(fed))
    assert [[one.ids for one in step] for step in fed] == [[one.ids for one in step] for step in again]
    other = diet(*arguments[:3], 3, TINY)
    assert [one.ids for step in other for one in step] != [one.ids for step in fed for one in step]


# ---------------------------------------------------------------- runs


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache of its own."""
    place = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REVERIE_TRAINING_CACHE", str(place))
        yield place


def weights(key):
    return torch.load(weights_of(key, TINY), weights_only=True)


def test_a_comprehension_only_run_leaves_the_dreams_as_they_began(cache):
    key = LanguageKey(Arm.COMPREHENSION, Mixture.PAIRS, Protocol.COMPUTE, 0)
    found = worker.work(key, TINY)
    assert found["figures"].keys() == {"caption", "questions"}
    assert found["eaten"]["steps"] == TINY.steps and found["eaten"]["dreams"] == 0
    began = worker.language.beginning(0, foundation.load()).state_dict()
    trained = weights(key)
    for name in ("queries", "projector_out.weight"):
        assert torch.equal(trained[name], began[name].bfloat16())
    assert not torch.equal(trained["llm.lm_head.weight"], began["llm.lm_head.weight"].bfloat16())


def test_a_creation_only_run_leaves_the_words_as_they_began_and_is_the_same_again(cache):
    key = LanguageKey(Arm.CREATION, Mixture.INTERLEAVED, Protocol.TARGETS, 0)
    found = worker.work(key, TINY)
    assert found["figures"].keys() == {"conditions", "pictures"}
    first = weights(key)
    began = worker.language.beginning(0, foundation.load()).state_dict()
    assert torch.equal(first["llm.lm_head.weight"], began["llm.lm_head.weight"].bfloat16())
    assert not torch.equal(first["queries"], began["queries"].bfloat16())
    assert worker.work(key, TINY)["figures"] == found["figures"]
    assert all(torch.equal(first[name], tensor) for name, tensor in weights(key).items())


def test_a_joint_run_is_judged_by_both_abilities(cache):
    found = worker.work(LanguageKey(Arm.JOINT, Mixture.PAIRS, Protocol.COMPUTE, 0), TINY)
    assert found["figures"].keys() == set(report.MEASURES)
    assert found["eaten"]["words"] and found["eaten"]["dreams"]


@pytest.mark.parametrize("objective", Objective)
def test_conditions_are_learnt_by_the_losses_named_through_frozen_networks(cache, objective):
    key = ConditionKey(objective, 0)
    if not weights_of(key.beginning, TINY).exists():
        worker.work(key.beginning, TINY)
    shared = foundation.load()
    run = worker.conditions.ConditionRun(
        worker.language.beginning(0, shared),
        diet(Arm.CREATION, Mixture.PAIRS, Protocol.COMPUTE, 0, TINY.for_conditions(1)),
        shared,
        TINY,
        objective,
    )
    losses = run.step(0, None)
    losses["loss"].backward()
    wanted = {Objective.ALIGNMENT: {"align"}, Objective.DENOISING: {"denoise"}, Objective.BOTH: {"align", "denoise"}}
    assert losses.keys() - {"loss"} == wanted[objective]
    assert run.dreamer.queries.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in shared.drawing.unet.parameters())
    figures = worker.work(key, TINY)["figures"]
    assert figures["denoising error"] > 0 and 0 <= figures["all"] <= 1


def test_the_shared_parts_are_the_shipped_ones_and_draw_from_the_fixed_codes():
    shared = foundation.load()
    scenes = foundation.simple_scenes(random.Random(1), 8, "test")
    codes = ConditionCodes()
    conditions = codes(torch.tensor([scene.codes() for scene in scenes]))
    unconditional = SimpleNamespace(unconditional=codes.unconditional)
    seen = measures.pictures(unconditional, shared.drawing, scenes, conditions)
    assert seen["all"] >= 0.75
    assert not any(weight.requires_grad for weight in shared.drawing.unet.parameters())


def test_a_pool_hands_every_result_to_its_taker():
    roots, powers = [], []
    with command.Pool(1) as pool:
        pool.run([(math.sqrt, (4,), roots.append), (math.pow, (3, 2), powers.append)])
    assert (roots, powers) == ([2.0], [9.0])


# ---------------------------------------------------------------- results


def test_a_full_table_has_eight_seeds_and_a_quick_one_fewer():
    full = command.size_of(False, None)
    assert full.seeds >= 8 > command.size_of(True, None).seeds
    assert command.size_of(True, 5).seeds == 5
    keys = [*language_keys(full.seeds), *condition_keys(full.seeds)]
    assert len({key.name for key in keys}) == len(keys) == full.seeds * (2 * 7 + 3)


def test_finished_runs_are_skipped_torn_lines_and_other_recipes_are_not(tmp_path):
    results = Results(tmp_path / "runs.jsonl", TINY)
    keys = language_keys(1)
    for key in keys[:2]:
        results.add(key, {"figures": {}})
    assert results.missing(keys, served=False) == keys[2:]
    text = results.path.read_text()
    results.path.write_text(text[:-20])
    assert results.missing(keys, served=False) == keys[1:]
    results.add(keys[1], {"figures": {}})
    assert results.missing(keys, served=False) == keys[2:]
    assert results.missing(keys, served=True) == keys
    results.add(keys[1], {"figures": {}, "served": {}})
    assert results.missing(keys, served=True) == [keys[0], *keys[2:]]
    results.add(keys[1], {"figures": {"caption": 1.0}, "served": {"caption": 1.0}})
    assert [line["served"] for line in results.lines(served=True) if line["name"] == keys[1].name] == [{}]
    assert Results(results.path, QUICK).missing(keys, served=False) == keys


def test_a_model_whose_weights_are_gone_is_trained_again_for_those_that_begin_as_it(cache, tmp_path):
    results = Results(tmp_path / "runs.jsonl", TINY)
    for key in language_keys(1):
        results.add(key, {"figures": {}})
    beginning = condition_keys(1)[0].beginning
    kept = weights_of(beginning, TINY)
    kept.unlink(missing_ok=True)
    assert beginning in command._missing(results, None)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.touch()
    assert beginning not in command._missing(results, None)
    kept.unlink()


def test_intervals_are_students():
    found = intervals.estimate([1.0, 2.0, 3.0])
    assert (found.mean, found.count) == (2.0, 3)
    assert found.half == pytest.approx(4.303 / math.sqrt(3))
    assert not found.decided and intervals.estimate([1.0, 1.1, 0.9]).decided
    assert math.isinf(intervals.estimate([1.0]).half)
    assert intervals.paired({0: 1.0, 1: 3.0, 2: 9.0}, {0: 0.5, 1: 2.5}).mean == 0.5
    with pytest.raises(ValueError):
        intervals.estimate([])


def made_lines(results):
    fed = {"steps": 3, "documents": 9, "tokens": 600, "words": 80, "dreams": 4}
    for key in language_keys(2):
        bonus = 0.25 if key.arm is Arm.JOINT else 0.0
        figures = {name: 0.5 + 0.1 * key.seed + bonus for name in report.MEASURES}
        results.add(key, {"figures": figures, "eaten": fed, "cpu_seconds": 2.0})
    for key in condition_keys(2):
        figures = dict.fromkeys(report._PICTURE_MEASURES, 0.2 if key.objective is Objective.BOTH else 0.1)
        results.add(key, {"figures": figures, "eaten": fed, "cpu_seconds": 2.0})
    return results.lines(served=False)


def test_the_tables_pair_joint_runs_with_specialists(tmp_path):
    lines = made_lines(Results(tmp_path / "runs.jsonl", TINY))
    text = report.markdown(lines, TINY, "a test")
    rows = [row for row in text.splitlines() if row.startswith(("| captions", "| conditions read"))]
    first = [row for row in rows if "identical documents" in row]
    assert len(first) == 4 and all("**+0.250** [+0.250, +0.250]" in row for row in first)
    assert text.count("| both - denoising loss |") == len(report._PICTURE_MEASURES)
    assert "| all | both - denoising loss | **+0.100** [+0.100, +0.100] | 2 |" in text
    report.plot(lines, tmp_path / "synergy.png")
    assert (tmp_path / "synergy.png").stat().st_size > 1000


def test_one_seed_has_no_interval(tmp_path):
    lines = [line for line in made_lines(Results(tmp_path / "runs.jsonl", TINY)) if line["seed"] == 0]
    assert "+0.250 (one seed)" in report.markdown(lines, TINY, "a test")


# ---------------------------------------------------------------- through the server


def test_an_exported_run_says_what_it_was_trained_for(cache, tmp_path):
    key = LanguageKey(Arm.CREATION, Mixture.PAIRS, Protocol.DOCUMENTS, 0)
    worker.work(key, TINY)
    served.export_run(key, key.arm, tmp_path, TINY)
    assert json.loads((tmp_path / "config.json").read_text())["reverie_abilities"] == ["creation"]
    assert key.name in (tmp_path / "README.md").read_text()


def test_each_arm_is_asked_only_what_it_was_trained_for(tmp_path):
    asked = {}
    for arm in Arm:
        lines = served.write_suite(tmp_path / arm, arm, TINY).read_text().splitlines()
        asked[arm] = [json.loads(line)["task"] for line in lines]
    assert set(asked[Arm.CREATION]) == {"drawing"} and set(asked[Arm.COMPREHENSION]) == {"caption", "questions"}
    assert sorted(asked[Arm.JOINT]) == sorted(asked[Arm.CREATION] + asked[Arm.COMPREHENSION])
    assert asked[Arm.JOINT].count("caption") == TINY.documents and asked[Arm.JOINT].count("drawing") == TINY.pictures


def test_shares_are_taken_from_the_record_of_an_evaluation():
    tally = {"share": 0.75, "n": 4, "low": 0.3, "high": 0.9}
    record = {
        "tasks": [
            {"task": "caption", "split": "test", "right": tally, "errors": 0, "attributes": {}},
            {"task": "drawing", "right": {**tally, "share": 0.5}, "errors": 0, "attributes": {"shape": tally}},
        ]
    }
    assert served.figures(record) == {"caption": 0.75, "pictures": 0.5, "all": 0.5, "shape": 0.75}
    record["tasks"][1]["errors"] = 3
    with pytest.raises(ValueError, match="3 requests of drawing"):
        served.figures(record)


def a_server(folder):
    """A binary that writes down what it is asked, and says three quarters of all captions are right."""
    tally = {"share": 0.75, "n": 4, "low": 0.3, "high": 0.9}
    record = {"tasks": [{"task": "caption", "right": tally, "errors": 0, "attributes": {}}]}
    binary = folder / "reverie"
    binary.write_text(
        f'#!/bin/sh\necho "$@" >> {folder}/asked\ncp "$3/config.json" {folder}\necho \'{json.dumps(record)}\' > "$7"\n'
    )
    binary.chmod(0o755)
    return served.Server(binary, folder / "served")


def test_a_model_that_was_trained_is_only_judged_through_the_server(cache, tmp_path):
    key = LanguageKey(Arm.COMPREHENSION, Mixture.PAIRS, Protocol.TARGETS, 0)
    server, results = a_server(tmp_path), Results(tmp_path / "runs.jsonl", TINY)
    assert results.trained(key) is None
    results.add(key, worker.work(key, TINY))
    weights_before = weights_of(key, TINY).stat().st_mtime_ns
    trained = results.trained(key)
    line = results.add(key, worker.work(key, TINY, server, trained))
    assert weights_of(key, TINY).stat().st_mtime_ns == weights_before
    assert line["served"] == {"caption": 0.75} and line["figures"] == trained["figures"]
    assert report.figures(line)["caption"] == 0.75
    assert json.loads((tmp_path / "config.json").read_text())["reverie_abilities"] == ["comprehension"]
    (asked,) = (tmp_path / "asked").read_text().splitlines()
    checkpoint = weights_of(key, TINY).with_suffix("")
    assert asked.startswith(
        f"eval --model {checkpoint} --suite {tmp_path}/served/suites/comprehension-only/suite.jsonl"
    )
    assert not checkpoint.exists()


def test_what_a_server_judges_is_not_judged_twice(cache, tmp_path):
    server, results = a_server(tmp_path), Results(tmp_path / "runs.jsonl", TINY)
    server.write_suites(TINY)
    for arm, unseen in ((Arm.COMPREHENSION, set()), (Arm.JOINT, {"conditions"})):
        key = LanguageKey(arm, Mixture.PAIRS, Protocol.COMPUTE, 1)
        line = results.add(key, worker.work(key, TINY, server))
        assert line["figures"].keys() == unseen and line["served"] == {"caption": 0.75}
        assert results.missing([key], served=True) == [] and results.missing([key], served=False) == [key]


def test_a_run_whose_weights_are_gone_is_trained_again_before_it_is_judged(cache, tmp_path):
    key = LanguageKey(Arm.COMPREHENSION, Mixture.PAIRS, Protocol.TARGETS, 0)
    results = Results(tmp_path / "runs.jsonl", TINY)
    results.add(key, worker.work(key, TINY))
    weights_of(key, TINY).unlink()
    assert results.trained(key) is None


def test_pictures_given_by_a_person_leave_nothing_to_create():
    for one in some_documents(Mixture.PAIRS, 60):
        if any(isinstance(part, Picture) for part in one.parts):
            assert project(one, Arm.CREATION) is None
        assert project(one, Arm.JOINT) is one
        if left := project(one, Arm.CREATION):
            assert not any(isinstance(part, Text) and part.learnt for part in left.parts)
