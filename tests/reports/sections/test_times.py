"""Times on a page: those of one machine stand for throughput, ratios are of rounds that followed each other."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spike_ssm.reports.findings.speed import speed
from spike_ssm.reports.loading.times import load_times
from spike_ssm.reports.pages.sweep import build_report
from spike_ssm.reports.statistics.rounds import median
from spike_ssm.results.store import read_manifest
from spike_ssm.results.timing.rows import write_timing
from tests.reports.conftest import row_of

ROUNDS = 8


def sitting(folder: Path, name: str, ms: dict[str, Sequence[float]], **changes: Any) -> None:
    """A sitting in which the variants' training steps took so long by round, and an inference half as long."""
    rows = [
        {
            "sitting": name, "measured_at": f"2026-01-01T00:00:0{len(name)}+00:00",
            "run": row_of("listops", variant, 0)["id"], "task": "listops",
            "processor": "EPYC", "vector_instructions": "AVX2", "gpu": None, "threads": 1, "torch": "2.13.0",
            "code_version": "abc", "machine_shared": False, "convolution": "scan",
            "train_ms": list(times), "inference_ms": [each / 2 for each in times],
            "train_samples": 32.0, "train_tokens": 1000.0, "inference_samples": 32.0, "inference_tokens": 900.0,
            "peak_memory_mib": 400.0, "step_memory_mib": 50.0, **changes,
        }
        for variant, times in ms.items()
    ]  # fmt: skip
    write_timing(folder, rows)


def about(ms: float, spread: float = 0.01) -> list[float]:
    return [ms * (1 + spread * (place % 3 - 1)) for place in range(ROUNDS)]


SLOWER = {"none": about(10), "fixed": about(12), "trainable": about(11)}


def text_of(folder: Path, tmp_path: Path) -> str:
    html = build_report("ablation_refractory", folder, tmp_path / "html", ["html"]).read_text()
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


@given(st.lists(st.floats(0.1, 100), min_size=6, max_size=60), st.sampled_from([0.05, 0.01]))
def test_the_interval_of_a_median_holds_it_and_is_made_of_rounds(values: list[float], alpha: float) -> None:
    found = median(values, alpha)
    assert found.value == np.median(values)
    if alpha == 0.05:
        assert {found.low, found.high} <= set(values)
    if found.low == found.low:
        assert found.low <= found.value <= found.high


def test_the_interval_of_a_median_misses_it_as_often_as_said_at_most() -> None:
    draws = np.random.default_rng(0).exponential(size=(4000, 15))
    found = [median(list(draw)) for draw in draws]
    missed = np.mean([not each.low <= np.log(2) <= each.high for each in found])
    assert 0.005 < missed < 0.05
    assert np.isnan(median([1.0, 2.0, 3.0, 4.0, 5.0]).low), "five rounds are too few"


def test_ratios_are_those_of_rounds_however_the_machine_drifts(sweep: Callable[..., Path]) -> None:
    folder, drift = sweep(), np.linspace(1, 3, ROUNDS)
    sitting(folder, "a", {"none": list(10 * drift), "fixed": list(11 * drift)})
    times, unread = load_times(folder, read_manifest(folder, "ablation_refractory"))
    fixed = times.set_index("variant").loc["fixed"]
    assert unread == []
    assert [fixed[f"train_ratio{end}"] for end in ("", "_low", "_high")] == pytest.approx([1.1] * 3)
    assert fixed["train_ms_high"] > 2 * fixed["train_ms_low"]
    assert fixed["train_tokens_per_s"] == pytest.approx(1e6 / fixed["train_ms"])


def test_a_page_shows_times_taken_alone_with_their_machine(sweep: Callable[..., Path], tmp_path: Path) -> None:
    folder = sweep(details=False, shared=True)
    sitting(folder, "a", SLOWER)
    text = text_of(folder, tmp_path)
    assert "Time of a step, measured alone on EPYC (AVX2, 1 thread, torch 2.13.0)" in text
    assert "A training step in the other 2 variants takes" in text
    assert "100 thousand tokens/s alone on EPYC" in text
    assert "Throughput is not shown" not in text
    assert "†" not in text


def test_times_of_a_machine_that_others_used_are_marked_and_nothing_is_said_of_them(
    sweep: Callable[..., Path], tmp_path: Path
) -> None:
    folder = sweep(details=False)
    sitting(folder, "a", SLOWER, machine_shared=True)
    text = text_of(folder, tmp_path)
    assert "tokens/s †" in text
    assert text.count("Other processes used this machine meanwhile: do not compare") == 2, "both tables"
    assert "A training step in" not in text


def test_machines_are_kept_apart_and_the_one_that_timed_most_stands_for_throughput(
    sweep: Callable[..., Path], tmp_path: Path
) -> None:
    folder = sweep(details=False)
    sitting(folder, "aa", {"none": about(1), "fixed": about(1)}, processor="Xeon")
    sitting(folder, "a", SLOWER)
    times, _ = load_times(folder, read_manifest(folder, "ablation_refractory"))
    assert set(times.loc[times["chosen"], "machine"]) == {"EPYC (AVX2, 1 thread, torch 2.13.0)"}
    text = text_of(folder, tmp_path)
    assert text.index("measured alone on EPYC") < text.index("measured alone on Xeon")
    assert "100 thousand tokens/s alone on EPYC" in text


def test_the_latest_sitting_counts(sweep: Callable[..., Path]) -> None:
    folder = sweep()
    sitting(folder, "a", SLOWER)
    sitting(folder, "bb", {"none": about(20), "fixed": about(20)})
    times, _ = load_times(folder, read_manifest(folder, "ablation_refractory"))
    by_variant = times.set_index("variant")
    assert by_variant.loc["fixed", "train_ratio"] == pytest.approx(1, abs=0.03)
    assert by_variant.loc["trainable", "train_ratio"] == pytest.approx(1.1, abs=0.03), "of its own sitting"


def test_a_file_of_times_that_cannot_be_read_is_named_on_the_page(sweep: Callable[..., Path], tmp_path: Path) -> None:
    folder = sweep(details=False)
    (folder / "timing").mkdir()
    (folder / "timing" / "b.parquet").write_bytes(b"no parquet")
    text = text_of(folder, tmp_path)
    assert "The times timing/b.parquet are damaged, and left out" in text


def frame(**ratios: tuple[float, float]) -> pd.DataFrame:
    rows = [
        {"variant": variant, "train_ratio": (low + high) / 2, "train_ratio_low": low, "train_ratio_high": high}
        for variant, (low, high) in ratios.items()
    ]
    rows.append({"variant": "none", "train_ratio": 1.0})
    same = {"chosen": True, "machine_shared": False, "machine": "EPYC", "train_tokens_per_s": 5e4}
    return pd.DataFrame(rows).assign(**same)


def test_the_sentence_says_no_more_than_the_intervals() -> None:
    (close,) = speed(frame(fixed=(0.98, 1.03), trainable=(0.97, 1.04)), "none")
    assert close.text == (
        "A training step takes as long in the other 2 variants as in none (0.97 to 1.04 times), which does "
        "50 thousand tokens/s alone on EPYC."
    )
    (one,) = speed(frame(fixed=(1.2, 1.3)), "none")
    assert one.text.startswith("A training step in fixed takes 1.20 to 1.30 times as long as in none, which")
    (apart,) = speed(frame(fixed=(1.2, 1.3), trainable=(1.0, 1.1)), "none")
    assert "1.00 to 1.30 times as long as in none (slowest: fixed), which" in apart.text
    (overlapping,) = speed(frame(fixed=(1.0, 1.3), trainable=(1.0, 1.1)), "none")
    assert "slowest" not in overlapping.text
    (without,) = speed(frame(fixed=(1.2, 1.3)), None)
    assert without.text == "50 thousand to 50 thousand tokens/s, alone on EPYC."
    assert speed(frame(fixed=(1.2, 1.3)).assign(machine_shared=True), "none") == []
    assert speed(frame(fixed=(1.2, 1.3)).iloc[:0], "none") == []
