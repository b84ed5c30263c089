"""The leaderboard: packs from anybody, checked, by task and scale, with what is known of each entry."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spike_ssm.harness.system.root import ROOT
from spike_ssm.reports.__main__ import main
from spike_ssm.reports.pages.leaderboard.entries import COLUMNS, gather, protocol_of
from spike_ssm.reports.pages.leaderboard.page import build_leaderboard
from spike_ssm.reports.pages.leaderboard.tables import board_numbers, titles
from spike_ssm.reports.pages.paper.definition import definition
from spike_ssm.reports.statistics.seeds import t_interval
from spike_ssm.results.schema import MEASUREMENTS, RUN
from spike_ssm.results.verify.content import MANIFESTS
from spike_ssm.results.verify.identity import id_of
from spike_ssm.results.verify.marks import IDENTICAL, NOT_REPEATED, Mark, Verdict, write_mark
from spike_ssm.results.verify.outcome import SHOWN, digest
from spike_ssm.results.verify.packs import check_pack
from tests.reports.test_nasty_names import NASTY, Tags

MEASURED = ROOT / "results" / "measured"
STORED = "ablation_refractory_laptop"

Row = dict[str, Any]


def part(
    path: Path,
    variants: Sequence[str] = ("none", "fixed"),
    seeds: Sequence[int] = (0, 1, 2),
    change: Callable[[Row], object] = dict,
    plan: Callable[[Row], object] = dict,
) -> Path:
    """Write these runs of a stored sweep as a pack, each changed; ids follow the configurations."""
    table = pq.read_table(MEASURED / f"{STORED}.parquet")
    (manifest,) = json.loads(table.schema.metadata[MANIFESTS])
    wanted = {run["id"]: run for run in manifest["runs"] if run["variant"] in variants and run["seed"] in seeds}
    rows = [row for row in table.to_pylist() if row["id"] in wanted]
    for row in rows:
        run = wanted[row["id"]]
        change(row)
        run["id"] = row["id"] = id_of(row["config"])
    manifest["runs"] = list(wanted.values())
    plan(manifest)
    footer = {**(RUN.metadata or {}), MANIFESTS: json.dumps([manifest])}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=RUN.with_metadata(footer)), path)
    return path


def built(folder: Path, *others: Path) -> tuple[str, pd.DataFrame]:
    """The page and its numbers."""
    page = build_leaderboard([folder, *others], folder / "html")
    return page.read_text(encoding="utf-8"), pd.read_csv(folder / "html" / "leaderboard.csv")


def mark(path: Path, run_id: str, verdict: Verdict = IDENTICAL, **changes: Any) -> None:
    run = check_pack(path).runs[run_id]
    known: dict[str, Any] = {
        "outcome": run.outcome,
        "verdict": verdict,
        "tolerance": 1.0,
        "stored_accuracy": run.accuracy,
    }
    known |= {"distance": 0.0 if verdict == IDENTICAL else 50.0, "differing": 0.0, "accuracy": run.accuracy}
    known |= {"processor": "EPYC", "code_version": "0", "at": "2026-11-30T00:00:00Z"}
    write_mark(path, run_id, Mark(**{**known, **changes}))


def language(perplexity: float, **changes: Any) -> Callable[[Row], None]:
    """Makes a run one of a task of the next word, of this perplexity on the test set."""

    def change(row: Row) -> None:
        config = json.loads(row["config"])
        config["task"] = {"name": "brown"}
        names = ("test_perplexity", "best_test_perplexity", "last_test_perplexity")
        row |= {**dict.fromkeys(names, perplexity + row["seed"]), "shortcut_perplexity": 900.0, "task": "brown"}
        row |= {"predictions": None, "groups": None, "config": json.dumps(config, sort_keys=True), **changes}

    return change


def another_task(row: Row) -> None:
    config = json.loads(row["config"])
    config["task"]["data_seed"] = 7
    row["config"] = json.dumps(config, sort_keys=True)


def test_every_number_is_that_of_the_runs_and_the_best_comes_first(tmp_path: Path) -> None:
    path = part(tmp_path / "ann.parquet", variants=("none", "fixed", "trainable"))
    page, numbers = built(tmp_path)
    runs = pd.read_parquet(path, columns=["id", "test_accuracy", "firing_rate", "parameters", "energy_nj_per_token"])
    assert list(numbers["accuracy_percent"]) == sorted(numbers["accuracy_percent"], reverse=True)
    for row in numbers.to_dict("records"):
        own = runs[runs["id"].isin(row["runs"].split())]
        accuracy = t_interval(own["test_accuracy"])
        assert row["seeds"] == len(own) == 3
        assert row["accuracy_percent"] == pytest.approx(100 * accuracy.mean)
        assert row["accuracy_percent_half_interval"] == pytest.approx(100 * accuracy.half)
        assert row["firing_rate_percent"] == pytest.approx(100 * own["firing_rate"].mean())
        assert row["energy_nj_per_token"] == pytest.approx(own["energy_nj_per_token"].mean())
        assert row["parameters"] == own["parameters"].mean()
        assert (row["pack"], row["repeated"]) == ("ann", "none")
        assert row["shortcut_percent"] == pytest.approx(55.65)
        assert f'{row["accuracy_percent"]:.2f} <span class="half">± {100 * accuracy.half:.2f}</span>' in page
    assert "significan" in page, "that the order claims none"


def test_two_seeds_have_a_range_and_no_interval(tmp_path: Path) -> None:
    part(tmp_path / "ann.parquet", variants=("none",), seeds=(0, 1))
    page, numbers = built(tmp_path)
    assert numbers["accuracy_percent_half_interval"].isna().all()
    assert re.search(r"\d\d\.\d\d \(\d\d\.\d\d to \d\d\.\d\d, 2 seeds\)", page)


def test_other_data_have_a_table_of_their_own(tmp_path: Path) -> None:
    part(tmp_path / "ann.parquet")
    part(tmp_path / "bob.parquet", change=another_task)
    page, numbers = built(tmp_path)
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    assert titles == ["listops, laptop scale, data_seed 0", "listops, laptop scale, data_seed 7"]
    assert len(numbers) == 4
    assert sorted(each.name for each in (tmp_path / "html" / "leaderboard").glob("*.csv")) == [
        f"listops_laptop_scale_data_seed_{seed}_entries_by_accuracy.csv" for seed in (0, 7)
    ]


def test_every_board_has_a_table_also_where_only_notes_on_the_data_tell_them_apart(tmp_path: Path) -> None:
    part(tmp_path / "ann.parquet")
    part(tmp_path / "bob.parquet", change=lambda row: row.update(data_notes=["<b>Ten</b> examples are missing."]))
    boards = gather([tmp_path]).boards
    page, numbers = built(tmp_path)
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings == [f"listops, laptop scale ({place} of 2)" for place in (1, 2)]
    assert len(boards) == len(set(titles(boards))) == 2
    assert set(numbers["pack"]) == {"ann", "bob"}
    assert "Data: &lt;b&gt;Ten&lt;/b&gt; examples are missing." in page


def test_language_is_by_perplexity_the_lowest_first(tmp_path: Path) -> None:
    part(tmp_path / "ann.parquet", variants=("none",), change=language(200))
    part(tmp_path / "bob.parquet", variants=("fixed",), change=language(150))
    page, numbers = built(tmp_path)
    assert list(numbers["pack"]) == ["bob", "ann"]
    assert list(numbers["perplexity"]) == [151, 201], "the mean over seeds"
    assert list(numbers["shortcut_perplexity"]) == [900, 900]
    assert "Entries by perplexity" in page
    assert f'201.00 <span class="half">± {t_interval([200, 201, 202]).half:.2f}</span>' in page


def test_no_single_run_turns_a_board_into_one_of_perplexities(tmp_path: Path) -> None:
    """Nobody knows of a task of somebody's own whether it is language."""

    def own(row: Row) -> None:
        config = json.loads(row["config"])
        config["task"]["name"] = row["task"] = "their.Task"
        row["config"] = json.dumps(config, sort_keys=True)

    def forged(row: Row) -> None:
        own(row)
        names = ("test_perplexity", "best_test_perplexity", "last_test_perplexity")
        row |= {**dict.fromkeys(names, 2.0), "predictions": None, "groups": None}

    part(tmp_path / "ann.parquet", variants=("none",), change=own)
    part(tmp_path / "bob.parquet", variants=("fixed",), change=forged)
    page, numbers = built(tmp_path)
    assert "Entries by accuracy" in page
    assert set(numbers["pack"]) == {"ann", "bob"}


def test_entries_of_two_people_stand_in_one_table(tmp_path: Path) -> None:
    part(tmp_path / "one" / "ann.parquet", variants=("none",))
    part(tmp_path / "two" / "bob.parquet", variants=("fixed",))
    _, numbers = built(tmp_path / "one", tmp_path / "two")
    assert dict(zip(numbers["pack"], numbers["variant"], strict=True)) == {"ann": "none", "bob": "fixed"}


def test_a_pack_that_is_not_as_it_should_be_is_named_and_not_shown(tmp_path: Path) -> None:
    part(tmp_path / "ann.parquet")
    part(tmp_path / "bob.parquet", change=lambda row: row.update(test_accuracy=0.99))
    (tmp_path / "text.parquet").write_text("no parquet")
    page, numbers = built(tmp_path)
    assert set(numbers["pack"]) == {"ann"}
    assert "bob.parquet is not shown." in page
    assert "its test_accuracy is 99.00 %" in page
    assert "text.parquet is not shown. text.parquet is no parquet file." in page


def test_two_outcomes_of_one_run_are_one_sentence(tmp_path: Path) -> None:
    def lower(row: Row) -> None:
        right = next(each for each in row["predictions"] if each["label"] == each["prediction"])
        right["prediction"] = (right["label"] + 1) % 10
        accuracy = sum(each["label"] == each["prediction"] for each in row["predictions"]) / len(row["predictions"])
        row.update(dict.fromkeys(("test_accuracy", "best_test_accuracy", "last_test_accuracy"), accuracy), groups=[])

    part(tmp_path / "ann.parquet")
    part(tmp_path / "bob.parquet", change=lower)
    part(tmp_path / "alf.parquet", change=lambda row: row.update(firing_rate=0.9))
    page, numbers = built(tmp_path)
    assert page.count("ann.parquet and bob.parquet have different outcomes of 6 runs") == 1
    assert page.count("Caution.") == 1
    assert set(numbers["pack"]) == {"ann", "bob"}, "the refused one hides no disagreement"


def test_marks_count_for_the_outcome_that_was_compared(tmp_path: Path) -> None:
    ann, bob = part(tmp_path / "ann.parquet", variants=("none",)), part(tmp_path / "bob.parquet", variants=("fixed",))
    ids = [pq.read_table(path, columns=["id"])["id"].to_pylist() for path in (ann, bob)]
    for run_id in ids[0][:2]:
        mark(ann, run_id)
    mark(bob, ids[1][0], NOT_REPEATED)
    mark(bob, ids[1][1], outcome="another")
    mark(bob, ids[1][2], stored_accuracy=0.5, accuracy=0.5)
    page, numbers = built(tmp_path)
    repeated = dict(zip(numbers["pack"], numbers["repeated"], strict=True))
    assert repeated == {"ann": "2 of 3, identical", "bob": "1 of 3, not repeated"}
    assert "Marks of 2 runs beside bob.parquet are of no outcome in it, and do not count." in page


def test_a_mark_counts_no_more_where_anything_shown_is_another(tmp_path: Path) -> None:
    identity = {"id", "task", "neuron", "scale", "seed", "config"}  # which the id is a hash of, as verify holds
    assert set(COLUMNS) - identity == {"status", *SHOWN}
    row = pq.read_table(part(tmp_path / "ann.parquet", variants=("none",), seeds=(0,))).to_pylist()[0]
    for column in SHOWN:
        another = ["Another."] if column == "data_notes" else (row[column] or 1) / 2
        assert digest({**row, column: another}) != digest(row), column


def test_a_damaged_file_of_marks_is_a_sentence(tmp_path: Path) -> None:
    part(tmp_path / "ann.parquet")
    (tmp_path / "ann.repeated.json").write_text('{"runs": {"x": {"verdict": "great"}}}')
    page, numbers = built(tmp_path)
    assert set(numbers["repeated"]) == {"none"}
    assert "ann.repeated.json" in page
    assert str(tmp_path.parent) not in page


def test_seeds_that_failed_are_counted(tmp_path: Path) -> None:
    def fail(row: Row) -> None:
        if row["seed"] == 2:
            kept = {name: row[name] for name in ("id", "task", "neuron", "scale", "seed", "config", "environment")}
            row.update(dict.fromkeys(row), **kept, schema_version=1, started_at=row["started_at"])
            row.update(status="failed", error="The loss is not finite.")

    part(tmp_path / "ann.parquet", variants=("none",), change=fail)
    page, numbers = built(tmp_path)
    assert (numbers["seeds"].item(), numbers["failed_seeds"].item()) == (2, 1)
    assert "2 (1 failed)" in page


def test_the_protocol_is_the_one_whose_settings_a_run_has() -> None:
    for name, tasks in definition().protocols.items():
        config: Row = {"scale": "paper"}
        for key, value in tasks["listops"].items():
            group, _, leaf = key.partition(".")
            config.setdefault(group, {})[leaf] = value
        assert protocol_of(config) == name
        assert protocol_of({**config, "scale": "laptop"}) == ""
        assert protocol_of({**config, "stop_if": "diverged"}) == ""


@pytest.mark.parametrize("word", [*NASTY[:4], NASTY[5], NASTY[17]])
def test_hostile_names_are_shown_and_not_executed(tmp_path: Path, word: str) -> None:
    def rename(plan: Row) -> None:
        plan |= {"title": word, "question": word, "task_notes": {word: word}}
        for run in plan["runs"]:
            run["variant"] = f"{word}{run['variant']}"

    plain = re.sub(r"[/\0]", "_", word)[:100]
    part(tmp_path / "ann.parquet", plan=rename)
    part(tmp_path / f"bad {plain}.parquet")
    page, numbers = built(tmp_path)
    assert "a name is at most 200 letters" in page
    tags = Tags(page)
    assert len(numbers) == 2
    assert tags.names.count("script") == 1, "its own"
    assert not {"img", "iframe"} & set(tags.names)
    assert not {name for name in tags.attributes if name.startswith("on")}
    assert not re.search(r'href="\s*javascript', page)


def test_what_cannot_be_asked_for_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["leaderboard", "--out", str(tmp_path)]) == 1
    assert "leaderboard takes folders with packed results" in capsys.readouterr().err
    assert main(["leaderboard", str(tmp_path / "none"), "--out", str(tmp_path)]) == 1
    assert "is no folder" in capsys.readouterr().err
    assert main(["leaderboard", str(tmp_path), "--out", str(tmp_path / "html")]) == 0
    assert "No file with runs that can be shown was found." in (tmp_path / "html" / "leaderboard.html").read_text()


@pytest.mark.slow
def test_of_the_stored_packs_every_tested_run_is_shown_once_or_its_file_is_named() -> None:
    found = gather([MEASURED])
    packs = [path for path in MEASURED.glob("*.parquet") if MANIFESTS in (pq.read_schema(path).metadata or {})]
    shown = {each.path for each in found.packs}
    assert shown <= set(packs)
    for path in set(MEASURED.glob("*.parquet")) - shown:
        assert any(problem.startswith(f"{path.name} is not shown.") for problem in found.problems)
    runs = [(entry.pack, run["id"]) for board in found.boards for entry in board.entries for run in entry.runs]
    assert len(runs) == len(set(runs)) > 0
    for each in found.packs:
        rows = pq.read_table(each.path, columns=["id", "task", "config", "status"]).to_pylist()
        trained = [row for row in rows if row["status"] == "done" and row["task"] not in MEASUREMENTS]
        tested = {row["id"] for row in trained if "robustness" not in json.loads(row["config"])}
        assert {run_id for pack, run_id in runs if pack == each.path.stem} == tested
    for board in found.boards:
        means = board_numbers(board)["perplexity" if board.is_language else "accuracy_percent"]
        assert means.is_monotonic_increasing if board.is_language else means.is_monotonic_decreasing
