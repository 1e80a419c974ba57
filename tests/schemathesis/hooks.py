"""Steers generated bodies towards ones that are worked on: those that fit their schema name the served model and let the user
speak last, which no schema can say."""

import os
from typing import Any

import schemathesis

MODEL = os.environ["MODEL"]


@schemathesis.hook
def map_body(context: schemathesis.HookContext, body: Any) -> Any:
    if not isinstance(body, dict):
        return body
    if isinstance(body.get("model"), str):
        body["model"] = MODEL
    messages = body.get("messages")
    if isinstance(messages, list) and messages and isinstance(messages[-1], dict):
        if messages[-1].get("role") in ("system", "developer", "assistant"):
            messages[-1]["role"] = "user"
    return body
