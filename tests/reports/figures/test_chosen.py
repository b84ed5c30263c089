"""Of more variants than can be told apart the front and the baseline are drawn, and the page says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from spike_ssm.reports.figures.chosen import MOST, drawn_variants, remark
from spike_ssm.reports.pages.sweep import build_report
from spike_ssm.reports.render import palette
from spike_ssm.results.schema import Manifest, PlannedRun
from spike_ssm.results.store import write_manifest, write_run


def runs_of(variants: int, seeds: int = 3) -> pd.DataFrame:
    """The more accurate the more spikes among the last five; the first is the baseline."""
    noise = np.random.default_rng(0)
    places = [place for place in range(variants) for _ in range(seeds)]
    good = [max(place - variants + 6, 0) for place in places]
    return pd.DataFrame(
        {
            "variant": [f"v{place}" for place in places],
            "seed": list(range(seeds)) * variants,
            "test_accuracy": [0.5 + 0.05 * each + 0.001 * noise.standard_normal() for each in good],
            "firing_rate": [0.05 + 0.02 * each if each else 0.3 for each in good],
        }
    )


def test_few_variants_are_all_drawn() -> None:
    runs = runs_of(MOST)
    assert drawn_variants(runs, "v0") == [f"v{place}" for place in range(MOST)]
    assert remark(drawn_variants(runs, "v0"), runs) == ""


def test_of_many_the_front_and_the_baseline_are() -> None:
    runs = runs_of(40)
    assert drawn_variants(runs, "v0") == ["v0", "v35", "v36", "v37", "v38", "v39"]
    assert drawn_variants(runs.assign(firing_rate=np.nan), "v0") == ["v0", "v39"], "nothing spikes"
    assert "Drawn: 6 of 40 variants" in remark(drawn_variants(runs, "v0"), runs)


def test_there_are_as_many_looks_as_may_be_drawn() -> None:
    looks = palette.looks([f"v{place}" for place in range(MOST)], "v0").values()
    assert len({(look.colour, look.marker) for look in looks}) == MOST


def test_the_page_says_which_are_drawn_and_lists_all_in_its_tables(tmp_path: Path) -> None:
    runs, planned = runs_of(30), []
    for row in runs.to_dict("records"):
        run = PlannedRun(f"{row['variant']}-{row['seed']}", {"task": "t", "neuron": row["variant"]}, **{
            name: row[name] for name in ("variant", "seed")
        })  # fmt: skip
        planned.append(run)
        told = {"id": run.id, "status": "done", "task": "t", "config": "{}", "environment": "{}", "code_version": "1"}
        write_run(tmp_path, told | {name: row[name] for name in ("seed", "test_accuracy", "firing_rate")})
    write_manifest(tmp_path, Manifest("many", "Many", "?", "laptop", "", "v0", [], planned))
    page = build_report("many", tmp_path, tmp_path / "html").read_text()
    assert "Drawn: 6 of 30 variants, the Pareto front of the means and the baseline" in page
    legend = page[page.index('<ul class="legend"') :].partition("</ul>")[0]
    assert legend.count("<li>") == 6
    assert all(f'data-name="v{place}"' in page for place in range(30))
