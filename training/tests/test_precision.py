"""The format of products: asked of the CPU once, and good enough for Muon either way."""

import pytest
import torch

from reverie_training import optimiser, precision


@pytest.fixture
def machine(monkeypatch):
    """Makes this machine one with the given instructions."""

    def has(**capabilities):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
        precision.dtype.cache_clear()

    yield has
    precision.dtype.cache_clear()


@pytest.mark.parametrize("name", ["avx512_bf16", "amx_bf16"])
def test_bf16_is_used_where_the_cpu_multiplies_it(machine, name):
    machine(avx512_f=True, **{name: True})
    assert precision.dtype() is torch.bfloat16
    with precision.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.bfloat16


def test_f32_is_used_where_it_does_not(machine):
    machine(avx512_f=True, avx512_bf16=False)
    assert precision.dtype() is torch.float32
    with precision.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.float32


@pytest.mark.parametrize("bf16", [False, True])
def test_muon_takes_equally_long_steps_in_every_direction_in_both_formats(machine, bf16):
    machine(avx512_bf16=bf16)
    torch.manual_seed(0)
    directions = optimiser.orthogonalise(torch.randn(3, 24, 64))
    assert directions.dtype is torch.float32
    assert (torch.linalg.svdvals(directions) - 1).abs().max() < 0.4
