"""What clients see when the daemon is told to end in the middle of a stream. Runs last: no daemon is left after it."""

import os
import signal
import urllib.error
import urllib.request
from typing import Any

import openai
import pytest


def readiness(base_url: str) -> int:
    """The status of the readiness probe, over a connection of its own."""
    try:
        with urllib.request.urlopen(base_url.removesuffix("/v1") + "/readyz", timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def told(chunk: Any) -> list[tuple[Any, Any, Any]]:
    """What a chunk says, without its id and its time."""
    return [(choice.delta.content, getattr(choice.delta, "images", None), choice.finish_reason) for choice in chunk.choices]


def test_a_stream_ends_whole_after_sigterm_while_new_requests_are_sent_elsewhere(
    client: openai.OpenAI, base_url: str, model: str, daemon: int
) -> None:
    drawing: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": "Draw a small red circle at the top left on a navy background."}],
        "temperature": 0,
        "seed": 7,
        "stream": True,
    }
    undisturbed = [told(chunk) for chunk in client.chat.completions.create(**drawing)]
    assert undisturbed[-1][0][2] == "stop"
    assert readiness(base_url) == 200

    stream = iter(client.chat.completions.create(**drawing))
    disturbed = [told(next(stream))]
    os.kill(daemon, signal.SIGTERM)
    while (status := readiness(base_url)) == 200:  # until the signal has arrived
        pass
    assert status == 503
    with pytest.raises(openai.InternalServerError) as refusal:
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hello!"}])
    assert refusal.value.status_code == 503
    assert int(refusal.value.response.headers["retry-after"]) > 0

    disturbed.extend(told(chunk) for chunk in stream)
    assert disturbed == undisturbed
