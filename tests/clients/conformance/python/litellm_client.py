"""LiteLLM, unmodified, as a person uses it: chats, responses, and pictures alone."""

import base64
from collections.abc import Callable
from typing import Any

import litellm
from report import CLIENT, MODEL, SCENARIO, Element, address, joined, picture, preview, say

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


def items(output: list[Any]) -> list[Element]:
    elements: list[Element] = []
    for item in output:
        if item.type == "message":
            elements += [["text", part.text] for part in item.content]
        elif item.type == "image_generation_call":
            elements.append(picture(item.result))
    return joined(elements)


def whole_response(case: str, given: Any, **options: Any) -> tuple[dict[str, Any], Any]:
    response = respond(case, given, **options)
    return {"elements": items(response.output), "usage": tokens(response.usage)}, response


def streamed_response(case: str, given: Any, **options: Any) -> tuple[dict[str, Any], Any]:
    elements: list[Element] = []
    response = None
    for event in respond(case, given, stream=True, **options):
        if event.type == "response.output_text.delta":
            elements.append(["text", event.delta])
        elif event.type == "response.image_generation_call.partial_image":
            elements.append(preview(event.partial_image_index, event.partial_image_b64))
        elif event.type == "response.output_item.done" and event.item.type == "image_generation_call":
            elements.append(picture(event.item.result))
        elif event.type == "response.completed":
            response = event.response
    return {"elements": joined(elements), "usage": tokens(response.usage)}, response


RESPONSES = {"whole": whole_response, "stream": streamed_response}


def responses(*modes: str) -> None:
    first, second = SCENARIO["pictures"]
    shown = [
        {"type": "input_image", "image_url": first, "detail": "auto"},
        {"type": "input_text", "text": SCENARIO["see"]},
        {"type": "input_image", "image_url": second, "detail": "auto"},
    ]
    user = lambda content: {"role": "user", "content": content}
    for mode in modes:
        do = RESPONSES[mode]

        def one(name: str, given: Any, do: Any = do, mode: str = mode, **options: Any) -> None:
            say(f"responses-{mode}-{name}", lambda case: do(case, given, **options)[0])

        def turns(case: str, do: Any = do) -> dict[str, Any]:
            given: list[Any] = [user(SCENARIO["draw"])]
            given += do(case, given, temperature=0)[1].output
            return do(case, [*given, user(SCENARIO["again"])], temperature=0)[0]

        def chain(case: str, do: Any = do) -> dict[str, Any]:
            before = do(case, SCENARIO["draw"], temperature=0)[1].id
            return do(case, SCENARIO["again"], previous_response_id=before, temperature=0)[0]

        one("default", SCENARIO["default"])
        one("draw", SCENARIO["draw"], temperature=0)
        one("story", SCENARIO["story"], temperature=0)
        one("see", [user(shown)], temperature=0)
        say(f"responses-{mode}-turns", turns)
        say(f"responses-{mode}-chain", chain)
        one("error", SCENARIO["default"], temperature=3)
        tools = [{"type": "image_generation", "partial_images": 2}]
        if mode == "stream":
            one("previews", SCENARIO["draw"], tools=tools, temperature=0)


def tokens(usage: Any) -> dict[str, int]:
    return {"input": usage.input_tokens, "output": usage.output_tokens}


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
        responses("stream")
        return
    chat()
    responses("whole", "stream")
    images("generations", litellm.image_generation, {"prompt": SCENARIO["draw"]})
    file = base64.b64decode(SCENARIO["pictures"][0].partition(",")[2])
    images("edits", litellm.image_edit, {"prompt": SCENARIO["edit"], "image": file})


if __name__ == "__main__":
    main()
