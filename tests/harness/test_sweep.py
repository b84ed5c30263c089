"""The sweep command from end to end: runs, results, report, exit status; and what one bad run does to the others."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import spike_ssm.harness.run.execute
import spike_ssm.harness.status
import spike_ssm.harness.train
from spike_ssm.harness import cancel, collect, retry
from spike_ssm.results.reading import read_run
from spike_ssm.results.schema import RUN
from spike_ssm.results.store import read_manifest
from tests.harness.conftest import called


def stamps(folder: Path) -> dict[str, int]:
    """When each result was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("rows/*.parquet")}


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


OF_MEASUREMENTS = {
    "forward_ms",
    "loop_ms_per_step",
    "times_loop",
    "spike_mismatch",
    "iterations",
    "saved_mib",
    "pmbc_map",
}
GOOD_AND_BAD = {"lr": {"good": {"optim.lr": 0.01}, "bad": {"optim.lr": 1e30}}}


def statuses(place: Any) -> dict[float, str]:
    """Status by learning rate."""
    rows = place.rows().values()
    return {json.loads(row["config"])["optim"]["lr"]: row["status"] for row in rows}


# --- all is well


def test_a_sweep_executes_its_runs_and_ends_with_the_path_of_its_report(place: Any) -> None:
    outcome = place.sweep("seed=0,1")
    assert (outcome.status, outcome.err) == (0, [])
    assert outcome.out[0] == "4 runs: 0 finished earlier, 4 to run (debug, 1 at a time)."
    assert outcome.out[-1] == str(place.reports / "mini.html")
    page = Path(outcome.out[-1]).read_text()
    assert "Two leaks" in page
    assert "Does the leak matter?" in page
    assert len(place.rows()) == 4
    for run_id, row in place.rows().items():
        perplexities = {f"{of}_perplexity" for of in ("test", "best_test", "last_test", "validation", "shortcut")}
        nullable = {"error", "traceback", "log_tail", "code_warning", *perplexities, *OF_MEASUREMENTS}
        nullable |= {"robustness", "example_levels"}
        assert {name for name in RUN.names if row[name] is None} == nullable
        assert (row["id"], row["status"], row["scale"], row["neuron"]) == (run_id, "done", "laptop", "refractory_lif")
        assert (len(row["epochs"]), len(row["layers"]), len(row["predictions"])) == (1, 1, 32)
        assert row["machine_shared"] is False
        assert json.loads(row["environment"])["device"] == "cpu"
        assert row["duration_s"] > 0
    assert {row["seed"] for row in place.rows().values()} == {0, 1}
    manifest = read_manifest(place.results, "mini")
    assert {run.id for run in manifest.runs} == set(place.rows())
    assert (manifest.baseline, manifest.scale) == ("0.5", "laptop")
    assert manifest.command.startswith("python -m harness.sweep --config-dir ")


def test_the_stored_configuration_is_what_the_id_is_a_hash_of(place: Any) -> None:
    place.sweep("neuron.leak=0.5")
    (row,) = place.rows().values()
    config = json.loads(row["config"])
    assert config["neuron"]["leak"] == 0.5
    assert config["optim"]["batch_size"] == 16
    assert set(config) == {"scale", "task", "neuron", "model", "optim", "seed"}


def test_a_second_call_executes_nothing_and_renders_the_report_again(place: Any) -> None:
    place.sweep()
    before = stamps(place.results)
    page = place.reports / "mini.html"
    page.unlink()
    again = place.sweep()
    assert (again.status, again.out[0]) == (0, "2 runs: 2 finished earlier, 0 to run (debug, 1 at a time).")
    assert again.out[-1] == str(page)
    assert page.is_file()
    assert stamps(place.results) == before
    wider = place.sweep("neuron.leak=0.5,0.7")
    assert wider.out[0] == "2 runs: 1 finished earlier, 1 to run (debug, 1 at a time)."
    assert stamps(place.results).items() > before.items()


def test_a_dry_run_prints_the_runs_and_begins_nothing(place: Any) -> None:
    first = place.sweep("dry_run=true")
    assert (first.status, first.err) == (0, [])
    assert [line.split(maxsplit=1)[1] for line in first.out[:2]] == [
        "listops · 0.5 · seed 0  (to run)",
        "listops · 0.9 · seed 0  (to run)",
    ]
    assert first.out[2] == "2 runs, 2 to run, 0 skipped."
    assert files(place.folder) == {"config", "config/sweep", "config/sweep/mini.yaml"}

    place.sweep("neuron.leak=0.5")
    before, found = stamps(place.results), files(place.folder)
    second = place.sweep("dry_run=true")
    assert second.out[0].endswith("listops · 0.5 · seed 0  (skipped, done)")
    assert second.out[1].endswith("listops · 0.9 · seed 0  (to run)")
    assert second.out[2] == "2 runs, 1 to run, 1 skipped."
    assert {line.split()[0] for line in second.out[:2]} == {line.split()[0] for line in first.out[:2]}
    assert {f"{second.out[0].split()[0]}.parquet"} == set(stamps(place.results))
    assert (stamps(place.results), files(place.folder)) == (before, found)


def test_show_config_prints_the_settings_of_the_first_run_as_yaml(place: Any) -> None:
    outcome = place.sweep("show=config", "neuron.leak=0.7", "optim.lr=0.125", "seed=3")
    assert (outcome.status, outcome.err) == (0, [])
    assert re.match(r"# Run [0-9a-f]{12}, listops · 0\.7 · seed 3: the first of 1\.", outcome.out[0])
    shown = yaml.safe_load("\n".join(outcome.out))
    assert (shown["neuron"]["leak"], shown["optim"]["lr"], shown["seed"]) == (0.7, 0.125, 3)
    assert shown["task"]["name"] == "listops"
    assert (shown["model"]["channels"], shown["paths"]["results"]) == (8, str(place.results))
    assert not place.results.exists()


def test_a_report_folder_that_cannot_be_written_to_is_a_sentence_after_the_runs(place: Any) -> None:
    (place.folder / "file").touch()
    outcome = place.sweep(f"paths.reports={place.folder}/file/html")
    assert outcome.status == 1
    (sentence,) = outcome.err
    assert sentence.startswith(f"Error: The report folder {place.folder}/file/html cannot be written to")
    assert len(place.rows()) == 2


@pytest.mark.slow
def test_local_workers_execute_a_sweep_from_a_folder_with_packages_of_the_same_names(place: Any) -> None:
    """As a console script does: the code's root is on sys.path, the working directory is not."""
    for room in ("models", "harness", "results", "reports"):
        (place.folder / room).mkdir()
        (place.folder / room / "__init__.py").write_text("raise RuntimeError('the wrong package')\n")
    sweep = place.start("launcher=local", "launcher.workers=2", "paths.results=here", "paths.reports=html")
    out, err = sweep.communicate(timeout=90)
    assert (sweep.returncode, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "2 runs: 0 finished earlier, 2 to run (local, 2 at a time)."
    assert lines[-1] == str(place.folder / "html" / "mini.html")
    assert Path(lines[-1]).is_file()
    rows = [read_run(path) for path in (place.folder / "here").glob("rows/*.parquet")]
    assert [row["status"] for row in rows] == ["done", "done"]
    assert {row["machine_shared"] for row in rows} == {True}
    assert {json.loads(row["environment"])["threads"] for row in rows} == {1}


# --- a run fails


def test_a_run_that_diverges_fails_by_itself_and_runs_again_only_when_asked_to(place: Any) -> None:
    place.sweep_file("lr", grid=GOOD_AND_BAD)
    first = place.sweep(name="lr")
    assert first.status == 1
    (sentence,) = first.err
    assert sentence.startswith("Failed: listops · bad · seed 0. Training diverged in epoch 1, step ")
    assert "Lower optim.lr (1e+30)" in sentence
    assert statuses(place) == {0.01: "done", 1e30: "failed"}
    assert first.out[-1] == str(place.reports / "lr.html")
    assert "Training diverged" in Path(first.out[-1]).read_text()

    before = stamps(place.results)
    second = place.sweep(name="lr")
    assert (second.status, second.err) == (1, first.err), "a failed run is not forgotten"
    assert second.out[1] == "1 of them failed earlier; retry=true runs them again."
    assert stamps(place.results) == before

    third = place.sweep("retry=true", name="lr")
    assert third.status == 1
    assert third.out[0] == "2 runs: 1 finished earlier, 1 to run (debug, 1 at a time)."
    assert not any("retry=true" in line for line in third.out)
    changed = {name for name, stamp in stamps(place.results).items() if stamp != before[name]}
    assert [read_run(place.results / "rows" / name)["status"] for name in changed] == ["failed"]


def test_retry_runs_what_failed_alone_and_counts_what_it_leaves(place: Any) -> None:
    place.sweep_file("lr", grid={"lr": {**GOOD_AND_BAD["lr"], "later": {"optim.lr": 0.02}}})
    place.sweep(name="lr")
    (later,) = [run_id for run_id, row in place.rows().items() if json.loads(row["config"])["optim"]["lr"] == 0.02]
    (place.results / "rows" / f"{later}.parquet").unlink()
    before = stamps(place.results)
    outcome = called(retry.main, ["--results", str(place.results)])
    assert outcome.status == 1
    assert outcome.out[0] == f"The only sweep in {place.results} is lr."
    assert outcome.out[2:4] == [
        "3 runs: 1 finished earlier, 1 to run (debug, 1 at a time).",
        "1 of them have no result and are left alone; the sweep's own command runs them too.",
    ]
    assert outcome.out[-2].startswith("1 runs done, 1 failed, 1 waiting")
    changed = {name for name, stamp in stamps(place.results).items() if stamp != before.get(name)}
    assert [read_run(place.results / "rows" / name)["status"] for name in changed] == ["failed"]
    assert place.sweep("retry=only", "dry_run=true", name="lr").out[-1] == "3 runs, 1 to run, 2 skipped."


def test_where_there_are_several_sweeps_commands_ask_which(place: Any) -> None:
    for command in (retry, collect, cancel):
        nothing = called(command.main, ["--results", str(place.results)])
        assert nothing.err == [
            f"Error: No sweep has been run in {place.results}. Run python -m harness.sweep +sweep=NAME first."
        ]
    place.sweep_file("other")
    for name in ("mini", "other"):
        place.sweep(name=name)
    for command in (retry, collect, cancel):
        several = called(command.main, ["--results", str(place.results)])
        assert several.status == 1
        assert several.err[0].startswith(f"Error: Name one of the sweeps in {place.results}: mini, other. ")


def test_a_damaged_result_spoils_neither_the_others_nor_the_report_and_retry_repairs_it(place: Any) -> None:
    place.sweep()
    victim, other = sorted(place.results.glob("rows/*.parquet"))
    untouched = other.stat().st_mtime_ns
    victim.write_bytes(victim.read_bytes()[:100])
    outcome = place.sweep()
    assert outcome.status == 1
    (sentence,) = outcome.err
    assert f"The result file {victim} is damaged" in sentence
    assert "retry=true" in sentence
    assert outcome.out[-1] == str(place.reports / "mini.html")
    assert victim.name in Path(outcome.out[-1]).read_text()
    assert victim.stat().st_size == 100, "kept until asked"

    assert place.sweep("dry_run=true").out[-1] == "2 runs, 0 to run, 2 skipped."
    assert place.sweep("retry=true").status == 0
    assert read_run(victim)["status"] == "done"
    assert other.stat().st_mtime_ns == untouched


def test_a_result_that_cannot_be_read_now_is_neither_run_again_nor_removed(place: Any) -> None:
    place.sweep()
    victim, _ = sorted(place.results.glob("rows/*.parquet"))
    away = victim.rename(place.folder / "away")
    victim.mkdir()  # reading it is an error of the system
    before = stamps(place.results)
    outcome = place.sweep("retry=true")
    assert outcome.status == 1
    assert outcome.out[0] == "2 runs: 1 finished earlier, 0 to run (debug, 1 at a time)."
    sentence = f"The result file {victim} cannot be read now (Is a directory), so its run counts neither as finished"
    assert outcome.out[1].startswith(f"1 of them are left alone: {sentence}")
    assert outcome.err[0].startswith("Unknown: listops · ")
    assert sentence in outcome.err[0]
    assert "1 of 2 runs finished, 1 unreadable" in " ".join(
        re.sub("<[^>]*>", "", Path(outcome.out[-1]).read_text()).split()
    )
    assert stamps(place.results) == before
    victim.rmdir()
    away.rename(victim)
    assert place.sweep().status == 0


@pytest.mark.fault(
    "The file that says how far a run is, or its log, cannot be written.",
    "The run goes on with one warning, and its result is there.",
)
def test_a_run_goes_on_without_its_progress_and_its_log(place: Any, caplog: Any) -> None:
    for run in place.sweep("dry_run=true").out[:2]:
        (place.results / "state" / f"{run.split()[0]}.json").mkdir(parents=True)
    assert place.sweep().status == 0
    said = [message for message in caplog.messages if "progress" in message]
    assert len(said) == 2
    assert all("cannot be written" in each and "the run goes on without" in each for each in said)


def test_damaged_data_are_prepared_anew_for_the_run_that_needs_them(place: Any) -> None:
    place.sweep_file("data", grid={"task.data_seed": [1]})
    words = [f"paths.cache={place.folder}/data"]
    place.sweep(*words, name="data")
    (prepared,) = (place.folder / "data").glob("listops/*/train-*.arrow")
    whole = prepared.read_bytes()
    prepared.write_bytes(whole[:-10])
    (result,) = place.results.glob("rows/*.parquet")
    before = read_run(result)
    result.unlink()
    assert place.sweep(*words, name="data").status == 0
    assert prepared.read_bytes() == whole
    assert read_run(result)["predictions"] == before["predictions"]


def test_a_cache_that_cannot_be_written_to_is_the_sentence_of_every_run(place: Any) -> None:
    (place.folder / "file").touch()
    outcome = place.sweep(f"paths.cache={place.folder}/file/cache")
    assert outcome.status == 1
    assert len(outcome.err) == 2
    assert all("paths.cache=FOLDER" in line for line in outcome.err)


# --- one run without a sweep


@pytest.fixture
def train(place: Any, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, list[str], list[str]]]:
    """Calls `harness.train` with the place's settings."""

    def call(*words: str) -> tuple[int, list[str], list[str]]:
        settings = [word for word in place.words() if "=" in word and not word.startswith("+")]
        status = spike_ssm.harness.train.main([*settings, *words])
        out, err = capsys.readouterr()
        return status, out.splitlines(), err.splitlines()

    return call


def test_train_executes_one_run_and_ends_with_the_path_of_its_result(place: Any, train: Callable[..., Any]) -> None:
    status, out, err = train("neuron.leak=0.9")
    assert (status, err) == (0, [])
    row = read_run(Path(out[-1]))
    assert (row["status"], json.loads(row["config"])["neuron"]["leak"]) == ("done", 0.9)
    before = stamps(place.results)
    assert train("neuron.leak=0.9")[0] == 0
    assert stamps(place.results) == before
    assert train("neuron.leak=0.9", "retry=true")[0] == 0
    assert stamps(place.results) == before, "only what failed is run again"


def test_a_sweep_takes_over_the_run_that_train_executed(place: Any, train: Callable[..., Any]) -> None:
    train("neuron.leak=0.9")
    assert place.sweep("dry_run=true").out[-1] == "2 runs, 1 to run, 1 skipped."


@pytest.mark.parametrize(
    ("word", "fragment"),
    [("+sweep=mini", "use python -m harness.sweep"), ("neuron.leek=1", "neuron.leek is not a setting")],
)
def test_train_refuses_in_one_sentence_what_makes_no_sense(train: Callable[..., Any], word: str, fragment: str) -> None:
    status, out, err = train(word)
    assert (status, out) == (1, [])
    (sentence,) = err
    assert sentence.startswith("Error: ")
    assert fragment in sentence


def test_train_shows_a_run_and_its_settings_and_executes_nothing(place: Any, train: Callable[..., Any]) -> None:
    status, (line,), err = train("neuron.leak=0.9", "dry_run=true")
    assert (status, err) == (0, [])
    assert line.endswith("listops · refractory_lif · seed 0  (to run)")
    status, (head, *settings), err = train("neuron.leak=0.9", "show=config")
    assert (status, err, head.split()[2]) == (0, [], line.split()[0] + ",")
    assert yaml.safe_load("\n".join(settings))["neuron"]["leak"] == 0.9
    assert not place.results.exists()
    train("neuron.leak=0.9")
    assert train("neuron.leak=0.9", "dry_run=true")[1] == [line.replace("to run", "skipped, done")]


@pytest.mark.parametrize("flag", ["wait=false", "collect=true", "of=mini", "budget=8"])
def test_train_refuses_flags_that_say_nothing_to_a_single_run(train: Callable[..., Any], flag: str) -> None:
    status, out, (sentence,) = train(flag)
    assert (status, out) == (1, [])
    assert sentence == f"Error: harness.train takes no {flag.split('=')[0]}; it takes settings, dry_run, show, retry."


def test_train_says_so_when_its_run_fails(train: Callable[..., Any]) -> None:
    status, out, _ = train("optim.lr=1e30")
    assert status == 1
    assert out[0] == "[0/1] listops · refractory_lif · seed 0: running"
    assert "Training diverged" in out[1]
    assert train("optim.lr=1e30") == (1, out[1:], []), "and says it again when it is not run again"


@pytest.mark.slow
def test_a_terminal_that_lacks_the_signs_of_labels_is_told_all_the_same(place: Any) -> None:
    code = "import sys; from spike_ssm.harness.sweep import main; sys.exit(main())"
    command = [sys.executable, "-P", "-c", code, *place.words("dry_run=true", "estimate=false")]
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, env=ascii_only, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "listops \\xb7 0.5 \\xb7 seed 0  (to run)" in done.stdout


# --- seeds in order


def test_a_sequential_sweep_leaves_out_the_seeds_of_what_is_decided(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accuracies are made up after the runs: a tiny network decides nothing."""
    accuracy = {
        "0.5": [0.50, 0.51, 0.49, 0.50, 0.52],
        "0.9": [0.70, 0.715, 0.688, 0.7, 0.7],
        "0.7": [0.3, 0.7, 0.5, 0.6, 0.4],
    }
    writing = spike_ssm.harness.run.execute.write_run

    def write(folder: Path, row: dict[str, Any]) -> Path:
        leak = str(json.loads(row["config"])["neuron"]["leak"])
        return writing(folder, row | {"test_accuracy": accuracy[leak][row["seed"]]})

    monkeypatch.setattr(spike_ssm.harness.run.execute, "write_run", write)
    place.sweep_file(
        "mini", grid={"neuron.leak": [0.5, 0.7, 0.9]}, baseline={"neuron.leak": 0.5}, seeds=[0, 1, 2, 3, 4]
    )
    first = place.sweep("sequential=true")
    assert first.status == 0, first.err
    ran = sorted((row["seed"], json.loads(row["config"])["neuron"]["leak"]) for row in place.rows().values())
    assert ran == sorted(
        [(seed, leak) for seed in range(5) for leak in (0.5, 0.7, 0.9) if (leak, seed // 3) != (0.9, 1)]
    )
    assert "13 runs done, 0 failed, 2 not run: decided; " in first.out[-2]
    page = Path(first.out[-1]).read_text()
    assert "13 of 15 runs finished, 2 not run: decided" in " ".join(page.split())
    assert "0.9 (after 3 seeds) shown to differ from 0.5" in page
    assert "missing" not in page
    status = called(spike_ssm.harness.status.main, ["mini", "--results", str(place.results)])
    assert status.out[-1].endswith("13 runs: 13 done, 2 not run: decided")
    again = place.sweep("sequential=true")
    assert again.status == 0
    assert len(place.rows()) == 13, "the same decisions, from the results alone"
    place.sweep()
    assert len(place.rows()) == 15, "without the word all seeds are run"


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (("seed=0,1,2",), "begins with three seeds, and there are no more"),
        (("seed=0,1,2,3", "neuron.leak=0.9"), "the baseline '0.5' is not among these runs"),
    ],
)
def test_a_sweep_that_could_decide_nothing_early_is_refused(place: Any, words: tuple[str, ...], fragment: str) -> None:
    (error,) = place.sweep("sequential=true", *words).err
    assert fragment in error
    assert not place.results.exists()
