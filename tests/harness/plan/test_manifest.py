"""The plan of a sweep in its results folder: it grows, is data that is checked when it is read, and can be repeated."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from spike_ssm.harness import collect, retry, status
from spike_ssm.harness.config.command_line import parse_command_line, words_to_repeat
from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.plan.grid import expand
from spike_ssm.harness.plan.manifest import record
from spike_ssm.harness.plan.sweep_file import named_sweep
from spike_ssm.reports.loading.sweep import load
from spike_ssm.results.errors import UserError
from spike_ssm.results.schema import Manifest
from spike_ssm.results.store import manifest_path, prepare_folder, read_manifest, read_manifests, write_run
from tests.harness.conftest import called

Ask = Callable[..., str | None]


def asked(place: Any, *words: str) -> str | None:
    """Plans the sweep `mini` with these words, as harness.sweep does before its runs; what was set aside."""
    composer = Composer(place.folder / "config")
    command = parse_command_line(["+sweep=mini", *words])
    sweep = named_sweep(composer, command)
    prepare_folder(place.results)

    def expanded(wider: Any) -> Any:
        return expand(composer, wider, sweep)

    return record(place.results, sweep, command, composer.config_dir, expanded(command), expanded, None)


@pytest.fixture
def ask(place: Any) -> Ask:
    return lambda *words: asked(place, *words)


def planned(place: Any, name: str = "mini") -> list[tuple[str, int]]:
    return [(run.variant, run.seed) for run in read_manifest(place.results, name).runs]


# --- it grows


def test_a_narrowed_command_adds_to_the_plan_and_takes_nothing_away(place: Any, ask: Ask) -> None:
    assert ask() is None
    whole = read_manifest(place.results, "mini")
    assert ask("neuron.leak=0.5") is None
    assert read_manifest(place.results, "mini").runs == whole.runs
    assert ask("neuron.leak=0.7", "seed=1") is None
    assert planned(place) == [("0.5", 0), ("0.9", 0), ("0.7", 1)], "no run that nobody asked for"


def test_runs_on_request_stay_in_a_plan_that_the_whole_sweep_is_added_to(place: Any, ask: Ask) -> None:
    place.sweep_file("mini", on_request=[{"neuron.leak": [0.9]}])
    for words in [(), ("neuron.leak=0.9",), ()]:
        assert ask(*words) is None, "nothing is set aside"
    assert planned(place) == [("0.5", 0), ("0.9", 0)]
    repeated = read_manifest(place.results, "mini").words
    assert "neuron.leak=0.5,0.9" in repeated, "a label that is not named would be left out"


def test_what_two_narrowed_commands_asked_for_is_what_repeats_them(place: Any, ask: Ask) -> None:
    ask("neuron.leak=0.9", "seed=3")
    ask("neuron.leak=0.7,0.9", "seed=3", "launcher.workers=2")
    manifest = read_manifest(place.results, "mini")
    assert planned(place) == [("0.7", 3), ("0.9", 3)]
    assert manifest.asked is not None
    assert words_to_repeat(manifest.asked) == manifest.words
    assert manifest.words[2:] == ["+sweep=mini", "neuron.leak=0.7,0.9", "seed=3", "launcher.workers=2"]


def test_status_and_page_show_the_runs_of_all_commands(place: Any, ask: Ask) -> None:
    ask("neuron.leak=0.5")
    ask("neuron.leak=0.9")
    assert called(status.main, ["mini", "--results", str(place.results)]).out[-1].endswith("2 runs: 2 waiting")
    assert load(place.results, "mini").variants == ["0.5", "0.9"]


@pytest.mark.fault(
    "Several terminals ask for different runs of one sweep at the same moment.",
    "The sweep's plan, status and page hold the runs of all of them.",
)
def test_terminals_that_ask_at_once_lose_nothing_of_each_other(place: Any, ask: Ask) -> None:
    ask("neuron.leak=0.5")  # all is imported and composed before the processes part
    fork = multiprocessing.get_context("fork")
    leaks = [f"0.{number}" for number in range(11, 19)]
    processes = [fork.Process(target=asked, args=(place, f"neuron.leak={leak}")) for leak in leaks]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert {variant for variant, _ in planned(place)} == {"0.5", *leaks}


@pytest.mark.parametrize("change", ["another setting", "another scale", "another axis", "another base"])
def test_runs_that_the_sweep_would_not_make_any_more_are_set_aside_with_a_plan_of_their_own(
    place: Any, ask: Ask, change: str
) -> None:
    ask()
    before = read_manifest(place.results, "mini")
    if change == "another axis":
        place.sweep_file("mini", grid={"neuron.leak": [0.9]})
    if change == "another base":
        place.sweep_file("mini", base={"launcher": "debug", "optim.lr": 0.5})
    words = {"another setting": ["optim.lr=0.5"], "another scale": ["scale=gpu"]}.get(change, [])
    name = ask(*words)
    assert name is not None
    aside = read_manifest(place.results, name)
    kept = {run.id for run in read_manifest(place.results, "mini").runs}
    assert [run for run in before.runs if run.id not in kept] == aside.runs
    assert {each.name for each in read_manifests(place.results)[0]} == {"mini", name}
    assert ask(*words) is None, "once"


def test_a_damaged_plan_is_made_anew(place: Any, ask: Ask) -> None:
    ask()
    manifest_path(place.results, "mini").write_text("{")
    ask("neuron.leak=0.9")
    assert planned(place) == [("0.9", 0)]


# --- it is data, and checked

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a line's end in a setting": ({"asked": {"sweep": "mini", "overrides": {"launcher.account": "a\nrm"}}}, "one line"),
    "a line's end in a word": ({"words": ["+sweep=mini", "launcher.account='a\n#SBATCH x'"]}, "one line"),
    "an escape in a variant": ({"runs": [{"id": "a", "axes": {}, "variant": "\x1b[2J", "seed": 0}]}, "one line"),
    "a run that leads elsewhere": (
        {"runs": [{"id": "../a", "axes": {}, "variant": "v", "seed": 0}]},
        "'../a' cannot be",
    ),
    "a seed that is a text": ({"runs": [{"id": "a", "axes": {}, "variant": "v", "seed": "0"}]}, "runs[0].seed"),
    "an axis that is no text": ({"runs": [{"id": "a", "axes": {"x": 1}, "variant": "v", "seed": 0}]}, "runs[0].axes"),
    "a key that nobody knows": ({"execute": "rm"}, "unknown keys ['execute']"),
    "words that are one text": ({"words": "+sweep=mini"}, "words must be a list of texts"),
    "runs that are a mapping": ({"runs": {}}, "runs must be a list"),
    "axes that are no lists": ({"asked": {"sweep": "mini", "axes": {"seed": 0}}}, "asked.axes"),
    "another sweep": ({"name": "other"}, "it is of the sweep 'other'"),
    "a word without end": ({"words": ["x" * 20_000]}, "at most 10,000 characters"),
}


@pytest.mark.fault(
    "Someone puts line ends, paths or other types into a sweep's plan in a shared results folder.",
    "Status, retry and reports name the field in a sentence, and nothing of it is executed.",
)
@pytest.mark.parametrize(("content", "fragment"), list(BAD.values()), ids=list(BAD))
def test_a_plan_that_holds_something_else_is_refused_in_a_sentence(
    place: Any, ask: Ask, content: dict[str, Any], fragment: str
) -> None:
    ask()
    path = manifest_path(place.results, "mini")
    path.write_text(json.dumps({**json.loads(path.read_text()), **content}))
    with pytest.raises(UserError, match="is damaged") as refused:
        read_manifest(place.results, "mini")
    assert fragment in str(refused.value)
    for command in (status.main, retry.main, collect.main):
        outcome = called(command, ["mini", "--results", str(place.results)])
        assert (outcome.status, outcome.out, len(outcome.err)) == (1, [], 1)


@pytest.mark.parametrize("name", ["../mini", "a/b", ".hidden", "-x", "a\nb", "", "a b", "x" * 300])
def test_a_name_that_is_no_name_of_a_file_is_refused(place: Any, name: str) -> None:
    with pytest.raises(UserError, match="a name is at most 200 letters"):
        read_manifest(place.results, name)
    with pytest.raises(UserError, match="a name is at most 200 letters"):
        Composer(place.folder / "config").load("sweep", name)


# --- it is repeated


def fail(folder: Path) -> None:
    """Record that every planned run failed."""
    for run in read_manifest(folder, "mini").runs:
        write_run(folder, {"id": run.id, "status": "failed", "error": "It failed."})


def repeated(place: Any, *words: str) -> list[str]:
    fail(place.results)
    out = StringIO()
    with redirect_stdout(out):
        assert retry.main(["mini", "--results", str(place.results), "dry_run=true", "estimate=false", *words]) == 0
    return out.getvalue().splitlines()


def test_retry_says_what_it_runs_and_runs_only_what_was_planned(place: Any, ask: Ask) -> None:
    ask("neuron.leak=0.5", "seed=0")
    ask("neuron.leak=0.7", "seed=1")
    first, *runs = repeated(place)
    assert first.startswith("Repeats: python -m harness.sweep --config-dir ")
    assert " neuron.leak=0.5,0.7 seed=0,1 " in first
    assert first.endswith(f"planned=mini retry=only paths.results={place.results}")
    assert [line.split(maxsplit=1)[1] for line in runs[:2]] == [
        "listops · 0.5 · seed 0  (to run)",
        "listops · 0.7 · seed 1  (to run)",
    ]
    assert runs[2] == "2 runs, 2 to run, 0 skipped."


def test_a_plan_of_which_nothing_is_left_says_so(place: Any, ask: Ask) -> None:
    ask()
    place.sweep_file("mini", base={"optim.lr": 0.5})
    outcome = called(retry.main, ["mini", "--results", str(place.results), "estimate=false"])
    assert outcome.status == 1
    assert "the sweep file was changed" in outcome.err[0]


def test_a_plan_from_before_it_was_data_is_read_repeated_and_grows(place: Any, ask: Ask) -> None:
    ask("neuron.leak=0.7", "seed=4")
    manifest = read_manifest(place.results, "mini")
    words = ["--config-dir", str(place.folder / "config"), "+sweep=mini", "neuron.leak=0.7", "seed=4"]
    earlier = {key: value for key, value in replace(manifest, words=words).to_json().items() if key != "asked"}
    path = manifest_path(place.results, "mini")
    for content in (earlier, {**{k: v for k, v in earlier.items() if k != "words"}, "command": manifest.command}):
        path.write_text(json.dumps(content))
        assert Manifest.from_json(content).asked is None
        assert repeated(place)[1].endswith("listops · 0.7 · seed 4  (to run)")
        assert ask("neuron.leak=0.5") is None
        assert set(planned(place)) == {("0.5", 0), ("0.7", 4)}


@pytest.mark.parametrize("name", ["runs=1", "é", "a,b", "(1)", "%a", "my runs", "'q'", "{x}", "$HOME", "007", "[a]"])
def test_a_results_folder_may_have_any_name(place: Any, name: str) -> None:
    folder = place.folder / name
    outcome = place.sweep(f"paths.results={folder}", "dry_run=true")
    assert (outcome.status, outcome.out[-1]) == (0, "2 runs, 2 to run, 0 skipped.")
    composer = Composer(place.folder / "config")
    command = parse_command_line(["+sweep=mini", f"paths.results={folder}"])
    sweep = named_sweep(composer, command)
    prepare_folder(folder)
    record(folder, sweep, command, composer.config_dir, expand(composer, command, sweep), lambda _: None, None)  # type: ignore[arg-type,return-value]
    for main, expected in (
        (collect.main, "2 runs, 2 to run, 0 skipped."),
        (retry.main, "2 runs, 0 to run, 2 skipped."),
    ):
        outcome = called(main, ["mini", "--results", str(folder), "dry_run=true", "estimate=false"])
        assert (outcome.status, outcome.err) == (0, [])
        assert outcome.out[-1] == expected, "a run that was never begun is not retried"
    assert not Path(name).exists()
