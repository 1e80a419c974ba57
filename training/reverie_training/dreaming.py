"""The document loop: text and pictures in, text and pictures out, as the server runs it. Trains nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from transformers import DynamicCache

from . import diffusion, models, settings
from .dreamer import Dreamer
from .encoding import text_ids
from .tokenizer import load, token_id

Piece = str | np.ndarray  # a stripped text, or a picture of bytes (64, 64, 3)


@dataclass
class Limits:
    """When an answer ends at the latest, and how tokens are drawn: the likeliest where the temperature is 0."""

    tokens: int = 200
    pictures: int = 5
    temperature: float = 0.0


class Pipeline:
    """A trained model, able to answer."""

    def __init__(self, parts: dict):
        """`parts` are state dicts by component, as the joint stage keeps them."""
        self.dreamer, self.tower = Dreamer(), models.vision_tower()
        self.unet, self.vae = models.unet(), models.autoencoder()
        for name in ("dreamer", "tower", "unet", "vae"):
            network = getattr(self, name)
            network.load_state_dict(parts[name])
            network.eval().requires_grad_(False)
        self.scale = float(parts["scale"]["factor"])
        with torch.no_grad():
            self.unconditional = self.dreamer.unconditional()

    def _tokens(self, ids: list[int]) -> torch.Tensor:
        return self.dreamer.llm.model.embed_tokens(torch.tensor(ids))

    def _picture(self, picture: np.ndarray) -> torch.Tensor:
        features = models.patch_features(self.tower, torch.from_numpy(picture.copy())[None])
        inside = self.dreamer.projector_in(features)[0]
        return torch.cat([self._tokens([token_id("<im_start>")]), inside, self._tokens([token_id("<im_end>")])])

    def prompt(self, pieces: list[Piece]) -> torch.Tensor:
        """Input embeddings of a prompt (length, width)."""
        parts = [self._tokens([token_id("<s>")])]
        for piece in pieces:
            parts.append(self._tokens(list(text_ids(piece))) if isinstance(piece, str) else self._picture(piece))
        return torch.cat(parts)

    @torch.no_grad()
    def answer(
        self, pieces: list[Piece], seed: int = 0, limits: Limits | None = None, force_picture: bool = False
    ) -> list[Piece]:
        """Goes on with a document until its end: texts and pictures in order; at once with a picture if forced."""
        limits = limits or Limits()
        generator = torch.Generator().manual_seed(seed)
        memory = DynamicCache()

        def run(embeds: torch.Tensor) -> torch.Tensor:
            return self.dreamer.llm.model(
                inputs_embeds=embeds[None], past_key_values=memory, use_cache=True
            ).last_hidden_state[0]

        hidden = run(self.prompt(pieces))
        result: list[Piece] = []
        open_ids: list[int] = []
        pictures = 0
        for number in range(limits.tokens):
            forced = force_picture and number == 0
            token = token_id("<dream_start>") if forced else self._draw_token(hidden[-1], limits.temperature, generator)
            if token == token_id("</s>"):
                break
            if token != token_id("<dream_start>"):
                open_ids.append(token)
                hidden = run(self._tokens([token]))
                continue
            _close(open_ids, result)
            if pictures == limits.pictures:
                break
            block = [self._tokens([token]), self.dreamer.queries[0], self._tokens([token_id("<dream_end>")])]
            hidden = run(torch.cat(block))
            picture = self.draw(self.dreamer.projector_out(hidden[1 : 1 + settings.QUERIES])[None], generator)[0]
            result.append(picture)
            pictures += 1
            hidden = run(self._picture(picture))
        _close(open_ids, result)
        return result

    def _draw_token(self, hidden: torch.Tensor, temperature: float, generator: torch.Generator) -> int:
        logits = self.dreamer.llm.lm_head(hidden).float()
        if temperature == 0:
            return int(logits.argmax())
        return int(torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator))

    @torch.no_grad()
    def draw(self, conditions: torch.Tensor, generator: torch.Generator, *effort) -> np.ndarray:
        """Pictures of conditions, bytes (n, 64, 64, 3); `effort` as `diffusion.sample` takes it."""
        noise = diffusion.noise_like(len(conditions), generator)
        latents = diffusion.sample(self.unet, conditions, self.unconditional, noise, *effort)
        return diffusion.decode(self.vae, self.scale, latents).numpy()


def _close(open_ids: list[int], result: list[Piece]) -> None:
    if open_ids:
        result.append(load().decode(list(open_ids)).strip())
        open_ids.clear()
