"""Documents in which a picture is asked for by words alone."""

from __future__ import annotations

import random

from .. import words
from ..documents import Document, Dream, End, Text, say, turn
from ..sampling import random_scene, random_thing
from ..scenes import BACKGROUND_NAMES, Scene, Thing
from . import questions
from .editing import draws, edit_turn

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


def _ground(rng: random.Random) -> tuple[str, str]:
    """A background and how it is said; white may be left unsaid."""
    if rng.random() < 0.3:
        return "white", ""
    ground = rng.choice(BACKGROUND_NAMES)
    return ground, " " + words.on_background(ground, rng)


def _listed(rng: random.Random, fold_name: str) -> tuple[str, Scene]:
    """Things with or without sizes and places. Unsaid: large; the first free cell in reading order."""
    scene = random_scene(rng, fold_name, 1, 4)
    ground, said = _ground(rng)
    sized, placed = rng.choice((0.0, 1.0, 1.0, 0.5)), rng.choice((0.0, 1.0, 1.0, 1.0))
    named = [(cell, thing, rng.random() < sized) for cell, thing in scene.things.items()]
    if rng.random() < 0.4:
        rng.shuffle(named)
    things: dict[int, Thing] = {}
    texts = []
    for cell, thing, has_size in named:
        spoken = words.article(words.spoken(thing, rng, has_size))
        spot = cell if placed else min(set(range(4)) - set(things))
        things[spot] = thing if has_size else thing._replace(size="large")
        texts.append(f"{spoken} {words.place(cell, rng)}" if placed else spoken)
    return words.listed(texts) + said, Scene(things, ground, rng)


def _related(rng: random.Random, fold_name: str) -> tuple[str, Scene]:
    side = rng.choice(list(_BEFORE))
    sized = rng.random() < 0.5
    pair = [random_thing(rng, fold_name) for _ in range(2)]
    if not sized:
        pair = [thing._replace(size="large") for thing in pair]
    first, second = (words.article(words.spoken(thing, rng, sized)) for thing in pair)
    ground, said = _ground(rng)
    scene = Scene(dict(zip(_BEFORE[side], pair, strict=True)), ground, rng)
    return f"{first} {rng.choice(_SIDE_WAYS[side])} {second}{said}", scene


def _counted(rng: random.Random, fold_name: str) -> tuple[str, Scene]:
    number = rng.randint(2, 4)
    sized = rng.random() < 0.5
    thing = random_thing(rng, fold_name)
    if not sized:
        thing = thing._replace(size="large")
    size = words.size(thing.size, rng) + " " if sized else ""
    count = rng.choice((words.NUMBERS[number], words.NUMBERS[number], str(number)))
    ground, said = _ground(rng)
    shape = words.plural(words.shape(thing.shape, rng))
    text = f"{count} {size}{words.colour(thing.colour, rng)} {shape}{said}"
    if number == 4 and rng.random() < 0.3:
        text = f"{words.article(words.spoken(thing, rng, sized))} in every corner{said}"
    return text, Scene({cell: thing for cell in range(number)}, ground, rng)


def _two_counts(rng: random.Random, fold_name: str) -> tuple[str, Scene]:
    """Two red circles and a blue star: one after the other in reading order."""
    first, second = (random_thing(rng, fold_name)._replace(size="large") for _ in range(2))
    number = rng.randint(1, 3)
    texts = []
    for thing, count in ((first, number), (second, rng.randint(1, 4 - number))):
        many = f"{words.NUMBERS[count]} {words.colour(thing.colour, rng)} {words.plural(words.shape(thing.shape, rng))}"
        texts.append((many if count > 1 else words.article(words.spoken(thing, rng)), [thing] * count))
    ground, said = _ground(rng)
    things = dict(enumerate(thing for _, some in texts for thing in some))
    return f"{texts[0][0]} and {texts[1][0]}{said}", Scene(things, ground, rng)


_VAGUE_PLACES = (("", 0), ("", 0), (" on the left", 0), (" on the right", 1), (" at the top", 0), (" at the bottom", 2))


def _vague(rng: random.Random, fold_name: str) -> tuple[str, Scene]:
    """One thing with something left unsaid: no colour means red, no shape a circle, no size large, a side its first cell."""
    thing = random_thing(rng, fold_name)
    sized = rng.random() < 0.4
    size = words.size(thing.size, rng) + " " if sized else ""
    thing = thing if sized else thing._replace(size="large")
    place, cell = rng.choice(_VAGUE_PLACES)
    chance = rng.random()
    if chance < 0.4:
        thing = thing._replace(colour="red")
        text = words.article(size + words.shape(thing.shape, rng))
    elif chance < 0.65:
        thing = thing._replace(shape="circle")
        text = words.article(f"{size}{words.colour(thing.colour, rng)} {rng.choice(('shape', 'thing', 'object'))}")
    else:
        text = words.article(words.spoken(thing, rng, sized))
    ground, said = _ground(rng)
    return text + place + said, Scene({cell: thing}, ground, rng)


def _empty(rng: random.Random, _fold_name: str) -> tuple[str, Scene]:
    ground = rng.choice(BACKGROUND_NAMES)
    said = words.background(ground, rng)
    ways = (
        "an empty {} background",
        "only a {} background",
        "just a {} background",
        "an empty {} picture",
        "a plain {} background",
    )
    return rng.choice(ways).format(said), Scene({}, ground, rng)


KINDS = {
    "listed": (_listed, 10),
    "related": (_related, 4),
    "counted": (_counted, 3),
    "two counts": (_two_counts, 2),
    "vague": (_vague, 3),
    "empty": (_empty, 0.4),
}


def wish(rng: random.Random, fold_name: str, kind: str | None = None) -> tuple[str, str, Scene]:
    """A kind, the words of a wish, and the scene that they mean."""
    chosen = kind or rng.choices(list(KINDS), [share for _, share in KINDS.values()])[0]
    text, scene = KINDS[chosen][0](rng, fold_name)
    return chosen, text, scene


def make(rng: random.Random, fold_name: str) -> Document:
    """A wish and its picture: as a bare pair, as a chat, or as a chat that goes on about the picture drawn."""
    kind, text, scene = wish(rng, fold_name)
    if rng.random() < 0.15:
        bare = canonical(scene) if rng.random() < 0.4 else words.request("{it}", rng, it=text)
        return Document("drawing", "raw", [Text(bare), Dream(scene), End()], {"scene": scene})
    parts = turn(words.request(rng.choice(ASK), rng, it=text))
    parts += [Dream(scene, forced=True), End()] if rng.random() < 0.08 else draws(scene)
    facts: dict = {"scene": scene}
    after = rng.random()
    if after < 0.12:
        one = questions.question(scene, rng)
        parts += turn(words.request(one.text(rng), rng)) + say(one.answer(scene))
    elif after < 0.27:
        more, target, _ = edit_turn(scene, rng, fold_name, [])
        parts += more + draws(target)
    return Document("drawing", kind, parts, facts)


def canonical(scene: Scene) -> str:
    """The full description of a scene as one wish."""
    ground = words.article(scene.background)
    return (
        f"{words.placed(scene)} on {ground} background" if scene.things else f"an empty {scene.background} background"
    ).capitalize() + "."
