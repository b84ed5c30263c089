"""Run ids stay: results that were computed before a change of the code are found again after it.

run_ids.json has, for every packaged sweep at every scale, how many runs it has and a hash of their ids in order. A
change of these is a change of what is measured: it needs a reason, and an entry in CHANGELOG.md.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from spike_ssm.harness.config.command_line import CommandLine
from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.plan.grid import expand
from spike_ssm.harness.plan.sweep_file import named_sweep

KNOWN = json.loads(Path(__file__).with_name("run_ids.json").read_text())


def ids_of(composer: Composer, sweep: str, scale: str) -> list[str]:
    command = CommandLine(sweep, {"scale": scale, "launcher": "debug"})
    return [run.plan.id for run in expand(composer, command, named_sweep(composer, command)).runs]


def test_every_packaged_sweep_is_known(composer: Composer) -> None:
    assert {key.split()[0] for key in KNOWN} == set(composer.options("sweep"))


@pytest.mark.slow
@pytest.mark.parametrize("key", KNOWN)
def test_the_runs_of_a_sweep_have_the_ids_that_they_had(composer: Composer, key: str) -> None:
    ids = ids_of(composer, *key.split())
    assert (len(ids), hashlib.sha256(" ".join(ids).encode()).hexdigest()[:16]) == (
        KNOWN[key]["runs"],
        KNOWN[key]["sha256"],
    )


def test_the_refractory_ablation_has_the_ids_that_it_had(composer: Composer) -> None:
    """The fast one of the tests above."""
    assert ids_of(composer, "ablation_refractory", "laptop")[0] == "acd0d04a9cd9"
