"""Questions over two to four pictures: which, compare, difference, and descriptions of each."""

from __future__ import annotations

import random
from dataclasses import dataclass

from .. import words
from ..documents import Document, Picture, say, turn
from ..sampling import random_scene
from ..scenes import PLACES, Scene, Thing
from ..splits import fold
from . import questions
from .captions import ask_about
from .editing import Edit, random_edit

ORDINALS = ("first", "second", "third", "fourth")
_NOUNS = ("picture", "picture", "image", "image")

PHRASES: dict[str, tuple[str, ...]] = {
    "which": (
        "which {noun} has {a_thing}", "which {noun} shows {a_thing}", "which {noun} contains {a_thing}", "which one has {a_thing}",
        "in which {noun} is there {a_thing}", "where do you see {a_thing}, in which {noun}", "find {a_thing}: which {noun}",
        "what {noun} has {a_thing} in it",
    ),
    "most": (
        "which {noun} has the most shapes", "which {noun} has more objects", "which {noun} has more shapes", "where are more shapes",
        "which {noun} shows the most objects", "which one has more things in it", "which {noun} contains the most shapes",
        "in which {noun} do you see more shapes",
    ),
    "which ground": (
        "which {noun} has {a_ground} background", "which {noun} is {ground} in the background", "which one has the {ground} background",
        "in which {noun} is the background {ground}", "which {noun} has {ground} behind the shapes", "find the {noun} with {a_ground} background",
        "which {noun} is on {ground}", "what {noun} has {a_ground} background",
    ),
    "same ground": (
        "do the {noun}s have the same background", "is the background the same", "same background color", "is the background the same in all {noun}s",
        "are the backgrounds equal", "do they have the same background color", "is the background color the same", "are the backgrounds the same color",
    ),
    "all have": (
        "do all {noun}s have {a_shape}", "is there {a_shape} in every {noun}", "does every {noun} contain {a_shape}", "do they all show {a_shape}",
        "do all the {noun}s contain {a_shape}", "does each {noun} have {a_shape}", "is {a_shape} in all of them", "do you see {a_shape} in each {noun}",
    ),
    "how many have": (
        "how many {noun}s have {a_shape}", "in how many {noun}s is there {a_shape}", "how many of the {noun}s show {a_shape}",
        "how many {noun}s contain {a_shape}", "count the {noun}s with {a_shape}", "how many {noun}s with {a_shape} are there",
        "in how many {noun}s do you see {a_shape}", "how many of them have {a_shape}",
    ),
    "grounds": (
        "what backgrounds do the {noun}s have", "name the background of each {noun}", "list the backgrounds", "which background does each {noun} have",
        "tell me the background of every {noun}", "what color is the background of each {noun}", "backgrounds in order", "what are the backgrounds",
    ),
    "counts": (
        "how many shapes does each {noun} have", "how many shapes are in each {noun}", "count the shapes in each {noun}", "how many objects does each {noun} show",
        "tell me the number of shapes in every {noun}", "how many things are in each of the {noun}s", "number of shapes in each {noun}",
        "count the objects {noun} by {noun}",
    ),
    "difference": (
        "what is the difference", "what changed", "what is different", "compare the {noun}s", "what is the difference between the {noun}s",
        "how do the {noun}s differ", "spot the difference", "tell me what changed", "what has changed from the first to the second",
        "compare these two",
    ),
    "one": ("in the {ordinal} {noun}, {question}", "in the {ordinal} {noun}: {question}", "{question} in the {ordinal} {noun}", "{ordinal} {noun}: {question}",
        "look at the {ordinal} {noun}, {question}", "about the {ordinal} {noun}: {question}", "for the {ordinal} {noun}, {question}",
        "{question}, I mean the {ordinal} {noun}"),
    "describe one": (
        "describe the {ordinal} {noun}", "what is in the {ordinal} {noun}", "what do you see in the {ordinal} {noun}", "caption the {ordinal} {noun}",
        "what does the {ordinal} {noun} show", "tell me about the {ordinal} {noun}", "please describe the {ordinal} {noun}", "the {ordinal} {noun} shows what",
    ),
    "describe all": (
        "describe the {noun}s", "describe each {noun}", "what do the {noun}s show", "what is in these {noun}s", "tell me what each {noun} shows",
        "caption all {noun}s", "please describe every {noun}", "what do you see in the {noun}s",
    ),
}  # fmt: skip
_WEIGHTS = {
    "which": 4,
    "most": 2,
    "which ground": 2,
    "same ground": 2,
    "all have": 2,
    "how many have": 2,
    "one": 5,
    "describe one": 2,
    "grounds": 2,
    "counts": 2,
    "describe all": 0,
}


@dataclass(frozen=True)
class Comparison:
    """A kind and what it asks about: enough to derive the answer from any pictures."""

    kind: str
    thing: Thing | None = None
    ground: str = ""
    index: int = 0
    question: questions.Question | None = None

    def answer(self, scenes: list[Scene]) -> str:
        """The answer in the assistant's words."""
        match self.kind:
            case "which":
                return _which([any(one[:2] == self.thing[:2] for one in scene.things.values()) for scene in scenes])
            case "which ground":
                return _which([scene.background == self.ground for scene in scenes])
            case "most":
                counts = [len(scene.things) for scene in scenes]
                return ORDINALS[counts.index(max(counts))] if counts.count(max(counts)) == 1 else "same"
            case "same ground":
                return "yes" if len({scene.background for scene in scenes}) == 1 else "no"
            case "all have":
                return "yes" if self._having(scenes) == len(scenes) else "no"
            case "how many have":
                return words.NUMBERS[self._having(scenes)]
            case "one":
                return self.question.answer(scenes[self.index])
            case "grounds":
                return words.listed([scene.background for scene in scenes])
            case "counts":
                return words.listed([words.NUMBERS[len(scene.things)] for scene in scenes])
            case "describe one":
                return words.caption(scenes[self.index])
            case "describe all":
                described = [
                    f"The {ORDINALS[number]} picture: {words.caption(scene)}" for number, scene in enumerate(scenes)
                ]
                return " ".join(described)
            case "difference":
                return difference(*scenes)
        raise ValueError(self.kind)

    def _having(self, scenes: list[Scene]) -> int:
        return sum(any(one.shape == self.thing.shape for one in scene.things.values()) for scene in scenes)

    def text(self, rng: random.Random) -> str:
        """The question as a person asks it."""
        values = {"noun": rng.choice(_NOUNS), "ordinal": ORDINALS[self.index]}
        if self.thing:
            values["a_thing"] = words.article(words.spoken(self.thing, rng))
            values["a_shape"] = words.article(words.shape(self.thing.shape, rng))
        if self.ground:
            values["ground"] = words.background(self.ground, rng)
            values["a_ground"] = words.article(values["ground"])
        if self.question:
            values["question"] = self.question.text(rng)
        return rng.choice(PHRASES[self.kind]).format(**values)


def _which(holds: list[bool]) -> str:
    if all(holds):
        return "both" if len(holds) == 2 else "all"
    return words.listed([ORDINALS[number] for number, one in enumerate(holds) if one]) if any(holds) else "none"


def difference(first: Scene, second: Scene) -> str:
    """The one difference of two scenes in a sentence; equal scenes are said to be the same."""
    if first.background != second.background:
        return f"The background is {first.background} in the first picture and {second.background} in the second."
    lost = {cell: one for cell, one in first.things.items() if second.things.get(cell) != one}
    new = {cell: one for cell, one in second.things.items() if first.things.get(cell) != one}
    if not lost and not new:
        return "The pictures are the same."
    if not new:
        ((cell, thing),) = lost.items()
        return f"Only the first picture has {words.full_name(thing)} at the {PLACES[cell]}."
    if not lost:
        ((cell, thing),) = new.items()
        return f"Only the second picture has {words.full_name(thing)} at the {PLACES[cell]}."
    ((cell, old), (target, thing)) = (*lost.items(), *new.items())
    if cell != target:
        return f"The {words.name(old)} is at the {PLACES[cell]} in the first picture and at the {PLACES[target]} in the second."
    before, after = words.full_name(old), words.full_name(thing)
    return f"The {PLACES[cell]} has {before} in the first picture and {after} in the second."


def comparison(scenes: list[Scene], rng: random.Random) -> Comparison:
    """A question about these pictures."""
    kind = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
    index = rng.randrange(len(scenes))
    everything = [thing for scene in scenes for thing in scene.things.values()]
    if kind in ("which", "all have", "how many have"):
        if not everything:
            return Comparison("same ground")
        thing = rng.choice(everything)
        return Comparison(kind, questions.near_miss(thing, rng) if rng.random() < 0.25 else thing)
    if kind == "which ground":
        return Comparison(kind, ground=scenes[index].background)
    if kind == "one":
        return Comparison(kind, index=index, question=questions.question(scenes[index], rng))
    return Comparison(kind, index=index if kind == "describe one" else 0)


def _pictures(rng: random.Random, fold_name: str) -> list[Scene]:
    """Two to four scenes that often share a background or a thing, so that answers are not given away."""
    count = rng.choices((2, 3, 4), (6, 3, 1))[0]
    scenes = [random_scene(rng, fold_name, 0, 4 - (count > 2)) for _ in range(count)]
    for number in range(1, count):
        scene, before = scenes[number], scenes[number - 1]
        things, ground = dict(scene.things), scene.background
        if rng.random() < 0.3:
            ground = before.background
        if rng.random() < 0.4 and before.things and things:
            things[rng.choice(list(things))] = rng.choice(list(before.things.values()))
        changed = Scene(things, ground, rng)
        if fold(changed) == fold_name:
            scenes[number] = changed
    return scenes


def _changed_pair(rng: random.Random, fold_name: str) -> list[Scene]:
    while True:
        scene = random_scene(rng, fold_name, 1, 4)
        if rng.random() < 0.08:
            return [scene, Scene(scene.things, scene.background, rng)]
        edit: Edit = random_edit(scene, rng, fold_name)
        changed = edit.apply(scene, rng)
        if fold(changed) == fold_name:
            return [scene, changed]


def make(rng: random.Random, fold_name: str) -> Document:
    """Pictures and five to seven questions about them; a share begins with a description of each."""
    form = rng.random()
    scenes = _changed_pair(rng, fold_name) if form < 0.25 else _pictures(rng, fold_name)
    asked = [Comparison("difference")] if form < 0.25 else [Comparison("describe all")] if form < 0.45 else []
    limit = 3 if asked else rng.randint(5, 7)
    while len(asked) < limit:
        one = comparison(scenes, rng)
        if one not in asked:
            asked.append(one)
    rng.shuffle(asked)
    parts: list = []
    for number, one in enumerate(asked):
        text = words.request(one.text(rng), rng)
        parts += turn(text) if number else ask_about([Picture(scene) for scene in scenes], text, rng)
        parts += say(one.answer(scenes))
    return Document("comparison", asked[0].kind, parts, {"questions": asked})
