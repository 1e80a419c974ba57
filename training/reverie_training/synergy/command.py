"""The laboratory as one command: what is missing is trained, two processes at a time; then the tables are written."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from .. import settings, tokenizer
from . import foundation, report, served, worker
from .arms import Arm
from .plans import FULL, QUICK, Size
from .results import ConditionKey, Key, LanguageKey, Results, condition_keys, language_keys


class Pool:
    """Worker processes, each with a core, started fresh so that no thread or lock is inherited."""

    def __init__(self, workers: int):
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(workers, mp_context=context, initializer=worker.begin)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, error: type[BaseException] | None, *_details) -> None:
        if error is not None:
            for process in multiprocessing.active_children():
                process.terminate()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def run(self, jobs: list[tuple[Callable, tuple, Callable]]) -> None:
        """Runs (function, arguments, what takes the result) and returns when all are done."""
        waiting = {self._pool.submit(function, *arguments): take for function, arguments, take in jobs}
        for finished in as_completed(waiting):
            waiting[finished](finished.result())


def size_of(quick: bool, seeds: int | None) -> Size:
    """The size that a person asked for."""
    size = QUICK if quick else FULL
    return replace(size, seeds=seeds) if seeds else size


def _missing(results: Results) -> list[Key]:
    """What is to be trained: runs not finished, and models that such a run begins as and whose weights are gone."""
    size = results.size
    keys = results.missing([*language_keys(size.seeds), *condition_keys(size.seeds)])
    begun = [key.beginning for key in keys if isinstance(key, ConditionKey)]
    gone = [key for key in begun if not worker.weights_of(key, size).exists()]
    return list(dict.fromkeys([*keys, *gone]))


def _train_stages(names: list[str], workers: int) -> None:
    """Stages of the recipe, in processes of their own: the laboratory's sizes are not theirs."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "REVERIE_TRAINING_SIZE": "recipe"}
    groups = [[name] for name in names] if workers > 1 else [names] if names else []
    running = [
        subprocess.Popen([sys.executable, "-m", "reverie_training", *group], env=environment) for group in groups
    ]
    try:
        codes = [stage.wait() for stage in running]
    finally:
        for stage in running:
            stage.terminate()
    if any(codes):
        raise SystemExit("a stage ended early; the same command goes on from its snapshot")


def train(results: Results, workers: int) -> None:
    """Every run that has not been finished. Models that draw nothing go first, beside the denoiser they do not need."""
    size = results.size
    missing = _missing(results)
    lines = tqdm(total=len(missing), desc=f"synergy {size.name}", unit="run", dynamic_ncols=True)

    def job(key: Key):
        def take(found: dict) -> None:
            line = results.add(key, found)
            figures = ", ".join(f"{name} {value:.3f}" for name, value in line["figures"].items())
            lines.write(f"{key.name}: {figures} ({line['cpu_seconds']:.0f} s)")
            lines.update()

        return worker.work, (key, size), take

    def early(key: Key) -> bool:
        return isinstance(key, LanguageKey) and key.arm is Arm.COMPREHENSION

    later = [key for key in missing if not early(key)]
    if missing:
        tokenizer.folder()  # built once, before several processes want it
        _train_stages(foundation.missing_stages(), workers)
    with Pool(workers) as pool:
        denoiser = [(foundation.prepare_denoiser, (size,), lambda _: lines.write("denoiser: ready"))] if later else []
        pool.run([*denoiser, *[job(key) for key in missing if early(key)]])
        pool.run([job(key) for key in later])
    lines.close()


def run(quick: bool, seeds: int | None, out: Path | None, workers: int, server: Path | None) -> None:
    """Trains what is missing and writes `runs.jsonl`, `synergy.md`, `synergy.png`. A stop signal ends the workers."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    size = size_of(quick, seeds)
    folder = out or settings.cache() / "synergy" / f"report-{size.name}"
    results = Results(folder / "runs.jsonl", size)
    train(results, workers)
    lines = [line for line in results.lines() if line["seed"] < size.seeds]
    judge = "the training's own measures"
    if server:
        lines = served.judged(lines, server, folder, size)
        judge = "`reverie eval` through a running server"
    (folder / "synergy.md").write_text(report.markdown(lines, size, judge))
    report.plot(lines, folder / "synergy.png")
    print(folder / "synergy.md")
