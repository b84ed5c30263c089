"""Figures drawn by several processes are those drawn by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from spike_ssm.reports.figures import parallel as drawing
from spike_ssm.reports.pages.sweep import build_report


def test_a_page_whose_figures_are_drawn_by_several_processes_is_the_same(
    sweep: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = sweep(tasks=("listops", "pathfinder"), variants=("none", "fixed"))
    pages = []
    for many in (drawing.MANY_RUNS, 1):
        monkeypatch.setattr(drawing, "MANY_RUNS", many)
        pages.append(build_report("ablation_refractory", runs, tmp_path / str(many)).read_text())
    assert pages[0].count("<svg") > 10
    assert pages[0] == pages[1]
