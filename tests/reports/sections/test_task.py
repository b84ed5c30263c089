"""The section of a task: what is compared with what."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spike_ssm.reports.loading.sweep import load
from spike_ssm.reports.loading.times import load_times
from spike_ssm.reports.render import palette
from spike_ssm.reports.sections.task import task_section

OTHER = {"trainable", "trainable_decay"}


def on_other_data(row: dict[str, Any]) -> dict[str, Any]:
    """The row, of examples of another seed where it is one of `OTHER`."""
    config = json.loads(row["config"])
    config["task"]["data_seed"] = int(config["neuron"]["refractory"] in OTHER)
    return row | {"config": json.dumps(config)}


def test_variants_are_compared_with_the_baseline_on_its_own_data_only(sweep: Callable[..., Path]) -> None:
    loaded = load(folder := sweep(change=on_other_data), "ablation_refractory")
    times, _ = load_times(folder, loaded.manifest)
    looks = palette.looks(loaded.variants, "none")
    numbers, section = task_section(loaded.manifest, "listops", loaded.runs, times, looks, loaded.variants, 0)
    assert section.comparison is not None
    assert {row.head for row in section.comparison.rows} == set(loaded.variants) - OTHER - {"none"}
    compared = numbers.set_index("variant")["difference_points"]
    assert {variant for variant, value in compared.items() if value != value} == OTHER | {"none"}
    said = {name for findings in section.findings for item in findings.statements for name in item.variants}
    assert said >= OTHER, "each beside the shortcut of its own data"
    about_the_baseline = [findings for findings in section.findings if "compared with none" in findings.title]
    assert not OTHER & {name for each in about_the_baseline for item in each.statements for name in item.variants}
