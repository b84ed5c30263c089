"""Which finished runs of a sweep were computed by other code than the first of them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spike_ssm.results.errors import UserError
from spike_ssm.results.reading import read_run, run_path
from spike_ssm.results.store import read_manifest


@dataclass(frozen=True)
class Code:
    """What computed a run. sources: a hash of what decides its numbers; None of runs that were stored without."""

    version: str
    sources: str | None

    def is_same(self, other: Code) -> bool:
        """Whether both are one code: by their sources where both are known, else by the commit."""
        if self.sources and other.sources:
            return self.sources == other.sources
        return self.version == other.version

    def __str__(self) -> str:
        return f"{self.version}, sources {self.sources}" if self.sources else self.version


@dataclass(frozen=True)
class CodeOfRuns:
    """The codes of the finished runs of a sweep, by id and the earliest first; planned: all runs that it has."""

    sweep: str
    results: Path
    planned: int
    codes: dict[str, Code]

    @staticmethod
    def of(results: Path, sweep: str) -> CodeOfRuns:
        """What the results folder has of `sweep`, which may be nothing."""
        try:
            ids = [run.id for run in read_manifest(results, sweep).runs]
        except UserError:  # none was run, or others say what is wrong
            ids = []
        return CodeOfRuns(sweep, results, len(ids), {run_id: code for _, run_id, code in sorted(_read(results, ids))})

    def others(self) -> list[str]:
        """The ids of the runs of other code than the first."""
        first = next(iter(self.codes.values()), None)
        return [run_id for run_id, code in self.codes.items() if first is not None and not code.is_same(first)]

    def warning(self) -> str | None:
        """The sentence that names runs of other code than the first, with what to do; None without any."""
        others = self.others()
        if not others:
            return None
        place = self.results / "other_code"
        files = [str(run_path(self.results, run_id)) for run_id in others]
        moving = f"mkdir -p {shlex.quote(str(place))} && {shlex.join(['mv', *files, str(place)])}"
        named = "; ".join(dict.fromkeys(str(self.codes[run_id]) for run_id in others))
        return (
            f"{len(others)} of {len(self.codes)} finished runs of {self.sweep} were computed by other code ({named}) "
            f"than the first ({next(iter(self.codes.values()))}): they do not count, and with that code are computed "
            f"again by the same command once their results are moved away: {moving}"
        )

    def warning_before(self, now: Code) -> str | None:
        """The sentence that runs to come would be of other code, `now`, than the first; None where they are not."""
        first = next(iter(self.codes.values()), None)
        if first is None or len(self.codes) == self.planned or now.is_same(first):
            return None
        return (
            f"The first run of {self.sweep} was computed by {first}, and this code is {now}: what is run now counts as "
            "other code, so go back to that code (git checkout) first."
        )


def _read(results: Path, ids: list[str]) -> Iterator[tuple[tuple[str, int], str, Code]]:
    """When each finished run began, its id and its code."""
    for place, run_id in enumerate(ids):
        try:
            row = read_run(run_path(results, run_id), ["status", "started_at", "environment", "code_version"])
            environment = json.loads(row["environment"] or "{}")
        except (UserError, ValueError):  # it has none, or none that counts
            continue
        if row["status"] == "done":
            yield (str(row["started_at"]), place), run_id, Code(str(row["code_version"]), environment.get("sources"))
