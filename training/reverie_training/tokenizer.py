"""The vocabulary: sentencepiece BPE with byte fallback, and the same as a tokenizer.json. Knows no ids by heart."""

from __future__ import annotations

import io
import json
import random
from functools import cache
from pathlib import Path

import sentencepiece
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors

from . import settings
from .documents import Text
from .tasks import document, outside

_DOCUMENTS = 9000
_BYTE_PIECES = 256
_LETTERS = (
    "The quick brown fox jumps over the lazy dog. ABCDEFGHIJKLMNOPQRSTUVWXYZ abcdefghijklmnopqrstuvwxyz 0123456789 "
    ", . ! ? : ; ' \" - ( ) / & % + = * # @ _",
    "Here is a short sentence with plain English words so that the common letters and words have tokens of their own.",
)
FILES = ("tokenizer.model", "tokenizer.json", "tokenizer_config.json")


def corpus() -> list[str]:
    """The text that the vocabulary is learnt from: the training grammar, every letter, the honest words."""
    rng = random.Random(f"{settings.SEED}/tokenizer")
    lines = [part.text for _ in range(_DOCUMENTS) for part in document(rng, "train").parts if isinstance(part, Text)]
    return lines + list(_LETTERS) * 20 + list(outside.nouns()) * 2


def build(folder: Path) -> None:
    """Learns the vocabulary and writes the three tokenizer files."""
    folder.mkdir(parents=True, exist_ok=True)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()),
        model_writer=model,
        model_type="bpe",
        vocab_size=settings.PIECES,
        byte_fallback=True,
        character_coverage=1.0,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        add_dummy_prefix=True,
        num_threads=1,
        minloglevel=2,
    )
    (folder / "tokenizer.model").write_bytes(model.getvalue())
    _fast(model.getvalue()).save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "LlamaTokenizer",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "[PAD]",
        "add_bos_token": True,
        "add_eos_token": False,
        "legacy": False,
        "model_max_length": settings.POSITIONS,
        "clean_up_tokenization_spaces": False,
        "padding_side": "right",
        "additional_special_tokens": list(settings.CONTROL_TOKENS[1:]),
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")


def _fast(model: bytes) -> Tokenizer:
    """The same vocabulary for the tokenizers library: merges in the order in which the pieces were learnt."""
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
    names = [pieces.id_to_piece(number) for number in range(pieces.get_piece_size())]
    ids = {name: number for number, name in enumerate(names)}
    merges = []
    for number in range(3 + _BYTE_PIECES, len(names)):
        name = names[number]
        for cut in range(1, len(name)):
            left, right = name[:cut], name[cut:]
            if left in ids and right in ids:
                merges.append((-pieces.get_score(number), ids[left], ids[right], left, right))
    merges.sort(key=lambda merge: merge[:3])
    pairs = [(left, right) for *_, left, right in merges]
    fast = Tokenizer(models.BPE(ids, pairs, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    fast.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    fast.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    fast.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    for tokens in (("<unk>", "<s>", "</s>"), settings.CONTROL_TOKENS):
        fast.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in tokens])
    return fast


def folder() -> Path:
    """Where the tokenizer lies; built on first use."""
    place = settings.cache() / "tokenizer"
    if not all((place / name).exists() for name in FILES):
        build(place)
    return place


def files() -> list[Path]:
    """The files that a checkpoint needs."""
    return [folder() / name for name in FILES]


@cache
def load() -> Tokenizer:
    """The tokenizer, for encoding stripped segments without any control token."""
    return Tokenizer.from_file(str(folder() / "tokenizer.json"))


@cache
def token_id(token: str) -> int:
    """The id of a token that must exist."""
    number = load().token_to_id(token)
    if number is None:
        raise KeyError(token)
    return number
