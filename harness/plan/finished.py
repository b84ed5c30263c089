"""Finished runs of a results folder as evidence of what others will take."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spike_ssm.harness.plan.expected import Finished
from spike_ssm.harness.plan.shapes import shape_of
from spike_ssm.harness.state.run_files import RunFiles
from spike_ssm.results.errors import UserError
from spike_ssm.results.reading import ids_there, read_run, run_path

MOST = 400
"""Finished runs that are looked at: reading one takes a fraction of a millisecond, and a folder may hold thousands."""

_COLUMNS = ("id", "status", "config", "environment", "duration_s", "peak_memory_mib", "machine_shared")


@dataclass(frozen=True)
class Place:
    """A place that runs are executed in, as far as their time depends on it. processor None: any, on a cluster."""

    processor: str | None
    device: str | None  # None: any that is a GPU
    threads: int
    processes: int
    shared: bool

    def has(self, environment: Mapping[str, Any], shared: bool | None) -> bool:
        """Whether a run with this environment was executed in such a place."""
        device = environment.get("device")
        return (
            self.processor in (None, environment.get("processor"))
            and (device == self.device if self.device else device not in (None, "cpu"))
            and environment.get("threads") == self.threads
            and environment.get("processes", 1) == self.processes
            and bool(shared) == self.shared
        )


def finished_in(results: Path, first: Sequence[str], place: Place) -> list[Finished]:
    """Finished runs in the folder `results` that were executed in such a place: those of `first`, then others."""
    there = ids_there(results) or set()
    wanted = [*(run_id for run_id in first if run_id in there), *sorted(there - set(first))][:MOST]
    return list(_read(results, wanted, place))


def _read(results: Path, ids: Iterable[str], place: Place) -> Iterator[Finished]:
    for run_id in ids:
        try:
            row = read_run(run_path(results, run_id), _COLUMNS)
            config, environment = json.loads(row["config"]), json.loads(row["environment"])
            if row["status"] != "done" or not row["duration_s"] or not place.has(environment, row["machine_shared"]):
                continue
            shape = shape_of(config)
        except (UserError, ValueError, TypeError, KeyError, AttributeError):  # others say so, and it tells nothing
            continue
        memory = (row["peak_memory_mib"] or 0.0) * place.processes
        yield Finished(shape, row["duration_s"], memory, _bytes(results, run_id))


def _bytes(results: Path, run_id: str) -> int:
    """What the run left on the disk."""
    files = RunFiles(results, run_id)
    return sum(path.stat().st_size for path in (run_path(results, run_id), files.weights) if path.exists())
