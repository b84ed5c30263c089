"""The timing stage on a cluster: one job with a node to itself, after the runs, whoever waits for it."""

from __future__ import annotations

import pytest

from spike_ssm.harness.state.submissions import submissions
from spike_ssm.results.timing.rows import read_timings
from tests.slurm.site import Site, slurm_command, wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


def test_variants_are_timed_when_their_runs_have_ended_with_and_without_a_command_that_waits(site: Site) -> None:
    words = ("timing=true", "timing_seconds=0.01", "optim.epochs=1")
    run = site.submit(*words)
    arrays, timing = submissions(site.results)
    (job,) = timing.jobs
    asked = slurm_command("scontrol", "show", "job", job)
    assert "OverSubscribe=NO" in asked
    assert f"afterany:{next(iter(arrays.jobs)).split('_')[0]}" in asked or site.state(run).is_finished
    (row,) = wait_until(lambda: read_timings(site.results)[0], "the times")
    assert (row["run"], row["threads"], site.state(run).status) == (run, 1, "done")
    assert site.sweep("timing=again", *words[1:]) == 0
    rows, errors = read_timings(site.results)
    assert ([each["run"] for each in rows], errors) == ([run, run], [])
