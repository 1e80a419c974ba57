"""What aiperf and `reverie bench` measured of the same requests, beside each other. Standard library only."""

import json
import pathlib
import statistics
import sys
from typing import Any

ALLOWED = 0.15  # of the smaller median
MEDIANS = {"first text, ms": "first_text", "whole answer, ms": "latency"}


def read(path: pathlib.Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8"))


def of_reverie(folder: pathlib.Path) -> dict[str, float]:
    figures = read(folder / "plain.json")["parts"][0]["figures"]
    medians = {name: figures["times"][key]["p50_ms"] for name, key in MEDIANS.items()}
    counts = {"requests": figures["completed"], "tokens in": figures["prompt_tokens"], "tokens out": figures["completion_tokens"]}
    return counts | medians


def of_aiperf(folder: pathlib.Path) -> dict[str, float]:
    found = read(folder / "profile_export_aiperf.json")
    requests = found["request_count"]["avg"]
    total = {name: round(found[f"usage_{name}_tokens"]["avg"] * requests) for name in ("prompt", "completion")}
    counts = {"requests": requests, "tokens in": total["prompt"], "tokens out": total["completion"]}
    return counts | {
        "first text, ms": found["time_to_first_token"]["p50"],
        "whole answer, ms": found["request_latency"]["p50"],
    }


def compare(work: pathlib.Path, turns: int, target: pathlib.Path) -> bool:
    """Prints and keeps the table. Whether counts are equal and medians agree."""
    runs = [
        {"by": name, "turn": turn, **of(work / f"{folder}-{turn}")}
        for turn in range(1, turns + 1)
        for name, folder, of in (("aiperf", "aiperf", of_aiperf), ("reverie bench", "reverie", of_reverie))
    ]
    capacity = read(work / "capacity" / "plain.json")
    checks = {}
    for count in ("requests", "tokens in", "tokens out"):
        checks[f"{count}: equal"] = len({run[count] for run in runs}) == 1
    for median in MEDIANS:
        both = [
            statistics.median(run[median] for run in runs if run["by"] == name) for name in ("aiperf", "reverie bench")
        ]
        checks[f"{median}: {max(both) / min(both) - 1:.1%} apart, at most {ALLOWED:.0%}"] = max(both) <= min(both) * (1 + ALLOWED)
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
