"""The denoising loss and the sampler of the recipe (v-prediction, DDIM). Knows latents and conditions, no scenes."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from diffusers import DDIMScheduler

from . import models, settings

_BETAS = torch.linspace(settings.SCHEDULE["beta_start"] ** 0.5, settings.SCHEDULE["beta_end"] ** 0.5, 1000) ** 2
_SIGNAL = torch.cumprod(1 - _BETAS, 0)


def denoising_loss(unet, latents: torch.Tensor, conditions: torch.Tensor) -> torch.Tensor:
    """Mean squared error of the velocity at random times, one a row. `latents` are scaled, (n, 4, side, side)."""
    times = torch.randint(0, len(_SIGNAL), (len(latents),))
    signal = _SIGNAL[times].view(-1, 1, 1, 1)
    noise = torch.randn_like(latents)
    noisy = signal.sqrt() * latents + (1 - signal).sqrt() * noise
    velocity = signal.sqrt() * noise - (1 - signal).sqrt() * latents
    return functional.mse_loss(unet(noisy, times, conditions).sample.float(), velocity)


def drop_conditions(conditions: torch.Tensor, unconditional: torch.Tensor) -> torch.Tensor:
    """Replaces a share of the conditions by the unconditional one, whole rows at a time."""
    dropped = torch.rand(len(conditions), 1, 1) < settings.UNCONDITIONAL_SHARE
    return torch.where(dropped, unconditional.expand(len(conditions), -1, -1), conditions)


@torch.no_grad()
def sample(
    unet,
    conditions: torch.Tensor,
    unconditional: torch.Tensor,
    noise: torch.Tensor,
    effort: tuple[int, float] = (settings.SAMPLER_STEPS, settings.GUIDANCE),
) -> torch.Tensor:
    """Latents for conditions (n, 8, width), from the noise given (n, 4, side, side), by DDIM.

    `effort` is the number of steps and the strength of guidance.
    """
    steps, guidance = effort
    scheduler = DDIMScheduler(**settings.SCHEDULE)
    scheduler.set_timesteps(steps)
    both = torch.cat([unconditional.expand(len(conditions), -1, -1), conditions])
    latents = noise
    for time in scheduler.timesteps:
        without, within = unet(torch.cat([latents, latents]), time, both).sample.float().chunk(2)
        latents = scheduler.step(without + guidance * (within - without), time, latents).prev_sample
    return latents


def noise_like(count: int, generator: torch.Generator) -> torch.Tensor:
    """Starting noise for `count` pictures."""
    return torch.randn(count, settings.LATENT_CHANNELS, settings.LATENT_SIDE, settings.LATENT_SIDE, generator=generator)


@torch.no_grad()
def encode(vae, scale: float, pictures: torch.Tensor, chunk: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """Scaled mean and deviation of the latents of pictures, bytes (n, 64, 64, 3)."""
    moments = [vae.encode(models.vae_input(part)).latent_dist for part in pictures.split(chunk)]
    mean = torch.cat([one.mean.float() for one in moments])
    deviation = torch.cat([one.std.float() for one in moments])
    return mean * scale, deviation * scale


@torch.no_grad()
def decode(vae, scale: float, latents: torch.Tensor, chunk: int = 40) -> torch.Tensor:
    """Pictures of scaled latents, bytes (n, 64, 64, 3)."""
    return models.to_bytes(torch.cat([vae.decode(part / scale).sample.float() for part in latents.split(chunk)]))
