"""The page of a sweep while its runs go on: a process of its own writes it, from one seed of each variant on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from spike_ssm.harness.launch.time_left import Kind
from spike_ssm.harness.state.survey import RunState
from spike_ssm.harness.system.environment import worker_environment
from spike_ssm.harness.system.signals import out_of_earshot
from spike_ssm.results.process import Process

SECONDS_TO_END = 5.0
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def first_needed(kinds: Mapping[str, Kind]) -> list[frozenset[str]]:
    """The runs of each variant of the first task, by id: a page says something once one of each has ended."""
    first = next(iter(kinds.values())).task
    variants: dict[str, set[str]] = {}
    for run_id, kind in kinds.items():
        if kind.task == first:
            variants.setdefault(kind.variant, set()).add(run_id)
    return [frozenset(ids) for ids in variants.values()]


class PartialPage:
    """A context manager; call it with the states of the runs that are waited for, as often as you like.

    page: where it will be. needed: of each set of runs one must have ended before the first page. ended: runs that had
    before. What befalls the page disturbs no run: `trouble` says it.
    """

    def __init__(
        self, name: str, results: Path, page: Path, needed: Sequence[Collection[str]], ended: Collection[str]
    ) -> None:
        self.page = page
        self._words = [Process.current().token(), name, str(results), str(page.parent)]
        self._needed, self._ended = needed, set(ended)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def line(self) -> str:
        """The place of the page, and when it is written."""
        when = "first written after one seed of each variant" if self._process is None else "written as results come"
        return f"Report: {self.page}, {when}"

    def __enter__(self) -> PartialPage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()

    def __call__(self, states: Mapping[str, RunState]) -> None:
        """Have the page written from when enough runs have ended on, unless all have: then the whole one is near."""
        self._ended |= {run_id for run_id, state in states.items() if state.is_finished}
        waits = any(not state.is_finished for state in states.values())
        if self._process is None and waits and all(self._ended & set(ids) for ids in self._needed):
            self._start()

    def processes(self) -> list[int]:
        """The pid of the process that writes it, if there is one."""
        return [] if self._process is None else [self._process.pid]

    def trouble(self) -> list[str]:
        """What the process has to say since this was asked last, in lines."""
        if self._process is None or self._process.stderr is None:
            return []
        said = self._process.stderr.read()  # does not wait: nothing yet is None
        return said.decode(errors="replace").splitlines()[-1:] if said else []

    def _start(self) -> None:
        command = [sys.executable, "-m", "spike_ssm.harness.launch.page_process", *self._words]
        with worker_environment(**ONE_THREAD), out_of_earshot(), suppress(OSError):
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, bufsize=0
            )
            assert self._process.stderr is not None
            os.set_blocking(self._process.stderr.fileno(), False)
