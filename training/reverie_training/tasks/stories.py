"""Picture stories that the model makes up, the reader that checks them, and raw web-page-like documents."""

from __future__ import annotations

import random
import re

from .. import speech, words
from ..documents import Document, Dream, End, Text, turn
from ..phrases.combining import STORY, STORY_ABOUT
from ..sampling import random_scene
from ..scenes import BACKGROUND_NAMES, COLOUR_NAMES, PLACES, SHAPES, SIZES, Scene, Thing
from .editing import Edit, random_edit

ASK = (
    "tell a picture story", "tell me a story with pictures", "tell me a picture story", "make up a story with pictures",
    "please tell a story with pictures", "can you tell me an illustrated story", "write a picture story", "I want a story with pictures",
    "show me a story in pictures",
)  # fmt: skip
ABOUT = tuple(f"{ask} about {{it}}" for ask in ASK)
_KINDS = ("recolour", "reshape", "resize", "move", "add", "background")


def sentence(edit: Edit, scene: Scene) -> str:
    """A change as a story tells it."""
    if edit.kind == "background":
        return f"Then the background turns {edit.background}."
    if edit.kind == "add":
        return f"Then {words.full_name(edit.thing)} comes to the {PLACES[edit.cell]}."
    who = f"Then the {words.name(scene.things[edit.cell])}"
    match edit.kind:
        case "recolour":
            return f"{who} turns {edit.thing.colour}."
        case "reshape":
            return f"{who} becomes a {edit.thing.shape}."
        case "resize":
            return f"{who} becomes {edit.thing.size}."
        case _:
            return f"{who} moves to the {PLACES[edit.target]}."


def make(rng: random.Random, fold_name: str) -> Document:
    """Two to four pictures of things that happen to a thing and its friends."""
    scene = random_scene(rng, fold_name, 1, 1)
    ((cell, hero),) = scene.things.items()
    about = rng.random() < 0.5
    phrase = speech.phrase(ABOUT, STORY_ABOUT, rng) if about else speech.phrase(ASK, STORY, rng)
    text = speech.request(phrase, rng, it=words.article(words.spoken(hero, rng)))
    begin = f"Once there was {words.full_name(hero)} at the {PLACES[cell]} on a {scene.background} background."
    parts = [*turn(text), Text(begin, True), Dream(scene)]
    for _ in range(rng.randint(1, 3)):
        edit = random_edit(scene, rng, fold_name, _KINDS)
        said, scene = sentence(edit, scene), edit.apply(scene, rng)
        parts += [Text(said, True), Dream(scene)]
    parts += [Text("The end.", True), End()]
    return Document("story", "about" if about else "free", parts, {"hero": hero if about else None})


def make_web(rng: random.Random, fold_name: str) -> Document:
    """Captions and pictures in turn without any chat, like a page of the web."""
    scene = random_scene(rng, fold_name, 1, 2)
    parts: list = []
    for number in range(rng.randint(1, 3)):
        if number:
            scene = random_edit(scene, rng, fold_name).apply(scene, rng)
        parts += [Text(words.caption(scene), True), Dream(scene)]
    return Document("web", "captions", [*parts, End()])


_BEGIN = re.compile(r"Once there was a (\w+) (\w+) (\w+) at the (\w+ \w+) on a (\w+) background\.")
_COME = re.compile(r"Then a (\w+) (\w+) (\w+) comes to the (\w+ \w+)\.")
_TURN = re.compile(r"Then the (\w+) (\w+) (turns|becomes a|becomes|moves to the) ([\w ]+)\.")
_GROUND = re.compile(r"Then the background turns (\w+)\.")


def tell(text: str, scene: Scene | None, rng: random.Random) -> Scene | None:
    """The scene after a sentence of a story; nothing where the sentence is not one or contradicts the story."""
    text = text.strip()
    if found := _BEGIN.fullmatch(text):
        size, colour, shape, place, ground = found.groups()
        return _scene({place: Thing(shape, colour, size)}, ground, rng)
    if scene is None:
        return None
    things = {PLACES[cell]: thing for cell, thing in scene.things.items()}
    if found := _GROUND.fullmatch(text):
        return _scene(things, found[1], rng)
    if found := _COME.fullmatch(text):
        size, colour, shape, place = found.groups()
        return None if place in things else _scene({**things, place: Thing(shape, colour, size)}, scene.background, rng)
    if not (found := _TURN.fullmatch(text)):
        return None
    colour, shape, verb, value = found.groups()
    places = [place for place, thing in things.items() if thing[:2] == (shape, colour)]
    if len(places) != 1:
        return None
    thing = things.pop(places[0])
    place = places[0]
    match verb:
        case "turns":
            thing = thing._replace(colour=value)
        case "becomes a":
            thing = thing._replace(shape=value)
        case "becomes":
            thing = thing._replace(size=value)
        case _:
            place = value
    return None if place in things else _scene({**things, place: thing}, scene.background, rng)


def _scene(things: dict[str, Thing], ground: str, rng: random.Random) -> Scene | None:
    known = all(
        thing.shape in SHAPES and thing.colour in COLOUR_NAMES and thing.size in SIZES for thing in things.values()
    )
    if not known or ground not in BACKGROUND_NAMES or not set(things) <= set(PLACES):
        return None
    return Scene({PLACES.index(place): thing for place, thing in things.items()}, ground, rng)


def hero_of(prompt_thing: Thing | None, scene: Scene) -> bool:
    """Whether a story's first scene is about the thing that was asked for."""
    return prompt_thing is None or any(thing[:2] == prompt_thing[:2] for thing in scene.things.values())
