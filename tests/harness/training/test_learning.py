"""Networks still learn what they learned when the results under results/measured were made."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.data.tasks.listops import ListOps
from spike_ssm.harness.system.root import ROOT
from spike_ssm.harness.training.fit import run_training

MEASURED = ROOT / "results" / "measured" / "ablation_refractory_laptop.parquet"


@pytest.mark.slow
@pytest.mark.usefixtures("_one_thread")
def test_a_laptop_run_is_as_accurate_as_the_stored_ones(composer: Composer, tmp_path: Path) -> None:
    """Within five standard deviations of the five seeds' mean: a change that breaks learning costs ten and more."""
    stored = pd.read_parquet(MEASURED, columns=["config", "test_accuracy", "firing_rate", "seed"])
    settings = composer.settings({"launcher": "debug"})
    alike = stored[stored["config"].map(lambda config: json.loads(config) | {"seed": 0} == settings.identity())]
    assert len(alike) == 5
    found = run_training(settings, ListOps(settings.task).prepare(tmp_path, tmp_path))
    for measure in ("test_accuracy", "firing_rate"):
        assert abs(found[measure] - alike[measure].mean()) < 5 * alike[measure].std()
