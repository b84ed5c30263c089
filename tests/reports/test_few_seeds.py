"""Of two seeds no interval is printed: not in any table of any page, nor in the files beside it."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from spike_ssm.reports.__main__ import main
from tests.reports.sections.test_robustness import evaluated

NAME = "ablation_refractory"


@pytest.fixture
def written(sweep: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """Writes every page of a sweep of two seeds, beside one of the papers' cells; returns their folder."""

    def write(change: Callable[[dict[str, Any]], dict[str, Any]] = lambda row: row) -> Path:
        results, out = sweep(seeds=(0, 1), tasks=("listops", "images"), change=change), tmp_path / "html"
        for words in ([NAME], [], ["compare", NAME, NAME, "--against", str(results)]):
            assert (
                main([*words, "--results", str(results), "--measured", str(tmp_path / "none"), "--out", str(out)]) == 0
            )
        return out

    return write


def assert_no_interval(out: Path) -> None:
    pages, files = [*out.rglob("*.html")], [*out.rglob("*.md"), *out.rglob("*.tex")]
    assert pages
    assert files
    for page in pages:
        cells = [
            unescape(re.sub(r"<[^>]*>", "", cell)) for cell in re.findall(r"<td.*?</td>", page.read_text(), re.DOTALL)
        ]
        assert [cell for cell in cells if "±" in cell] == [], page.name
    for file in files:
        text = re.sub(r"(?m)^(- |\\item|\\multicolumn).*$", "", file.read_text())  # notes and answers
        assert re.findall(r"\d \$?(?:±|\\pm) ?\$?\d", text) == [], file.name
    for file in out.rglob("*.csv"):
        numbers = pd.read_csv(file)
        halves = numbers[[name for name in numbers if "half_interval" in name]]
        assert halves.isna().all(axis=None), file.name


def test_a_sweep_its_index_and_a_comparison_of_two_seeds(written: Callable[..., Path]) -> None:
    assert_no_interval(written())


def test_a_robustness_sweep_of_two_seeds(written: Callable[..., Path]) -> None:
    assert_no_interval(written(evaluated))


def test_the_papers_tables_of_two_seeds(paper_runs: Callable[..., Path], tmp_path: Path) -> None:
    runs = paper_runs("lra_accuracy", "S4D-Lin", "listops", [0.5, 0.6])
    assert (
        main(["paper", "--results", str(runs), "--measured", str(tmp_path / "none"), "--out", str(tmp_path / "html")])
        == 0
    )
    page = (tmp_path / "html" / "paper.html").read_text()
    assert "55.0" in page
    assert_no_interval(tmp_path / "html")
