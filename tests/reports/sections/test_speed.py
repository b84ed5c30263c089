"""The sections of measurements, built from synthetic results: what is measured stands beside what is published."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from spike_ssm.reports.loading.published import speed_table
from spike_ssm.reports.pages.sweep import build_report
from spike_ssm.reports.render.text import ranged, significant
from spike_ssm.results.reading import run_path
from spike_ssm.results.schema import Manifest, PlannedRun
from spike_ssm.results.store import read_manifest, write_manifest, write_run

METHODS = {"bptt": 1.0, "sltt": 1.1, "pmbc": 8.0, "pmbc_m3": 9.0, "fused": 90.0}
LENGTHS = (1024, 8192)


def speed_row(method: str, length: int, seed: int, **changes: Any) -> dict[str, Any]:
    """A finished speed run. The loop takes 0.1 ms a step; seeds differ by 2 %."""
    loop = 0.1 * length * (1 + 0.02 * seed)
    times = METHODS[method] * (length / 1024) ** 0.25
    approximate = method == "pmbc_m3"
    return {
        "id": f"{method}-{length}-{seed}",
        "status": "done",
        "task": "speed",
        "neuron": "refractory_lif",
        "scale": "laptop",
        "seed": seed,
        "config": json.dumps({"task": {"name": "speed", "batch": 4, "channels": 32, "length": length}, "seed": seed}),
        "environment": json.dumps({"device": "cpu", "processor": "Test CPU", "threads": 2}),
        "code_version": "0123456789ab",
        "train_ms_per_step": loop / times,
        "forward_ms": 0.4 * loop / times,
        "loop_ms_per_step": loop,
        "times_loop": times,
        "firing_rate": 0.095,
        "spike_mismatch": 0.006 if approximate else 0.0,
        "undetermined": 0.037 if approximate else 0.0,
        "iterations": {"pmbc": 11, "pmbc_m3": 3}.get(method),
        "saved_mib": 1.5,
        "machine_shared": False,
        **changes,
    }


def map_row() -> dict[str, Any]:
    """A finished map: a leak of 0.9 leaves half the positions undetermined for long, 0.3 next to none."""
    grid = itertools.product([0.3, 0.9], [0.0, 0.5], [0.25, 1.0], [-0.5, 0.5])
    entries = [
        {
            "leak": leak, "decay": decay, "refractory": magnitude, "input_mean": mean, "input_scale": 0.9,
            "firing_rate": 0.1 + 0.1 * mean,
            "undetermined": [0.6 if leak == 0.9 else 0.1, 0.5 if leak == 0.9 else 0.02, 0.5 if leak == 0.9 else 0.004],
            "iterations": 20 if leak == 0.9 else 5,
        }
        for leak, decay, magnitude, mean in grid
    ]  # fmt: skip
    return speed_row("pmbc", 1024, 0) | {
        "id": "map",
        "task": "pmbc_map",
        "config": json.dumps({"task": {"name": "pmbc_map", "batch": 4, "length": 1024}}),
        "pmbc_map": entries,
        **dict.fromkeys(("times_loop", "train_ms_per_step", "forward_ms", "loop_ms_per_step", "iterations")),
    }


@pytest.fixture
def built(tmp_path: Path) -> Callable[..., str]:
    """Call with seeds and what to change of every speed row (None: not written); returns the page."""

    def call(
        seeds: tuple[int, ...] = (0,),
        change: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda row: row,
        with_map: bool = False,
    ) -> str:
        planned = []
        for earlier in tmp_path.glob("rows/*.parquet"):  # the first finished result of a run stays
            earlier.unlink()
        for method, length, seed in itertools.product(METHODS, LENGTHS, seeds):
            row = speed_row(method, length, seed)
            axes = {"task": "speed", "method": method, "task.length": str(length)}
            planned.append(PlannedRun(row["id"], axes, f"{method} / {length}", seed))
            changed = change(row)
            if changed is not None:
                write_run(tmp_path, changed)
        if with_map:
            axes = {"task": "pmbc_map", "method": "pmbc", "task.length": "1024"}
            planned.append(PlannedRun("map", axes, "pmbc / 1024", 0))
            write_run(tmp_path, map_row())
        notes = {run.variant: f"What {run.axes['method']} is." for run in planned}
        manifest = Manifest(
            "speed", "Speed of the neuron", "How long?", "laptop", "The neuron alone.", None,
            ["+sweep=speed"], planned, notes,
        )  # fmt: skip
        write_manifest(tmp_path, manifest)
        return build_report("speed", tmp_path, tmp_path / "html").read_text(encoding="utf-8")

    return call


def text_of(html: str) -> str:
    without = re.sub(r"<(style|svg).*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", without).split()).replace("&#39;", "'")


def cells(html: str, caption: str) -> dict[str, list[str]]:
    """Row heading -> cells of the table with this caption."""
    (table,) = [table for table in re.findall(r"<table.*?</table>", html, re.DOTALL) if f">{caption}<" in table]
    rows = {}
    for row in re.findall(r"<tr.*?</tr>", table.partition("<tbody>")[2], re.DOTALL):
        head, *values = [text_of(cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)]
        rows[head] = values
    return rows


# --- tables


def test_our_speed_up_stands_beside_the_published_one_of_the_same_method(built: Callable[..., str]) -> None:
    rows = cells(built(), "Speed-up over the loop")
    assert rows["fused"] == ["90.0", "151", "–", "–"], "nobody published it"  # noqa: RUF001
    assert rows["pmbc_m3"] == ["9.00", "15.1", "25.6", "81.7"], "our reading of the published PMBC"
    assert rows["pmbc"][2:] == ["–", "–"]  # noqa: RUF001
    assert rows["SDN, published"] == ["–", "–", "7.50", "101"], "not measured here"  # noqa: RUF001
    assert rows["bptt"] == ["1.00", "1.68", "1.00", "1.00"]


def test_milliseconds_stand_beside_the_published_ones(built: Callable[..., str]) -> None:
    rows = cells(built(), "Milliseconds per training iteration")
    assert rows["bptt"] == ["102", "487", "1,370", "25,600"]
    assert rows["pmbc_m3"][2:] == ["–", "–"]  # noqa: RUF001


def test_several_seeds_are_shown_as_a_median_with_its_range(built: Callable[..., str]) -> None:
    html = built(seeds=(0, 1, 2))
    assert cells(html, "Milliseconds per training iteration")["fused"][0] == "1.16 (1.14 to 1.18)"
    assert "Median over seeds (lowest to highest)." in text_of(html)
    assert "Median over seeds" not in text_of(built())


def test_what_a_method_gives_and_keeps_is_of_its_longest_sequence(built: Callable[..., str]) -> None:
    rows = cells(built(), "What each method gives and keeps")
    assert rows["pmbc_m3"] == ["8,192", "21.6", "1.50", "9.50", "0.600", "3.70", "3"]
    assert rows["fused"][-1] == "–", "no PMBC, no iterations"  # noqa: RUF001


def test_the_csv_and_the_markdown_beside_the_page_hold_the_speeds(built: Callable[..., str], tmp_path: Path) -> None:
    built(with_map=True)
    numbers = pd.read_csv(tmp_path / "html" / "speed.csv").set_index(["method", "length"])
    assert len(numbers) == len(METHODS) * len(LENGTHS)
    assert numbers.loc[("fused", 1024), "times_loop"] == 90
    assert numbers.loc[("bptt", 8192), "published_ms"] == 25_600
    assert math.isnan(numbers.loc[("fused", 8192), "published_ms"])
    markdown = (tmp_path / "html" / "speed.md").read_text(encoding="utf-8")
    assert "| fused | 90.0 | 151 |" in markdown
    assert "## Where PMBC settles soon" in markdown


def test_times_of_a_shared_machine_are_marked_and_get_no_verdict(built: Callable[..., str]) -> None:
    assert "†" not in built()
    html = built(change=lambda row: row | {"machine_shared": row["id"] == "fused-8192-0"})
    assert cells(html, "Speed-up over the loop")["fused"][:2] == ["90.0", "151 †"]
    assert "† Taken while others used the machine" in html
    assert "no verdict fused trains 151 times" in text_of(html)
    assert "faster pmbc trains" in text_of(html)


# --- words


def test_another_device_or_batch_is_not_compared_with_the_published_times(built: Callable[..., str]) -> None:
    shown = text_of(built())
    assert "Not comparable with the published times. Our device: Test CPU with 2 threads; batch 4 with 32" in shown
    assert "Theirs: one GPU, batch 64" in shown


def test_the_published_batch_on_a_gpu_invites_to_compare_speed_ups_only(built: Callable[..., str]) -> None:
    def on_gpu(row: dict[str, Any]) -> dict[str, Any]:
        task = json.loads(row["config"])["task"] | {"batch": 64}
        return row | {"config": json.dumps({"task": task}), "environment": json.dumps({"device": "A GPU"})}

    shown = text_of(built(change=on_gpu))
    assert "Our device: A GPU; batch 64 with 32 channels" in shown
    assert "compare speed-ups, not milliseconds" in shown
    assert "Not comparable" not in shown


def test_findings_say_how_fast_how_it_grows_and_how_far_timings_can_be_trusted(built: Callable[..., str]) -> None:
    shown = text_of(built(change=lambda row: row | ({"times_loop": 0.95} if row["id"].startswith("bptt") else {})))
    assert "Timed against itself, the loop is off by up to 5 %" in shown
    assert re.search(
        r"faster fused trains 151 times as fast as the loop at L = 8,192 \(5\.41 ms against 819 ms\)", shown
    )
    assert "8 times the length takes it 4.76 times as long." in shown
    assert "bptt trains" not in shown
    assert re.search(r"same bptt , sltt , pmbc , fused : every spike is the loop's", shown)
    assert "pmbc_m3 decides up to 0.600 % of the positions otherwise" in shown


def test_a_method_as_fast_as_the_loop_or_slower_is_called_so(built: Callable[..., str]) -> None:
    def slow(row: dict[str, Any]) -> dict[str, Any]:
        times = {"sltt": 1.04, "pmbc": 0.5}.get(row["id"].split("-")[0])
        return row | {"times_loop": times} if times else row

    shown = text_of(built(change=slow))
    assert "as fast sltt trains 1.04 times as fast" in shown
    assert "slower pmbc trains 0.500 times as fast" in shown


def test_the_map_is_told_in_words_of_its_numbers(built: Callable[..., str]) -> None:
    shown = text_of(built(with_map=True))
    assert "16 neurons, 4 sequences of 1,024 steps each: leak 0.3 to 0.9, decay 0 to 0.5" in shown
    assert "After 3 iterations the median neuron leaves 25.2 % of its positions undetermined, the worst 50.0 %" in shown
    assert "true of 8 of 16 neurons, with leaks up to 0.3" in shown
    assert "leak from 0.3 to 0.9 the median goes from 0.400 to 50.0 %." in shown
    assert "takes 5 to 20 iterations" in shown


def test_the_map_by_leak_has_medians_over_the_rest(built: Callable[..., str]) -> None:
    rows = cells(built(with_map=True), "PMBC by leak")
    assert rows["leak 0.3"] == ["10.0", "5.0 to 15.0", "10.0", "2.00", "0.400", "5", "5"]


# --- the page


def test_figures_and_maps_are_drawn_with_a_text_and_follow_the_mode(built: Callable[..., str]) -> None:
    html = built(with_map=True)
    labels = re.findall(r'role="img" aria-label="([^"]*)"', html)
    assert len(labels) == 6
    assert "fused 1.14, 5.41" in labels[0]
    assert "leak 0.9 median 50" in labels[4]
    assert "#fe0" not in html, "placeholders of the drawing"
    ids = re.findall(r'\bid="([^"]*)"', html)
    assert len(ids) == len(set(ids))


def test_a_page_of_measurements_has_no_empty_section_of_accuracy(built: Callable[..., str]) -> None:
    shown = text_of(built(with_map=True))
    for absent in ("Test accuracy", "Shortcut", "Paired differences", "No results yet", "nan ", "baseline"):
        assert absent not in shown
    assert shown.count("What fused is.") == 1, "once a method, not once a length"


def test_failed_and_missing_speed_runs_are_listed_and_the_rest_is_shown(built: Callable[..., str]) -> None:
    def some(row: dict[str, Any]) -> dict[str, Any] | None:
        if row["id"] == "pmbc-8192-0":
            return {name: row[name] for name in ("id", "task", "seed")} | {"status": "failed", "error": "No memory."}
        return None if row["id"] == "sltt-1024-0" else row

    html = built(change=some)
    assert "No memory." in html
    assert "1 missing" in text_of(html)
    rows = cells(html, "Speed-up over the loop")
    assert rows["pmbc"][:2] == ["8.00", "–"]  # noqa: RUF001
    assert rows["sltt"][:2] == ["–", "1.85"]  # noqa: RUF001


def test_without_a_map_there_is_no_section_of_it(built: Callable[..., str]) -> None:
    assert "Where PMBC settles soon" not in built()


def test_measurements_and_tasks_share_a_page(
    built: Callable[..., str], sweep: Callable[..., Path], tmp_path: Path
) -> None:
    built()
    trained = sweep(details=False, seeds=(0,))
    plans = read_manifest(tmp_path, "speed").runs
    for plan in plans:
        run_path(trained, plan.id).write_bytes(run_path(tmp_path, plan.id).read_bytes())
    manifest = read_manifest(trained, "ablation_refractory")
    write_manifest(trained, replace(manifest, runs=[*manifest.runs, *plans]))
    shown = text_of(build_report("ablation_refractory", trained, tmp_path / "both").read_text(encoding="utf-8"))
    assert "Test accuracy, spikes and cost" in shown
    assert "Speed of a training iteration" in shown
    csv = pd.read_csv(tmp_path / "both" / "ablation_refractory.csv")
    assert set(csv["task"]) == {"listops", "speed"}


# --- helpers


def test_the_published_table_has_the_printed_speed_ups_and_computes_the_others() -> None:
    table = speed_table()
    assert table.methods["SDN"].times_loop[8192] == 101.2
    assert table.methods["SLTT"].times_loop[1024] == pytest.approx(1370 / 1210)
    assert math.isnan(table.methods["PMBC"].times_loop[2048])
    assert "secondary" in table.methods["PMBC"].source


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0123, "0.0123"), (1.234, "1.23"), (99.94, "99.9"), (25_600.0, "25,600"), (math.nan, "–")],  # noqa: RUF001
)
def test_numbers_have_three_significant_digits(value: float, shown: str) -> None:
    assert significant(value) == shown


def test_a_range_is_shown_only_where_there_is_one() -> None:
    assert ranged(1.0, 1.0, 1.0) == "1.00"
    assert ranged(2.0, 1.0, 3.0) == "2.00 (1.00 to 3.00)"
    assert ranged(math.nan, math.nan, math.nan) == "–"  # noqa: RUF001
