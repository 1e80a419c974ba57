"""The model card of the embedded model: what it is, how it was made, what it can and cannot do. Measures nothing."""

from __future__ import annotations

from . import settings
from .scenes import BACKGROUND_NAMES, COLOUR_NAMES, SHAPES
from .splits import HELD_OUT_PAIRS

_FRONT = """---
license: apache-2.0
library_name: reverie
tags: [dreamllm, interleaved, text-to-image, image-to-text]
---
"""


def _share(tally: dict) -> str:
    return "" if tally["share"] is None else f"{100 * tally['share']:.1f} % ({100 * tally['low']:.1f}-{100 * tally['high']:.1f})"


def _table(tasks: list[dict]) -> str:
    """Shares with 95 % intervals, a row for each split and task."""
    if not tasks:
        return "Not evaluated yet."
    rows = [
        f"| {one['split']} | {one['task']} | {one['right']['n']} | {_share(one['right'])} | {_share(one['pictures_as_asked'])} |"
        for one in tasks
    ]
    return "\n".join(["| split | task | n | wholly right | pictures as asked |", "| --- | --- | --- | --- | --- |", *rows])


def text(figures: dict) -> str:
    """The card, in Markdown. `figures` are the JSON of `reverie eval`, which asks a running server."""
    pairs = ", ".join(f"{colour} {shape}" for shape, colour in sorted(HELD_OUT_PAIRS))
    steps = ", ".join(f"{name} {plan.steps}" for name, plan in settings.PLANS.items())
    table = _table(figures.get("tasks", []))
    return f"""{_FRONT}
# Reverie's embedded model

A small DreamLLM, trained from scratch on drawn scenes. It reads and writes documents of text and pictures: it
describes, answers questions over one to four pictures, draws, edits, combines, and tells illustrated stories. Its
world is a picture of 64x64 pixels with up to four shapes, one in each quarter.

- Shapes: {", ".join(SHAPES)}; small or large.
- Colours: {", ".join(COLOUR_NAMES)}. Backgrounds: {", ".join(BACKGROUND_NAMES)}.
- What a wish leaves unsaid has one reading: large, white background, reading order; no colour means red.

## Data

Procedurally drawn scenes and templated English, seeded; no picture or text of anyone else. Scenes fall into train,
validation and test by a hash of their content. Never seen together in training: {pairs}.

## Recipe

`training/` of the repository, `python -m reverie_training all`; steps: {steps}. LLaMA of width
{settings.LANGUAGE_WIDTH} and {settings.LANGUAGE_LAYERS} layers, CLIP vision transformer of patch {settings.PATCH_SIDE},
{settings.QUERIES} dream queries, a UNet of Stable Diffusion 2.1's block types (v-prediction), an AutoencoderKL of
factor 4. Where DreamLLM begins with pretrained parts, this model begins
with fixed codes of scenes: the UNet is first trained under them and the dream queries are first aligned with them. The
last stage trains DreamLLM's own objective,
cross-entropy and denoising error through the UNet, with alignment weight 0.

## Figures

Counted by `reverie eval` over HTTP; a drawn picture that the programmatic reader does not find clean counts as wrong.
Wilson intervals at 95 %. Split `free` was written by someone who had not seen the templates; `outside` are requests from
outside its world, right where the answer is an honest sentence.

{table}

## Limits

It knows no other things, colours, places or numbers, and says so when asked for them. It is a laboratory and a
demonstration, not a useful assistant. English only.

## Licence

Apache-2.0.
"""
