"""In which format this machine multiplies matrices: bf16 where its CPU is faster at it, else f32.

Where the instructions are missing, bf16 is emulated: on an Intel Xeon without them f32 took a third to six tenths of
the time in every stage, on an AMD EPYC with them bf16 was two to five times as fast. An Intel Xeon that has them for
vectors only (avx512_bf16) multiplies at half its speed in f32: a product of the language model took 1.7 to 1.9 times as
long, a step of the laboratory 1.7 times. Weights and optimisers are f32 everywhere; so are snapshots, and a run may go
on elsewhere in the other format.
"""

from __future__ import annotations

import functools

import torch


@functools.cache
def dtype() -> torch.dtype:
    """The format of products: of every network's, and of Muon's."""
    has = torch.cpu.get_capabilities()
    for_vectors = has.get("avx512_bf16") and not has.get("cpu_name", "").startswith("Intel")
    return torch.bfloat16 if has.get("amx_bf16") or for_vectors else torch.float32


def autocast() -> torch.autocast:
    """The context in which networks are run."""
    return torch.autocast("cpu", torch.bfloat16, enabled=dtype() is torch.bfloat16)
