"""The networks, built from the published classes at this recipe's sizes. Knows no data and no training."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaForCausalLM

from . import settings

# torch's fused CPU attention has a slow backward at these sizes: plain matrix products everywhere.
_ATTENTION = "eager"

CLIP_MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(1, 3, 1, 1)
CLIP_DEVIATION = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(1, 3, 1, 1)


def autoencoder() -> AutoencoderKL:
    """The VAE: 64 pixels to 16x16 latents of 4 channels."""
    levels = len(settings.VAE_CHANNELS)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=settings.VAE_CHANNELS,
        layers_per_block=1,
        latent_channels=settings.LATENT_CHANNELS,
        norm_num_groups=settings.VAE_GROUPS,
        sample_size=settings.PICTURE_SIDE,
        scaling_factor=1.0,
    )
    vae.set_attn_processor(AttnProcessor())
    return vae


def unet() -> UNet2DConditionModel:
    """The denoiser, of Stable Diffusion 2.1's block types."""
    denoiser = UNet2DConditionModel(
        sample_size=settings.LATENT_SIDE,
        in_channels=settings.LATENT_CHANNELS,
        out_channels=settings.LATENT_CHANNELS,
        layers_per_block=1,
        block_out_channels=settings.UNET_CHANNELS,
        norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=settings.CONDITION_WIDTH,
        attention_head_dim=settings.UNET_HEADS,
        use_linear_projection=True,
    )
    denoiser.set_attn_processor(AttnProcessor())
    return denoiser


def vision_tower() -> CLIPVisionModel:
    """The CLIP vision transformer."""
    tower = CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=settings.VISION_WIDTH,
            intermediate_size=4 * settings.VISION_WIDTH,
            projection_dim=settings.VISION_WIDTH,
            num_hidden_layers=settings.VISION_LAYERS,
            num_attention_heads=settings.VISION_HEADS,
            image_size=settings.PICTURE_SIDE,
            patch_size=settings.PATCH_SIDE,
            attn_implementation=_ATTENTION,
        )
    )
    for name, parameter in tower.named_parameters():
        if parameter.dim() == 2 and "layers" in name:
            ends_residual = "out_proj" in name or "fc2" in name
            nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5 * (0.35 if ends_residual else 1.0))
    return tower


def language_model(layers: int = settings.LANGUAGE_LAYERS) -> LlamaForCausalLM:
    """The LLaMA, initialised so that attention begins by matching equal contents (mimetic initialisation)."""
    llama = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=settings.VOCABULARY,
            hidden_size=settings.LANGUAGE_WIDTH,
            intermediate_size=settings.LANGUAGE_INNER,
            num_hidden_layers=layers,
            num_attention_heads=settings.LANGUAGE_HEADS,
            num_key_value_heads=settings.LANGUAGE_HEADS,
            max_position_embeddings=settings.POSITIONS,
            rms_norm_eps=1e-6,
            tie_word_embeddings=False,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=settings.PIECES,
            attn_implementation=_ATTENTION,
        )
    )
    nn.init.normal_(llama.model.embed_tokens.weight, std=0.5)
    nn.init.zeros_(llama.lm_head.weight)
    for name, parameter in llama.named_parameters():
        if parameter.dim() == 2 and "layers" in name:
            ends_residual = "o_proj" in name or "down_proj" in name
            nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5 * (0.35 if ends_residual else 1.0))
    with torch.no_grad():
        for layer in llama.model.layers:
            attention = layer.self_attn
            attention.q_proj.weight.mul_(0.5**0.5).add_(attention.k_proj.weight, alpha=0.5**0.5)
    return llama


def clip_input(pictures: torch.Tensor) -> torch.Tensor:
    """Bytes of shape (n, 64, 64, 3) as the tower takes them, (n, 3, 64, 64)."""
    return (pictures.permute(0, 3, 1, 2).float() / 255 - CLIP_MEAN) / CLIP_DEVIATION


def vae_input(pictures: torch.Tensor) -> torch.Tensor:
    """Bytes of shape (n, 64, 64, 3) as the VAE takes them, (n, 3, 64, 64) in -1..1."""
    return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1


def to_bytes(pictures: torch.Tensor) -> torch.Tensor:
    """The VAE's output as bytes (n, 64, 64, 3)."""
    return ((pictures.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1)


def patch_features(tower: CLIPVisionModel, pictures: torch.Tensor) -> torch.Tensor:
    """What the projector sees: the selected layer without the class token, (n, patches, width); n may be 0."""
    if not len(pictures):
        return torch.zeros(0, settings.PATCHES, settings.VISION_WIDTH)
    states = tower(pixel_values=clip_input(pictures), output_hidden_states=True).hidden_states
    return states[settings.VISION_SELECT][:, 1:]
