"""The checkpoint that is shipped: one folder in DreamLLM's names, bf16, with every file that a server needs."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import torch
from diffusers import DDIMScheduler
from safetensors.torch import save_file

from . import card, models, settings, tokenizer
from .dreamer import Dreamer

ABILITIES = ("comprehension", "creation")
LARGEST = 24 * 2**20  # bytes of weights that may be shipped
_TEMPLATE = {
    "name": "mini",
    "system": "",
    "system_separator": " ",
    "user": {"prefix": "USER: ", "suffix": " "},
    "assistant": {"prefix": "ASSISTANT:", "text_separator": " ", "suffix": "", "end": "</s>"},
    "text_separator": " ",
    "trim": "every_run",
    "text_to_image": "raw",
    "defaults": {
        "sampler": "ddim",
        "num_inference_steps": settings.SAMPLER_STEPS,
        "guidance_scale": settings.GUIDANCE,
        "temperature": 0.0,
    },
}
_PREPROCESSOR = {
    "do_resize": True,
    "size": {"shortest_edge": settings.PICTURE_SIDE},
    "do_center_crop": True,
    "crop_size": {"height": settings.PICTURE_SIDE, "width": settings.PICTURE_SIDE},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": models.CLIP_MEAN.flatten().double().round(decimals=8).tolist(),
    "image_std": models.CLIP_DEVIATION.flatten().double().round(decimals=8).tolist(),
    "resample": 3,
}


def _brain(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to(torch.bfloat16).contiguous()


def language_tensors(dreamer: Dreamer, tower) -> dict[str, torch.Tensor]:
    """Everything but the Stable Diffusion parts, under DreamLLM's canonical names."""
    seeing = "model.clip_vision_embedding"
    tensors = {name: _brain(weight) for name, weight in dreamer.llm.state_dict().items()}
    for name, weight in tower.state_dict().items():
        if "position_ids" not in name:
            inside = name if name.startswith("vision_model.") else f"vision_model.{name}"
            tensors[f"{seeing}.clip_vision_model.{inside}"] = _brain(weight)
    tensors[f"{seeing}.projector.projector.weight"] = _brain(dreamer.projector_in.weight)
    tensors[f"{seeing}.projector.projector.bias"] = _brain(dreamer.projector_in.bias)
    tensors["model.dream_embedding.dream_queries"] = _brain(dreamer.queries)
    tensors["stable_diffusion_head.projector.projector.weight"] = _brain(dreamer.projector_out.weight)
    return tensors


def configuration(dreamer: Dreamer, tower, abilities: tuple[str, ...] = ABILITIES) -> dict:
    """config.json: a LLaMA's, with what DreamLLM adds, and what the model was trained for."""
    config = dreamer.llm.config.to_dict()
    return config | {
        "architectures": ["DreamLLMForCausalMLM"],
        "model_type": "dreamllm",
        "torch_dtype": "bfloat16",
        "rope_theta": 10000.0,
        "num_dream_queries": settings.QUERIES,
        "clip_select_layer": settings.VISION_SELECT,
        "clip_vision_config": tower.config.to_dict(),
        "reverie_abilities": list(abilities),
    }


def export(
    parts: dict,
    folder: Path,
    figures: dict | None = None,
    abilities: tuple[str, ...] = ABILITIES,
    readme: str | None = None,
) -> int:
    """Writes the checkpoint and returns the bytes of its weights. `parts` are the joint stage's state dicts.

    Without a `readme` it gets the embedded model's card with these figures.
    """
    dreamer, tower = Dreamer(), models.vision_tower()
    dreamer.load_state_dict(parts["dreamer"])
    tower.load_state_dict(parts["tower"])
    unet, vae = models.unet(), models.autoencoder()
    unet.load_state_dict(parts["unet"])
    vae.load_state_dict(parts["vae"])
    vae.register_to_config(scaling_factor=round(float(parts["scale"]["factor"]), 6))
    folder.mkdir(parents=True, exist_ok=True)
    save_file(language_tensors(dreamer, tower), folder / "model.safetensors", {"format": "pt"})
    unet.to(torch.bfloat16).save_pretrained(folder / "unet")
    vae.to(torch.bfloat16).save_pretrained(folder / "vae")
    DDIMScheduler(**settings.SCHEDULE).save_pretrained(folder / "scheduler")
    _write(folder / "config.json", configuration(dreamer, tower, abilities))
    _write(folder / "preprocessor_config.json", _PREPROCESSOR)
    _write(folder / "reverie_template.json", _TEMPLATE)
    for file in tokenizer.files():
        shutil.copyfile(file, folder / file.name)
    (folder / "README.md").write_text(readme or card.text(figures or {}))
    size = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
    if size > LARGEST:
        raise ValueError(f"the weights have {size} bytes, more than {LARGEST}")
    sums = {str(path.relative_to(folder)): _sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    _write(folder / "sha256.json", {name: value for name, value in sums.items() if name != "sha256.json"})
    return size


def _write(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=1, default=str) + "\n")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def load(folder: Path) -> dict:
    """The parts of an exported checkpoint, f32, from nothing but its files: what a server would compute with."""
    from safetensors.torch import load_file

    weights = {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
    seeing = "model.clip_vision_embedding"
    dreamer, tower = Dreamer(), models.vision_tower()
    own = {
        "projector_in.weight": f"{seeing}.projector.projector.weight",
        "projector_in.bias": f"{seeing}.projector.projector.bias",
    }
    own |= {
        "queries": "model.dream_embedding.dream_queries",
        "projector_out.weight": "stable_diffusion_head.projector.projector.weight",
    }
    own |= {f"llm.{name}": name for name in dreamer.llm.state_dict()}
    seen = {}
    for name, tensor in tower.state_dict().items():
        inside = name if name.startswith("vision_model.") else f"vision_model.{name}"
        seen[name] = weights.get(f"{seeing}.clip_vision_model.{inside}", tensor)
    vae_config = json.loads((folder / "vae" / "config.json").read_text())
    halves = {}
    for name in ("unet", "vae"):
        tensors = load_file(folder / name / "diffusion_pytorch_model.safetensors")
        halves[name] = {key: tensor.float() for key, tensor in tensors.items()}
    return {
        "dreamer": {name: weights[source] for name, source in own.items()},
        "tower": seen,
        "scale": {"factor": torch.tensor(vae_config["scaling_factor"])},
        **halves,
    }
