"""What runs were expected to take when they were started: a file a plan, to be held against what they took."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from spike_ssm.results.documents import read_document
from spike_ssm.results.errors import UserError
from spike_ssm.results.files import may_exist, replace
from spike_ssm.results.names import check_name


@dataclass(frozen=True)
class Start:
    """Runs that were started together: the seconds until the last one ends, and of each by id, as estimated."""

    wall_s: float
    runs: dict[str, float]


@dataclass(frozen=True)
class Estimates:
    """The starts of a plan, the earliest first; a run that was started again counts where it was started last."""

    starts: list[Start] = field(default_factory=list)

    @property
    def runs(self) -> dict[str, float]:
        """Seconds by run id."""
        return {run_id: seconds for start in self.starts for run_id, seconds in start.runs.items()}

    def followed_by(self, start: Start) -> Estimates:
        """These estimates with one start more."""
        earlier = [
            Start(each.wall_s, {run_id: seconds for run_id, seconds in each.runs.items() if run_id not in start.runs})
            for each in self.starts
        ]
        return Estimates([*(each for each in earlier if each.runs), start])


def estimates_path(folder: Path, plan: str) -> Path:
    """Path of the estimates of the plan. Raises `UserError` for what can be no name of a file."""
    check_name("plan", plan)
    return folder / "estimates" / f"{plan}.json"


def read_estimates(folder: Path, plan: str) -> Estimates:
    """The estimates of the plan; none where there is no file, or none that can be read: nothing depends on it."""
    path = estimates_path(folder, plan)
    if not may_exist(path):
        return Estimates()
    try:
        found = read_document(Estimates, json.loads(path.read_bytes()), str(path))
    except (OSError, ValueError, UserError):
        return Estimates()
    return found if _are_possible(found) else Estimates()


def _are_possible(found: Estimates) -> bool:
    every: Mapping[str, float] = found.runs
    return all(0 <= seconds < 1e12 for seconds in [*every.values(), *(start.wall_s for start in found.starts)])


def add_estimate(folder: Path, plan: str, start: Start) -> None:
    """Keep what was estimated at a start of the plan. Raises `OSError`."""
    found = read_estimates(folder, plan).followed_by(start)
    replace(estimates_path(folder, plan), json.dumps(asdict(found), indent=1).encode())
