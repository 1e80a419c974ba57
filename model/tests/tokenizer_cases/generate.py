"""Writes what sentencepiece itself says about random texts and random ids.

    python generate.py path/to/tokenizer.model OUT.json

`decode` follows LlamaTokenizer (transformers 4.35.2) with skip_special_tokens=True: the first token loses
one "▁", then sentencepiece decodes the pieces.
"""
import json
import random
import sys

import sentencepiece

model = sentencepiece.SentencePieceProcessor(model_file=sys.argv[1])
rng = random.Random(20240101)
# Surfaces with spaces, marks, controls typed as text, every UTF-8 length, and look-alikes of byte pieces.
ALPHABET = list("abcdefghijklmnopqrstuvwxyz") * 2 + list("ABEIOTUS .,:;!?'\"<>/[]_0123456789") + [
    " ", " ", " ", "  ", "   ", "\n", "\t", "\0", "▁", "é", "e\u0301", "ß", "日", "本", "🦊", "👩‍👩‍👧", "\u200d",
    "the", " the ", "and", "he", "ing", " a", "<s>", "</s>", "<unk>", "<0x0A>", "<0xE2>", "USER:", "ASSISTANT:",
    "aaaa", "hehehe", "nnnn", "ererer", "anana", "ththth",
]
texts = ["".join(rng.choice(ALPHABET) for _ in range(rng.randint(0, 40))) for _ in range(600)]
texts += ["abab" * 20, "he" * 33, "a" * 300, " " * 50, "▁" * 9, "  lead", "trail  ", "\u2028\u00a0\u3000x"]


def is_special(i):
    return model.is_control(i) or model.is_unknown(i)


def decode(ids):
    pieces = [model.id_to_piece(i) for i in ids if not is_special(i)]
    if not pieces:
        return ""
    if pieces[0].startswith("▁"):
        pieces[0] = pieces[0][1:]
    return model.decode_pieces([p for p in pieces if p != ""])


size = model.get_piece_size()
byte_ids = [i for i in range(size) if model.is_byte(i)]
sequences = []
for _ in range(600):
    length = rng.randint(0, 14)
    mix = rng.random()
    sequences.append([rng.choice(byte_ids) if rng.random() < mix else rng.randrange(size) for _ in range(length)])
for char in "é日🦊":  # whole characters in byte pieces, and every truncation of them
    spelled = [model.piece_to_id(f"<0x{b:02X}>") for b in char.encode()]
    for cut in range(1, len(spelled) + 1):
        sequences.append(spelled[:cut] + [model.piece_to_id("▁a")] + spelled[:cut])
json.dump(
    {
        "encode": [[t, model.encode(t)] for t in texts],
        "decode": [[ids, decode(ids)] for ids in sequences],
    },
    open(sys.argv[2], "w"),
    ensure_ascii=True,
    separators=(",", ":"),
)
