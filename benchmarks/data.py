"""`python -m benchmarks.data`: how fast data are generated, opened and loaded, on two cores of a CPU.

ListOps is generated at its published lengths, prepared as for a run; Pathfinder and Path-X are images alone. Opening is
timed in new processes, with the first training batch. Every task whose data are here is loaded at laptop scale with one
thread, and beside it its laptop network is trained for an epoch, also with one thread, as a worker does. Nothing is
downloaded. With --save, rows and their environment go to results/measured/data_cpu.parquet.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, NamedTuple

import torch

from benchmarks import report
from benchmarks.loading import loading_rate, open_task, seconds_to_open, training_rate
from benchmarks.report import THREADS, start_anew_with, verdict
from benchmarks.words import parser
from spike_ssm.harness.config.command_line import parse_command_line
from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.data import TASKS
from spike_ssm.harness.data.contours.shapes import parameters
from spike_ssm.harness.data.contours.snakes import generate as generate_images
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.data.tasks.listops import ListOpsSettings
from spike_ssm.harness.data.tasks.listops_examples import generate
from spike_ssm.harness.measurements.timing import Contention
from spike_ssm.harness.system.environment import KEEP_MEMORY, compute_with
from spike_ssm.harness.system.provenance import environment
from spike_ssm.results.errors import UserError

CPU = torch.device("cpu")
OFFLINE = {"HF_HUB_OFFLINE": "1"}
SECONDS = 5.0
"""Least time, in seconds, for which images are generated."""

Row = dict[str, Any]
"""A row: section, subject, unit, value and the number of threads."""


class Target(NamedTuple):
    """Target for the values of a section in a unit, of one subject or of all: at least `bound`, or at most."""

    section: str
    unit: str
    bound: float
    subject: str | None = None
    at_most: bool = False


TARGETS = (
    Target("generating", "s for 100,000 examples", 60, at_most=True),
    Target("generating", "images/s", 200_000 / (20 * 60), "pathfinder, 32 x 32"),
    Target("opening", "s", 1, at_most=True),
    Target("loading", "times as fast as training", 5),
)


def row(section: str, subject: str, unit: str, value: float) -> Row:
    """Row of one measured number."""
    return {"section": section, "subject": subject, "unit": unit, "value": value, "threads": torch.get_num_threads()}


def sentence(row: Row) -> str:
    """Sentence for people: numbers from 1,000 on without decimals, smaller ones with three significant digits."""
    value = f"{row['value']:,.0f}" if row["value"] >= 1000 else f"{row['value']:.3g}"
    return f"{row['section']}, {row['subject']}: {value} {row['unit']}"


def generating_and_opening(laptop: Settings, published: Settings) -> Iterator[Row]:
    """Rows of ListOps: prepared anew at its published lengths; then a small data set and that large one opened."""
    generate(ListOpsSettings(min_length=3, max_length=20, train=10, validation=1, test=1))  # compiles
    started = time.perf_counter()
    data = open_task(published)
    seconds, examples = time.perf_counter() - started, sum(map(len, (data.train, data.validation, data.test)))
    yield row("generating", "listops", "s for 100,000 examples", seconds * 100_000 / examples)
    open_task(laptop)
    for settings, size in ((laptop, "small"), (published, "large")):
        yield row("opening", f"listops, {size}", "s", seconds_to_open(settings))


def generating_images(subject: str, size: int, at_once: int) -> Iterator[Row]:
    """Row of the rate at which images of `size` x `size` pixels are generated, `at_once` per call."""
    snakes = parameters(size)
    generate_images(snakes, 0, 0, 2)  # compiles
    started = time.perf_counter()
    for call in count(1):
        generate_images(snakes, 0, call * at_once, at_once)
        if (seconds := time.perf_counter() - started) >= SECONDS:
            yield row("generating", subject, "images/s", call * at_once / seconds)
            return


def loading(settings: Settings, data: Dataset) -> Iterator[Row]:
    """Rows of the rate of loading, the slower of two turns before and after training, of training, and their ratio."""
    name = settings.task.name
    before, training, after = loading_rate(settings, data), training_rate(settings, data), loading_rate(settings, data)
    rate = min(before, after)
    yield row("loading", name, "tokens/s", rate)
    yield row("loading", name, "tokens/s in training", training)
    yield row("loading", name, "times as fast as training", rate / training)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread in this process, as the workers of a sweep have it."""
    compute_with(1)
    yield
    compute_with(THREADS)


def tasks_here(composer: Composer, chosen: dict[str, Any]) -> tuple[dict[str, Dataset], list[str]]:
    """The tasks whose data are here, prepared at laptop scale, and the names of the others."""
    found, missing = {}, []
    for name in TASKS:
        try:
            found[name] = open_task(composer.settings({**chosen, "task": name}))
        except UserError:
            missing.append(name)
    return found, missing


def measure(composer: Composer, chosen: dict[str, Any], tasks: dict[str, Dataset]) -> Iterator[Row]:
    """Rows of all sections; `chosen` are settings, such as where the data lie."""
    with tempfile.TemporaryDirectory() as folder:
        here = {**chosen, "task": "listops", "paths.cache": folder}
        laptop, published = (composer.settings({**here, "scale": scale}) for scale in ("laptop", "paper"))
        yield from generating_and_opening(laptop, published)
    yield from generating_images("pathfinder, 32 x 32", 32, 1000)
    yield from generating_images("path-x, 128 x 128", 128, 50)
    with one_thread():
        for name, data in tasks.items():
            yield from loading(composer.settings({**chosen, "task": name}), data)


def verdicts(rows: list[Row], targets: tuple[Target, ...] = TARGETS) -> list[str]:
    """One sentence per target: the worst value, and whether it meets the target."""
    sentences = []
    for target in targets:
        values = [
            row["value"]
            for row in rows
            if (row["section"], row["unit"]) == (target.section, target.unit)
            and target.subject in (None, row["subject"])
        ]
        if values:
            what = ", ".join(filter(None, (target.section, target.subject, target.unit)))
            sentences.append(verdict(what, values, target.bound, at_most=target.at_most))
    return sentences


def main() -> None:
    """Measure, print, and save where asked to."""
    options = parser("data").parse_args()
    start_anew_with({**KEEP_MEMORY, **OFFLINE})
    compute_with(THREADS)
    print(environment(CPU)["processor"])
    composer, chosen = Composer(), parse_command_line(["device=cpu", *options.settings]).overrides
    tasks, missing = tasks_here(composer, chosen)
    if missing:
        print(f"Left out: {', '.join(missing)}. `python -m harness.tasks prepare NAME` says what they lack.")
    contention, rows = Contention(), []
    for measured in measure(composer, chosen, tasks):
        print(sentence(measured), flush=True)
        rows.append(measured)
    others = contention.share()
    print(f"Other processes used {100 * others:.0f} % of the machine meanwhile.", *verdicts(rows), sep="\n")
    if options.save:
        report.save("data_cpu", rows, CPU, others=others)


if __name__ == "__main__":
    main()
