"""Which runs of a sequential sweep come next, and which are decided without: a function of the results alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from spike_ssm.reports.statistics.sequential import wanted
from spike_ssm.results.errors import UserError
from spike_ssm.results.reading import Outcome, read_outcomes
from spike_ssm.results.schema import Manifest
from spike_ssm.results.verify.limits import is_possible


def next_and_decided(results: Path, manifest: Manifest) -> tuple[set[str], set[str]]:
    """Ids of the runs to be executed next, and of those that need not be run; all and none where not sequential.

    What has a result is in neither; one that cannot be read is waited for.
    """
    if not manifest.is_sequential:
        return {run.id for run in manifest.runs}, set()
    found = read_outcomes(results, [run.id for run in manifest.runs])
    following, decided = wanted(manifest.runs, str(manifest.baseline), _accuracies(found))
    return {run_id for run_id in following if found[run_id] is None}, decided


def _accuracies(found: Mapping[str, Outcome | UserError | None]) -> dict[str, float]:
    """Test accuracy by the id of every run that has a result; NaN where it failed or no measurement gives it."""
    ended = {run_id: outcome for run_id, outcome in found.items() if isinstance(outcome, Outcome)}
    return {
        run_id: accuracy
        if outcome.status == "done"
        and (accuracy := outcome.test_accuracy) is not None
        and is_possible("test_accuracy", accuracy)
        else math.nan
        for run_id, outcome in ended.items()
    }
