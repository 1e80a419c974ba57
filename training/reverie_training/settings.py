"""Every number of the recipe: sizes, step counts, rates, seeds. Holds no code that computes."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

SEED = 20
SHIPPED = Path(__file__).parents[2] / "assets" / "mini"  # the checkpoint that this recipe made

# The vocabulary: sentencepiece pieces, then the added control tokens in the published order.
PIECES = 1528
CONTROL_TOKENS = ("[PAD]", "<image>", "<im_patch>", "<im_start>", "<im_end>", "<dream>", "<dream_start>", "<dream_end>")
VOCABULARY = PIECES + len(CONTROL_TOKENS)

# Sizes of the networks.
PICTURE_SIDE = 64
PATCH_SIDE = 16
PATCHES = (PICTURE_SIDE // PATCH_SIDE) ** 2
QUERIES = 8
POSITIONS = 1024
VISION_WIDTH, VISION_LAYERS, VISION_HEADS, VISION_SELECT = 128, 4, 4, -2
# Width, inner width, layers, heads; the synergy laboratory trains many small language models instead of one.
_LANGUAGE_SIZES = {"recipe": (256, 640, 6, 8), "laboratory": (128, 320, 3, 4)}
LANGUAGE_WIDTH, LANGUAGE_INNER, LANGUAGE_LAYERS, LANGUAGE_HEADS = _LANGUAGE_SIZES[
    os.environ.get("REVERIE_TRAINING_SIZE", "recipe")
]
CONDITION_WIDTH = 128
UNET_CHANNELS, UNET_HEADS = (64, 96, 96), (2, 3, 3)
VAE_CHANNELS, VAE_GROUPS, LATENT_CHANNELS = (16, 32, 64), 8, 4
LATENT_SIDE = PICTURE_SIDE // 2 ** (len(VAE_CHANNELS) - 1)

SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
SAMPLER_STEPS, GUIDANCE = 20, 2.0
UNCONDITIONAL_SHARE = 0.1

# What a picture that is fed back looks like in training: through the VAE with this probability (joint stage).
RECONSTRUCTION_SHARE = 0.3

SNAPSHOT_SECONDS = 240


@dataclass(frozen=True)
class Plan:
    """One stage's length and rates: warm-up, a plateau until `plateau` of the steps, then linear to nothing."""

    steps: int
    batch: int  # pictures, or tokens where documents are trained
    rates: tuple[float, float]  # Muon, AdamW
    warmup: int = 40
    plateau: float = 0.4
    twin: int | None = None  # from this step on a second process computes a second batch: the other half is done

    def rate(self, step: int) -> float:
        """Share of the peak rate at this step."""
        rise = min(1.0, (step + 1) / self.warmup)
        fall = min(1.0, (self.steps - step) / (self.steps * (1 - self.plateau)))
        return rise * max(0.01, fall)


# Shorter runs of the whole recipe, for trials: every step count is multiplied by this.
_SCALE = float(os.environ.get("REVERIE_TRAINING_SCALE", "1"))

_FULL_PLANS = {
    "vae": Plan(steps=2400, batch=8, rates=(6e-3, 2e-3)),
    "vit": Plan(steps=2000, batch=40, rates=(5e-3, 1.5e-3)),
    "unet": Plan(steps=2500, batch=32, rates=(5e-3, 2e-3)),
    # The creation half ends at about the step from which there are two.
    "llm": Plan(steps=6200, batch=1800, rates=(3e-3, 1.5e-3), warmup=100, plateau=0.2, twin=3000),
    "joint": Plan(steps=200, batch=1500, rates=(1e-3, 5e-4), plateau=0.1, twin=0),
}


def _scaled(plan: Plan) -> Plan:
    twin = None if plan.twin is None else round(plan.twin * _SCALE)
    return replace(plan, steps=round(plan.steps * _SCALE), twin=twin)


PLANS = {name: _scaled(plan) for name, plan in _FULL_PLANS.items()}


def cache() -> Path:
    """Where snapshots, curves and intermediate files live."""
    default = Path.home() / ".cache" / "reverie-training"
    folder = Path(os.environ.get("REVERIE_TRAINING_CACHE", default))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
