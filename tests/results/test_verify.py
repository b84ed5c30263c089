"""A pack from anyone is checked: what was measured passes, and each thing that is changed by hand is named."""

from __future__ import annotations

import io
import json
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spike_ssm.harness.system.root import ROOT
from spike_ssm.results.__main__ import main
from spike_ssm.results.schema import RUN
from spike_ssm.results.verify import packs
from spike_ssm.results.verify.content import MANIFESTS, TIMES
from spike_ssm.results.verify.identity import id_of
from spike_ssm.results.verify.packs import check_pack, check_packs
from tests.results.test_packed import weights
from tests.results.test_timing import row as timing

MEASURED = ROOT / "results" / "measured"
STORED = ("ablation_refractory_laptop", "ablations_laptop", "solvers_laptop", "study_neurons_laptop")

Row = dict[str, Any]
Change = Callable[[Row], object]


@pytest.fixture(scope="module")
def content() -> tuple[list[Row], dict[str, Any]]:
    """Two runs of a stored pack, and the plan of these two."""
    table = pq.read_table(MEASURED / "ablation_refractory_laptop.parquet").slice(0, 2)
    rows = table.to_pylist()
    (plan,) = json.loads(table.schema.metadata[MANIFESTS])
    ids = {row["id"] for row in rows}
    return rows, {**plan, "runs": [run for run in plan["runs"] if run["id"] in ids]}


@pytest.fixture
def write(tmp_path: Path, content: tuple[list[Row], dict[str, Any]]) -> Callable[..., Path]:
    """Writes a pack of the two runs after a change to the first; returns its path."""

    def write(
        change: Change = dict,
        *,
        name: str = "theirs",
        plan: Change = dict,
        both: bool = False,
        times: list[Row] | None = None,
        add: dict[str, pa.Array] | None = None,
    ) -> Path:
        rows, planned = json.loads(json.dumps(content, default=bytes.hex))
        for row in rows:
            for trace in row["traces"] or []:
                trace["raster"] = bytes.fromhex(trace["raster"])
        for row in rows[: 2 if both else 1]:
            change(row)
        plan(planned)
        footer = {**(RUN.metadata or {}), MANIFESTS: json.dumps([planned]), TIMES: json.dumps(times or [])}
        table = pa.Table.from_pylist(rows, schema=RUN.with_metadata(footer))
        for column, values in (add or {}).items():
            table = table.append_column(column, values)
        pq.write_table(table, tmp_path / f"{name}.parquet", write_page_checksum=True)
        return tmp_path / f"{name}.parquet"

    return write


@pytest.mark.parametrize("name", STORED)
def test_what_was_measured_is_as_it_should_be(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = MEASURED / f"{name}.parquet"
    assert main(["verify", str(path)]) == 0
    assert capsys.readouterr().out == f"{pq.read_metadata(path).num_rows} runs checked, all as they should be.\n"


def test_a_pack_is_left_as_it_was_and_nothing_is_written(write: Callable[..., Path], tmp_path: Path) -> None:
    before = write().read_bytes()
    assert main(["verify", str(write())]) == 0
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


def another_prediction(row: Row) -> None:
    wrong = next(each for each in row["predictions"] if each["label"] != each["prediction"])
    wrong["prediction"] = wrong["label"]


def another_configuration(row: Row, **changes: Any) -> None:
    row["config"] = json.dumps({**json.loads(row["config"]), **changes}, sort_keys=True)


def another_run(row: Row, **changes: Any) -> None:
    another_configuration(row, **changes)
    row["id"] = id_of(row["config"])


def first(column: str, **changes: Any) -> Change:
    return lambda row: row[column][0].update(changes)


def put(**changes: Any) -> Change:
    return lambda row: row.update(changes)


CHANGES: dict[str, tuple[Change, str]] = {
    "accuracy raised": (put(test_accuracy=0.9), r"its test_accuracy is 90\.00 %, but \d\d\.\d\d % of its predictions"),
    "accuracy raised everywhere but in the predictions": (
        put(test_accuracy=0.9, best_test_accuracy=0.9, groups=[]),
        "of its predictions are right",
    ),
    "no predictions": (put(predictions=[], groups=[]), "it has no predictions"),
    "prediction changed": (another_prediction, "of its predictions are right"),
    "prediction left out": (lambda row: row["predictions"].pop(), "its groups by 'shortcut' are not of as many"),
    "example twice": (first("predictions", example=1), "each once and in their order"),
    "score beyond 1": (first("predictions", score=1.5), "a score of its predictions is no probability"),
    "group changed": (first("groups", accuracy=0.99), "over its groups by 'shortcut'"),
    "shortcut lowered": (put(shortcut_accuracy=0.1), "its shortcut_accuracy is not that of the first of its rules"),
    "shortcut lowered in the rules too": (
        lambda row: (first("rules", accuracy=0.1)(row), row.update(shortcut_accuracy=0.1)),
        r"its shortcut_accuracy is 10\.00 %, but",
    ),
    "majority changed": (put(majority_accuracy=0.001), "its majority_accuracy is the share of no label"),
    "configuration changed": (lambda row: another_configuration(row, seed=7), "its id is not that of its config"),
    "configuration is another text": (lambda row: row.update(config=row["config"] + " "), "no JSON as a run stores it"),
    "configuration is no JSON": (put(config="{"), "its configuration is no JSON"),
    "id changed": (put(id="0123456789ab"), "its id is not that of its configuration"),
    "seed changed": (put(seed=99), "its seed is 99, but 0 in its configuration"),
    "neuron changed": (put(neuron="gelu"), "its neuron is 'gelu', but 'refractory_lif' in its configuration"),
    "scale changed": (put(scale="paper"), "its scale is 'paper', but 'laptop'"),
    "task changed": (put(task="image"), "its task is 'image', but 'listops'"),
    "layer's rate changed": (first("layers", firing_rate=0.01), r"its firing_rate is 0\.\d+, but 0\.\d+ over its lay"),
    "rate changed": (put(firing_rate=0.001), r"its firing_rate is 0\.001, but"),
    "rate left out": (put(firing_rate=None), "its firing_rate is known of the run or of its layers alone"),
    "rate over time changed": (first("traces", rate_over_time=[0.0] * 32), "layer 0 is not that of its steps"),
    "energy lowered": (put(energy_nj_per_token=1.0), "its energy_nj_per_token is not that of its operations"),
    "epoch left out": (lambda row: row["epochs"].pop(), "it has 3 epochs, and its configuration asks for 4"),
    "epoch counted twice": (first("epochs", epoch=2), "its epochs are not counted from 1"),
    "best epoch changed": (put(best_epoch=9), "its best_epoch is 9 of 4"),
    "validation changed": (put(validation_accuracy=0.99), "its validation_accuracy is not that of the epoch"),
    "duration shortened": (put(duration_s=0.5), "its epochs took"),
    "accuracy above 1": (put(test_accuracy=1.5), r"its test_accuracy is 1\.5, which no measurement gives"),
    "no number": (put(firing_rate=float("nan")), "its firing_rate is nan, which no measurement gives"),
    "negative time": (first("epochs", seconds=-1.0), "seconds of its epochs holds what no measurement gives"),
    "done with an error": (put(error="It failed."), "it is done and has the column error, of failures"),
    "failed with an accuracy": (put(status="failed", error="It failed."), "it is failed, and has an accuracy"),
    "unknown status": (put(status="great"), "its status is 'great', and there are done"),
    "other schema": (put(schema_version=2), "its schema_version is 2, and there are 1 to 1"),
    "a link": (put(code_version="https://example.org/x"), "its code_version holds a link"),
    "a place": (put(data_notes=["Read from /home/ann/data."]), "its data_notes holds a place on a machine: '/home/ann"),
    "a place in the environment": (put(environment='{"device": "/scratch/ann"}'), "its environment holds a place"),
    "an escape": (put(code_version="\x1b[31mred"), "holds what a terminal obeys"),
    "no moment": (put(started_at="yesterday"), "its started_at is 'yesterday'"),
    "no environment": (put(environment="7"), "its environment is no JSON object"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_was_changed_by_hand_is_named(
    write: Callable[..., Path], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change, said = CHANGES[what]
    assert main(["verify", str(write(change))]) == 1
    *faults, last = capsys.readouterr().out.splitlines()
    assert any(re.search(said, fault) for fault in faults), faults
    assert last == f"2 runs checked, and {len(faults)} things are wrong."


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    column=st.sampled_from(["test_accuracy", "firing_rate", "shortcut_accuracy", "energy_nj_per_token", "silent"]),
    value=st.floats(width=64),
)
def test_no_other_number_passes(write: Callable[..., Path], column: str, value: float) -> None:
    given_value = next(iter(pq.read_table(write(), columns=[column])[column].to_pylist()))
    is_same = abs(value - given_value) <= 2e-6 * max(1, abs(value))
    assert is_same or check_pack(write(put(**{column: value}))).faults


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_a_byte_that_is_another_is_a_sentence_or_changes_nothing(
    write: Callable[..., Path], place: int, byte: int
) -> None:
    """Compressed pages, which have checksums, and the footer: never an exception, and never other numbers unnoticed."""
    path = write()
    content = bytearray(path.read_bytes())
    rows = pq.read_table(path).to_pylist()
    content[place % len(content)] = byte
    path.write_bytes(content)
    found = check_pack(path)
    if not found.faults:
        told = ("id", "config", "test_accuracy", "firing_rate", "predictions")
        read = pq.read_table(path, columns=list(told)).to_pylist()
        kept = [{name: row[name] for name in told} for row in rows]
        for row in (*read, *kept):
            row["predictions"] = [(each["label"], each["prediction"]) for each in row["predictions"]]
        assert read == kept


def test_all_of_the_runs_must_have_one_test_set(write: Callable[..., Path]) -> None:
    def other_test_set(row: Row) -> None:
        for each in row["predictions"]:
            swapped = {0: 1, 1: 0}
            each["label"], each["prediction"] = (
                swapped.get(each[name], each[name]) for name in ("label", "prediction")
            )

    _, between = check_packs([write(other_test_set)])
    assert len(between) == 1
    assert "theirs.parquet has runs with the same task and other test sets, 1 of them" in between[0].sentence


def test_a_run_that_the_sweep_did_not_plan_and_one_that_is_not_there_are_named(write: Callable[..., Path]) -> None:
    path = write(lambda row: another_run(row, stop_if="diverged"))
    faults = check_pack(path).faults
    assert any("it is of none of the sweeps in the file" in fault for fault in faults)
    assert "theirs.parquet: 1 of 2 runs of the sweep ablation_refractory are not in it." in faults


def test_a_plan_with_two_runs_in_one_place_or_another_seed_is_named(write: Callable[..., Path]) -> None:
    def same_place(plan: Row) -> None:
        plan["runs"][1] |= {name: plan["runs"][0][name] for name in ("variant", "seed", "axes")}

    said = " ".join(check_pack(write(plan=same_place)).faults)
    assert "has more than one run listops" in said
    assert "planned it with seed 0" in said


def test_a_run_that_is_there_twice_is_named(write: Callable[..., Path]) -> None:
    path = write()
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table, table.slice(0, 1)]), path)
    assert [fault for fault in check_pack(path).faults if "more than once" in fault]


def test_two_packs_may_share_a_run_and_not_its_id_alone(write: Callable[..., Path]) -> None:
    def lower(row: Row) -> None:
        right = next(each for each in row["predictions"] if each["label"] == each["prediction"])
        right["prediction"] = (right["label"] + 1) % 10

    one, same, other = write(name="one"), write(name="same"), write(lower, name="other", both=True)
    assert check_packs([one, same])[1] == []
    (said,) = check_packs([one, other])[1]
    assert said.sentence.startswith(
        "one.parquet and other.parquet have different outcomes of the same runs, 2 of them, "
    )


def test_weights_must_be_those_of_the_run(write: Callable[..., Path], content: tuple[list[Row], Any]) -> None:
    ids = [row["id"] for row in content[0]]
    good = pa.array([weights(run_id) for run_id in ids], pa.large_binary())
    assert check_pack(write(add={"weights": good})).faults == ()
    for bad in (weights("another"), pickle.dumps({"head": 1}), b""):
        faults = check_pack(write(add={"weights": pa.array([bad, None], pa.large_binary())})).faults
        assert [f"theirs.parquet, run {ids[0]}: its weights are none" in fault for fault in faults] == [True]


def test_foreign_columns_and_times_of_other_runs_are_named(write: Callable[..., Path]) -> None:
    (said,) = check_pack(write(add={"code": pa.array([b"x", b"y"])})).faults
    assert said == "theirs.parquet has columns that no run has: 'code'."
    (said,) = check_pack(write(times=[timing(run="z")])).faults
    assert said == "theirs.parquet has times of 1 runs that none of its sweeps planned."


class Harmful:
    """Writes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_files_that_are_no_packs_are_refused_unopened(write: Callable[..., Path], tmp_path: Path) -> None:
    pack, folder = write(name="pack"), tmp_path / "others"
    folder.mkdir()
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.write(pack, "pack.parquet")
    newer = pq.read_table(pack)
    version = {**newer.schema.metadata, b"spike_ssm.schema_version": b"99"}
    pq.write_table(newer.replace_schema_metadata(version), folder / "newer.parquet")
    pq.write_table(pa.table({"x": [1]}), folder / "else.parquet")
    pq.write_table(newer.slice(0, 0), folder / "empty.parquet")
    contents = {
        "pickled": pickle.dumps(Harmful(tmp_path / "harm")),
        "zipped": zipped.getvalue(),
        "cut": pack.read_bytes()[:-1000],
        "text": b"PAR1 is how it begins and ends: PAR1",
        "nothing": b"",
    }
    for name, written in contents.items():
        (folder / f"{name}.parquet").write_bytes(written)
    (folder / "link.parquet").symlink_to(pack)
    (folder / "folder.parquet").mkdir()
    said = {path.stem: " ".join(check_pack(path).faults) for path in sorted(folder.iterdir())}
    said["missing"] = " ".join(check_pack(folder / "missing.parquet").faults)
    reasons = {
        "pickled": "is no parquet file", "zipped": "is a zip archive", "cut": "has lost its end",
        "text": "is no file that `python -m results pack` wrote", "nothing": "is no parquet file",
        "link": "is a link to another file", "folder": "is no file", "missing": "cannot be read now",
        "else": "it names no sweeps", "newer": "is of version 99 of the schema", "empty": "holds no runs",
    }  # fmt: skip
    assert set(said) == set(reasons)
    for name, reason in reasons.items():
        assert reason in said[name], name
    assert not (tmp_path / "harm").exists()


def test_a_pack_beyond_the_limit_is_not_read(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "LARGEST_PACK", 100)
    assert check_pack(write()).faults == ("theirs.parquet has more than 100 bytes.",)


def test_an_evaluation_has_the_accuracy_of_the_run_that_it_is_of(tmp_path: Path) -> None:
    table = pq.read_table(MEASURED / "study_neurons_laptop.parquet")
    rows = table.to_pylist()
    evaluated = next(row for row in rows if row["robustness"])
    trained = next(
        row for row in rows if not row["robustness"] and (row["neuron"], row["seed"]) == (evaluated["neuron"], 0)
    )
    plans = json.loads(table.schema.metadata[MANIFESTS])
    for plan in plans:
        plan["runs"] = [run for run in plan["runs"] if run["id"] in (evaluated["id"], trained["id"])]
    for change, expected in ((0.0, 0), (0.1, 1)):
        changed = {**evaluated, "test_accuracy": evaluated["test_accuracy"] + change}
        footer = {**(RUN.metadata or {}), MANIFESTS: json.dumps(plans)}
        path = tmp_path / "study.parquet"
        pq.write_table(pa.Table.from_pylist([trained, changed], schema=RUN.with_metadata(footer)), path)
        (checked,), between = check_packs([path])
        assert checked.faults == ()
        assert len(between) == expected
