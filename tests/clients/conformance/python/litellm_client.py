"""LiteLLM, unmodified, as a person uses it: chats, responses, and pictures alone."""

import base64
from collections.abc import Callable
from typing import Any

import litellm
import responses
from report import CLIENT, MODEL, SCENARIO, Element, address, joined, picture, say, tokens

litellm.suppress_debug_info = True

WIRE = f"openai/{MODEL}"


def see() -> list[dict[str, Any]]:
    pictures = [{"type": "image_url", "image_url": {"url": url}} for url in SCENARIO["pictures"]]
    return [pictures[0], {"type": "text", "text": SCENARIO["see"]}, pictures[1]]


def usage(answer: Any) -> dict[str, int]:
    return {"input": answer.usage.prompt_tokens, "output": answer.usage.completion_tokens}


def urls(images: Any) -> list[Element]:
    return [picture(item["image_url"]["url"]) for item in images or []]


def ask(case: str, messages: list[Any], **options: Any) -> Any:
    return litellm.completion(
        model=WIRE, messages=messages, api_base=address(case), api_key="none", max_retries=0, timeout=300, **options
    )


def whole(case: str, messages: list[Any], **options: Any) -> tuple[dict[str, Any], Any]:
    answer = ask(case, messages, **options)
    message = answer.choices[0].message
    saw: dict[str, Any] = {"usage": usage(answer)}
    parts = getattr(message, "content_parts", None) or (message.provider_specific_fields or {}).get("content_parts")
    images = urls(getattr(message, "images", None))
    if parts:
        saw["elements"] = joined(
            [["text", part["text"]] if part["type"] == "text" else images[part["index"]] for part in parts]
        )
    else:
        saw |= {"text": message.content, "images": images}
    return saw, message


def stream(case: str, messages: list[Any], **options: Any) -> tuple[dict[str, Any], Any]:
    chunks = list(ask(case, messages, stream=True, stream_options={"include_usage": True}, **options))
    elements: list[Element] = []
    for chunk in chunks:
        for choice in chunk.choices:
            if choice.delta.content:
                elements.append(["text", choice.delta.content])
            elements += urls(getattr(choice.delta, "images", None))
    built = litellm.stream_chunk_builder(chunks, messages=messages)
    return {"elements": joined(elements), "usage": usage(built)}, built.choices[0].message


def chat() -> None:
    for mode, do in (("whole", whole), ("stream", stream)):

        def one(name: str, content: Any, do: Any = do, mode: str = mode, **options: Any) -> None:
            user = [{"role": "user", "content": content}]
            say(f"chat-{mode}-{name}", lambda case: do(case, user, **options)[0])

        def turns(case: str, do: Any = do) -> dict[str, Any]:
            messages: list[Any] = [{"role": "user", "content": SCENARIO["draw"]}]
            _, message = do(case, messages, temperature=0, seed=SCENARIO["seed"])
            messages += [message, {"role": "user", "content": SCENARIO["again"]}]
            return do(case, messages, temperature=0, seed=SCENARIO["seed"])[0]

        one("default", SCENARIO["default"])
        one("draw", SCENARIO["draw"], temperature=0, seed=SCENARIO["seed"])
        one("story", SCENARIO["story"], temperature=0, seed=SCENARIO["seed"])
        one("see", see(), temperature=0)
        say(f"chat-{mode}-turns", turns)
        one("error", SCENARIO["default"], temperature=3)


def respond(case: str, given: Any, **options: Any) -> Any:
    return litellm.responses(
        input=given, model=WIRE, api_base=address(case), api_key="none", max_retries=0, timeout=300, **options
    )


def whole_response(case: str, given: Any, **options: Any) -> tuple[dict[str, Any], Any]:
    response = respond(case, given, **options)
    return responses.seen(responses.items(response.output), response)


def streamed_response(case: str, given: Any, **options: Any) -> tuple[dict[str, Any], Any]:
    events = list(respond(case, given, stream=True, **options))
    ends = [event.response for event in events if event.type == "response.completed"]
    return responses.seen([element for event in events for element in responses.heard(event)], ends[-1])


FIXED = {"temperature": 0}


def images(surface: str, ask: Callable[..., Any], given: dict[str, Any]) -> None:
    def one(case: str, **options: Any) -> dict[str, Any]:
        answer = ask(model=WIRE, api_base=address(case), api_key="none", timeout=300, **given, **options)
        return {"elements": [picture(item.b64_json) for item in answer.data], "usage": tokens(answer.usage)}

    say(f"{surface}-whole-default", one)
    say(f"{surface}-whole-several", lambda case: one(case, n=2, extra_body={"seed": SCENARIO["seed"]}))
    say(f"{surface}-whole-error", lambda case: one(case, n=99, max_retries=0))


def main() -> None:
    if CLIENT.endswith("-registered"):
        # LiteLLM streams responses of models only that it is told can stream.
        litellm.register_model({WIRE: {"litellm_provider": "openai", "supports_native_streaming": True}})
        responses.cases({"stream": streamed_response}, FIXED)
        return
    chat()
    responses.cases({"whole": whole_response, "stream": streamed_response}, FIXED)
    images("generations", litellm.image_generation, {"prompt": SCENARIO["draw"]})
    file = base64.b64decode(SCENARIO["pictures"][0].partition(",")[2])
    images("edits", litellm.image_edit, {"prompt": SCENARIO["edit"], "image": file})


if __name__ == "__main__":
    main()
