"""Documents in which a picture is changed by words, and the changes themselves."""

from __future__ import annotations

import random
from dataclasses import dataclass

from .. import speech, words
from ..documents import Document, Dream, End, Picture, Text, turn
from ..phrases.changing import AGAIN, EDITS, REFERENCE, TWO_EDITS, UNDO
from ..sampling import random_scene, random_thing
from ..scenes import BACKGROUND_NAMES, COLOUR_NAMES, PLACES, SHAPES, SIZES, Scene, Thing
from ..splits import pair_fits
from . import answers, regrouping
from .answers import SIDES
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
_SHIFTS = ("move {it} {way}", "shift {it} {way}", "push {it} {way}", "slide {it} {way}", "put {it} {way}", "please move {it} {way}",
           "can you move {it} {way}", "could you shift {it} {way}", "{it} should go {way}", "let {it} go {way}", "I want {it} moved {way}")  # fmt: skip
_TRIES = 8  # at finding two changes that go together: four equal shapes allow none
_LAST_PLACE = (
    "in the empty corner",
    "in the free corner",
    "where nothing is yet",
    "in the last free place",
    "in the empty quarter",
    "in the only empty spot",
)
SIDE_WORDS = {
    "above": ("above", "over", "on top of", "directly above"),
    "below": ("below", "under", "beneath", "underneath", "directly under"),
    "left of": ("left of", "to the left of", "on the left of"),
    "right of": ("right of", "to the right of", "on the right of"),
}


@dataclass(frozen=True)
class Edit:
    """One change of a scene: of the thing in `cell`, to what `thing`, `target` or `background` say."""

    kind: str
    cell: int = 0
    thing: Thing | None = None
    target: int = 0
    background: str = ""

    def cells(self) -> set[int]:
        """Those that the change is about; none for the background."""
        return set() if self.kind == "background" else {self.cell, self.target if self.kind == "move" else self.cell}

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


Step = tuple[Scene, Edit, Scene]  # before and after


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
    fits = ["both", "both", "both", "place", "both and place", "all", "shape and place", "colour and place"]
    if len(scene.things) == 1:
        fits += ["alone"] * 4
    for attribute, times in (("shape", 3), ("colour", 3), ("size", 1)):
        if (cell, thing) in unique(scene, lambda one, name=attribute: getattr(one, name)):
            fits += [attribute] * times
    if (cell, thing) not in unique(scene, lambda one: one[:2]):
        fits = ["place", "both and place"]
    values = speech.slots(thing, rng, cell)
    if sides := _neighbours(scene, cell):
        fits.append("neighbour")
        values["side"], other = rng.choice(sides)
        values["other"] = words.spoken(other, rng)
    kind = rng.choice(fits)
    return rng.choice(REFERENCE[kind][: rng.choice((1, 3, 100))]).format(**values)


def _neighbours(scene: Scene, cell: int) -> list[tuple[str, Thing]]:
    """Things named unmistakably, and at which side of them this cell is the only one that is taken."""
    found = []
    for other, thing in unique(scene, lambda one: one[:2]):
        for side, holds in SIDES.items():
            taken = [spot for spot in scene.things if holds(spot, other)]
            if taken == [cell] and answers.neighbour(other, side) == cell:
                found.append((side, thing))
    return found


def wording(edit: Edit, scene: Scene, rng: random.Random) -> tuple[str, Edit]:
    """The wish before it is typed, and the edit made to agree with what was left unsaid."""
    values: dict[str, str] = {}
    table = edit.kind
    if edit.kind == "background":
        values |= speech.ground_slots(edit.background, rng)
    elif edit.kind != "add":
        values["it"] = reference(scene, edit.cell, rng)
    if edit.kind in ("add", "replace"):
        edit = _completed(edit, scene, rng, values)
    elif edit.thing is not None:
        values |= {name: text for name, text in speech.slots(edit.thing, rng).items() if name != "it"}
        values["sizer"], values["grow"] = words.sizer(edit.thing.size, rng), words.grow(edit.thing.size, rng)
        if edit.kind == "resize" and rng.random() < 0.15:
            table = f"resize {edit.thing.size}"
    if edit.kind == "move":
        values["corner"] = words.corner(edit.target, rng)
        if rng.random() < 0.25:
            return rng.choice(_SHIFTS).format(way=_way(edit, rng), **values), edit
    return speech.phrase(PHRASES.get(table, ()), EDITS[table], rng).format(**values), edit


def _way(edit: Edit, rng: random.Random) -> str:
    """down, to the right: where a thing goes, seen from where it is."""
    (row, column), (new_row, new_column) = divmod(edit.cell, 2), divmod(edit.target, 2)
    upright = "" if row == new_row else "down" if row < new_row else "up"
    level = "" if column == new_column else "to the right" if column < new_column else "to the left"
    if upright and level:
        return rng.choice(
            (f"{upright} and {level}", f"{level} and {upright}", "to the opposite corner", "diagonally across")
        )
    if level:
        return rng.choice((level, level.removeprefix("to the "), f"over {level}", f"{level} side", f"{level} half"))
    return rng.choice(
        (upright, f"straight {upright}", "to the bottom" if upright == "down" else "to the top", f"{upright} one place")
    )


def _completed(edit: Edit, scene: Scene, rng: random.Random, values: dict[str, str]) -> Edit:
    """A size left unsaid is large, or the replaced thing's; a place left unsaid is the first free cell."""
    thing, cell = edit.thing, edit.cell
    sized = rng.random() < 0.6
    if not sized:
        unsaid = "large" if edit.kind == "add" else scene.things[cell].size
        thing = thing._replace(size=unsaid)
    values["place"] = words.place(cell, rng)
    if edit.kind == "add":
        free = [spot for spot in range(4) if spot not in scene.things]
        chance = rng.random()
        if chance < 0.2:
            cell, values["place"] = free[0], ""
        elif chance < 0.35 and len(free) == 1:
            values["place"] = rng.choice(_LAST_PLACE)
        elif chance < 0.6:
            values["place"] = _beside(scene, cell, rng) or values["place"]
    values["a_thing"] = words.article(words.spoken(thing, rng, sized))
    return Edit(edit.kind, cell, thing, edit.target, edit.background)


def _beside(scene: Scene, cell: int, rng: random.Random) -> str | None:
    """A free cell as seen from a thing that is directly beside it."""
    near = [
        (side, other)
        for other, thing in unique(scene, lambda one: one[:2])
        for side in SIDES
        if answers.neighbour(other, side) == cell
    ]
    if not near:
        return None
    side, other = rng.choice(near)
    return f"{rng.choice(SIDE_WORDS[side])} {reference(scene, other, rng)}"


def draws(scene: Scene, said: str = HERE) -> list:
    """The assistant's answer by a picture."""
    return [Text(said, True), Dream(scene), End()]


def announced(steps: list[Step]) -> str:
    """What the assistant says before it draws a change: which things are meant, where they are, what becomes of them."""
    said = [_announcement(edit, before) for before, edit, _ in steps]
    return said[0] + "".join(f", {one[0].lower()}{one[1:]}" for one in said[1:]) + ":"


def _announcement(edit: Edit, scene: Scene) -> str:
    if edit.kind == "background":
        return f"The background becomes {edit.background}"
    if edit.kind == "add":
        return f"The {PLACES[edit.cell]} gets {words.full_name(edit.thing)}"
    who = f"The {words.name(scene.things[edit.cell])} at the {PLACES[edit.cell]}"
    match edit.kind:
        case "recolour":
            return f"{who} becomes {edit.thing.colour}"
        case "reshape":
            return f"{who} becomes a {edit.thing.shape}"
        case "resize":
            return f"{who} becomes {edit.thing.size}"
        case "move":
            return f"{who} moves to the {PLACES[edit.target]}"
        case "replace":
            return f"{who} becomes {words.full_name(edit.thing)}"
        case "remove":
            return f"{who} leaves"
    raise ValueError(edit.kind)


def single(scene: Scene, rng: random.Random, fold_name: str) -> tuple[str, list[Step]]:
    """A wish for one change, and the change."""
    while True:
        text, edit = wording(random_edit(scene, rng, fold_name), scene, rng)
        target = edit.apply(scene, rng)
        if target.key != scene.key:
            return text, [(scene, edit, target)]


def _double(scene: Scene, rng: random.Random, fold_name: str) -> tuple[str, list[Step]] | None:
    """Two wishes in one turn; both name things as they are before. Nothing where two found do not go together."""
    for _ in range(_TRIES):
        first, steps = single(scene, rng, fold_name)
        second, more = single(scene, rng, fold_name)
        (_, one, middle), (_, two, _) = steps[0], more[0]
        apart = one.kind != two.kind if "background" in (one.kind, two.kind) else not one.cells() & two.cells()
        if apart and (target := two.apply(middle, rng)).key != middle.key:
            first, second = first.rstrip(".!?"), second.rstrip(".!?")
            text = rng.choice(TWO_EDITS).format(first=first, second=second)
            return text, [*steps, (middle, two, target)]
    return None


def change(scene: Scene, rng: random.Random, fold_name: str) -> tuple[str, list[Step]]:
    """A wish for a change of a scene, and its steps: scene before, edit, scene after."""
    chance = rng.random()
    found = None
    if chance < 0.12:
        found = _double(scene, rng, fold_name)
    elif chance < 0.28:
        found = regrouping.change(scene, rng, fold_name)
    return found or single(scene, rng, fold_name)


def edit_turn(scene: Scene, rng: random.Random, fold_name: str, picture: list[Picture]) -> tuple[list, list[Step]]:
    """One turn that changes a scene, with its answer, and the steps of the change."""
    text, steps = change(scene, rng, fold_name)
    text = speech.request("{it}", rng, it=text)
    parts = ask_about(picture, text, rng) if picture else turn(text)
    return parts + draws(steps[-1][-1], announced(steps)), steps


def make(rng: random.Random, fold_name: str) -> Document:
    """A picture and one to three changes, each of the picture drawn before; sometimes one is undone."""
    scene = random_scene(rng, fold_name, 2 if rng.random() < 0.6 else 1, 4)
    parts, edits = edit_turn(scene, rng, fold_name, [Picture(scene)])
    kind = edits[0][1].kind if len(edits) == 1 else "several"
    seen = [scene, edits[-1][-1]]
    for _ in range(rng.choices((0, 1, 2), (5, 4, 1))[0]):
        chance = rng.random()
        if chance < 0.12:
            again = chance < 0.04
            shown = seen[-1 if again else -2]
            parts += turn(speech.request(rng.choice(AGAIN if again else UNDO), rng)) + draws(
                shown, words.caption(shown)
            )
            break
        more, steps = edit_turn(seen[-1], rng, fold_name, [])
        parts += more
        edits += steps
        seen.append(steps[-1][-1])
    return Document("editing", kind, parts, {"edits": edits})
