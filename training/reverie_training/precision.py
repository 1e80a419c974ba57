"""In which format this machine multiplies matrices: bf16 where its CPU has instructions for it, else f32.

Where the instructions are missing, bf16 is emulated: on an Intel Xeon without them f32 took a third to six tenths of
the time in every stage, on an AMD EPYC with them bf16 was two to five times as fast. Weights and optimisers are f32
everywhere; so are snapshots, and a run may go on elsewhere in the other format.
"""

from __future__ import annotations

import functools

import torch

_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")


@functools.cache
def dtype() -> torch.dtype:
    """The format of products: of every network's, and of Muon's."""
    has = torch.cpu.get_capabilities()
    return torch.bfloat16 if any(has.get(name) for name in _INSTRUCTIONS) else torch.float32


def autocast() -> torch.autocast:
    """The context in which networks are run."""
    return torch.autocast("cpu", torch.bfloat16, enabled=dtype() is torch.bfloat16)
