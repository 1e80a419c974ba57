"""Steers generated requests: bodies that fit their schema name the served model and let the user speak last, which no schema can
say; header values neither begin nor end with white space, which HTTP strips, so that nobody could refuse it."""

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


@schemathesis.hook
def filter_headers(context: schemathesis.HookContext, headers: Any) -> bool:
    return not headers or all(value == value.strip() for value in headers.values() if isinstance(value, str))
