"""Responses, as every Python client is asked for them that gives OpenAI's own objects."""

from collections.abc import Callable
from typing import Any

from report import SCENARIO, Element, joined, picture, preview, say, tokens

# A case, what is asked, and options to what was seen, and the response itself.
Ask = Callable[..., tuple[dict[str, Any], Any]]


def seen(elements: list[Element], response: Any) -> tuple[dict[str, Any], Any]:
    return {"elements": joined(elements), "usage": tokens(response.usage)}, response


def items(output: list[Any]) -> list[Element]:
    elements: list[Element] = []
    for item in output:
        if item.type == "message":
            elements += [["text", part.text] for part in item.content]
        elif item.type == "image_generation_call":
            elements.append(picture(item.result))
    return elements


def heard(event: Any) -> list[Element]:
    """What an event of a stream shows; of a message's text its deltas do."""
    if event.type == "response.output_text.delta":
        return [["text", event.delta]]
    if event.type == "response.image_generation_call.partial_image":
        return [preview(event.partial_image_index, event.partial_image_b64)]
    if event.type == "response.output_item.done" and event.item.type == "image_generation_call":
        return items([event.item])
    return []


def cases(asks: dict[str, Ask], fixed: dict[str, Any]) -> None:
    """Every case of each mode; `fixed` are the options that make an answer the same each time."""
    first, second = SCENARIO["pictures"]
    shown = [
        {"type": "input_image", "image_url": first, "detail": "auto"},
        {"type": "input_text", "text": SCENARIO["see"]},
        {"type": "input_image", "image_url": second, "detail": "auto"},
    ]
    user = lambda content: {"role": "user", "content": content}
    for mode, ask in asks.items():

        def one(name: str, given: Any, ask: Any = ask, mode: str = mode, **options: Any) -> None:
            say(f"responses-{mode}-{name}", lambda case: ask(case, given, **options)[0])

        def turns(case: str, ask: Any = ask) -> dict[str, Any]:
            given: list[Any] = [user(SCENARIO["draw"])]
            given += ask(case, given, **fixed)[1].output
            return ask(case, [*given, user(SCENARIO["again"])], **fixed)[0]

        def chain(case: str, ask: Any = ask) -> dict[str, Any]:
            before = ask(case, SCENARIO["draw"], **fixed)[1].id
            return ask(case, SCENARIO["again"], previous_response_id=before, **fixed)[0]

        one("default", SCENARIO["default"])
        one("draw", SCENARIO["draw"], **fixed)
        one("story", SCENARIO["story"], **fixed)
        one("see", [user(shown)], temperature=0)
        say(f"responses-{mode}-turns", turns)
        say(f"responses-{mode}-chain", chain)
        one("error", SCENARIO["default"], temperature=3)
        if mode == "stream":
            one("previews", SCENARIO["draw"], tools=[{"type": "image_generation", "partial_images": 2}], **fixed)
