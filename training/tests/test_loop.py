"""The loop: a resumed run is the run that was not interrupted; rates rise, stay and fall."""

import json
import os
import signal

import pytest
import torch

from reverie_training import settings, snapshots, stages
from reverie_training.optimiser import MuonAdamW, orthogonalise
from reverie_training.settings import Plan


class Toy:
    """A linear map learnt from random draws; the stop signal comes in the middle if wanted."""

    plan = Plan(steps=12, batch=4, rates=(1e-2, 1e-2), warmup=2)

    def __init__(self, name: str, stop_at: int | None = None):
        self.name, self._stop_at = name, stop_at
        torch.manual_seed(0)
        self.net = torch.nn.Linear(3, 2)
        self._optimisers = [MuonAdamW(self.net.named_parameters(), self.plan.rates)]

    def parts(self):
        return {"net": self.net}

    def optimisers(self):
        return self._optimisers

    def step(self, number, rng):
        if number == self._stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        inputs = torch.randn(self.plan.batch, 3) + rng.random()
        return {"loss": (self.net(inputs) - 1).square().mean()}

    def after(self):
        return {"size": float(self.net.weight.norm())}


@pytest.fixture(autouse=True)
def fresh_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REVERIE_TRAINING_CACHE", str(tmp_path))


def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    stages.run(Toy("toy"))
    first = torch.load(snapshots.finished("toy"))["net"]
    monkeypatch.setenv("REVERIE_TRAINING_CACHE", str(tmp_path / "again"))
    with pytest.raises(SystemExit):
        stages.run(Toy("toy", stop_at=5))
    assert snapshots.Snapshots("toy").load()["step"] == 6
    assert not snapshots.finished("toy").exists()
    stages.run(Toy("toy"))
    second = torch.load(snapshots.finished("toy"))["net"]
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_finished_stage_is_not_trained_again():
    stages.run(Toy("done"))
    weights = torch.load(snapshots.finished("done"))["net"]["weight"]
    again = Toy("done", stop_at=0)
    stages.run(again)
    assert torch.equal(torch.load(snapshots.finished("done"))["net"]["weight"], weights)


def test_weights_come_from_the_snapshot_until_the_stage_is_finished():
    with pytest.raises(FileNotFoundError):
        snapshots.weights("half")
    with pytest.raises(SystemExit):
        stages.run(Toy("half", stop_at=3))
    assert "net" in snapshots.weights("half")


def test_the_curve_ends_with_the_stages_figures():
    stages.run(Toy("drawn"))
    lines = (settings.cache() / "drawn.curve.jsonl").read_text().splitlines()
    assert "size" in json.loads(lines[-1])


def test_rates_rise_stay_and_fall():
    plan = Plan(steps=100, batch=1, rates=(1, 1), warmup=10, plateau=0.5)
    rates = [plan.rate(step) for step in range(100)]
    assert rates[0] < rates[5] < rates[10] == rates[50] == 1.0 > rates[75] > rates[99] > 0


def test_orthogonal_directions_have_even_lengths():
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(2, 12, 30)))
    assert values.min() > 0.5 and values.max() < 1.4


def test_the_whole_recipe_has_its_five_stages_planned():
    from reverie_training.__main__ import COMPREHENSION, CREATION, STAGES

    assert set(STAGES) == set(settings.PLANS) == {*CREATION, *COMPREHENSION, "joint"}


class Paired(Toy):
    """A linear map on numbers of a stream, alone or with a twin on another."""

    def __init__(self, name: str, twin: int | None):
        super().__init__(name)
        self.plan = Plan(steps=8, batch=4, rates=(1e-2, 1e-2), warmup=2, twin=twin)
        self.stream = Numbers(1.0)

    def step(self, number, rng):
        return {"loss": (self.net(torch.full((1, 3), self.stream.number + number)) - 1).square().mean()}


class Numbers:
    def __init__(self, number: float):
        self.number = number

    def twin(self):
        return Numbers(self.number + 5.0)


def test_a_twin_gives_the_mean_of_both_batches_gradients():
    alone, other, paired = Paired("paired-alone", None), Paired("paired-other", None), Paired("paired-both", 0)
    other.stream = other.stream.twin()
    losses = [stages.gradients(stage, 3, None)["loss"] for stage in (alone, other)]
    twin = stages.Twin(paired, stages.gradients)
    twin.begin(3)
    both = twin.average(stages.gradients(paired, 3, None))
    assert both["loss"] == pytest.approx(sum(losses) / 2)
    wanted = (alone.net.weight.grad + other.net.weight.grad) / 2
    assert torch.allclose(paired.net.weight.grad, wanted)
    assert not torch.allclose(paired.net.weight.grad, alone.net.weight.grad)


def test_a_run_with_a_twin_is_the_same_run_every_time_and_another_than_alone():
    weights = {}
    for name, twin in (("paired-1", 3), ("paired-2", 3), ("paired-3", None)):
        stages.run(Paired(name, twin))
        weights[name] = torch.load(snapshots.finished(name), weights_only=True)["net"]["weight"]
    assert torch.equal(weights["paired-1"], weights["paired-2"])
    assert not torch.equal(weights["paired-1"], weights["paired-3"])
