"""The commands: one a stage, one for all. `python -m reverie_training --help` lists them."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

STAGES = ("vae", "vit", "unet", "llm", "joint")
# Two halves at once, a core each; what joins them comes after both.
CREATION, COMPREHENSION = ("vae", "unet"), ("vit", "llm")


def _stage(name: str):
    """Stages are imported when they run: the networks' libraries take seconds to load."""
    match name:
        case "vae":
            from .stages.vae import VaeStage as Stage
        case "vit":
            from .stages.vit import VitStage as Stage
        case "unet":
            from .stages.unet import UnetStage as Stage
        case "llm":
            from .stages.llm import LlmStage as Stage
        case "joint":
            from .stages.joint import JointStage as Stage
        case _:
            raise ValueError(f"no stage {name}")
    return Stage()


def _run_stages(names: tuple[str, ...]) -> None:
    from .stages import run

    for name in names:
        run(_stage(name))


def _all(arguments: argparse.Namespace) -> None:
    """Both halves in processes of their own, then the joint stage on all cores, the plots and the checkpoint."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    halves = [
        subprocess.Popen([sys.executable, "-m", "reverie_training", *names], env=environment)
        for names in (CREATION, COMPREHENSION)
    ]
    if any([half.wait() for half in halves]):
        raise SystemExit("a half of the training ended early; the same command goes on from its snapshot")
    _run_stages(("joint",))
    _plots(arguments)
    _export(arguments)


def _begin(arguments: argparse.Namespace) -> None:
    from .beginning import begin

    begin(arguments.checkpoint)


def _plots(_arguments: argparse.Namespace) -> None:
    from . import progress, settings

    for name in STAGES:
        if (settings.cache() / f"{name}.curve.jsonl").exists():
            progress.plot(name, settings.cache() / f"{name}.curve.png")
            print(settings.cache() / f"{name}.curve.png")


def _latest_parts() -> dict:
    """The joint stage's parts, or those of the stages before it where it has not begun."""
    from .snapshots import weights

    try:
        return weights("joint")
    except FileNotFoundError:
        return {**weights("llm"), **weights("unet"), **weights("vae")}


def _evaluate(arguments: argparse.Namespace) -> None:
    from . import settings
    from .dreaming import Pipeline
    from .evaluation import answered
    from .tasks import TASKS

    tasks = tuple(arguments.task or [task for task in TASKS if task != "web"])
    pipeline = Pipeline(_latest_parts())
    figures = answered(
        pipeline, arguments.fold, arguments.count, tasks, lambda task, share: print(f"{task}: {share:.3f}", flush=True)
    )
    print(json.dumps(figures, indent=1))
    (settings.cache() / f"figures.{arguments.fold}.json").write_text(json.dumps(figures, indent=1) + "\n")


def _export(arguments: argparse.Namespace) -> None:
    from .export import export

    measured = getattr(arguments, "figures", None)
    figures = json.loads(measured.read_text()) if measured else {}
    size = export(_latest_parts(), arguments.out, figures)
    print(f"{arguments.out}: {size / 2**20:.1f} MiB of weights")


def _sweep(arguments: argparse.Namespace) -> None:
    from . import settings, sweep
    from .dreaming import Pipeline

    rows = sweep.sweep(Pipeline(_latest_parts()), arguments.count)
    sweep.plot(rows, settings.cache() / "sweep.png")
    (settings.cache() / "sweep.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(settings.cache() / "sweep.png")


def _suite(arguments: argparse.Namespace) -> None:
    from . import suite
    from .tasks import TASKS

    made = []
    for task in arguments.task or [task for task in TASKS if task != "web"]:
        count = arguments.count if task in suite.WORDS_ONLY else arguments.drawn
        made += suite.cases(arguments.fold, task, count)
    suite.write(arguments.out, made)
    print(arguments.out / "suite.jsonl")


def _vectors(arguments: argparse.Namespace) -> None:
    from . import vectors

    vectors.write(arguments.out)
    print(arguments.out)


def _synergy(arguments: argparse.Namespace) -> None:
    # Sizes are settled when modules load, here and in every worker.
    os.environ["REVERIE_TRAINING_SIZE"] = "laboratory"
    from .synergy import command

    command.run(arguments.quick, arguments.seeds, arguments.out, arguments.workers, arguments.via_server)


def _add_synergy(commands) -> None:
    compared = commands.add_parser("synergy", help="compare joint models with specialists, many small ones in pairs")
    compared.set_defaults(run=_synergy)
    compared.add_argument("--quick", action="store_true", help="fewer seeds and shorter runs: 20 minutes on two cores")
    compared.add_argument("--seeds", type=int, help="paired seeds (3 with --quick, else 8)")
    compared.add_argument("--out", type=Path, help="folder of runs, tables and plot; by default in the cache")
    compared.add_argument("--workers", type=int, default=2, help="processes at a time, a core each")
    compared.add_argument("--via-server", type=Path, metavar="REVERIE", help="judge with this binary's `eval`")


def main() -> None:
    parser = argparse.ArgumentParser(prog="reverie_training", description="Trains Reverie's embedded model.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in STAGES:
        stage = commands.add_parser(name, help=f"train the {name} stage, or go on with it; further stages may follow")
        stage.add_argument("then", nargs="*", choices=[*STAGES, []], help="stages to train after it")
        stage.set_defaults(run=lambda arguments: _run_stages((arguments.command, *arguments.then)))
    whole = commands.add_parser("all", help="everything: both halves at once, joint, plots, checkpoint")
    whole.set_defaults(run=_all)
    begun = commands.add_parser(
        "begin", help="fill an empty cache from a checkpoint, so that `llm` goes on with its weights"
    )
    begun.set_defaults(run=_begin)
    begun.add_argument("--from", dest="checkpoint", type=Path, required=True, metavar="CHECKPOINT")
    commands.add_parser("plots", help="draw the curves of what has been trained").set_defaults(run=_plots)
    judged = commands.add_parser(
        "evaluate", help="count right answers of the latest weights, by the real document loop"
    )
    judged.set_defaults(run=_evaluate)
    swept = commands.add_parser("sweep", help="measure quality against sampler steps and guidance")
    swept.set_defaults(run=_sweep)
    swept.add_argument("--count", type=int, default=100, help="wishes")
    written = commands.add_parser("suite", help="write the cases of a fold for `reverie eval`")
    written.set_defaults(run=_suite)
    shipped = commands.add_parser("export", help="write the checkpoint folder from the latest weights")
    shipped.set_defaults(run=_export)
    shipped.add_argument("--figures", type=Path, help="what `reverie eval --json` wrote, for the model card")
    _add_synergy(commands)
    recorded = commands.add_parser("vectors", help="record readings and verdicts for the tests of `reverie eval`")
    recorded.set_defaults(run=_vectors)
    for one in (whole, written, shipped, recorded):
        one.add_argument("--out", type=Path, required=True)
    for one in (judged, written):
        one.add_argument("--fold", default="test", choices=("validation", "test", "held-out"))
        one.add_argument("--task", action="append")
    judged.add_argument("--count", type=int, default=50, help="cases a task")
    written.add_argument("--count", type=int, default=500, help="cases of a task that is answered in words")
    written.add_argument("--drawn", type=int, default=200, help="cases of a task whose answers have pictures")
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
