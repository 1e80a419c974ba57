"""LangChain's OpenAI chat model, unmodified, as a person uses it: messages in, messages out, the answer appended to them."""

import functools
import operator
from typing import Any

from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from report import CLIENT, MODEL, SCENARIO, Element, address, joined, picture, say


def see() -> list[dict[str, Any]]:
    pictures = [{"type": "image_url", "image_url": {"url": url}} for url in SCENARIO["pictures"]]
    return [pictures[0], {"type": "text", "text": SCENARIO["see"]}, pictures[1]]


def blocks(message: Any) -> list[Element]:
    """What the message holds in LangChain's own terms, in order."""
    elements: list[Element] = []
    for block in message.content_blocks:
        if block["type"] == "text":
            elements.append(["text", block["text"]])
        elif block["type"] == "image":
            elements.append(picture(block.get("base64") or block["url"]))
    return joined(elements)


def result(message: Any) -> dict[str, Any]:
    usage = message.usage_metadata
    return {"elements": blocks(message), "usage": {"input": usage["input_tokens"], "output": usage["output_tokens"]}}


def whole(case: str, messages: list[Any], **options: Any) -> tuple[dict[str, Any], Any]:
    message = model(case, **options).invoke(messages)
    return result(message), message


def stream(case: str, messages: list[Any], **options: Any) -> tuple[dict[str, Any], Any]:
    pieces = list(model(case, stream_usage=True, **options).stream(messages))
    message = functools.reduce(operator.add, pieces)
    return result(message), message


def model(case: str, tools: Any = (), **options: Any) -> Any:
    chat = ChatOpenAI(model=MODEL, base_url=address(case), api_key="none", max_retries=0, timeout=300, **options)
    return chat.bind_tools(tools) if tools else chat


def surface(name: str, fixed: dict[str, Any]) -> None:
    for mode, do in (("whole", whole), ("stream", stream)):

        def one(case: str, content: Any, do: Any = do, mode: str = mode, **options: Any) -> None:
            say(f"{name}-{mode}-{case}", lambda case: do(case, [HumanMessage(content)], **fixed, **options)[0])

        def turns(case: str, do: Any = do) -> dict[str, Any]:
            messages: list[Any] = [HumanMessage(SCENARIO["draw"])]
            _, message = do(case, messages, temperature=0, **fixed)
            messages += [message, HumanMessage(SCENARIO["again"])]
            return do(case, messages, temperature=0, **fixed)[0]

        one("default", SCENARIO["default"])
        one("draw", SCENARIO["draw"], temperature=0)
        one("story", SCENARIO["story"], temperature=0)
        one("see", see(), temperature=0)
        say(f"{name}-{mode}-turns", turns)
        one("error", SCENARIO["default"], temperature=3)


def main() -> None:
    if CLIENT.endswith("-markdown"):
        surface("chat", {"extra_body": {"image_delivery": "markdown"}})
        return
    surface("chat", {})
    surface("responses", {"use_responses_api": True})
    tools = [{"type": "image_generation", "partial_images": 2}]
    options = {"use_responses_api": True, "tools": tools}
    say("responses-stream-previews", lambda case: stream(case, [HumanMessage(SCENARIO["draw"])], **options)[0])


if __name__ == "__main__":
    main()
