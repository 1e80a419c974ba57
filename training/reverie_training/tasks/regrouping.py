"""Several changes at once: of all of a kind, of a side, of the empty corners, of two that change places, of one twice.

Each is a sequence of single edits, of which every one changes the scene.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from .. import speech, words
from ..sampling import random_thing
from ..scenes import Scene, Thing
from . import editing
from .answers import HALVES
from .questions import unique

_ALL = (
    "all the shapes",
    "all shapes",
    "all of them",
    "everything",
    "every shape",
    "all things",
    "each shape",
    "the shapes",
    "them all",
    "all the objects",
)
_BOTH = ("both shapes", "both", "both of them", "the two shapes", "all of them", "both things", "the shapes")
_RECOLOUR = ("make {them} {colour}", "paint {them} {colour}", "turn {them} {colour}", "color {them} {colour}", "recolour {them} to {colour}", "change {them} to {colour}",
             "I want {them} {colour}", "{them} should be {colour}", "can you make {them} {colour}", "let {them} be {colour}", "{them} in {colour} please")  # fmt: skip
_RESHAPE = ("turn {them} into {shapes}", "make {them} {shapes}", "change {them} into {shapes}", "{them} should be {shapes}", "I want {them} to be {shapes}",
            "could you turn {them} into {shapes}", "let {them} be {shapes}", "replace {them} with {shapes}")  # fmt: skip
_RESIZE = ("make {them} {size}", "make {them} {sizer}", "{them} should be {size}", "{grow} {them}", "can you make {them} {sizer}", "I want {them} {size}",
           "change the size of {them} to {size}", "let {them} be {size}")  # fmt: skip
_REMOVE = ("remove {them}", "delete {them}", "take {them} away", "get rid of {them}", "erase {them}", "{them} should go", "please remove {them}", "take out {them}",
           "the same picture without {them}", "I don't want {them}")  # fmt: skip
_FILL = ("fill the empty corners with {things}", "put {things} in the empty corners", "add {things} in all free corners", "fill the free quarters with {things}",
         "fill the rest with {things}", "put {a_thing} in every empty corner", "{things} in the empty places please", "add {a_thing} wherever nothing is")  # fmt: skip
_SWAP = ("swap {one} and {two}", "switch the places of {one} and {two}", "let {one} and {two} change places", "exchange {one} and {two}", "swap the positions of {one} and {two}",
         "put {one} where {two} is and the other way round", "{one} and {two} should trade places", "can you swap {one} with {two}")  # fmt: skip

# Two changes of one thing; what the second says depends on its kind.
_TWICE = ("make {it} {first} and {second}", "make {it} {first} and {second} please", "{it} should be {first} and {second}", "turn {it} {first} and {second}",
          "I want {it} {first} and {second}", "can you make {it} {first} and {second}", "make {it} {first}, and {second}", "let {it} be {first} and also {second}")  # fmt: skip
_THEN_MOVE = ("make {it} {first} and move it to the {corner}", "turn {it} {first} and put it in the {corner}", "make {it} {first}, then move it to the {corner}",
              "{it} should be {first} and at the {corner}", "move {it} to the {corner} and make it {first}", "put {it} in the {corner} and make it {first}",
              "I want {it} {first} and in the {corner}", "color {it} {first} and move it to the {corner}")  # fmt: skip
_ANEW = ("make {it} a {colour} {shape}", "turn {it} into a {colour} {shape}", "make {it} {a_shape}, a {colour} one", "change {it} into {a_shape} and make it {colour}",
         "turn {it} into {a_shape}, {colour} please", "{it} should be a {colour} {shape}", "make {it} {colour} and {a_shape}", "let {it} become a {colour} {shape}")  # fmt: skip

Steps = list[tuple[Scene, "editing.Edit", Scene]]


def change(scene: Scene, rng: random.Random, fold_name: str) -> tuple[str, Steps] | None:
    """A wish for such a change and its steps; nothing where the scene does not allow the one drawn."""
    return rng.choice((_restyle, _restyle, _restyle, _remove, _fill, _swap, _twice, _twice))(scene, rng, fold_name)


def _steps(scene: Scene, edits: list[editing.Edit], fold_name: str, rng: random.Random) -> Steps | None:
    """The edits in order, without those that change nothing; nothing where none does or a step leaves the fold."""
    steps: Steps = []
    for edit in edits:
        after = edit.apply(scene, rng)
        if after.key == scene.key:
            continue
        if not all(editing.pair_fits(thing, fold_name) for thing in after.things.values()):
            return None
        steps.append((scene, edit, after))
        scene = after
    return steps or None


def _some(scene: Scene, rng: random.Random) -> tuple[str, list[int]] | None:
    """Several things under one name, and their cells."""
    things = scene.things
    if len(things) < 2:
        return None
    chance = rng.random()
    if chance < 0.5:
        return rng.choice(_BOTH if len(things) == 2 else _ALL), list(things)
    if chance < 0.65:
        half = rng.choice(list(HALVES))
        cells = [cell for cell in HALVES[half] if cell in things]
        named = rng.choice(("everything", "all the shapes", "the shapes")) + " " + words.side(half, rng)
    else:
        one = rng.choice(list(things.values()))
        by_shape = rng.random() < 0.5
        cells = [
            cell
            for cell, thing in things.items()
            if (thing.shape == one.shape if by_shape else thing.colour == one.colour)
        ]
        many = (
            words.plural(words.shape(one.shape, rng))
            if by_shape
            else f"{words.colour(one.colour, rng)} {rng.choice(('shapes', 'ones', 'things'))}"
        )
        named = rng.choice(("all the", "the", "both" if len(cells) == 2 else "all", "every one of the")) + " " + many
    return (named, cells) if len(cells) > 1 else None


def _restyle(scene: Scene, rng: random.Random, fold_name: str) -> tuple[str, Steps] | None:
    found = _some(scene, rng)
    if found is None:
        return None
    them, cells = found
    new = random_thing(rng, fold_name)
    values = speech.slots(new, rng) | {"sizer": words.sizer(new.size, rng), "grow": words.grow(new.size, rng)}
    styles: dict[str, tuple[tuple[str, ...], Callable[[Thing], Thing]]] = {
        "recolour": (_RECOLOUR, lambda one: one._replace(colour=new.colour)),
        "resize": (_RESIZE, lambda one: one._replace(size=new.size)),
        "reshape": (_RESHAPE, lambda one: one._replace(shape=new.shape)),
    }
    kind = rng.choices(list(styles), (3, 2, 1))[0]
    table, restyled = styles[kind]
    steps = _steps(scene, [editing.Edit(kind, cell, restyled(scene.things[cell])) for cell in cells], fold_name, rng)
    return steps and (rng.choice(table).format(them=them, **values), steps)


def _remove(scene: Scene, rng: random.Random, fold_name: str) -> tuple[str, Steps] | None:
    found = _some(scene, rng)
    if found is None:
        return None
    steps = _steps(scene, [editing.Edit("remove", cell) for cell in found[1]], fold_name, rng)
    return steps and (rng.choice(_REMOVE).format(them=found[0]), steps)


def _fill(scene: Scene, rng: random.Random, fold_name: str) -> tuple[str, Steps] | None:
    free = [cell for cell in range(4) if cell not in scene.things]
    if len(free) not in (2, 3):
        return None
    thing, sized = random_thing(rng, fold_name), rng.random() < 0.5
    thing = thing if sized else thing._replace(size="large")
    steps = _steps(scene, [editing.Edit("add", cell, thing) for cell in free], fold_name, rng)
    things, a_thing = words.plural_name(thing, rng, sized), words.article(words.spoken(thing, rng, sized))
    return steps and (rng.choice(_FILL).format(things=things, a_thing=a_thing), steps)


def _swap(scene: Scene, rng: random.Random, fold_name: str) -> tuple[str, Steps] | None:
    named = unique(scene, lambda one: one[:2])
    if len(named) < 2:
        return None
    (one, first), (two, second) = rng.sample(named, 2)
    text = rng.choice(_SWAP).format(one=editing.reference(scene, one, rng), two=editing.reference(scene, two, rng))
    steps = _steps(scene, [editing.Edit("replace", one, second), editing.Edit("replace", two, first)], fold_name, rng)
    return (text, steps) if steps and len(steps) == 2 else None


def _twice(scene: Scene, rng: random.Random, fold_name: str) -> tuple[str, Steps] | None:
    """Two changes of one thing: a colour and a size, a colour and a place, a shape and a colour."""
    if not scene.things:
        return None
    cell, thing = rng.choice(list(scene.things.items()))
    new = random_thing(rng, fold_name)
    free = [spot for spot in range(4) if spot not in scene.things]
    recoloured = thing._replace(colour=new.colour)
    edits = [editing.Edit("recolour", cell, recoloured)]
    values = speech.slots(new, rng, rng.choice(free) if free else cell) | {"it": editing.reference(scene, cell, rng)}
    kind = rng.choice(("sized", "moved", "anew"))
    if kind == "sized":
        edits.append(editing.Edit("resize", cell, recoloured._replace(size=new.size)))
        both = [values["colour"], values["size"]]
        rng.shuffle(both)
        text = rng.choice(_TWICE).format(first=both[0], second=both[1], **values)
    elif kind == "moved" and free:
        target = rng.choice(free)
        values["corner"] = words.corner(target, rng)
        edits.append(editing.Edit("move", cell, target=target))
        text = rng.choice(_THEN_MOVE).format(first=values["colour"], **values)
    else:
        edits.append(editing.Edit("reshape", cell, recoloured._replace(shape=new.shape)))
        text = rng.choice(_ANEW).format(**values)
    steps = _steps(scene, edits, fold_name, rng)
    return (text, steps) if steps and len(steps) == 2 else None
