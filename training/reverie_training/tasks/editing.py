"""Documents in which a picture is changed by words, and the changes themselves."""

from __future__ import annotations

import random
from dataclasses import dataclass

from .. import words
from ..documents import Document, Dream, End, Picture, Text, turn
from ..sampling import random_scene, random_thing
from ..scenes import BACKGROUND_NAMES, COLOUR_NAMES, SHAPES, SIZES, Scene, Thing
from ..splits import pair_fits
from .captions import ask_about
from .questions import unique

HERE = "Here is the picture:"

PHRASES: dict[str, tuple[str, ...]] = {
    "recolour": (
        "make {it} {colour}", "color {it} {colour}", "paint {it} {colour}", "turn {it} {colour}", "change the color of {it} to {colour}",
        "please make {it} {colour}", "{it} should be {colour}", "I want {it} to be {colour}", "can you make {it} {colour}",
        "change {it} to {colour}", "now make {it} {colour}", "recolor {it} to {colour}",
    ),
    "reshape": (
        "turn {it} into {a_shape}", "make {it} {a_shape}", "change {it} into {a_shape}", "change {it} to {a_shape}",
        "please turn {it} into {a_shape}", "{it} should be {a_shape}", "I want {it} to be {a_shape}", "can you turn {it} into {a_shape}",
        "transform {it} into {a_shape}",
    ),
    "resize": (
        "make {it} {size}", "make {it} {sizer}", "please make {it} {sizer}", "{it} should be {size}", "can you make {it} {sizer}",
        "change the size of {it} to {size}", "I want {it} {sizer}", "resize {it} to {size}", "{grow} {it}", "now make {it} {size}",
    ),
    "move": (
        "move {it} to the {corner}", "put {it} in the {corner}", "move {it} to the {corner} corner", "please move {it} to the {corner}",
        "can you move {it} to the {corner}", "place {it} at the {corner}", "{it} should be at the {corner}", "shift {it} to the {corner}",
        "I want {it} at the {corner}",
    ),
    "add": (
        "add {a_thing} {place}", "put {a_thing} {place}", "draw {a_thing} {place} too", "also add {a_thing} {place}",
        "please add {a_thing} {place}", "can you add {a_thing} {place}", "I also want {a_thing} {place}", "insert {a_thing} {place}",
        "place {a_thing} {place}",
    ),
    "remove": (
        "remove {it}", "delete {it}", "take away {it}", "please remove {it}", "erase {it}", "can you remove {it}", "get rid of {it}",
        "take {it} out", "I don't want {it}", "drop {it}",
    ),
    "replace": (
        "replace {it} with {a_thing}", "replace {it} by {a_thing}", "put {a_thing} in place of {it}", "swap {it} for {a_thing}",
        "please replace {it} with {a_thing}", "can you replace {it} with {a_thing}", "exchange {it} for {a_thing}",
        "instead of {it} draw {a_thing}",
    ),
    "background": (
        "change the background to {ground}", "make the background {ground}", "use {a_ground} background", "{ground} background please",
        "set the background to {ground}", "the background should be {ground}", "can you make the background {ground}",
        "put it on {a_ground} background", "turn the background {ground}", "I want {a_ground} background",
    ),
}  # fmt: skip
_BIGGER, _SMALLER = ("bigger", "larger"), ("smaller",)


@dataclass(frozen=True)
class Edit:
    """One change of a scene: of the thing in `cell`, to what `thing`, `target` or `background` say."""

    kind: str
    cell: int = 0
    thing: Thing | None = None
    target: int = 0
    background: str = ""

    def apply(self, scene: Scene, rng: random.Random) -> Scene:
        """The changed scene; what does not change keeps its jitter."""
        things, jitter, ground = dict(scene.things), dict(scene.jitter), scene.background
        match self.kind:
            case "background":
                ground = self.background
            case "remove":
                del things[self.cell]
            case "move":
                things[self.target], jitter[self.target] = things.pop(self.cell), jitter.pop(self.cell)
            case _:
                things[self.cell] = self.thing
        return Scene(things, ground, rng, jitter)


def random_edit(scene: Scene, rng: random.Random, fold_name: str, kinds: tuple[str, ...] = tuple(PHRASES)) -> Edit:
    """A change that this scene allows and that changes it, about a thing that can be named unmistakably."""
    free = [cell for cell in range(4) if cell not in scene.things]
    named = unique(scene, lambda thing: thing[:2])
    while True:
        kind = rng.choice(kinds)
        if kind == "background":
            return Edit(kind, background=rng.choice([name for name in BACKGROUND_NAMES if name != scene.background]))
        if kind == "add":
            if free:
                return Edit(kind, rng.choice(free), random_thing(rng, fold_name))
            continue
        if not named:
            kinds = tuple(kind for kind in kinds if kind in ("add", "background")) or ("background",)
            continue
        cell, thing = rng.choice(named)
        if kind == "remove":
            return Edit(kind, cell)
        if kind == "move":
            if free:
                return Edit(kind, cell, target=rng.choice(free))
            continue
        changed = _changed(kind, thing, rng, fold_name)
        if changed is not None:
            return Edit(kind, cell, changed)


def _changed(kind: str, thing: Thing, rng: random.Random, fold_name: str) -> Thing | None:
    match kind:
        case "recolour":
            other = thing._replace(colour=rng.choice(COLOUR_NAMES))
        case "reshape":
            other = thing._replace(shape=rng.choice(SHAPES))
        case "resize":
            other = thing._replace(size=SIZES[1 - SIZES.index(thing.size)])
        case _:
            other = random_thing(rng, fold_name)
    return other if other != thing and pair_fits(other, fold_name) else None


def reference(scene: Scene, cell: int, rng: random.Random) -> str:
    """Words that mean the thing in this cell and no other."""
    thing = scene.things[cell]
    ways = [f"the {words.spoken(thing, rng)}"] * 4
    if len(scene.things) == 1:
        ways += ["it"] * 4
    if (cell, thing) in unique(scene, lambda one: one.shape):
        ways += [f"the {words.shape(thing.shape, rng)}"] * 2
    if (cell, thing) in unique(scene, lambda one: one.colour):
        colour = words.colour(thing.colour, rng)
        ways += [f"the {colour} one", f"the {colour} shape"]
    ways.append(f"the shape {words.place(cell, rng)}")
    return rng.choice(ways)


def wording(edit: Edit, scene: Scene, rng: random.Random) -> tuple[str, Edit]:
    """The wish as typed, and the edit made to agree with what was left unsaid."""
    values: dict[str, str] = {}
    if edit.kind == "background":
        values["ground"] = words.background(edit.background, rng)
        values["a_ground"] = words.article(values["ground"])
    elif edit.kind != "add":
        values["it"] = reference(scene, edit.cell, rng)
    if edit.kind in ("add", "replace"):
        edit = _completed(edit, scene, rng, values)
    elif edit.thing is not None:
        values["colour"] = words.colour(edit.thing.colour, rng)
        values["a_shape"] = words.article(words.shape(edit.thing.shape, rng))
        values["size"] = words.size(edit.thing.size, rng)
        large = edit.thing.size == "large"
        values["sizer"] = rng.choice(_BIGGER if large else _SMALLER)
        values["grow"] = rng.choice(("enlarge", "grow") if large else ("shrink",))
    if edit.kind == "move":
        values["corner"] = words.place(edit.target, rng).removesuffix(" corner").split("the ", 1)[1]
    phrase = rng.choice(PHRASES[edit.kind])
    return words.request(phrase, rng, **values), edit


def _completed(edit: Edit, scene: Scene, rng: random.Random, values: dict[str, str]) -> Edit:
    """A size left unsaid is large, or the replaced thing's; a place left unsaid is the first free cell."""
    thing, cell = edit.thing, edit.cell
    sized = rng.random() < 0.6
    if not sized:
        unsaid = "large" if edit.kind == "add" else scene.things[cell].size
        thing = thing._replace(size=unsaid)
    values["place"] = words.place(cell, rng)
    if edit.kind == "add" and rng.random() < 0.25:
        cell = min(free for free in range(4) if free not in scene.things)
        values["place"] = ""
    values["a_thing"] = words.article(words.spoken(thing, rng, sized))
    return Edit(edit.kind, cell, thing, edit.target, edit.background)


def draws(scene: Scene, said: str = HERE) -> list:
    """The assistant's answer by a picture."""
    return [Text(said, True), Dream(scene), End()]


def edit_turn(scene: Scene, rng: random.Random, fold_name: str, picture: list[Picture]) -> tuple[list, Scene, Edit]:
    """One turn that changes a scene: its parts, the scene afterwards, the edit."""
    while True:
        text, edit = wording(random_edit(scene, rng, fold_name), scene, rng)
        target = edit.apply(scene, rng)
        if target.key != scene.key:
            break
    text = text.replace("  ", " ").replace(" .", ".").strip()
    return ask_about(picture, text, rng) if picture else turn(text), target, edit


def make(rng: random.Random, fold_name: str) -> Document:
    """A picture and a change; a third of the time a second change of the picture that was drawn."""
    scene = random_scene(rng, fold_name, 1, 4)
    parts, target, edit = edit_turn(scene, rng, fold_name, [Picture(scene)])
    parts += draws(target)
    edits = [(scene, edit, target)]
    if rng.random() < 0.3:
        more, second, edit2 = edit_turn(target, rng, fold_name, [])
        parts += more + draws(second)
        edits.append((target, edit2, second))
    return Document("editing", edit.kind, parts, {"edits": edits})
