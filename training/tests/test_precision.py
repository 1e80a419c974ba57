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


@pytest.mark.parametrize(
    "capabilities",
    [
        {"cpu_name": "AMD Zen4", "avx512_bf16": True, "amx_bf16": False},
        {"cpu_name": "Intel Xeon", "avx512_bf16": True, "amx_bf16": True},
    ],
)
def test_bf16_is_used_where_the_cpu_is_faster_at_it(machine, capabilities):
    machine(**capabilities)
    assert precision.dtype() is torch.bfloat16
    with precision.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.bfloat16


@pytest.mark.parametrize(
    "capabilities",
    [
        {"cpu_name": "AMD Zen2"},
        {"cpu_name": "Intel Xeon", "avx512_bf16": False, "amx_bf16": False},
        {"cpu_name": "Intel Xeon", "avx512_bf16": True, "amx_bf16": False},
    ],
)
def test_f32_is_used_where_it_is_not(machine, capabilities):
    machine(**capabilities)
    assert precision.dtype() is torch.float32
    with precision.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.float32


@pytest.mark.parametrize("bf16", [False, True])
def test_muon_takes_equally_long_steps_in_every_direction_in_both_formats(machine, bf16):
    machine(cpu_name="AMD Zen4", avx512_bf16=bf16)
    torch.manual_seed(0)
    directions = optimiser.orthogonalise(torch.randn(3, 24, 64))
    assert directions.dtype is torch.float32
    assert (torch.linalg.svdvals(directions) - 1).abs().max() < 0.4
