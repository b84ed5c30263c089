"""Which runs of a plan come next, and which are decided without."""

from __future__ import annotations

from pathlib import Path

from spike_ssm.results.schema import Manifest


def next_and_decided(results: Path, manifest: Manifest) -> tuple[set[str], set[str]]:
    """Ids of the runs to be executed next, and of those that need not be run; all and none where not sequential."""
    if not manifest.is_sequential:
        return {run.id for run in manifest.runs}, set()
    from spike_ssm.reports.loading import decided  # pandas and scipy, needed only here

    return decided.next_and_decided(results, manifest)
