"""Documents in which a picture is asked for by words alone."""

from __future__ import annotations

import random

from .. import speech, words
from ..documents import Document, Dream, End, Text, say, turn
from ..phrases import groups, wishes
from ..sampling import random_scene, random_thing
from ..scenes import BACKGROUND_NAMES, Scene, Thing
from ..splits import pair_fits
from . import answers, questions
from .answers import HALVES, SIDES
from .editing import SIDE_WORDS, draws, edit_turn

ASK = (
    "draw {it}", "draw {it}", "draw me {it}", "show me {it}", "show {it}", "make {it}", "make me {it}", "paint {it}", "paint me {it}",
    "please draw {it}", "could you draw {it}", "can you draw me {it}", "can you show me {it}", "create an image of {it}",
    "make a picture of {it}", "generate a picture of {it}", "I want a picture of {it}", "I would like to see {it}", "give me {it}",
    "a picture of {it}", "a picture of {it} please", "an image with {it}", "{it}", "{it} please", "sketch {it}", "I'd like {it} please",
    "create {it}", "generate {it}", "draw a picture with {it}", "hi, please draw {it}", "would you paint {it} for me",
)  # fmt: skip
_BEFORE = {"above": (0, 2), "below": (2, 0), "left of": (0, 1), "right of": (1, 0), "next to": (0, 1)}
_SIDE_WAYS = {
    "above": ("above", "above", "over", "on top of"),
    "below": ("below", "below", "under", "beneath"),
    "left of": ("left of", "to the left of"),
    "right of": ("right of", "to the right of"),
    "next to": ("next to", "beside", "and next to it"),
}
_FROM_IT = ("{one} {place} and {two} {side} it", "{one} {place}, {two} {side} it", "{one} {place} with {two} {side} it", "{one} {place} and {two} {side} the {shape}",
            "{one} {place}, and {side} it {two}", "put {one} {place} and {two} {side} it", "{two} {side} {one}, which is {place}", "{one} {place}. {two} {side} it")  # fmt: skip
_LINES = {
    "top row": (0, 1),
    "bottom row": (2, 3),
    "left column": (0, 2),
    "right column": (1, 3),
    "falling diagonal": (0, 3),
    "rising diagonal": (1, 2),
}
_OPPOSITE = {"top row": "bottom row", "left column": "right column", "bottom row": "top row"}
_EMPTY = ("an empty {ground} background", "only a {ground} background", "just a {ground} background", "an empty {ground} picture", "a plain {ground} background",
          "nothing but {ground}", "no shapes, just {ground}", "an empty picture, {ground}")  # fmt: skip


def _grounded(text: str, scene: Scene, rng: random.Random) -> tuple[str, Scene]:
    """The wish with its background said before it or after it; a white one may be left unsaid."""
    if scene.background == "white" and rng.random() < 0.75:
        return text, scene
    if rng.random() < 0.12:
        return speech.on_top(text, scene.background, rng), scene
    return text + speech.on(scene.background, rng), scene


def _any_ground(rng: random.Random) -> str:
    return "white" if rng.random() < 0.3 else rng.choice(BACKGROUND_NAMES)


def _listed(rng: random.Random, fold_name: str) -> tuple[str, Scene]:
    """Things with or without sizes and places. Unsaid: large; the first free cell in reading order."""
    scene = random_scene(rng, fold_name, 1, 4)
    sized, placed = rng.choice((0.0, 1.0, 1.0, 0.5)), rng.choice((0.0, 1.0, 1.0, 1.0))
    named = [(cell, thing, rng.random() < sized) for cell, thing in scene.things.items()]
    if rng.random() < 0.4:
        rng.shuffle(named)
    things: dict[int, Thing] = {}
    texts = []
    for cell, thing, has_size in named:
        spot = cell if placed else min(set(range(4)) - set(things))
        things[spot] = thing if has_size else thing._replace(size="large")
        texts.append(speech.one(thing, rng, has_size, cell if placed else None))
    return _grounded(speech.several(texts, rng), Scene(things, _any_ground(rng), rng), rng)


def _pair(rng: random.Random, fold_name: str) -> tuple[list[Thing], list[str]]:
    """Two things and how they are said, with sizes or large."""
    sized = rng.random() < 0.5
    pair = [random_thing(rng, fold_name) for _ in range(2)]
    if not sized:
        pair = [thing._replace(size="large") for thing in pair]
    return pair, [words.article(words.spoken(thing, rng, sized)) for thing in pair]


def _related(rng: random.Random, fold_name: str) -> tuple[str, Scene]:
    """Two things of which one lies at a side of the other; the column or row unsaid is the first."""
    pair, (first, second) = _pair(rng, fold_name)
    side = rng.choice(list(_BEFORE))
    cells = _BEFORE[side]
    if rng.random() < 0.45:
        text = f"{first} {rng.choice(_SIDE_WAYS[side])} {second}"
    elif side in ("above", "below"):
        up, down = (first, second) if side == "above" else (second, first)
        text = rng.choice(groups.RELATION_VERTICAL).format(up=up, down=down)
    elif side == "next to":
        text = rng.choice(groups.RELATION_BESIDE).format(one=first, two=second)
    else:
        left, right = (first, second) if side == "left of" else (second, first)
        text = rng.choice(groups.RELATION_HORIZONTAL).format(left=left, right=right)
    if rng.random() < 0.25:
        half = rng.choice(("left", "right") if side in ("above", "below") else ("top", "bottom"))
        cells = tuple(cell + {"right": 1, "bottom": 2}.get(half, 0) for cell in cells)
        text += rng.choice((", both {}", ", all {}", " {}")).format(words.side(half, rng))
    return _grounded(text, Scene(dict(zip(cells, pair, strict=True)), _any_ground(rng), rng), rng)


def _anchored(rng: random.Random, fold_name: str) -> tuple[str, Scene]:
    """A thing at a place and one or two more as seen from it."""
    pair, (first, second) = _pair(rng, fold_name)
    cell = rng.randrange(4)
    across = {"above": cell ^ 2, "below": cell ^ 2, "same row": cell ^ 1, "diagonal": 3 - cell}
    kind = rng.choice(("same row", "above" if cell > 1 else "below", "diagonal"))
    values = {"one": first, "two": second, "place": words.place(cell, rng)}
    if kind == "diagonal":
        text = rng.choice(groups.RELATION_DIAGONAL).format(**values)
    elif rng.random() < 0.4:
        side = next(side for side in SIDES if answers.neighbour(cell, side) == across[kind])
        text = rng.choice(_FROM_IT).format(
            side=rng.choice(SIDE_WORDS[side]), shape=words.shape(pair[0].shape, rng), **values
        )
    else:
        text = rng.choice(groups.RELATION_PLACED[kind]).format(**values)
    things = {cell: pair[0], across[kind]: pair[1]}
    if rng.random() < 0.3 and pair[0].shape != pair[1].shape:
        spot = rng.choice([spot for spot in range(4) if spot not in things])
        sides = [side for side in SIDES if answers.neighbour(cell, side) == spot]
        third = random_thing(rng, fold_name)._replace(size=rng.choice(("small", "large")))
        where = (
            f"{rng.choice(SIDE_WORDS[sides[0]])} the {words.shape(pair[0].shape, rng)}"
            if sides
            else words.place(spot, rng)
        )
        text += rng.choice((" and {} {}", ", and {} {}", "; {} {}", ", then {} {}")).format(
            words.article(words.spoken(third, rng, True)), where
        )
        things[spot] = third
    return _grounded(text, Scene(things, _any_ground(rng), rng), rng)


def _counted_slots(thing: Thing, rng: random.Random, sized: bool, number: int) -> dict[str, str]:
    spoken = words.spoken(thing, rng, sized)
    count = rng.choice((words.NUMBERS[number], words.NUMBERS[number], str(number)))
    return {
        "number": count,
        "thing": spoken,
        "a_thing": words.article(spoken),
        "things": words.plural_name(thing, rng, sized),
    }


def _counted(rng: random.Random, fold_name: str) -> tuple[str, Scene]:
    """Several of one kind, in reading order."""
    number = rng.randint(1, 4) if rng.random() < 0.4 else rng.randint(2, 4)
    sized = rng.random() < 0.5
    thing = random_thing(rng, fold_name)
    if not sized:
        thing = thing._replace(size="large")
    values = _counted_slots(thing, rng, sized, number)
    special = {1: groups.COUNT_ONE, 2: groups.COUNT_TWO, 3: groups.COUNT_THREE, 4: groups.COUNT_FOUR}[number]
    chance = rng.random()
    if chance < 0.4 and number > 1:
        text = "{number} {things}".format(**values)
    elif chance < 0.55 and number > 1:
        text = rng.choice(groups.COUNT_DIGITS).format(**values | {"number": str(number)})
    elif chance < 0.8 and number > 1:
        text = rng.choice(groups.COUNT_ANY).format(**values)
    else:
        text = rng.choice(special).format(**values)
    return _grounded(text, Scene({cell: thing for cell in range(number)}, _any_ground(rng), rng), rng)


def _lined(rng: random.Random, fold_name: str) -> tuple[str, Scene]:
    """Several of one kind in a row, a column or on a diagonal; or two such rows."""
    sized = rng.random() < 0.5
    line = rng.choice(list(groups.COUNT_LINES))
    things: dict[int, Thing] = {}
    texts = []
    for one in (line, _OPPOSITE[line]) if line in _OPPOSITE and rng.random() < 0.3 else (line,):
        thing = random_thing(rng, fold_name)
        thing = thing if sized else thing._replace(size="large")
        empty = rng.randrange(4)
        cells = [cell for cell in range(4) if cell != empty] if one == "all but one" else _LINES[one]
        things |= {cell: thing for cell in cells}
        values = _counted_slots(thing, rng, sized, 2) | {"corner": words.corner(empty, rng)}
        texts.append(rng.choice(groups.COUNT_LINES[one]).format(**values))
    return _grounded(rng.choice((" and ", ", ", ", and ")).join(texts), Scene(things, _any_ground(rng), rng), rng)


def _two_counts(rng: random.Random, fold_name: str) -> tuple[str, Scene]:
    """Two red circles and a blue star: one after the other in reading order."""
    first, second = (random_thing(rng, fold_name)._replace(size="large") for _ in range(2))
    number = rng.randint(1, 3)
    texts, things = [], []
    for thing, count in ((first, number), (second, rng.randint(1, 4 - number))):
        many = f"{words.NUMBERS[count]} {words.plural_name(thing, rng)}"
        texts.append(many if count > 1 else words.article(words.spoken(thing, rng)))
        things += [thing] * count
    own = "{many} and {more}" if rng.random() < 0.4 else rng.choice(groups.COUNT_GROUPS)
    text = own.format(many=texts[0], more=texts[1])
    return _grounded(text, Scene(dict(enumerate(things)), _any_ground(rng), rng), rng)


def _shared(rng: random.Random, fold_name: str) -> tuple[str, Scene]:
    """Things of one colour or one shape, which is said once for all of them."""
    number = rng.randint(2, 4)
    base = random_thing(rng, fold_name)._replace(size="large")
    small = rng.random() < 0.25
    by_colour = rng.random() < 0.5
    things = []
    for _ in range(number):
        other = random_thing(rng, fold_name)
        one = base._replace(shape=other.shape) if by_colour else base._replace(colour=other.colour)
        things.append(one if pair_fits(one, fold_name) else base)
    values = {"number": words.NUMBERS[number]}
    if by_colour:
        values |= {
            "colour": words.colour(base.colour, rng),
            "listed": words.listed([words.article(words.shape(one.shape, rng)) for one in things]),
        }
        text = rng.choice(groups.COUNT_MIXED_SHAPES).format(**values)
    else:
        spoken = [words.colour(one.colour, rng) for one in things]
        values |= {"shapes": words.plural(words.shape(base.shape, rng)), "colours": words.listed(spoken)}
        each = ", ".join(f"one {colour}" for colour in spoken)
        values["each"] = each
        text = rng.choice(
            (*groups.COUNT_MIXED_COLOURS, "{number} {shapes}, {each}", "{number} {shapes}: {each}")
        ).format(**values)
    if small:
        things = [one._replace(size="small") for one in things]
        text += rng.choice(
            (", all small", ", all of them small", ", and all are small", ", each of them tiny", ", all little")
        )
    return _grounded(text, Scene(dict(enumerate(things)), _any_ground(rng), rng), rng)


_VAGUE_PLACES = (("", 0), ("", 0), ("left", 0), ("right", 1), ("top", 0), ("bottom", 2))


def _vague(rng: random.Random, fold_name: str) -> tuple[str, Scene]:
    """One thing with something left unsaid: no colour means red, no shape a circle, no size large, a side its first cell."""
    thing = random_thing(rng, fold_name)
    sized = rng.random() < 0.4
    size = words.size(thing.size, rng) + " " if sized else ""
    thing = thing if sized else thing._replace(size="large")
    side, cell = rng.choice(_VAGUE_PLACES)
    place = " " + words.side(side, rng) if side else ""
    values = speech.slots(thing, rng)
    chance = rng.random()
    if chance < 0.4:
        thing = thing._replace(colour="red")
        text = words.article(size + words.shape(thing.shape, rng))
        if rng.random() < 0.4 and not place:
            text = rng.choice(wishes.VAGUE_SIZED_SHAPE if sized else wishes.VAGUE_SHAPE_ONLY).format(**values)
    elif chance < 0.65:
        thing = thing._replace(shape="circle")
        text = words.article(f"{size}{words.colour(thing.colour, rng)} {rng.choice(('shape', 'thing', 'object'))}")
        if rng.random() < 0.5 and not sized:
            text = rng.choice(wishes.VAGUE_COLOUR_ONLY).format(**values)
    else:
        text = words.article(words.spoken(thing, rng, sized))
    return _grounded(text + place, Scene({cell: thing}, _any_ground(rng), rng), rng)


def _empty(rng: random.Random, _fold_name: str) -> tuple[str, Scene]:
    ground = rng.choice(BACKGROUND_NAMES)
    return speech.phrase(_EMPTY, wishes.EMPTY, rng).format(**speech.ground_slots(ground, rng)), Scene({}, ground, rng)


KINDS = {
    "listed": (_listed, 10),
    "related": (_related, 3),
    "anchored": (_anchored, 3),
    "counted": (_counted, 3),
    "lined": (_lined, 2),
    "two counts": (_two_counts, 1.5),
    "shared": (_shared, 2),
    "vague": (_vague, 3),
    "empty": (_empty, 0.6),
}


# ---------------------------------------------------------------- wishes that are sentences of their own


def _bare(thing: Thing | None, rng: random.Random) -> str:
    return words.spoken(thing, rng, True) if thing else rng.choice(("nothing", "empty", "nothing", "blank"))


def _sentences(rng: random.Random, fold_name: str) -> tuple[str, Scene]:
    """A sentence or a line for each thing, and one for the background."""
    scene = random_scene(rng, fold_name, 1, 4)
    lines = rng.random() < 0.5
    table = wishes.ONE_SIZED_PLACED_KEYWORDS if lines else wishes.ONE_SIZED_PLACED_CLAUSE
    texts = [rng.choice(table).format(**speech.slots(thing, rng, cell)) for cell, thing in scene.things.items()]
    ground = "white" if rng.random() < 0.3 else scene.background
    if ground != "white" or rng.random() < 0.3:
        said = rng.choice(wishes.GROUND_CLAUSE).format(**speech.ground_slots(ground, rng))
        texts.insert(0 if rng.random() < 0.3 else len(texts), said)
    if rng.random() < 0.1:
        texts.append(rng.choice(("nothing else", "that's it", "everything else empty", "no more", "that is all")))
    between = rng.choice(("; ", ", ", " / ", ". ") if lines else (". ", ". ", ", and ", "; "))
    return between.join(texts), Scene(scene.things, ground, rng, scene.jitter)


def _grid(rng: random.Random, fold_name: str) -> tuple[str, Scene]:
    """What each corner holds, in all four or in one row or column."""
    scene = random_scene(rng, fold_name, 2, 4)
    things = scene.things
    if rng.random() < 0.5:
        table = groups.GRID
    else:
        half = rng.choice(list(groups.ROW_PAIR))
        table, cells = groups.ROW_PAIR[half], HALVES[half]
        things = {cell: things.get(cell) or random_thing(rng, fold_name) for cell in cells}
    values = {name: _bare(things.get(cell), rng) for cell, name in enumerate(("tl", "tr", "bl", "br"))}
    return _grounded(rng.choice(table).format(**values), Scene(things, _any_ground(rng), rng), rng)


def _whole(rng: random.Random, fold_name: str) -> tuple[str, Scene]:
    """A background and a wish in one request."""
    while True:
        _, text, scene = wish(rng, fold_name, rng.choice(("listed", "counted", "vague")))
        if scene.background == "white" and not any(name in text for name in ("white", "blank")):
            break
    ground = rng.choice(BACKGROUND_NAMES)
    text = rng.choice(wishes.GROUND_WHOLE).format(it=text, **speech.ground_slots(ground, rng))
    return text, Scene(scene.things, ground, rng, scene.jitter)


def _keywords(rng: random.Random, fold_name: str) -> tuple[str, Scene]:
    """One thing and its background in key words; the size unsaid is large."""
    scene = random_scene(rng, fold_name, 1, 1)
    ((cell, thing),) = scene.things.items()
    values = speech.slots(thing, rng, cell) | speech.ground_slots(scene.background, rng)
    text = rng.choice(wishes.ONE_GROUND_KEYWORDS).format(**values)
    return text, Scene({cell: thing._replace(size="large")}, scene.background, rng)


ALONE = {"sentences": (_sentences, 4), "grid": (_grid, 2), "whole": (_whole, 2), "keywords": (_keywords, 1)}


def wish(rng: random.Random, fold_name: str, kind: str | None = None) -> tuple[str, str, Scene]:
    """A kind, the words of a wish, and the scene that they mean."""
    chosen = kind or rng.choices(list(KINDS), [share for _, share in KINDS.values()])[0]
    text, scene = KINDS[chosen][0](rng, fold_name)
    return chosen, text, scene


def request(rng: random.Random, fold_name: str) -> tuple[str, str, Scene]:
    """A kind, a whole request as typed, and the scene that it means."""
    if rng.random() < 0.8:
        kind, text, scene = wish(rng, fold_name)
        return kind, speech.request(speech.phrase(ASK, wishes.DRAW, rng), rng, it=text), scene
    kind = rng.choices(list(ALONE), [share for _, share in ALONE.values()])[0]
    text, scene = ALONE[kind][0](rng, fold_name)
    return kind, speech.request("{it}", rng, it=text), scene


def make(rng: random.Random, fold_name: str) -> Document:
    """A wish and its picture: as a bare pair, as a chat, or as a chat that goes on about the picture drawn."""
    if rng.random() < 0.15:
        _, text, scene = wish(rng, fold_name)
        bare = canonical(scene) if rng.random() < 0.4 else speech.request("{it}", rng, it=text)
        return Document("drawing", "raw", [Text(bare), Dream(scene), End()], {"scene": scene})
    kind, text, scene = request(rng, fold_name)
    parts = turn(text)
    parts += [Dream(scene, forced=True), End()] if rng.random() < 0.08 else draws(scene)
    facts: dict = {"scene": scene}
    after = rng.random()
    if after < 0.12:
        one = questions.question(scene, rng)
        parts += turn(speech.request(one.text(rng), rng)) + say(one.answer(scene))
    elif after < 0.27:
        parts += edit_turn(scene, rng, fold_name, [])[0]
    return Document("drawing", kind, parts, facts)


def canonical(scene: Scene) -> str:
    """The full description of a scene as one wish."""
    ground = words.article(scene.background)
    return (
        f"{words.placed(scene)} on {ground} background" if scene.things else f"an empty {scene.background} background"
    ).capitalize() + "."
