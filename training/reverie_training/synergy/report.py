"""The two tables in Markdown and their plot, from finished runs. Trains nothing, leaves nothing out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from .arms import Arm
from .conditions import Objective
from .diets import Mixture, Protocol
from .intervals import Estimate, estimate, paired
from .plans import Size

Line = dict[str, Any]
MEASURES = {
    "caption": (Arm.COMPREHENSION, "captions exact"),
    "questions": (Arm.COMPREHENSION, "answers exact"),
    "conditions": (Arm.CREATION, "conditions read back"),
    "pictures": (Arm.CREATION, "pictures right and clean"),
}
_PICTURE_MEASURES = ("all", "shape", "colour", "size", "places", "background", "clean", "denoising error")


def figures(line: Line) -> dict[str, float]:
    """The figures of a run; where a server was seen to answer, those go before the training's own."""
    return line["figures"] | line.get("served", {})


def by_seed(lines: list[Line], measure: str, **place: str) -> dict[int, float]:
    """A measure by seed, of the runs at one place of a table."""
    chosen = [line for line in lines if all(line.get(name) == value for name, value in place.items())]
    return {line["seed"]: figures(line)[measure] for line in chosen if measure in figures(line)}


def joint(lines: list[Line], measure: str, mixture: str) -> dict[int, float]:
    """The joint runs of a mixture: the same under every protocol."""
    return by_seed(lines, measure, table="synergy", arm=Arm.JOINT, mixture=mixture)


def differences(lines: list[Line]) -> list[tuple[str, str, str, dict, dict]]:
    """(measure, mixture, protocol, specialists by seed, joint runs by seed) where both have been finished."""
    found = []
    for measure, (specialist, _) in MEASURES.items():
        for mixture in Mixture:
            together = joint(lines, measure, mixture)
            for protocol in Protocol:
                alone = by_seed(lines, measure, table="synergy", arm=specialist, mixture=mixture, protocol=protocol)
                if alone.keys() & together.keys():
                    found.append((measure, mixture, protocol, alone, together))
    return found


def _share(value: float) -> str:
    return f"{value:.3f}"


def _interval(found: Estimate) -> str:
    mark = "**" if found.decided else ""
    if math.isinf(found.half):
        return f"{found.mean:+.3f} (one seed)"
    return f"{mark}{found.mean:+.3f}{mark} [{found.low:+.3f}, {found.high:+.3f}]"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _table(*heads: str) -> list[str]:
    return [_row(*heads), _row(*["---"] * len(heads))]


def _first(lines: list[Line]) -> list[str]:
    rows = _table("measure", "documents", "in common", "specialist", "joint", "joint - specialist [95 %]", "seeds")
    for measure, mixture, protocol, alone, together in differences(lines):
        found = paired(together, alone)
        means = [_share(estimate(list(values.values())).mean) for values in (alone, together)]
        rows.append(_row(MEASURES[measure][1], mixture, protocol, *means, _interval(found), str(found.count)))
    return rows


def _interleaving(lines: list[Line]) -> list[str]:
    rows = _table("measure", "model", "pairs", "with interleaved", "difference [95 %]", "seeds")
    for measure, (specialist, title) in MEASURES.items():
        for arm in (specialist, Arm.JOINT):
            place = {"table": "synergy", "arm": arm, "protocol": Protocol.COMPUTE}
            without, within = (by_seed(lines, measure, **place, mixture=mixture) for mixture in Mixture)
            if without.keys() & within.keys():
                found = paired(within, without)
                means = [_share(estimate(list(values.values())).mean) for values in (without, within)]
                rows.append(_row(title, arm, *means, _interval(found), str(found.count)))
    return rows


def _costs(lines: list[Line]) -> list[str]:
    rows = _table("model", "documents", "in common", "steps", "documents read", "tokens", "words", "dreams", "CPU s")
    for mixture in Mixture:
        for arm in Arm:
            for protocol in [Protocol.COMPUTE] if arm is Arm.JOINT else Protocol:
                some = [
                    line
                    for line in lines
                    if (line.get("arm"), line.get("mixture"), line.get("protocol")) == (arm, mixture, protocol)
                ]
                if some:
                    names = ("steps", "documents", "tokens", "words", "dreams")
                    means = [f"{sum(line['eaten'][name] for line in some) / len(some):.0f}" for name in names]
                    seconds = f"{sum(line['cpu_seconds'] for line in some) / len(some):.0f}"
                    rows.append(_row(arm, mixture, "-" if arm is Arm.JOINT else protocol, *means, seconds))
    return rows


def _second(lines: list[Line]) -> list[str]:
    rows = _table("conditions by", "steps", "CPU s", *_PICTURE_MEASURES, "seeds")
    for objective in Objective:
        some = [line for line in lines if line.get("objective") == objective]
        if not some:
            continue
        means = [_share(sum(figures(line)[name] for line in some) / len(some)) for name in _PICTURE_MEASURES]
        seconds = sum(line["cpu_seconds"] for line in some) / len(some)
        rows.append(_row(objective, str(some[0]["eaten"]["steps"]), f"{seconds:.0f}", *means, str(len(some))))
    rows += ["", *_table("measure", "difference", "[95 %]", "seeds")]
    for measure in _PICTURE_MEASURES:
        found = {one: by_seed(lines, measure, table="conditions", objective=one) for one in Objective}
        denoised = found[Objective.DENOISING]
        for objective in (Objective.ALIGNMENT, Objective.BOTH):
            if found[objective].keys() & denoised.keys():
                difference = paired(found[objective], denoised)
                title = f"{objective} - denoising loss"
                rows.append(_row(measure, title, _interval(difference), str(difference.count)))
    return rows


def markdown(lines: list[Line], size: Size, judge: str) -> str:
    """Both tables, what each run was fed, and how to read them."""
    seeds = len({line["seed"] for line in lines})
    return "\n".join(
        [
            f"# Synergy, size `{size.name}`",
            "",
            f"{len(lines)} runs, {seeds} seeds; judged by {judge} on scenes never trained on. Shares; differences",
            "are paired by seed, with 95 % intervals by Student's t, bold where the interval leaves out nought, as",
            "about one in twenty does by chance. Shares of a short training say which way learns faster, not which is",
            "better in the end.",
            "",
            "## Does learning together help?",
            "",
            *_first(lines),
            "",
            "## Do interleaved documents help? (identical compute)",
            "",
            *_interleaving(lines),
            "",
            "## What teaches the conditions",
            "",
            "The same computing and the same frozen denoiser, which was pretrained under the fixed codes: alignment",
            "is therefore told where the denoiser listens, the denoising loss has to find it. `all` is a picture right",
            "and clean; the denoising error is the only measure of which less is better.",
            "",
            *_second(lines),
            "",
            "## What each model was fed (means over seeds)",
            "",
            *_costs(lines),
            "",
        ]
    )


def plot(lines: list[Line], target: Path) -> None:
    """Paired differences with their intervals, a panel for each measure."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as pyplot

    figure, axes = pyplot.subplots(1, len(MEASURES), figsize=(4 * len(MEASURES) + 2, 3.2), sharey=True)
    labels = [f"{mixture}\n{protocol}" for mixture in Mixture for protocol in Protocol]
    for axis, (measure, (_, title)) in zip(axes, MEASURES.items(), strict=True):
        axis.axvline(0, color="gray", linewidth=1)
        axis.set_title(title)
        axis.set_xlabel("joint - specialist")
        axis.xaxis.set_major_locator(pyplot.MaxNLocator(5))
        for name, mixture, protocol, alone, together in differences(lines):
            if name == measure:
                height = labels.index(f"{mixture}\n{protocol}")
                found = paired(together, alone)
                pairs = [together[seed] - alone[seed] for seed in alone.keys() & together.keys()]
                axis.plot(pairs, [height] * len(pairs), "|", color="lightgray", markersize=14)
                half = 0.0 if math.isinf(found.half) else found.half
                axis.errorbar(found.mean, height, xerr=half, fmt="o", capsize=4, color="tab:blue")
    axes[0].set_yticks(range(len(labels)), labels, fontsize=8)
    axes[0].set_ylim(len(labels) - 0.5, -0.5)
    figure.tight_layout()
    figure.savefig(target, dpi=90)
    pyplot.close(figure)
