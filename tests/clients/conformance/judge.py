"""Compares what a person using each client got with what travelled, case by case, and writes a cell of the matrix for each.

    judge.py DAEMON SCENARIO RECORDS RESULTS CELLS DEFAULT_CALLS

A second turn is compared with the same conversation asked over plain HTTP: with the first picture in it, which the client's
answer must equal byte by byte, and without. Whatever is neither right nor a loss that can be named ends the run."""

import dataclasses
import functools
import json
import pathlib
import re
import sys
import urllib.parse
import urllib.request
from typing import Any

import wire
from wire import Call, Document

YES = "yes"
# Cases of a surface that answer one feature's question.
FEATURES = {
    "text": ("default", "text"),
    "picture": ("draw",),
    "several pictures": ("story", "several"),
    "previews": ("previews",),
    "pictures in": ("see",),
    "second turn": ("turns", "chain", "resent"),
    "usage": ("draw", "several", "text"),
    "error": ("error",),
    "load": ("load", "capped"),
}
# Surfaces on which a whole answer to an edit or a drawing is one picture.
PICTURES_ONLY = ("generations", "edits")


# A picture in Markdown; its address is what the pattern keeps.
MARKDOWN_PICTURE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")


class Unexplained(Exception):
    """Neither right nor a loss that can be named."""


@dataclasses.dataclass(frozen=True)
class Case:
    """What one client made of one case."""

    client: str
    name: str
    saw: dict[str, Any]
    calls: list[Call]

    @property
    def surface(self) -> str:
        return self.name.split("-")[0]

    @property
    def mode(self) -> str:
        return self.name.split("-")[1]

    @property
    def kind(self) -> str:
        return self.name.split("-")[2]


class Judge:
    """Knows what was to be asked, and can ask it over plain HTTP."""

    def __init__(self, daemon: str, scenario: dict[str, Any]) -> None:
        self.daemon = daemon
        self.scenario = scenario

    @functools.cache
    def _raw(self, body: str) -> Document:
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"{self.daemon}/v1/chat/completions", body.encode(), headers)
        with urllib.request.urlopen(request, timeout=300) as answer:
            return wire.whole_chat(json.load(answer))

    def raw(self, model: str, messages: list[Any], seed: int) -> Document:
        """The answer over plain HTTP."""
        return self._raw(json.dumps({"model": model, "messages": messages, "temperature": 0, "seed": seed}))

    def verdict(self, case: Case, feature: str) -> str:
        if case.calls and is_not_served(case.calls[-1]):
            return "no route"
        if "trace" in case.saw:
            return f"raises {case.saw['raised']}"
        if feature == "error":
            return error(case)
        if "raised" in case.saw:
            return f"raises {case.saw['raised']}"
        if feature == "usage":
            return usage(case)
        if feature == "load":
            return load(case)
        if case.mode == "stream" and not case.calls[-1].is_streamed():
            return "not streamed"
        sent = self.shown(case, case.calls[-1].document())
        if feature == "pictures in" and (loss := self.pictures_in(case)) != YES:
            return loss
        if feature == "second turn":
            return self.second_turn(case, sent)
        if feature == "previews":
            return previews(case.saw, sent)
        if case.client.endswith("-url"):
            return by_address(case.saw, sent)
        return document(self.seen(case), sent)

    def shown(self, case: Case, sent: Document) -> Document:
        """The document as it looks where Markdown is shown, for clients that ask for that."""
        if not case.client.endswith("-markdown"):
            return sent
        looked = Document(usage=sent.usage, effective=sent.effective)
        for index, piece in enumerate(MARKDOWN_PICTURE.split("".join(text for _, text in sent.elements))):
            if index % 2 == 0:
                looked.text(piece.strip("\n"))
            else:
                looked.picture(urllib.parse.urljoin(self.daemon, piece))
        return looked

    def seen(self, case: Case) -> dict[str, Any]:
        """What the person saw, likewise."""
        if not case.client.endswith("-markdown"):
            return case.saw
        return case.saw | {"elements": self.shown(case, Document(elements=case.saw["elements"])).elements}

    def pictures_in(self, case: Case) -> str:
        """Whether both pictures and the text between them were sent, in order."""
        first, second = self.scenario["pictures"]
        image = lambda url: {"type": "image_url", "image_url": {"url": url}}
        content = [image(first), {"type": "text", "text": self.scenario["see"]}, image(second)]
        call = case.calls[-1]
        sent = call.document()
        right = self.raw(call.body()["model"], [{"role": "user", "content": content}], 0)
        return YES if sent.elements == right.elements else "pictures not as given"

    def second_turn(self, case: Case, sent: Document) -> str:
        """Whether the first turn's picture was before the model in the second."""
        first = self.shown(case, case.calls[0].document())
        if "image" not in first.kinds() or "image" not in sent.kinds():
            raise Unexplained(f"no pictures were drawn: {first.kinds()}, {sent.kinds()}")
        model, seed = case.calls[-1].body()["model"], sent.effective["seed"]
        user = lambda text: {"role": "user", "content": text}
        url = lambda file: file if file.startswith("data:") else f"data:image/png;base64,{file}"
        image = lambda digest: {"type": "image_url", "image_url": {"url": url(first.files[digest])}}
        parts = [
            {"type": "text", "text": value} if kind == "text" else image(value) for kind, value in first.elements
        ]
        texts, again = [part for part in parts if part["type"] == "text"], self.scenario["again"]
        histories = [(parts, again), (texts, again)]
        if case.kind == "resent":  # The picture goes into the question, for the client keeps none in its history.
            pictures = [part for part in parts if part["type"] == "image_url"]
            histories[0] = (texts, [*pictures, {"type": "text", "text": again}])
        answers = []
        for history, question in histories:
            messages = [user(self.scenario["draw"]), {"role": "assistant", "content": history}, user(question)]
            answers.append(self.raw(model, messages, seed).elements)
        with_picture, without = answers
        if with_picture == without:
            raise Unexplained("the second turn does not depend on the picture")
        if sent.elements == with_picture:
            if lost := [url for url in first.addresses if url.encode() not in case.calls[-1].request]:
                raise Unexplained(f"not sent back as they came: {lost}")
            return document(self.seen(case), sent)
        if sent.elements == without:
            return "picture not sent back"
        raise Unexplained("the second turn equals neither the raw one with the picture nor without")


def is_not_served(call: Call) -> bool:
    """Whether this daemon has no such route, or not the field that the route would need."""
    if call.status == 404:
        return call.error()["code"] == "not_found"
    return call.status == 400 and call.error()["param"] == "image_delivery"


def document(saw: dict[str, Any], sent: Document) -> str:
    """Whether what was seen is what was sent, or which part of it."""
    seen = saw.get("elements")
    texts = [value for kind, value in sent.elements if kind == "text"]
    pictures = [value for kind, value in sent.elements if kind == "image"]
    if seen == sent.elements:
        return YES
    if seen is None and saw["text"] == "".join(texts):
        if [digest for _, digest in saw["images"]] == pictures:
            return "place lost"
        seen = [["text", saw["text"]]] if not saw["images"] else None
    if seen is not None:
        kept = [value for kind, value in seen if kind == "image"]
        said = "".join(value for kind, value in seen if kind == "text")
        if said == "".join(texts) and not kept:
            return "pictures dropped"
        if said == "".join(texts) and kept == pictures:
            return "place lost"
        if said == "".join(texts) and kept == pictures[-1:]:
            return "all but the last picture dropped"
    raise Unexplained(f"seen {saw}, sent {sent.elements}")


def by_address(saw: dict[str, Any], sent: Document) -> str:
    """Whether pictures that were sent by their addresses were seen, or the addresses alone."""
    if len(sent.addresses) != sent.kinds().count("image"):
        raise Unexplained("pictures were not sent by their addresses")
    addresses = [value for kind, value in saw["elements"] if kind == "address"]
    return "address in place of bytes" if addresses and addresses == sent.addresses else document(saw, sent)


def previews(saw: dict[str, Any], sent: Document) -> str:
    """Whether every preview that was sent was seen before its picture."""
    is_final = lambda element: not element[0].startswith("preview")
    if all(map(is_final, sent.elements)):
        raise Unexplained("no previews were sent")
    if saw["elements"] == list(filter(is_final, sent.elements)):
        return "previews dropped"
    if saw["elements"] == [element if is_final(element) else ["image", element[1]] for element in sent.elements]:
        return "previews shown as pictures"
    return document(saw, sent)


def usage(case: Case) -> str:
    sent = case.calls[-1].document().usage
    seen = case.saw.get("usage") or {}
    if all(seen.get(name) == sent[name] for name in ("input", "output")):
        return YES if seen.get("output_images", sent.get("output_images")) == sent.get("output_images") else "no pictures"
    if not any(seen.values()):
        return "dropped"
    raise Unexplained(f"usage {seen}, sent {sent}")


def load(case: Case) -> str:
    """Whether every request of a load was answered, and counted as it was answered."""
    sent = [call.document().usage for call in case.calls]
    wanted = {name: sum(usage[name] for usage in sent) for name in ("input", "output")}
    if case.saw["error_rate"] or case.saw["requests"] != len(sent):
        raise Unexplained(f"{len(sent)} requests, seen {case.saw}")
    if wrong := {name: value for name, value in case.saw["usage"].items() if value != wanted[name]}:
        raise Unexplained(f"usage {wrong}, sent {wanted}")
    lost = wanted.keys() - case.saw["usage"].keys()
    if not lost:
        return YES
    return f"no tokens {' and '.join(sorted(lost))}{' of incomplete answers' if case.kind == 'capped' else ''}"


def error(case: Case) -> str:
    """Whether status, code, parameter and message reach whoever handles the client's error."""
    if "raised" not in case.saw:
        raise Unexplained("no error was raised")
    sent, status = case.calls[-1].error(), case.calls[-1].status
    if sent["message"] not in case.saw["message"]:
        return f"only {case.saw['raised']}"
    named = {"status": status, "code": sent["code"], "parameter": sent["param"]}
    seen = {"status": case.saw.get("status"), "code": case.saw.get("code"), "parameter": case.saw.get("param")}
    lost = [name for name, value in named.items() if seen[name] != value]
    return YES if not lost else f"message without {', '.join(lost)}"


def default_call(call: Call) -> dict[str, Any]:
    """What the client sent, the model's name and long texts left out."""
    fields = {name: "MODEL" if name == "model" else value for name, value in call.body().items()}
    return {"route": f"{call.method} {call.route}", "fields": fields}


def main() -> None:
    daemon, scenario, records, results, cells, defaults = sys.argv[1:]
    judge = Judge(daemon, json.loads(pathlib.Path(scenario).read_text(encoding="utf-8")))
    calls = [Call.of_line(line) for line in pathlib.Path(records).read_text(encoding="utf-8").splitlines()]
    cases = [
        Case(client, name, line["saw"], [call for call in calls if (call.client, call.case, call.method) == (client, name, "POST")])
        for line in map(json.loads, pathlib.Path(results).read_text(encoding="utf-8").splitlines())
        for client, name in [(line["client"], line["case"])]
    ]
    found: list[dict[str, str]] = []
    faults: list[str] = []
    for case in cases:
        for feature, kinds in FEATURES.items():
            if case.surface in PICTURES_ONLY and case.kind == "default":
                kinds = ("default",) if feature == "picture" else ()
            if case.kind not in kinds:
                continue
            try:
                verdict = judge.verdict(case, feature)
            except (Unexplained, KeyError, IndexError, ValueError, OSError) as fault:
                verdict = "unexplained"
                faults.append(f"{case.client} {case.name}, {feature}: {type(fault).__name__}: {str(fault)[:600]}")
            where = {"client": case.client, "surface": case.surface, "mode": case.mode, "feature": feature}
            found.append(where | {"result": verdict})
    sent = {
        f"{case.client}, {case.surface} {case.mode}": min(map(default_call, case.calls), key=json.dumps)  # loads come in any order
        for case in cases
        if case.kind in ("default", "load") and case.calls and not is_not_served(case.calls[0])
    }
    pathlib.Path(cells).write_text("".join(json.dumps(cell) + "\n" for cell in found), encoding="utf-8")
    text = json.dumps(sent, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    pathlib.Path(defaults).write_text(text, encoding="utf-8")
    for fault in faults:
        print(f"FAILED: {fault}", file=sys.stderr)
    print(f"{len(found)} cells, {len(faults)} of them unexplained")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
