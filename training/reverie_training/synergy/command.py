"""The laboratory as one command: what is missing is trained, two processes at a time; then the tables are written."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from .. import settings, tokenizer
from . import report, worker
from .plans import FULL, QUICK, Size
from .results import ConditionKey, Key, LanguageKey, Results, condition_keys, language_keys, weights_of
from .served import Server


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


def _missing(results: Results, server: Server | None) -> list[Key]:
    """What is to be done: runs not finished or not judged, and models that such a run begins as and that are gone."""
    size = results.size
    keys = results.missing([*language_keys(size.seeds), *condition_keys(size.seeds)], served=server is not None)
    begun = [key.beginning for key in keys if isinstance(key, ConditionKey)]
    gone = [key for key in begun if not weights_of(key, size).exists()]
    return list(dict.fromkeys([*keys, *gone]))


def train(results: Results, workers: int, server: Server | None) -> None:
    """Every run that has not been finished. Models that others begin as go before them."""
    size = results.size
    missing = _missing(results, server)
    if not missing:
        return
    lines = tqdm(total=len(missing), desc=f"synergy {size.name}", unit="run", dynamic_ncols=True)

    def job(key: Key):
        def take(found: dict) -> None:
            line = results.add(key, found)
            figures = ", ".join(f"{name} {value:.3f}" for name, value in report.figures(line).items())
            lines.write(f"{key.name}: {figures} ({line['cpu_seconds']:.0f} s)")
            lines.update()

        return worker.work, (key, size, server, results.trained(key)), take

    tokenizer.folder()  # built once, before several processes want it
    if server:
        server.write_suites(size)
    with Pool(workers) as pool:
        for kind in (LanguageKey, ConditionKey):
            pool.run([job(key) for key in missing if isinstance(key, kind)])
    lines.close()


def run(quick: bool, seeds: int | None, out: Path | None, workers: int, binary: Path | None) -> None:
    """Trains what is missing and writes `runs.jsonl`, `synergy.md`, `synergy.png`. A stop signal ends the workers."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    size = size_of(quick, seeds)
    folder = out or settings.cache() / "synergy" / f"report-{size.name}"
    results = Results(folder / "runs.jsonl", size)
    server = Server(binary.absolute(), settings.cache() / "synergy" / size.name) if binary else None
    train(results, workers, server)
    lines = [line for line in results.lines(served=server is not None) if line["seed"] < size.seeds]
    if not server:  # some were judged in both ways: a table has one judge
        lines = [{name: value for name, value in line.items() if name != "served"} for line in lines]
    judge = "`reverie eval` through a running server" if server else "the training's own measures"
    (folder / "synergy.md").write_text(report.markdown(lines, size, judge))
    report.plot(lines, folder / "synergy.png")
    print(folder / "synergy.md")
