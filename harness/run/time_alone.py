"""What the process of a timing stage does: the variants of one task after the other, timed and stored.

`python -m spike_ssm.harness.run.time_alone ORDER SECONDS AGAIN` is how a sweep starts it on its own machine; a job of
SLURM calls `work`. What was measured on this machine, with this code, in one sitting with all the others of its task,
is not measured again unless that is asked for.
"""

from __future__ import annotations

import os
import socket
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from filelock import FileLock, Timeout

from spike_ssm.harness.config.compose import settings_from_json
from spike_ssm.harness.run.job import Job
from spike_ssm.harness.run.order import read_order
from spike_ssm.harness.system.environment import SWEEP
from spike_ssm.harness.system.private import private_folder
from spike_ssm.harness.system.signals import Interrupted, stop_with, stoppable
from spike_ssm.harness.timing.measure import machine, measure
from spike_ssm.harness.timing.memory import peaks
from spike_ssm.results.errors import UserError, sentence
from spike_ssm.results.process import Process
from spike_ssm.results.timing.rows import MACHINE, machine_name, read_timings, write_timing

Row = Mapping[str, Any]


def work(order: str, seconds: float, again: bool) -> bool:
    """Whether all runs of the order in this file have been timed: one a variant of a task, the baseline before others.

    seconds: of timing for each. again: also those that have been before.
    """
    with stoppable():
        if (sweep := Process.from_token(os.environ.get(SWEEP, ""))) is not None:
            stop_with(sweep)
        jobs, _ = read_order(order, settings_from_json)
        by_task: dict[str, list[Job]] = {}
        for job in jobs:
            by_task.setdefault(job.settings.task.name, []).append(job)
        with _alone():
            timed = [_time(task, group, seconds, again) for task, group in by_task.items()]
    return all(timed)


@contextmanager
def _alone() -> Iterator[None]:
    """Wait until no other timing stage of this user is at work on this machine."""
    try:
        lock = FileLock(private_folder("locks") / f"timing-{socket.gethostname()[:64]}.lock")
    except UserError:  # without such a folder they are seen by the processors that they use
        yield
        return
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _say("Another sweep times its variants on this machine: this one waits for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _time(task: str, jobs: Sequence[Job], seconds: float, again: bool) -> bool:
    """Whether the jobs have been timed; what is done, or cannot be, is said."""
    folder, ids = jobs[0].results, [job.run_id for job in jobs]
    what = f"{task}, {len(jobs)} variant{'s' if len(jobs) > 1 else ''}"
    try:
        here = machine(jobs[0].settings)
        earlier = _sitting_of(read_timings(folder)[0], ids, here)
        if earlier and not again:
            _say(f"{what}: timed here before, with this code.")
            return True
        _say(f"{what}: timed alone on {machine_name(here)}, for about {seconds * len(jobs):.0f} s and their memory.")
        settings = [job.settings for job in jobs]
        rows = measure(settings, seconds)
        rows = [row | peak._asdict() for row, peak in zip(rows, peaks(settings), strict=True)]
        write_timing(folder, rows)
    except Exception as error:  # the runs are finished whatever becomes of their times
        _say(f"{what}: could not be timed. {sentence(error)}")
        return False
    if rows[0]["machine_shared"]:
        _say(
            f"{what}: other processes used this machine meanwhile. The times are marked; timing=again takes them anew."
        )
    if earlier:
        _say(f"{what}: {_moved(earlier, {row['run']: row for row in rows}, ids)}")
    return True


def _sitting_of(rows: Sequence[Row], ids: Sequence[str], here: Row) -> dict[str, Row]:
    """The rows, by run, of the latest sitting on this machine with this code that had all the runs; else none."""
    sittings: dict[str, dict[str, Row]] = {}
    for row in rows:
        if all(row[name] == here[name] for name in (*MACHINE, "code_version")):
            sittings.setdefault(row["sitting"], {})[row["run"]] = row
    whole = [sitting for sitting in sittings.values() if set(ids) <= set(sitting)]
    return whole[-1] if whole else {}


def _moved(earlier: Mapping[str, Row], now: Mapping[str, Row], ids: Sequence[str]) -> str:
    """How far the ratios of a training step, and of an inference, to the first run's are from those before."""
    first, *others = ids
    said = []
    for name, words in (("train_ms", "training steps"), ("inference_ms", "inferences")):
        ratios = [
            statistics.median(new / base for new, base in zip(rows[run][name], rows[first][name], strict=True))
            for rows in (earlier, now)
            for run in others
        ]
        before, after = ratios[: len(others)], ratios[len(others) :]
        moves = [abs(new / old - 1) for old, new in zip(before, after, strict=True)]
        said.append(f"of {words} at most {100 * max(moves, default=0.0):.1f} %")
    return f"ratios to the first variant moved since the sitting before by: {', '.join(said)}."


def _say(text: str) -> None:
    print(f"Timing: {text}", flush=True)


def main(arguments: Sequence[str]) -> int:
    """The exit status: 0 when all has been timed."""
    order, seconds, again = arguments
    try:
        return 0 if work(order, float(seconds), again == "again") else 1
    except Interrupted as error:
        return 128 + error.signal


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
