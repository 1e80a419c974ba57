"""What aiperf and `reverie bench` measured of the same requests, beside each other. Standard library only."""

import json
import pathlib
import statistics
import sys
from typing import Any

ALLOWED = 0.15  # of the smaller median
# A median as `reverie bench` names it, and as aiperf does.
MEDIANS = {
    "first text, ms": ("first_text", "time_to_first_token"),
    "whole answer, ms": ("latency", "request_latency"),
}
COUNTS = ("requests", "tokens in", "tokens out")


def read(path: pathlib.Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8"))


def of_reverie(folder: pathlib.Path) -> dict[str, float]:
    figures = read(folder / "plain.json")["parts"][0]["figures"]
    counts = (figures[name] for name in ("completed", "prompt_tokens", "completion_tokens"))
    medians = {median: figures["times"][name]["p50_ms"] for median, (name, _) in MEDIANS.items()}
    return dict(zip(COUNTS, counts, strict=True)) | medians


def of_aiperf(folder: pathlib.Path) -> dict[str, float]:
    found = read(folder / "profile_export_aiperf.json")
    requests = found["request_count"]["avg"]
    tokens = (round(found[f"usage_{name}_tokens"]["avg"] * requests) for name in ("prompt", "completion"))
    medians = {median: found[name]["p50"] for median, (_, name) in MEDIANS.items()}
    return dict(zip(COUNTS, (requests, *tokens), strict=True)) | medians


# Who measured, the beginning of its folders' names, and how they are read.
TOOLS = (("aiperf", "aiperf", of_aiperf), ("reverie bench", "reverie", of_reverie))


def compare(work: pathlib.Path, turns: int, target: pathlib.Path) -> bool:
    """Prints and keeps the table. Whether counts are equal and medians agree."""
    runs = [
        {"by": by, "turn": turn, **of(work / f"{folder}-{turn}")} for turn in range(1, turns + 1) for by, folder, of in TOOLS
    ]
    capacity = read(work / "capacity" / "plain.json")
    checks = {f"{count}: equal": len({run[count] for run in runs}) == 1 for count in COUNTS}
    for median in MEDIANS:
        both = [statistics.median(run[median] for run in runs if run["by"] == by) for by, _, _ in TOOLS]
        apart = max(both) / min(both) - 1
        checks[f"{median}: {apart:.1%} apart, at most {ALLOWED:.0%}"] = apart <= ALLOWED
    kept = {key: capacity[key] for key in ("date", "machine", "mix", "model")}
    kept |= {"requests a second": half(capacity), "runs": runs, "checks": checks}
    target.write_text(json.dumps(kept, indent=2) + "\n", "utf-8")
    print(json.dumps(kept, indent=2))
    return all(checks.values())


def half(capacity: dict[str, Any]) -> float:
    """Half of the requests a second that a closed loop got."""
    return round(capacity["parts"][0]["figures"]["requests_per_second"] / 2, 2)


def main() -> None:
    match sys.argv[1:]:
        case ["half", path]:
            print(half(read(pathlib.Path(path))))
        case ["compare", work, turns, target]:
            sys.exit(not compare(pathlib.Path(work), int(turns), pathlib.Path(target)))


if __name__ == "__main__":
    main()
