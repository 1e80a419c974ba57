"""What every Python client of the suite shares: what it is asked to do, where, and how it says what a person using it got."""

import base64
import hashlib
import json
import os
import traceback
import urllib.request
from collections.abc import Callable
from typing import Any

BASE = os.environ["BASE"]
CLIENT = os.environ["CLIENT"]
MODEL = os.environ["MODEL"]
with open(os.environ["SCENARIO"], encoding="utf-8") as file:
    SCENARIO: dict[str, Any] = json.load(file)

# One element of a document: ["text", what it says], ["image", the SHA-256 of its file] or ["preview N", likewise].
Element = list[str]


def address(case: str) -> str:
    """Where a case is sent to: a client appends its routes to this, as to any server's `/v1`."""
    return f"{BASE}/{CLIENT}/{case}/v1"


def picture(encoded: str) -> Element:
    """A picture that a client handed over as base64, with or without a data URL's prefix, or by its address."""
    if encoded.startswith("http"):
        with urllib.request.urlopen(encoded, timeout=30) as file:
            data = file.read()
    else:
        data = base64.b64decode(encoded.rpartition(",")[2], validate=True)
    return ["image", hashlib.sha256(data).hexdigest()]


def preview(index: int, encoded: str) -> Element:
    """What a picture will be like, as a client handed it over: `index` is the client's."""
    return [f"preview {index}", picture(encoded)[1]]


def tokens(usage: Any) -> dict[str, int]:
    """Tokens of a response or of pictures, as OpenAI names them there."""
    return {"input": usage.input_tokens, "output": usage.output_tokens}


def joined(elements: list[Element]) -> list[Element]:
    """Neighbouring texts made one."""
    document: list[Element] = []
    for kind, value in elements:
        if kind == "text" and document and document[-1][0] == "text":
            document[-1] = ["text", document[-1][1] + value]
        elif value:
            document.append([kind, value])
    return document


def say(case: str, act: Callable[[str], dict[str, Any]]) -> None:
    """Carries a case out and says what was seen; what the client throws is seen, too."""
    try:
        saw = act(case)
    except Exception as error:
        saw = {
            "raised": type(error).__name__,
            "status": getattr(error, "status_code", None),
            "code": getattr(error, "code", None),
            "param": getattr(error, "param", None),
            "message": str(error),
        }
        if saw["status"] is None:
            saw["trace"] = traceback.format_exc(limit=4)
    print(json.dumps({"client": CLIENT, "case": case, "saw": saw}), flush=True)
