"""What was tuned is shown with every number it led to, and a variant that was not is marked wherever it stands."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spike_ssm.reports.pages.sweep import build_report
from spike_ssm.reports.render.text import ABSENT
from spike_ssm.results.schema import Manifest
from spike_ssm.results.store import read_manifest, write_manifest
from spike_ssm.results.tuning.record import Choice, Tuning

LR, LEAK = "optim.lr", "neuron.leak"
TUNING = Tuning(
    sweep="ablation_refractory",
    scale="laptop",
    command="python -m harness.tune +sweep=ablation_refractory budget=8",
    code_version="0123456789ab",
    sampler="qmc",
    budget=8,
    seeds=[1000, 1001],
    axes={LR: {"low": 0.002, "high": 0.05, "log": True}, LEAK: {"choices": [0.5, 0.9]}},
    lacking={LEAK: ["none"]},
    chosen={
        "listops": {
            "none": Choice(8, 0, 3, 0.4321, "accuracy", {LR: 0.0117}),
            "fixed": Choice(7, 1, 5, 0.44, "accuracy", {LR: 0.0021, LEAK: 0.9}, [LR]),
            "trainable": Choice(0, 8),
        }
    },
)


@pytest.fixture
def page(sweep: Callable[..., Path], tmp_path: Path) -> Callable[[Tuning | None], tuple[str, str, str]]:
    """Renders the sweep with a tuning; the page, its Markdown and its LaTeX."""

    def render(tuning: Tuning | None) -> tuple[str, str, str]:
        results = sweep(variants=("none", "fixed", "trainable", "control_reset"))
        manifest = read_manifest(results, "ablation_refractory")
        write_manifest(results, replace(manifest, tuning=tuning))
        path = build_report("ablation_refractory", results, tmp_path / "html")
        return path.read_text(), path.with_suffix(".md").read_text(), path.with_suffix(".tex").read_text()

    return render


def rows_of(markdown: str, caption: str) -> dict[str, list[str]]:
    """Of the table with this caption: heading -> cells."""
    table = markdown.partition(f"**{caption}**")[2].lstrip().partition("\n\n")[0]
    lines = [[cell.strip() for cell in line.strip("| ").split("|")] for line in table.splitlines()]
    return {line[0]: line[1:] for line in lines[2:]}


def test_the_page_shows_budget_trials_and_choices_of_every_variant(page: Any):
    html, markdown, _ = page(TUNING)
    rows = rows_of(markdown, "Tuning")
    assert rows["none"] == ["8", "0", "43.21", ABSENT, "0.0117"]
    assert rows["fixed"] == ["7", "1", "44.00", "0.9", "0.0021 ‡"]
    assert rows["trainable (untuned)"] == ["0", "8", ABSENT, ABSENT, ABSENT]
    assert rows["control_reset (untuned)"] == ["0", "0", ABSENT, ABSENT, ABSENT]
    for sentence in (
        "8 trials for every variant at the same points (a scrambled Sobol sequence), chosen by the validation set "
        "alone, with seeds 1000 and 1001, which no run of the sweep has. Searched: neuron.leak one of 0.5 and 0.9; "
        "optim.lr 0.002 to 0.05, evenly in the logarithm.",
        "Untuned, with the sweep&#39;s own settings: trainable and control_reset.",
        "‡ At an end of the range: a wider one might do better.",
    ):
        assert sentence in html


@pytest.mark.parametrize(
    "caption", ["Test accuracy, spikes and cost", "Paired differences to none", "Tuning", "Energy of a token"]
)
def test_an_untuned_variant_is_marked_in_every_table(page: Any, caption: str):
    _, markdown, latex = page(TUNING)
    heads = set(rows_of(markdown, caption))
    assert {"trainable (untuned)", "control_reset (untuned)"} <= heads
    assert not {"trainable", "control_reset", "none (untuned)", "fixed (untuned)"} & heads
    assert r"trainable (untuned)" in latex


def test_on_the_page_the_mark_stands_beside_the_name_in_every_table_of_variants(page: Any):
    html, *_ = page(TUNING)
    heads = re.findall(r'<th scope="row">(?:(?!</th>).)*</th>', html, re.DOTALL)
    marked = [head for head in heads if "trainable" in head and "swatch" in head]
    assert len(marked) >= 5
    assert all('<span class="mark">untuned</span>' in head for head in marked)


def test_a_sweep_that_was_not_tuned_has_neither_table_nor_marks(page: Any):
    html, markdown, _ = page(None)
    assert "untuned" not in html
    assert "**Tuning**" not in markdown


def test_a_manifest_keeps_its_tuning(tmp_path: Path):
    manifest = Manifest("a", "A", "?", "laptop", "", None, ["+sweep=a"], tuning=TUNING)
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path, "a") == manifest
