"""Writes the matrix of clients, surfaces and features as a page of the documentation, from a run's cells.

    matrix.py CELLS [CELLS…] > docs/clients.md"""

import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).parent

# Every client's row: the name it is known by, the file that pins its version, and how it is called there.
CLIENTS = {
    "openai-python-2": ("openai (Python)", "../requirements.txt", "openai"),
    "openai-python-3": ("openai (Python)", "python/requirements.txt", "openai"),
    "openai-python-3-url": ("openai (Python), `image_delivery: url`", "python/requirements.txt", "openai"),
    "openai-node": ("openai (Node)", "node/package.json", "openai"),
    "openai-node-url": ("openai (Node), `image_delivery: url`", "node/package.json", "openai"),
    "litellm": ("litellm", "python/requirements.txt", "litellm"),
    "litellm-registered": (
        "litellm, `supports_native_streaming` registered",
        "python/requirements.txt",
        "litellm",
    ),
    "langchain-openai": ("langchain-openai", "python/requirements.txt", "langchain-openai"),
    "langchain-openai-markdown": (
        "langchain-openai, `image_delivery: markdown`",
        "python/requirements.txt",
        "langchain-openai",
    ),
    "ai-sdk-openai": ("AI SDK, `openai`", "node/package.json", "@ai-sdk/openai"),
    "ai-sdk-openai-store-false": ("AI SDK, `openai`, `store: false`", "node/package.json", "@ai-sdk/openai"),
    "ai-sdk-openai-store-false-resent": (
        "AI SDK, `openai`, `store: false`, picture put into the question",
        "node/package.json",
        "@ai-sdk/openai",
    ),
    "ai-sdk-openai-chat": ("AI SDK, `openai.chat`", "node/package.json", "@ai-sdk/openai"),
    "ai-sdk-openai-compatible": ("AI SDK, `openai-compatible`", "node/package.json", "@ai-sdk/openai-compatible"),
    "ai-sdk-openai-compatible-markdown": (
        "AI SDK, `openai-compatible`, `image_delivery: markdown`",
        "node/package.json",
        "@ai-sdk/openai-compatible",
    ),
    "openrouter-ai-sdk-provider": ("AI SDK, `openrouter`", "node/package.json", "@openrouter/ai-sdk-provider"),
    "openrouter-ai-sdk-provider-markdown": (
        "AI SDK, `openrouter`, `image_delivery: markdown`",
        "node/package.json",
        "@openrouter/ai-sdk-provider",
    ),
    "openrouter-ai-sdk-provider-url": (
        "AI SDK, `openrouter`, `image_delivery: url`",
        "node/package.json",
        "@openrouter/ai-sdk-provider",
    ),
    "async-openai": ("async-openai, its types", "async-openai/Cargo.toml", "async-openai"),
    "async-openai-byot": ("async-openai, `byot`", "async-openai/Cargo.toml", "async-openai"),
    "aiperf": ("aiperf", "python/requirements-aiperf.txt", "aiperf"),
}
SURFACES = {
    "chat": "Chat (`/v1/chat/completions`)",
    "responses": "Responses (`/v1/responses`)",
    "generations": "Drawings (`/v1/images/generations`)",
    "edits": "Edits (`/v1/images/edits`)",
    "completions": "Raw prompts (`/v1/completions`)",
}
FEATURES = ["text", "picture", "several pictures", "previews", "pictures in", "second turn", "usage", "error", "load"]
HEAD = """# Clients

Every client here is unmodified, in the version that is named, and was driven against the daemon with the built-in model by
`./test clients`, which writes this page and fails if it differs. **yes** means: a person using that client sees the very bytes
that the daemon sent, each picture at its place; and in the column *second turn*, that "Now make it blue." reached the first
picture: the answer is byte for byte what plain HTTP gets with that picture in the history. Anything else is what the client
itself loses. An empty cell is not asked. *previews* are those of `partial_images`, each before its picture; *usage* is tokens in
and out as sent; *error* is status, code, parameter and message; *load*: every request of a short load was answered and counted
right.
"""


def version(file: str, name: str) -> str:
    text = (HERE / file).read_text(encoding="utf-8")
    found = re.search(rf'^\W*{re.escape(name)}"?\s*(?:==|:|=)[^\d]*([\d.]+)', text, re.MULTILINE)
    if not found:
        raise ValueError(f"{file} does not pin {name}")
    return found[1]


def row(client: str, mode: str, cells: dict[str, set[str]], features: list[str]) -> str:
    name, file, package = CLIENTS[client]
    results = [sorted(cells.get(feature, {""}), key=lambda result: (result != "yes", result)) for feature in features]
    shown = [" / ".join("**yes**" if result == "yes" else result for result in several) for several in results]
    return f"| {name} {version(file, package)} | {mode} | {' | '.join(shown)} |"


def main() -> None:
    cells = [json.loads(line) for file in sys.argv[1:] for line in pathlib.Path(file).read_text("utf-8").splitlines()]
    if unknown := {cell["client"] for cell in cells} - CLIENTS.keys():
        raise ValueError(f"no row for {unknown}")
    print(HEAD, end="")
    for surface, title in SURFACES.items():
        here = [cell for cell in cells if cell["surface"] == surface]
        if not here:
            continue
        features = [feature for feature in FEATURES if any(cell["feature"] == feature for cell in here)]
        print(f"\n## {title}\n\n| client | answer | {' | '.join(features)} |")
        print(f"| --- | --- | {' | '.join('---' for _ in features)} |")
        for client in CLIENTS:
            for mode in ("whole", "stream"):
                asked = [cell for cell in here if (cell["client"], cell["mode"]) == (client, mode)]
                if asked:
                    found: dict[str, set[str]] = {}
                    for cell in asked:
                        found.setdefault(cell["feature"], set()).add(cell["result"])
                    print(row(client, mode, found, features))
    notes = HERE / "losses.md"
    print(f"\n{notes.read_text(encoding='utf-8')}", end="")


if __name__ == "__main__":
    main()
