"""DreamLLM's language side: LLaMA, both projectors, the dream queries. Knows batches of tokens, no pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import nn

from . import models, settings
from .codes import WordVectors
from .encoding import IGNORED, Batch, text_ids, unconditional_ids
from .tokenizer import load
from .words import ORDINALS

# Beginnings of the output matrix and of the queries, as shares of the embeddings that they start from.
_HEAD_SHARE, _QUERY_NOISE = 0.05, 0.3
_SHARPNESS = 10.0  # of likenesses, which lie between -1 and 1


class Dreamer(nn.Module):
    """The part of the model that reads and writes documents."""

    def __init__(self, layers: int = settings.LANGUAGE_LAYERS):
        super().__init__()
        self.llm = models.language_model(layers)
        self.projector_in = nn.Linear(settings.VISION_WIDTH, settings.LANGUAGE_WIDTH)
        self.queries = nn.Parameter(torch.randn(1, settings.QUERIES, settings.LANGUAGE_WIDTH) * _QUERY_NOISE)
        self.projector_out = nn.Linear(settings.LANGUAGE_WIDTH, settings.CONDITION_WIDTH, bias=False)
        nn.init.normal_(self.projector_out.weight, std=settings.LANGUAGE_WIDTH**-0.5)
        self._begin_with_words(WordVectors())

    @torch.no_grad()
    def _begin_with_words(self, words: WordVectors) -> None:
        """Attribute words begin as the vectors that the vision tower speaks, queries with their cell's place."""
        embedding = self.llm.model.embed_tokens.weight
        for word, vector in words.vector.items():
            number = load().token_to_id(f"▁{word}")
            if number is not None:
                embedding[number] = vector
        self.llm.lm_head.weight.copy_(_HEAD_SHARE * embedding)
        vector = words.vector
        for slot in range(settings.QUERIES):
            cell = slot // 2
            place = vector["top" if cell < 2 else "bottom"] + vector["left" if cell % 2 == 0 else "right"]
            self.queries[0, slot] += place

    def embed(self, batch: Batch, features: torch.Tensor) -> torch.Tensor:
        """Tokens, projected patches and queries as input embeddings (rows, length, width)."""
        tokens = self.llm.model.embed_tokens(batch.ids)
        rows, length, width = tokens.shape
        flat = tokens.reshape(rows * length, width)
        if len(batch.picture_positions):
            places = (batch.picture_positions[:, None] + torch.arange(settings.PATCHES)).flatten()
            patches = self.projector_in(features[batch.picture_numbers]).flatten(0, 1)
            flat = flat.index_copy(0, places, patches.to(flat.dtype))
        if len(batch.dream_positions):
            places = (batch.dream_positions[:, None] + torch.arange(settings.QUERIES)).flatten()
            queries = self.queries.expand(len(batch.dream_positions), -1, -1).flatten(0, 1)
            flat = flat.index_copy(0, places, queries.to(flat.dtype))
        return flat.view(rows, length, width)

    def states(self, batch: Batch, features: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What goes into the first layer and comes out of every one (rows, length, width); the last is normalised."""
        embedded = self.embed(batch, features)
        return self.llm.model(inputs_embeds=embedded, use_cache=False, output_hidden_states=True).hidden_states

    def outputs(self, batch: Batch, hidden: torch.Tensor):
        """Logits of the labelled positions, their labels, their weights, and the conditions of every dream."""
        labels = batch.labels[:, 1:]
        wanted = labels != IGNORED
        logits = self.llm.lm_head(hidden[:, :-1][wanted]).float()
        places = (batch.dream_positions[:, None] + torch.arange(settings.QUERIES)).flatten()
        queries = hidden.flatten(0, 1)[places].view(-1, settings.QUERIES, hidden.shape[-1])
        return logits, labels[wanted], batch.weights[:, 1:][wanted], self.projector_out(queries).float()

    def forward(self, batch: Batch, features: torch.Tensor):
        """The outputs of the last layer."""
        return self.outputs(batch, self.states(batch, features)[-1])

    def orders(self, batch: Batch, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """For every patch of a layer: its likeness to the words of `ORDINALS` (n, 4), and which picture it is of.

        Pictures after the fourth have no word and are left out.
        """
        order = batch.picture_orders()
        named = order < len(ORDINALS)
        places = (batch.picture_positions[named, None] + torch.arange(settings.PATCHES)).flatten()
        patches = functional.normalize(hidden.flatten(0, 1)[places].float(), dim=-1)
        numbers = [text_ids(word)[0] for word in ORDINALS]
        ordinals = functional.normalize(self.llm.model.embed_tokens.weight[numbers], dim=-1)
        return _SHARPNESS * patches @ ordinals.T, order[named].repeat_interleave(settings.PATCHES)

    def unconditional(self) -> torch.Tensor:
        """The condition of the unconditional sequence (1, queries, width), by the same forward that guidance uses."""
        ids = torch.tensor([unconditional_ids()])
        embeds = self.llm.model.embed_tokens(ids)
        last = 2 + settings.QUERIES
        embeds = torch.cat([embeds[:, :2], self.queries.to(embeds.dtype), embeds[:, last:]], 1)
        hidden = self.llm.model(inputs_embeds=embeds, use_cache=False).last_hidden_state
        return self.projector_out(hidden[:, 2:last]).float()
