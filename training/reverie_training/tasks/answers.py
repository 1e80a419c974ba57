"""What is true of one picture: the answer to a question of every kind, derived from the scene alone. Asks nothing."""

from __future__ import annotations

from collections.abc import Callable

from .. import words
from ..scenes import PLACES, Scene, Thing

SIDES: dict[str, Callable[[int, int], bool]] = {
    "above": lambda a, b: a // 2 < b // 2,
    "below": lambda a, b: a // 2 > b // 2,
    "left of": lambda a, b: a % 2 < b % 2,
    "right of": lambda a, b: a % 2 > b % 2,
}
HALVES: dict[str, tuple[int, int]] = {"left": (0, 2), "right": (1, 3), "top": (0, 1), "bottom": (2, 3)}
_BESIDE = {"above": -2, "below": 2, "left of": -1, "right of": 1}
ATTRIBUTES = ("shape", "colour", "size")


def yes(holds: bool) -> str:
    return "yes" if holds else "no"


def neighbour(cell: int, side: str) -> int | None:
    """The cell at a side of a cell, directly above, below, left or right."""
    other = cell + _BESIDE[side]
    return other if 0 <= other < 4 and SIDES[side](other, cell) else None


def cell_of(scene: Scene, thing: Thing) -> int:
    """Where the thing of this shape and colour is; there must be one."""
    return next(cell for cell, one in scene.things.items() if one[:2] == thing[:2])


def first(scene: Scene, thing: Thing, attribute: str) -> tuple[int, Thing]:
    """The first thing that has an attribute of this one."""
    wanted = getattr(thing, attribute)
    return next(pair for pair in scene.things.items() if getattr(pair[1], attribute) == wanted)


def number(scene: Scene, holds: Callable[[Thing], bool]) -> str:
    return words.NUMBERS[sum(holds(one) for one in scene.things.values())]


def related(cell: int, other: int) -> str:
    """How one cell lies to another."""
    upright = "above" if cell // 2 < other // 2 else "below" if cell // 2 > other // 2 else ""
    level = "to the left" if cell % 2 < other % 2 else "to the right" if cell % 2 > other % 2 else ""
    return " and ".join(part for part in (upright, level) if part)


def _named(things: list[Thing]) -> str:
    return words.listed([words.name(one) for one in things]) if things else "none"


def _places(cells: list[int]) -> str:
    return words.listed([PLACES[cell] for cell in cells]) if cells else "none"


def _alike(scene: Scene, attribute: str) -> bool:
    return len({getattr(one, attribute) for one in scene.things.values()}) == 1


def about_place(question, scene: Scene) -> str:
    """Answers of the kinds that name a place or ask for one."""
    cell, things = question.cell, scene.things
    here = things.get(cell)
    empty = [spot for spot in range(4) if spot not in things]
    match question.kind:
        case "colour at":
            return here.colour if here else "none"
        case "shape at":
            return here.shape if here else "none"
        case "thing at":
            return words.full_name(here) if here else "none"
        case "where":
            return PLACES[cell_of(scene, question.thing)]
        case "is at":
            return yes(cell_of(scene, question.thing) == cell)
        case "is thing at":
            return yes(here is not None and here[:2] == question.thing[:2])
        case "is colour at":
            return yes(here is not None and here.colour == question.thing.colour)
        case "anything at":
            return yes(here is not None)
        case "empty at":
            return yes(here is None)
        case "empty corners":
            return _places(empty)
        case "any empty":
            return yes(bool(empty))
        case "all full":
            return yes(not empty)
        case "count empty":
            return words.NUMBERS[len(empty)]
        case "count side":
            return words.NUMBERS[sum(spot in HALVES[question.side] for spot in things)]
        case "what side":
            return _named([one for spot, one in things.items() if spot in HALVES[question.side]])
        case "count shape side":
            return words.NUMBERS[
                sum(things[spot].shape == question.thing.shape for spot in things if spot in HALVES[question.side])
            ]
        case "colour side":
            inside = [things[spot] for spot in HALVES[question.side] if spot in things]
            return next(one.colour for one in inside if one.shape == question.thing.shape)
        case "left or right":
            return PLACES[cell_of(scene, question.thing)].split()[1]
        case "top or bottom":
            return PLACES[cell_of(scene, question.thing)].split()[0]
    raise ValueError(question.kind)


def about_two(question, scene: Scene) -> str:
    """Answers of the kinds that compare two things or look beside one."""
    cell = cell_of(scene, question.thing)
    thing = scene.things[cell]
    if question.kind in ("what beside", "anything beside"):
        near = scene.things.get(neighbour(cell, question.side))
        if question.kind == "anything beside":
            return yes(near is not None)
        return words.name(near) if near else "nothing"
    other_cell = cell_of(scene, question.other)
    other = scene.things[other_cell]
    match question.kind:
        case "relation":
            return yes(SIDES[question.side](cell, other_cell))
        case "how related":
            return related(cell, other_cell)
        case "bigger of two":
            if thing.size == other.size:
                return "same"
            return words.name(thing if thing.size == "large" else other)
        case "is bigger":
            return yes(thing.size == "large" and other.size == "small")
        case "same size":
            return yes(thing.size == other.size)
        case "same colour of two":
            return yes(thing.colour == other.colour)
    raise ValueError(question.kind)


def about_all(question, scene: Scene) -> str:
    """Answers of the kinds that count or go over every thing."""
    things, thing = list(scene.things.values()), question.thing
    match question.kind:
        case "count":
            return words.NUMBERS[len(things)]
        case "count colour":
            return number(scene, lambda one: one.colour == thing.colour)
        case "count shape":
            return number(scene, lambda one: one.shape == thing.shape)
        case "count size":
            return number(scene, lambda one: one.size == thing.size)
        case "count thing":
            return number(scene, lambda one: one[:2] == thing[:2])
        case "count kinds":
            return words.NUMBERS[len({one.shape for one in things})]
        case "count colours":
            return words.NUMBERS[len({one.colour for one in things})]
        case "is number":
            return yes(len(things) == question.count)
        case "more":
            counts = [sum(one.shape == asked.shape for one in things) for asked in (thing, question.other)]
            return yes(counts[0] > counts[1])
        case "is empty":
            return yes(not things)
        case "anything there":
            return yes(bool(things))
        case "shapes":
            return words.listed([one.shape for one in things]) if things else "none"
        case "colours":
            return words.listed([one.colour for one in things]) if things else "none"
        case "all same shape" | "all same colour" | "all same size":
            return yes(_alike(scene, question.kind.split()[-1]))
        case "all are":
            return yes(all(one.colour == thing.colour for one in things))
        case "all are shape":
            return yes(all(one.shape == thing.shape for one in things))
        case "all are size":
            return yes(all(one.size == thing.size for one in things))
        case "exists":
            return yes(any(one[:2] == thing[:2] for one in things))
        case "exists shape":
            return yes(any(one.shape == thing.shape for one in things))
        case "exists colour":
            return yes(any(one.colour == thing.colour for one in things))
    raise ValueError(question.kind)


def about_one(question, scene: Scene) -> str:
    """Answers of the kinds about one thing, however it is named, and about the background."""
    thing = question.thing
    match question.kind:
        case "background":
            return scene.background
        case "is ground":
            return yes(scene.background == question.ground)
        case "colour":
            return first(scene, thing, "shape")[1].colour
        case "shape of colour":
            return first(scene, thing, "colour")[1].shape
        case "colour of size":
            return first(scene, thing, "size")[1].colour
        case "shape of size":
            return first(scene, thing, "size")[1].shape
        case "size":
            return scene.things[cell_of(scene, thing)].size
        case "is colour":
            return yes(first(scene, thing, "shape")[1].colour == thing.colour)
        case "is size":
            return yes(scene.things[cell_of(scene, thing)].size == thing.size)
        case "about shape":
            cell, one = first(scene, thing, "shape")
            return f"The {one.shape} is {one.size}, {one.colour} and at the {PLACES[cell]}."
        case "about colour":
            cell, one = first(scene, thing, "colour")
            return f"The {one.colour} shape is a {one.size} {one.shape} at the {PLACES[cell]}."
        case "about":
            cell = cell_of(scene, thing)
            return f"The {words.name(scene.things[cell])} is {scene.things[cell].size} and at the {PLACES[cell]}."
    raise ValueError(question.kind)
