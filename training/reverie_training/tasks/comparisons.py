"""Questions over two to four pictures: which, compare, difference, and descriptions of each."""

from __future__ import annotations

import random
from dataclasses import dataclass

from .. import speech, words
from ..documents import Document, Picture, say, turn
from ..phrases.names import PICTURE_WAYS
from ..phrases.showing import COMPARISONS
from ..sampling import random_scene
from ..scenes import PLACES, Scene, Thing
from ..splits import fold
from . import answers, questions
from .captions import ask_about
from .editing import Edit, random_edit

_NOUNS = ("picture", "picture", "picture", "image", "image", "image", "pic", "drawing")
_COUNT_WORDS = (*words.NUMBERS, "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")

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
    "count of": (
        "which {noun} has {number} shapes", "which {noun} has exactly {number} shapes", "in which {noun} are {number} things", "which one has {number} shapes",
        "which {noun} shows {number} objects", "find the {noun} with {number} shapes", "which of the {noun}s contains {number} shapes", "{number} shapes: which {noun}",
    ),
    "added": (
        "what was added", "what is new in the second {noun}", "what was added in the second {noun}", "what did I add", "what came in addition",
        "which shape is new", "what is there now that was not there before", "what does the second {noun} have that the first has not",
    ),
    "removed": (
        "what was removed", "what is missing in the second {noun}", "which shape has disappeared", "what did I take away", "what is gone",
        "which shape is missing", "what was there before and is not any more", "what does the first {noun} have that the second has not",
    ),
    "happened": (
        "what happened to the {thing}", "what happened to the {thing} between the first and the second {noun}", "how did the {thing} change",
        "what is different about the {thing}", "what has become of the {thing}", "what did I do with the {thing}", "where is the {thing} now, or what is it now",
        "compare the {thing} in the two {noun}s",
    ),
}  # fmt: skip
_WEIGHTS = {
    "which": 6,
    "which ground": 3,
    "one": 7,
    "describe one": 3,
    "most": 2,
    "fewest": 1.5,
    "count of": 1.5,
    "same ground": 1.5,
    "all have": 2,
    "both have": 1,
    "any has": 1,
    "how many have": 2,
    "how many ground": 1,
    "how many pictures": 0.5,
    "how many shapes in all": 0.7,
    "grounds": 1.5,
    "counts": 1.5,
    "equal": 0.5,
}
_DIFFERENCES = ("difference", "added", "removed", "happened")
_BY: dict[str, tuple[str, ...]] = {
    "name": ("shape", "colour"),
    "shape": ("shape",),
    "colour": ("colour",),
    "sized": ("shape", "size"),
    "all": ("shape", "colour", "size"),
}


@dataclass(frozen=True)
class Comparison:
    """A kind and what it asks about: enough to derive the answer from any pictures. `by` says how a thing is meant."""

    kind: str
    thing: Thing | None = None
    ground: str = ""
    index: int = 0
    question: questions.Question | None = None
    by: str = "name"
    of: int = 2

    def answer(self, scenes: list[Scene]) -> str:
        """The answer in the assistant's words."""
        if self.kind in _DIFFERENCES:
            return difference(*scenes)
        if self.kind in ("one", "describe one", "describe all", "grounds", "counts"):
            return self._each(scenes)
        if self.thing is not None:
            return self._having(scenes)
        counts = [len(scene.things) for scene in scenes]
        match self.kind:
            case "which ground":
                return _which([scene.background == self.ground for scene in scenes])
            case "how many ground":
                return words.NUMBERS[sum(scene.background == self.ground for scene in scenes)]
            case "most" | "fewest":
                wanted = max(counts) if self.kind == "most" else min(counts)
                return words.ORDINALS[counts.index(wanted)] if counts.count(wanted) == 1 else "same"
            case "count of":
                return _which([count == self.index for count in counts])
            case "same ground":
                return answers.yes(len({scene.background for scene in scenes}) == 1)
            case "equal":
                return answers.yes(len({scene.key for scene in scenes}) == 1)
            case "how many pictures":
                return words.NUMBERS[len(scenes)]
            case "how many shapes in all":
                return _COUNT_WORDS[sum(counts)]
        raise ValueError(self.kind)

    def _each(self, scenes: list[Scene]) -> str:
        """Answers about one picture, or about each in order."""
        match self.kind:
            case "one":
                return self.question.answer(scenes[self.index])
            case "describe one":
                return words.caption(scenes[self.index])
            case "grounds":
                return words.listed([scene.background for scene in scenes])
            case "counts":
                return words.listed([words.NUMBERS[len(scene.things)] for scene in scenes])
        named = zip(words.ORDINALS, scenes, strict=False)
        return " ".join(f"The {ordinal} picture: {words.caption(scene)}" for ordinal, scene in named)

    def _having(self, scenes: list[Scene]) -> str:
        """Answers about which pictures have a thing, and how many."""
        wanted = [getattr(self.thing, name) for name in _BY[self.by]]
        has = [
            any([getattr(one, name) for name in _BY[self.by]] == wanted for one in scene.things.values())
            for scene in scenes
        ]
        match self.kind:
            case "which":
                return _which(has)
            case "all have" | "both have":
                return answers.yes(all(has))
            case "any has":
                return answers.yes(any(has))
            case "how many have":
                return words.NUMBERS[sum(has)]
        raise ValueError(self.kind)

    def text(self, rng: random.Random) -> str:
        """The question as a person asks it."""
        return speech.phrase(PHRASES.get(self.kind, ()), COMPARISONS.get(self.kind, ()), rng).format(**self.slots(rng))

    def slots(self, rng: random.Random) -> dict[str, str]:
        """What the phrases of its kind may name."""
        values = {
            "noun": rng.choice(_NOUNS),
            "ordinal": words.ORDINALS[self.index % 4],
            "which": self._which_picture(rng),
        }
        values["number"] = words.NUMBERS[self.index]
        if self.thing:
            values |= self._thing(rng)
        if self.ground:
            values |= speech.ground_slots(self.ground, rng)
        if self.question:
            values["question"] = self.question.text(rng)
        return values

    def _which_picture(self, rng: random.Random) -> str:
        ways = list(PICTURE_WAYS[words.ORDINALS[self.index]]) if self.index < 4 else [""]
        if rng.random() < 0.5:
            ways = ways[:5]
        elif self.index == self.of - 1:
            ways += [*PICTURE_WAYS["last"], *PICTURE_WAYS["latter of two"] * (self.of == 2)]
        elif self.index == 0 and self.of == 2:
            ways += PICTURE_WAYS["former of two"]
        elif self.index == 1 and self.of == 3:
            ways += PICTURE_WAYS["middle of three"]
        return rng.choice(ways)

    def _thing(self, rng: random.Random) -> dict[str, str]:
        """The thing by the attributes by which it is meant."""
        thing = self.thing
        colour, shape, size = (
            words.colour(thing.colour, rng),
            words.shape(thing.shape, rng),
            words.size(thing.size, rng),
        )
        spoken = {
            "name": f"{colour} {shape}", "shape": shape, "colour": f"{colour} {rng.choice(('shape', 'thing', 'one', 'object'))}",
            "sized": f"{size} {shape}", "all": f"{size} {colour} {shape}",
        }[self.by]  # fmt: skip
        a_thing = words.article(spoken)
        if self.by == "colour" and rng.random() < 0.4:
            a_thing = rng.choice(("something {}", "anything {}")).format(colour)
        return {
            "thing": spoken,
            "a_thing": a_thing,
            "shape": shape,
            "shapes": words.plural(shape),
            "a_shape": words.article(shape),
        }


def _which(holds: list[bool]) -> str:
    if all(holds):
        return "both" if len(holds) == 2 else "all"
    return words.listed([words.ORDINALS[number] for number, one in enumerate(holds) if one]) if any(holds) else "none"


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


def comparison(scenes: list[Scene], rng: random.Random) -> Comparison | None:
    """A question about these pictures; nothing where the kind drawn asks what they cannot answer."""
    kind = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
    index, count = rng.randrange(len(scenes)), len(scenes)
    if kind in ("which", "all have", "how many have", "both have", "any has"):
        return _about_thing(kind, scenes, rng)
    if kind in ("which ground", "how many ground"):
        return Comparison(kind, ground=scenes[index].background)
    if kind == "one":
        return Comparison(kind, index=index, question=questions.question(scenes[index], rng), of=count)
    if kind == "describe one":
        return Comparison(kind, index=index, of=count)
    if kind == "count of":
        return Comparison(kind, index=len(scenes[index].things))
    if kind == "how many shapes in all" and sum(len(scene.things) for scene in scenes) >= len(_COUNT_WORDS):
        return None
    return Comparison(kind)


def _about_thing(kind: str, scenes: list[Scene], rng: random.Random) -> Comparison | None:
    everything = [thing for scene in scenes for thing in scene.things.values()]
    if not everything or (kind == "both have" and len(scenes) != 2):
        return None
    thing = rng.choice(everything)
    if rng.random() < 0.25:
        thing = questions.near_miss(thing, rng)
    by = "shape" if kind in ("all have", "how many have") else rng.choice(list(_BY)) if kind == "which" else "name"
    return Comparison(kind, thing, by=by)


def _difference(scenes: list[Scene], rng: random.Random) -> Comparison:
    """What is asked about a change: in general, or knowing something of it."""
    first, second = scenes
    lost = [one for cell, one in first.things.items() if second.things.get(cell) != one]
    new = [one for cell, one in second.things.items() if first.things.get(cell) != one]
    kinds = ["difference"]
    if new and not lost:
        kinds.append("added")
    if lost and not new:
        kinds.append("removed")
    if lost and new and lost[0] in [one for _, one in questions.unique(first, lambda thing: thing[:2])]:
        kinds.append("happened")
    kind = rng.choice(kinds)
    return Comparison(kind, lost[0] if kind == "happened" else None)


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
    asked = [_difference(scenes, rng)] if form < 0.25 else [Comparison("describe all")] if form < 0.35 else []
    limit = 4 if asked else rng.randint(5, 7)
    while len(asked) < limit:
        one = comparison(scenes, rng)
        if one is not None and one not in asked:
            asked.append(one)
    rng.shuffle(asked)
    parts: list = []
    for number, one in enumerate(asked):
        text = speech.request(one.text(rng), rng)
        parts += turn(text) if number else ask_about([Picture(scene) for scene in scenes], text, rng)
        parts += say(one.answer(scenes))
    return Document("comparison", asked[0].kind, parts, {"questions": asked})
