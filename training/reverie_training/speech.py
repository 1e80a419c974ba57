"""How people put requests: one thing, several, a background, and how the whole is typed. Knows no task.

The tables of `phrases` hold what is varied; here their slots are filled and the pieces put together.
"""

from __future__ import annotations

import random
import re

from . import words
from .phrases import groups, slips, wishes
from .scenes import Thing

_OWN = 0.4  # share of a task's own few phrasings, which are the plainest; else one of the collection
_BEFORE, _AFTER, _REASON, _SHORT, _SLIPS = 0.1, 0.08, 0.02, 0.03, 0.07  # shares of requests
_QUESTION = re.compile(
    r"(can|could|would|what|which|is|are|do|does|did|how|where|who|has|have|any|whats|what's|will)\b"
)
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def phrase(own: tuple[str, ...], collected: tuple[str, ...], rng: random.Random) -> str:
    """A phrasing of a task's own or of the collection."""
    return rng.choice(own if not collected or (own and rng.random() < _OWN) else collected)


# ---------------------------------------------------------------- what is wished for


def slots(thing: Thing, rng: random.Random, cell: int | None = None) -> dict[str, str]:
    """Everything that a phrase may say of one thing."""
    shape, colour, size = words.shape(thing.shape, rng), words.colour(thing.colour, rng), words.size(thing.size, rng)
    filled = {"shape": shape, "shapes": words.plural(shape), "colour": colour, "size": size}
    filled |= {f"a_{name}": words.article(filled[name]) for name in ("shape", "colour", "size")}
    if cell is not None:
        filled |= {"place": words.place(cell, rng), "corner": words.corner(cell, rng)}
    return filled


def one(thing: Thing, rng: random.Random, sized: bool, cell: int | None = None) -> str:
    """One thing with its article, its size and its place, in any order."""
    if rng.random() < 0.55:
        spoken = words.article(words.spoken(thing, rng, sized))
        return spoken if cell is None else f"{spoken} {words.place(cell, rng)}"
    if cell is None:
        table = wishes.ONE_SIZED if sized else wishes.ONE_PLAIN
    else:
        table = wishes.ONE_SIZED_PLACED if sized else wishes.ONE_PLACED
    return rng.choice(table).format(**slots(thing, rng, cell))


def several(texts: list[str], rng: random.Random) -> str:
    """One to four things as a list."""
    if len(texts) == 1 or rng.random() < 0.5:
        return words.listed(texts)
    table = (groups.LIST_TWO, groups.LIST_THREE, groups.LIST_FOUR)[len(texts) - 2]
    return rng.choice(table).format(**dict(zip(("one", "two", "three", "four"), texts, strict=False)))


def ground_slots(ground: str, rng: random.Random) -> dict[str, str]:
    """A background with and without its article."""
    spoken = words.background(ground, rng)
    return {"ground": spoken, "a_ground": words.article(spoken)}


def on(ground: str, rng: random.Random) -> str:
    """A background after what stands on it, with the space between."""
    if rng.random() < 0.5:
        return " " + words.on_background(ground, rng)
    return rng.choice(wishes.GROUND_TAIL).format(**ground_slots(ground, rng))


def on_top(text: str, ground: str, rng: random.Random) -> str:
    """A background before what stands on it."""
    return rng.choice(wishes.GROUND_HEAD).format(it=text, **ground_slots(ground, rng))


# ---------------------------------------------------------------- how it is typed


def request(template: str, rng: random.Random, **values: str) -> str:
    """A filled phrase as people type it: politeness, casing, punctuation, short forms and slips vary."""
    text = re.sub(r"\s+", " ", template.format(**values)).strip()
    asks = text.endswith("?") or _QUESTION.match(text.lower()) is not None
    mark = "" if text[-1] in ".?!" else "?" if asks else "."
    text = words.sentence_case(_chatty(text, mark, rng))
    return _mistyped(_casual(text, rng), rng)


def _chatty(text: str, mark: str, rng: random.Random) -> str:
    """The text with its closing mark, and what people say before or after."""
    chance = rng.random()
    if chance < _BEFORE:
        begin = text if text.startswith(("I ", "I'")) else text[0].lower() + text[1:]
        return rng.choice(rng.choice((slips.POLITE_BEFORE, slips.FILLERS))) + begin + mark
    if chance < _BEFORE + _AFTER:
        after = rng.choice(slips.POLITE_AFTER)
        if after[0] == ".":
            return text + (mark or "") + after[1:] + rng.choice(("", "."))
        return text.rstrip(".?!") + after + (mark or text[-1])
    if chance < _BEFORE + _AFTER + _REASON:
        return f"{text}{mark} {words.sentence_case(rng.choice(slips.REASONS))}."
    return text + mark


def _casual(text: str, rng: random.Random) -> str:
    chance = rng.random()
    if chance < 0.2:
        text = text.lower()
    elif chance < 0.22:
        text = text.upper()
    chance = rng.random()
    if chance < 0.2:
        text = text.rstrip(".?!") or text
    elif chance < 0.23:
        text = text.rstrip(".") + "!" if text.endswith(".") else text
    elif chance < 0.25:
        text = text + text[-1] if text[-1] in "?!" else text
    elif chance < 0.28:
        text = text.replace(",", "")
    return text


def _mistyped(text: str, rng: random.Random) -> str:
    if rng.random() < _SHORT:
        long = [name for name in slips.SHORTHAND if re.search(rf"\b{name}\b", text)]
        if long:
            name = rng.choice(long)
            text = re.sub(rf"\b{name}\b", rng.choice(slips.SHORTHAND[name]).replace("\\", ""), text, count=1)
    if rng.random() < _SLIPS:
        for _ in range(rng.choice((1, 1, 2))):
            text = _slip(text, rng)
    return text


def _slip(text: str, rng: random.Random) -> str:
    """One word misspelt: as people often do, or by a letter lost, doubled or in the wrong order."""
    found = [match for match in re.finditer(r"[A-Za-z]{3,}", text)]
    known = [match for match in found if match[0].lower() in slips.TYPOS]
    if known and rng.random() < 0.8:
        match = rng.choice(known)
        wrong = rng.choice(slips.TYPOS[match[0].lower()])
    else:
        long = [match for match in found if len(match[0]) > 4]
        if not long:
            return text
        match = rng.choice(long)
        word, spot = match[0], rng.randrange(1, len(match[0]) - 1)
        wrong = rng.choice(
            (
                word[:spot] + word[spot + 1 :],
                word[:spot] + word[spot] + word[spot:],
                word[:spot] + word[spot + 1] + word[spot] + word[spot + 2 :],
                word[:spot] + rng.choice(_ALPHABET) + word[spot + 1 :],
            )
        )
    wrong = wrong.upper() if match[0].isupper() and len(match[0]) > 1 else wrong
    return text[: match.start()] + wrong + text[match.end() :]
