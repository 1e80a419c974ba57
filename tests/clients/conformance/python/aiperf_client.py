"""NVIDIA's aiperf, unmodified, as a person uses it: a short load on each surface, counted by its own report."""

import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

import report

REQUESTS = 4
OPTIONS = {
    "chat-stream-load": ["--endpoint-type", "chat", "--streaming", "--output-tokens-mean", "16"],
    "chat-whole-load": ["--endpoint-type", "chat", "--output-tokens-mean", "16"],
    "responses-whole-load": ["--endpoint-type", "responses", "--output-tokens-mean", "16"],
    # Of a stream that `max_output_tokens` ends it takes no usage: it reads `response.completed`, not `response.incomplete`.
    "responses-stream-capped": ["--endpoint-type", "responses", "--streaming", "--output-tokens-mean", "16"],
    "responses-stream-load": ["--endpoint-type", "responses", "--streaming"],
    "completions-stream-load": ["--endpoint-type", "completions", "--streaming", "--output-tokens-mean", "16"],
    "generations-whole-load": ["--endpoint-type", "image_generation", "--extra-inputs", "num_inference_steps:4"],
    "generations-stream-load": [
        *("--endpoint-type", "image_generation", "--streaming"),
        *("--extra-inputs", "num_inference_steps:4"),
    ],
    "edits-whole-load": [
        *("--endpoint-type", "image_edit", "--extra-inputs", "num_inference_steps:4"),
        *("--image-width-mean", "32", "--image-height-mean", "32"),
    ],
}


def load(case: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(str(pathlib.Path(sys.executable).parent / "aiperf"), "profile", "--model", report.MODEL),
            *("--url", report.address(case).removesuffix("/v1"), "--tokenizer", os.environ["TOKENIZER"]),
            *("--request-count", str(REQUESTS), "--concurrency", "2", "--random-seed", "1", "--ui", "none"),
            *("--synthetic-input-tokens-mean", "20", "--synthetic-input-tokens-stddev", "0"),
            *("--artifact-dir", folder),
        ]
        done = subprocess.run(
            command + OPTIONS[case], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
        result = report.json.loads((pathlib.Path(folder) / "profile_export_aiperf.json").read_text("utf-8"))
    requests = result["request_count"]["avg"]
    usage = {
        name: round(result[figure]["avg"] * requests)
        for name, figure in (("input", "usage_prompt_tokens"), ("output", "usage_completion_tokens"))
        if figure in result
    }
    return {"requests": requests, "error_rate": result["request_error_rate"]["avg"], "usage": usage}


def main() -> None:
    for case in OPTIONS:
        report.say(case, load)


if __name__ == "__main__":
    main()
