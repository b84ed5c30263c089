"""The work of harness.tune: the trials of every variant are planned and executed, the best chosen and stored."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spike_ssm.harness.config.command_line import CommandLine
from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.data import find_task
from spike_ssm.harness.launch.batch import Batch
from spike_ssm.harness.launch.estimate import estimate, require_affordable, say
from spike_ssm.harness.plan.search_space import choose
from spike_ssm.harness.plan.trials import Search, Trial, plan
from spike_ssm.harness.run.worker import EXECUTION
from spike_ssm.harness.system.provenance import code_version
from spike_ssm.results.errors import UnreadableError, UserError
from spike_ssm.results.files import may_exist
from spike_ssm.results.reading import read_run, run_path
from spike_ssm.results.store import set_aside
from spike_ssm.results.tuning.files import read_trials, read_tuning, tuning_path, write_tuning
from spike_ssm.results.tuning.record import Choice, Tuning

_SCORES = {"accuracy": "validation_accuracy", "perplexity": "validation_perplexity"}


def run(composer: Composer, command: CommandLine) -> int:
    """The exit status; errors are raised, see `harness.cli`."""
    search = plan(composer, command)
    labels = {trial.run.plan.id: trial.label for trial in search.trials}
    batch = Batch(f"tune_{search.sweep.name}", search.runs, command.flags, labels)
    for name, left in search.lacking().items():
        print(f"{name} is not tuned on {', '.join(left)}: no such setting, or fixed there.")
    cost = estimate(batch.todo, batch.ids, command.flags)
    batch.announce()
    say(cost)
    if command.flags.dry_run:
        for trial in search.trials:
            print(f"{trial.run.plan.id}  {trial.label}  {_shown(trial.run.tuned)}")
        return 0
    require_affordable(cost, command.flags.max_hours)
    batch.run(EXECUTION)
    _check_prepared(batch)
    return _conclude(search, batch.results, command.words)


def _check_prepared(batch: Batch) -> None:
    """Raise `UserError` when trials could not begin: a choice among the others would not be an equal search."""
    unprepared = [state for state in batch.states().values() if state.unprepared]
    if unprepared:
        raise UserError(
            f"{len(unprepared)} trials could not begin, so nothing is chosen. {unprepared[0].error} "
            "Then run the same command again."
        )


def _shown(values: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _conclude(search: Search, results: Path, words: Sequence[str]) -> int:
    """Choose, write and print the choices."""
    rows = [_row(search, trial, results) for trial in search.trials]
    chosen = _chosen(search, rows)
    for row in rows:
        row["chosen"] = chosen[row["task"]][row["variant"]].trial == row["trial"]
        row["values"] = json.dumps(row["values"])
    tuning = Tuning(
        sweep=search.sweep.name,
        scale=search.sweep.scale,
        command=shlex.join(["python", "-m", "harness.tune", *words]),
        code_version=code_version(),
        sampler=search.sampler,
        budget=search.budget,
        seeds=search.seeds,
        axes={axis.name: axis.range() for axis in search.axes},
        lacking=search.lacking(),
        chosen=chosen,
    )
    path = tuning_path(results, search.sweep.name, search.sweep.scale)
    write_tuning(path, *_with_earlier(tuning, rows, path, results))
    for task, variants in chosen.items():
        for variant, choice in variants.items():
            print(f"{task} · {variant}: {_said(choice)}")
    print(path)
    return 0 if all(choice.trial is not None for variants in chosen.values() for choice in variants.values()) else 1


def _with_earlier(
    tuning: Tuning, rows: list[dict[str, Any]], path: Path, results: Path
) -> tuple[Tuning, list[dict[str, Any]]]:
    """Joined with what lies at `path`, where that is an equal search of other tasks or variants.

    What is damaged moves to quarantine. Raises `UserError` where it cannot be read now.
    """
    if not may_exist(path):
        return tuning, rows
    try:
        earlier, trials = read_tuning(path, tuning.sweep, tuning.scale), read_trials(path)
    except UnreadableError:
        raise
    except UserError as error:  # made anew
        print(error)
        for each in (path, path.with_suffix(".parquet")):
            if may_exist(each):
                set_aside(results, each)
        return tuning, rows
    if not tuning.is_same_search(earlier):
        print("The earlier tuning tried other points, so it is replaced; variants that only it had are untuned now.")
        return tuning, rows
    here = {(row["task"], row["variant"]) for row in rows}
    kept = [row for row in trials if (row["task"], row["variant"]) not in here]
    return tuning.joined(earlier), [*kept, *rows]


def _row(search: Search, trial: Trial, results: Path) -> dict[str, Any]:
    run = trial.run
    found = read_run(run_path(results, run.plan.id), ["id", "status", "error", *_SCORES.values()])
    return {
        "sweep": search.sweep.name,
        "scale": search.sweep.scale,
        "task": trial.task,
        "variant": run.plan.variant,
        "trial": trial.number,
        "seed": run.plan.seed,
        "values": run.tuned,
        **found,
    }


def _chosen(search: Search, rows: list[dict[str, Any]]) -> dict[str, dict[str, Choice]]:
    found: dict[str, dict[str, Choice]] = {}
    for task, variant in dict.fromkeys((row["task"], row["variant"]) for row in rows):
        measure = "perplexity" if find_task(task)[1].kind == "language" else "accuracy"
        of_trial: dict[int, list[float | None]] = {}
        tried: dict[int, dict[str, Any]] = {}
        for row in (each for each in rows if (each["task"], each["variant"]) == (task, variant)):
            of_trial.setdefault(row["trial"], []).append(row[_SCORES[measure]] if row["status"] == "done" else None)
            tried[row["trial"]] = row["values"]
        choice = choose(search.axes, of_trial, tried, measure)
        found.setdefault(task, {})[variant] = choice
    return found


def _said(choice: Choice) -> str:
    if choice.trial is None or choice.score is None:
        return f"no trial of {choice.failed} finished, so it stays untuned; see what the runs' results say"
    failed = f", {choice.failed} failed" if choice.failed else ""
    edges = f" (at the edge of its range: {', '.join(choice.edges)})" if choice.edges else ""
    return (
        f"trial {choice.trial} of {choice.done} finished{failed}, validation {choice.score:.4f}: "
        f"{_shown(choice.values)}{edges}"
    )
