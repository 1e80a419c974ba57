"""OpenAI's Python SDK, unmodified, as a person uses it: chats, responses, pictures alone and raw completions."""

import base64
import io
from collections.abc import Iterator
from typing import Any

import openai
import responses
from report import CLIENT, MODEL, SCENARIO, Element, address, joined, picture, preview, say, tokens


def client(case: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=address(case), api_key="none", max_retries=0, timeout=300)


def see() -> list[dict[str, Any]]:
    pictures = [{"type": "image_url", "image_url": {"url": url}} for url in SCENARIO["pictures"]]
    return [pictures[0], {"type": "text", "text": SCENARIO["see"]}, pictures[1]]


def chat_usage(usage: Any) -> dict[str, int]:
    return {
        "input": usage.prompt_tokens,
        "output": usage.completion_tokens,
        "output_images": usage.completion_tokens_details.image_tokens,
    }


def chat_parts(message: Any) -> list[Element]:
    images = getattr(message, "images", None) or []
    parts = [
        ["text", part["text"]] if part["type"] == "text" else picture(images[part["index"]]["image_url"]["url"])
        for part in message.content_parts
    ]
    return joined(parts)


def chat_whole(case: str, messages: list[Any], **options: Any) -> tuple[dict[str, Any], Any]:
    answer = client(case).chat.completions.create(model=MODEL, messages=messages, **options)
    message = answer.choices[0].message
    return {"elements": chat_parts(message), "usage": chat_usage(answer.usage)}, message


def chat_deltas(chunks: Any) -> Iterator[Element]:
    for chunk in chunks:
        for choice in chunk.choices:
            if choice.delta.content:
                yield ["text", choice.delta.content]
            for item in getattr(choice.delta, "images", None) or []:
                yield picture(item["image_url"]["url"])


def chat_stream(case: str, messages: list[Any], **options: Any) -> tuple[dict[str, Any], Any]:
    wanted = {"include_usage": True}
    with client(case).chat.completions.stream(
        model=MODEL, messages=messages, stream_options=wanted, **options
    ) as stream:
        elements = joined(list(chat_deltas(event.chunk for event in stream if event.type == "chunk")))
        final = stream.get_final_completion()
    return {"elements": elements, "usage": chat_usage(final.usage)}, final.choices[0].message


def chat(**more: Any) -> None:
    """Chats; `more` are the daemon's own fields."""
    seeded = {"temperature": 0, "seed": SCENARIO["seed"]}
    for mode, ask in (("whole", chat_whole), ("stream", chat_stream)):

        def one(name: str, content: Any, ask: Any = ask, mode: str = mode, **options: Any) -> None:
            user = [{"role": "user", "content": content}]
            say(f"chat-{mode}-{name}", lambda case: ask(case, user, extra_body=more, **options)[0])

        def turns(case: str, ask: Any = ask) -> dict[str, Any]:
            messages: list[Any] = [{"role": "user", "content": SCENARIO["draw"]}]
            _, message = ask(case, messages, extra_body=more, **seeded)
            messages += [message, {"role": "user", "content": SCENARIO["again"]}]
            return ask(case, messages, extra_body=more, **seeded)[0]

        one("default", SCENARIO["default"])
        one("draw", SCENARIO["draw"], **seeded)
        one("story", SCENARIO["story"], **seeded)
        one("see", see(), temperature=0)
        say(f"chat-{mode}-turns", turns)
        one("error", SCENARIO["default"], temperature=3)


def response_whole(case: str, given: Any, **options: Any) -> tuple[dict[str, Any], Any]:
    response = client(case).responses.create(model=MODEL, input=given, **options)
    return responses.seen(responses.items(response.output), response)


def response_stream(case: str, given: Any, **options: Any) -> tuple[dict[str, Any], Any]:
    with client(case).responses.stream(model=MODEL, input=given, **options) as stream:
        elements = [element for event in stream for element in responses.heard(event)]
        return responses.seen(elements, stream.get_final_response())


def images() -> None:
    def whole(answer: Any) -> dict[str, Any]:
        return {"elements": [picture(item.b64_json) for item in answer.data], "usage": tokens(answer.usage)}

    def stream(events: Any) -> dict[str, Any]:
        last = None
        elements = []
        for event in events:
            if event.type.endswith(".partial_image"):
                elements.append(preview(event.partial_image_index, event.b64_json))
            elif event.type.endswith(".completed"):
                elements.append(picture(event.b64_json))
                last = event
        return {"elements": elements, "usage": tokens(last.usage)}

    def files() -> Any:
        data = base64.b64decode(SCENARIO["pictures"][0].partition(",")[2])
        return {"image": ("square.png", io.BytesIO(data), "image/png"), "prompt": SCENARIO["edit"]}

    seed = {"extra_body": {"seed": SCENARIO["seed"]}}
    drawing = {"prompt": SCENARIO["draw"]}
    for surface in ("generations", "edits"):

        def asked(case: str, surface: str = surface, **options: Any) -> Any:
            images = client(case).images
            if surface == "generations":
                return images.generate(model=MODEL, **drawing, **options)
            return images.edit(model=MODEL, **files(), **options)

        say(f"{surface}-whole-default", lambda case, asked=asked: whole(asked(case)))
        say(f"{surface}-whole-several", lambda case, asked=asked: whole(asked(case, n=2, **seed)))
        say(f"{surface}-stream-draw", lambda case, asked=asked: stream(asked(case, stream=True, **seed)))
        previewed = {"stream": True, "partial_images": 2, **seed}
        say(f"{surface}-stream-previews", lambda case, asked=asked, how=previewed: stream(asked(case, **how)))
        say(f"{surface}-whole-error", lambda case, asked=asked: whole(asked(case, n=99)))


def completions() -> None:
    def usage(answer: Any) -> dict[str, int]:
        return {"input": answer.usage.prompt_tokens, "output": answer.usage.completion_tokens}

    def whole(case: str, **options: Any) -> dict[str, Any]:
        answer = client(case).completions.create(model=MODEL, prompt=SCENARIO["raw"], **options)
        return {"elements": joined([["text", answer.choices[0].text]]), "usage": usage(answer)}

    def stream(case: str) -> dict[str, Any]:
        chunks = list(
            client(case).completions.create(
                model=MODEL,
                prompt=SCENARIO["raw"],
                temperature=0,
                stream=True,
                stream_options={"include_usage": True},
            )
        )
        texts = [["text", choice.text] for chunk in chunks for choice in chunk.choices]
        return {"elements": joined(texts), "usage": usage(chunks[-1])}

    say("completions-whole-default", whole)
    say("completions-whole-text", lambda case: whole(case, temperature=0))
    say("completions-stream-text", stream)
    say("completions-whole-error", lambda case: whole(case, temperature=3))


def main() -> None:
    if CLIENT.endswith("-url"):
        chat(image_delivery="url")
        return
    chat()
    seeded = {"temperature": 0, "extra_body": {"seed": SCENARIO["seed"]}}
    responses.cases({"whole": response_whole, "stream": response_stream}, seeded)
    images()
    completions()


if __name__ == "__main__":
    main()
