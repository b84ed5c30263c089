"""A pack from anyone is checked: what was measured passes, and each thing that is changed by hand is named."""

from __future__ import annotations

import io
import json
import math
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

from spike_ssm.harness.data import TASKS
from spike_ssm.harness.system.root import ROOT
from spike_ssm.results.__main__ import main
from spike_ssm.results.schema import LANGUAGE, RUN
from spike_ssm.results.verify import content as content_of_packs
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
    "a perplexity instead of predictions": (
        put(
            **dict.fromkeys(("test_perplexity", "best_test_perplexity", "last_test_perplexity"), 1.5),
            **dict.fromkeys(("test_accuracy", "best_test_accuracy", "last_test_accuracy"), 0.99),
            predictions=None,
            groups=None,
        ),
        "it has a test_perplexity, and its task is not to predict words",
    ),
    "a perplexity below 1": (put(shortcut_perplexity=0.5), "its shortcut_perplexity is 0.5, which no measurement"),
    "a null prediction": (lambda row: row["predictions"].append(None), "an entry of its predictions is null"),
    "a null epoch": (lambda row: row["epochs"].insert(0, None), "an entry of its epochs is null"),
    "a null label and answer": (first("predictions", label=None, prediction=None), "its predictions has no label"),
    "no epochs, and none asked for": (
        lambda row: (
            row.update(epochs=[]),
            another_run(row, optim={**json.loads(row["config"])["optim"], "epochs": 0}),
        ),
        "it has 0 epochs, and its configuration asks for 0",
    ),
    "no task": (lambda row: (another_run(row, task={}), row.update(task=None)), "its configuration names no task"),
    "task is a text": (lambda row: another_run(row, task="listops"), "no settings of its task"),
    "no scale": (lambda row: (another_run(row, scale=None), row.update(scale=None)), "its configuration names no scal"),
    "no model": (lambda row: another_run(row, model=None), "its configuration has no settings of its model"),
    "seed is true": (lambda row: (another_run(row, seed=True), row.update(seed=1)), "its configuration names no seed"),
    "a link in a rule's name": (first("rules", name="see https://example.org"), "its rules holds a link"),
    "a place in a group's name": (first("groups", group="</home/ann>"), "its groups holds a place on a machine"),
    "a place on a drive": (put(environment=json.dumps({"at": r"C:\Users\ann"})), "its environment holds a place"),
    "a place on a server": (put(data_notes=[r"From \\server\ann."]), "its data_notes holds a place"),
    "a place in other letters": (put(environment=r'{"at": "\u002fhome/ann"}'), "its environment holds a place"),
    "a link in other letters": (put(environment=r'{"at": "http:\/\/example.org"}'), "its environment holds a link"),
    "a key twice": (put(environment='{"at": "x", "at": "y"}'), "no JSON object as a run stores it"),
    "a long last word": (
        put(status="failed", error="It failed.", log_tail="x" * 20_001),
        "its log_tail is longer than 20,000 characters",
    ),
    "half a character": (put(environment=r'{"at": "\ud800"}'), "its environment holds what a terminal obeys"),
    "nested deeply": (put(environment='{"at": ' + "[" * 900 + "]" * 900 + "}"), "its environment is no JSON object"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_was_changed_by_hand_is_named(
    write: Callable[..., Path], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change, said = CHANGES[what]
    assert main(["verify", str(write(change))]) == 1
    *faults, last = capsys.readouterr().out.splitlines()
    assert any(re.search(said, fault) for fault in faults), faults
    wrong = "1 thing is" if len(faults) == 1 else f"{len(faults)} things are"
    assert last == f"2 runs checked, and {wrong} wrong."


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

    (said,) = check_pack(write(other_test_set)).faults
    assert said.startswith("theirs.parquet has runs with the same task and other test sets, 1 of them")
    _, between = check_packs([write(name="one"), write(other_test_set, name="other", both=True)])
    assert any("one.parquet and other.parquet have runs with the same task" in each.sentence for each in between)


def test_a_run_that_the_sweep_did_not_plan_and_one_that_is_not_there_are_named(write: Callable[..., Path]) -> None:
    path = write(lambda row: another_run(row, stop_if="diverged"))
    faults = check_pack(path).faults
    assert any("it is of none of the sweeps in the file" in fault for fault in faults)
    assert "theirs.parquet: 1 of 2 runs of the sweep ablation_refractory are not in it." in faults


def test_a_plan_with_two_runs_in_one_place_or_another_seed_is_named(write: Callable[..., Path]) -> None:
    def same_place(plan: Row) -> None:
        plan["runs"][1] |= {name: plan["runs"][0][name] for name in ("variant", "seed", "axes")}

    said = " ".join(check_pack(write(plan=same_place)).faults)
    assert "has more than one run 'listops" in said
    assert "planned it with seed 0" in said


def test_a_run_that_is_there_twice_is_named(write: Callable[..., Path]) -> None:
    path = write()
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table, table.slice(0, 1)]), path)
    assert [fault for fault in check_pack(path).faults if "more than once" in fault]


def answered_otherwise(right: int) -> Change:
    """Makes so many right answers wrong, and all that follows from them agree."""

    def change(row: Row) -> None:
        those = [each for each in row["predictions"] if each["label"] == each["prediction"]][:right]
        for each in those:
            each["prediction"] = (each["label"] + 1) % 10
        accuracy = sum(each["label"] == each["prediction"] for each in row["predictions"]) / len(row["predictions"])
        row |= {**dict.fromkeys(("test_accuracy", "best_test_accuracy", "last_test_accuracy"), accuracy), "groups": []}

    return change


def test_two_packs_may_share_a_run_and_not_its_id_alone(write: Callable[..., Path]) -> None:
    one, same = write(name="one"), write(name="same")
    other = write(answered_otherwise(1), name="other", both=True)
    assert check_packs([one, same])[1] == []
    (said,) = check_packs([one, other])[1]
    assert said.sentence.startswith("one.parquet and other.parquet have different outcomes of 2 runs, the first ")


def test_packs_are_compared_with_every_other_outcome_and_a_refused_one_hides_none(write: Callable[..., Path]) -> None:
    bob, cid = write(name="bob"), write(answered_otherwise(1), name="cid")
    dan, ann = write(answered_otherwise(2), name="dan"), write(put(firing_rate=0.9), name="ann")
    checked, between = check_packs([ann, bob, cid, dan])
    assert [bool(each.faults) for each in checked] == [True, False, False, False]
    assert [(each.one[:3], each.other[:3]) for each in between] == [("bob", "cid"), ("bob", "dan"), ("cid", "dan")]


def test_packs_that_are_there_are_compared_with_and_not_judged(
    write: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = tmp_path / "there"
    there.mkdir()
    for path in (write(name="bob"), write(put(firing_rate=0.9), name="ann"), write(answered_otherwise(2), name="dan")):
        path.rename(there / path.name)
    new = write(answered_otherwise(1), name="new")
    assert main(["verify", "--beside", str(there), str(new)]) == 1
    *said, last = capsys.readouterr().out.splitlines()
    assert [line.partition(" have")[0] for line in said] == [
        "bob.parquet and new.parquet", "dan.parquet and new.parquet",
    ]  # fmt: skip
    assert last == "2 runs checked, and 2 things are wrong."
    assert main(["verify", "--beside", str(there), str(there / "bob.parquet")]) == 1, "dan's are others"
    assert main(["verify", "--beside", str(there / "none"), str(new)]) == 1
    assert "is no folder" in capsys.readouterr().err


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
    assert said == "theirs.parquet has times of 1 run that none of its sweeps planned."


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
        "link": "is a link to another file", "folder": "is no file", "missing": "is not there",
        "else": "it names no sweeps", "newer": "is of version 99 of the schema", "empty": "holds no runs",
    }  # fmt: skip
    assert set(said) == set(reasons)
    for name, reason in reasons.items():
        assert reason in said[name], name
    assert not (tmp_path / "harm").exists()


def test_a_pack_beyond_the_limit_is_not_read(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "LARGEST_PACK", 100)
    assert check_pack(write()).faults == ("theirs.parquet has more than 100 bytes.",)


def test_a_small_file_of_much_is_not_read(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """By what the footer says of it, and where that is little, a text that all rows share, by what was read so far."""
    path = write(both=True)
    told = sum(each.total_uncompressed_size for each in chunks(path))
    monkeypatch.setattr(content_of_packs, "LARGEST_ROWS", told // 2)
    (said,) = check_pack(path).faults
    assert "its rows have" in said
    table = pq.read_table(path)
    many = pa.concat_tables([table] * 200)
    pq.write_table(many.select(["id", "config"]), path)
    monkeypatch.setattr(
        content_of_packs, "LARGEST_ROWS", 2 * sum(each.total_uncompressed_size for each in chunks(path))
    )
    (said,) = check_pack(path).faults
    assert re.search(r"its rows have more than [\d,]+ bytes in memory", said)


def chunks(path: Path) -> list[Any]:
    metadata = pq.read_metadata(path)
    groups = [metadata.row_group(place) for place in range(metadata.num_row_groups)]
    return [group.column(place) for group in groups for place in range(group.num_columns)]


def test_weights_that_are_no_bytes_are_a_sentence(write: Callable[..., Path]) -> None:
    (said,) = check_pack(write(add={"weights": pa.array([1, 2])})).faults
    assert "its weights are no bytes" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"title": "See https://example.org."}, "the text of the sweep ablation_refractory holds a link: 'https"),
        ({"question": "Is it /home/ann/data?"}, "holds a place on a machine: '/home/ann/data?'"),
        ({"task_notes": {"listops": "\x1b[31mred"}}, "holds what a terminal obeys"),
        ({"scale_note": "\ud800"}, "holds what a terminal obeys"),
        ({"command": "python -m harness.sweep at=https://example.org"}, "ablation_refractory's command holds a link"),
    ],
)
def test_texts_of_a_plan_hold_no_links_and_places(write: Callable[..., Path], change: Row, said: str) -> None:
    (fault,) = check_pack(write(plan=lambda plan: plan.update(change))).faults
    assert said in fault


def test_places_may_be_in_the_words_that_were_typed(write: Callable[..., Path]) -> None:
    typed = "python -m harness.sweep +sweep=mine paths.results=/home/ann/runs"
    assert check_pack(write(plan=lambda plan: plan.update(command=typed))).faults == ()


@pytest.mark.parametrize("change", [{"name": "../x"}, {"name": 7}, {"command": None}, {"runs": 7}, {"extra": 1}])
def test_a_plan_that_is_none_is_named_with_its_file(write: Callable[..., Path], change: Row) -> None:
    (said,) = check_pack(write(plan=lambda plan: plan.update(change))).faults
    assert "theirs.parquet is no file that `python -m results pack` wrote" in said


@pytest.mark.parametrize("name", ["a\n::error::x\x1b[31m.parquet", "-rf.parquet", ".parquet", "it's.parquet"])
def test_a_name_of_a_file_says_nothing_to_a_terminal(
    write: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(["verify", str(write().rename(tmp_path / name))]) == 1
    *said, last = capsys.readouterr().out.splitlines()
    assert said == [f"The file {name!r} cannot be: {said[0].partition(' cannot be: ')[2]}"]
    assert last == "no runs checked, and 1 thing is wrong."


def test_marks_and_other_files_are_no_packs(write: Callable[..., Path], tmp_path: Path) -> None:
    marks = write().rename(tmp_path / "theirs.repeated.json")
    (said,) = check_pack(marks).faults
    assert said == "theirs.repeated.json is no pack, whose name ends in .parquet: leave it out."


def language(row: Row) -> None:
    """Makes a run one of the next word, without the predictions that such runs do not keep."""
    another_run(row, task={"name": "brown"})
    row |= {**dict.fromkeys(("test_perplexity", "best_test_perplexity", "last_test_perplexity"), 200.0)}
    row |= {"task": "brown", "shortcut_perplexity": 900.0, "predictions": None, "groups": None}
    row["validation_perplexity"] = math.exp(row["epochs"][row["best_epoch"] - 1]["validation_loss"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"test_perplexity": 100.0}, "its test_perplexity is not that of its tested_weights"),
        ({"validation_perplexity": 2.0}, "its validation_perplexity is not e to the loss of the epoch"),
        (
            dict.fromkeys(("test_perplexity", "best_test_perplexity", "last_test_perplexity"), 1.1),
            r"its test_perplexity is 1\.1, and with its accuracy none is below 1\.[34]",
        ),
        ({"predictions": [{"example": 0, "label": 1, "prediction": 1, "score": None}]}, "beside predictions or groups"),
        ({"test_perplexity": None}, "it has no predictions"),
    ],
)
def test_perplexities_agree_with_what_language_runs_keep(write: Callable[..., Path], change: Row, said: str) -> None:
    def both(row: Row) -> None:
        language(row)
        row.update(change)

    of_the_plan = ("it is of none of the sweeps", "are not in it")  # since its id is another
    faults = [each for each in check_pack(write(both)).faults if not any(words in each for words in of_the_plan)]
    assert any(re.search(said, fault) for fault in faults) if said else not faults


def test_the_tasks_of_language_are_those_of_the_harness() -> None:
    assert set(LANGUAGE) == {name for name, (_, settings) in TASKS.items() if settings.kind == "language"}


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
        said = check_pack(path).faults
        assert len(said) == expected
        assert all("the accuracy of 1 evaluation is not that of the runs" in each for each in said)
