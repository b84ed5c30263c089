"""`python -m harness.tune +sweep=NAME budget=K`: tune every variant of a sweep equally, before the sweep.

    python -m harness.tune +sweep=ablation_neuron budget=8          8 trials for every variant on every task
    python -m harness.tune +sweep=NAME budget=8 task=listops        narrowed like the sweep itself
    python -m harness.tune +sweep=NAME budget=8 seed=1000,1001      each trial with two seeds, not the sweep's own
    python -m harness.tune +sweep=NAME budget=8 sampler=random      uniform points, not a Sobol sequence
    python -m harness.tune +sweep=NAME budget=8 dry_run=true        which trials, and which are finished
    python -m harness.sweep +sweep=NAME tuned=true                  the sweep with what was chosen

All variants try the same points. What is tuned stands in the sweep file (`tune`), or in sweeps/tune/default.yaml. The
trials never see the test set. A larger budget later goes on where the smaller one ended.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.command import run_command
from harness.compose import CommandLine, Composer, parse_command_line
from harness.environment import code_version
from harness.errors import UserError
from harness.execution import announce, execute_shown, is_to_run, jobs_of, require_launcher, results_folder
from harness.grid import GridRun, expand
from harness.settings import Settings
from harness.states import Survey
from harness.sweep_file import Sweep, load_sweep
from harness.tasks import TASKS
from harness.tuning import SAMPLERS, Axis, choose, has_meaning, points
from results.store import read_run, run_path
from results.tuning import Choice, Tuning, tuning_path, write_tuning

SEEDS = [1000]
"""Of the trials, where the command names none; far from the 0, 1, 2, ... of sweeps."""

_NOT_HERE = ("of", "tuned", "test", "wait", "collect", "show", "robustness")
_SCORES = {"accuracy": "validation_accuracy", "perplexity": "validation_perplexity"}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit status: 0 when every variant has a finished trial, else 1."""
    return run_command("harness.tune", __doc__, arguments, run)


@dataclass(frozen=True)
class Trial:
    """A run of the search: a variant at a point."""

    number: int  # counted from 0
    run: GridRun

    @property
    def task(self) -> str:
        """What it trains on."""
        name: str = self.run.settings.task.name
        return name


@dataclass(frozen=True)
class Search:
    """What the command is to do."""

    sweep: Sweep
    axes: list[Axis]
    budget: int
    sampler: str
    seeds: list[int]
    trials: list[Trial]

    @property
    def runs(self) -> list[GridRun]:
        """Each once: points that differ only in what has no meaning for a variant are one run."""
        return list({trial.run.plan.id: trial.run for trial in self.trials}.values())

    def lacking(self) -> dict[str, list[str]]:
        """Axis -> variants on which it is not tuned, because they lack the setting or fix it themselves."""
        variants = dict.fromkeys(trial.run.plan.variant for trial in self.trials)
        tuned = {(name, trial.run.plan.variant) for trial in self.trials for name in trial.run.tuned}
        return {
            axis.name: left
            for axis in self.axes
            if (left := [variant for variant in variants if (axis.name, variant) not in tuned])
        }


def run(composer: Composer, settings_words: list[str], words: list[str]) -> int:
    """As `main`, with the words less options; errors are raised, see `harness.command`."""
    search = plan(composer, parse_command_line(settings_words))
    settings = search.runs[0].settings
    require_launcher(settings)
    results = results_folder(settings, create=not settings.dry_run)
    jobs = jobs_of(search.runs, results)
    states = Survey(results, jobs).states()
    todo = [job for run_id, job in jobs.items() if is_to_run(states[run_id], settings.retry)]
    for sentence in _notes(search):
        print(sentence)
    announce(states, len(todo), settings)
    if settings.dry_run:
        for trial in search.trials:
            print(f"{trial.run.plan.id}  {_label(trial)}  {_shown(trial.run.tuned)}")
        return 0
    if todo:
        execute_shown(todo, f"tune_{search.sweep.name}", {trial.run.plan.id: _label(trial) for trial in search.trials})
    return _conclude(search, results, words)


def plan(composer: Composer, command: CommandLine) -> Search:
    """The trials that the command asks for. Raises `UserError`, e.g. where the variants share no axis."""
    if command.sweep is None:
        raise UserError(f"Name a sweep with +sweep=NAME; there are {', '.join(composer.options('sweep'))}.")
    overrides = dict(command.overrides)
    if refused := [key for key in _NOT_HERE if key in overrides]:
        raise UserError(f"harness.tune takes no {refused[0]}; it takes budget, sampler, seed and what the sweep takes.")
    budget, sampler = _budget(overrides.pop("budget", None)), _sampler(overrides.pop("sampler", SAMPLERS[0]))
    sweep = load_sweep(composer, command.sweep, str(overrides.get("scale", "laptop")))
    if sweep.of is not None:
        raise UserError(f"The sweep {sweep.name!r} trains nothing; tune the one that it evaluates, {sweep.of!r}.")
    seeds = overrides.pop("seed", SEEDS)
    seeds = seeds if isinstance(seeds, list) else [seeds]
    if shared := sorted(set(seeds) & set(sweep.seeds)):
        raise UserError(f"The sweep {sweep.name!r} has the seeds {sweep.seeds} itself; tune with others than {shared}.")
    axes = [axis for axis in _axes(composer, sweep) if axis.name not in overrides]
    if not axes:
        raise UserError(
            f"Every axis of the tuning of {sweep.name!r} is set on the command line: nothing is left to tune."
        )
    trials = []
    apart = CommandLine(sweep.name, {**overrides, "seed": seeds, "test": False, "keep_weights": False})
    for number, point in enumerate(points(axes, budget, sampler)):

        def meaningful(settings: Settings, variant: str, point: dict[str, Any] = point) -> dict[str, Any]:  # noqa: ARG001
            return {name: value for name, value in point.items() if has_meaning(name, settings)}

        trials += [Trial(number, run) for run in expand(composer, apart, sweep, meaningful).runs]
    search = Search(sweep, axes, budget, sampler, seeds, trials)
    _check(search)
    return search


def _budget(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        given = "none is given" if value is None else f"it is {value}"
        raise UserError(f"budget must be a whole number of trials from 1 on, but {given}: budget=8.")
    return value


def _sampler(value: Any) -> str:
    if value not in SAMPLERS:
        raise UserError(f"sampler {value!r} does not exist; choose one of {', '.join(SAMPLERS)}.")
    return str(value)


def _axes(composer: Composer, sweep: Sweep) -> list[Axis]:
    if sweep.tune is not None:
        content, where = sweep.tune, f"sweep/{sweep.name}.yaml: tune"
    else:
        content, where = composer.load("tune", "default"), "tune/default.yaml"
    return [Axis.read(str(name), entry, where) for name, entry in content.items()]


def _check(search: Search) -> None:
    """Raise `UserError` unless there is something to tune, and something in common."""
    settings = search.trials[0].run.settings
    if settings.task.name not in TASKS:
        raise UserError(f"The sweep {search.sweep.name!r} measures and trains nothing, so there is nothing to tune.")
    variants = list(dict.fromkeys(trial.run.plan.variant for trial in search.trials))
    lacking = search.lacking()
    for name, left in lacking.items():
        if left == variants and not any(has_meaning(name, trial.run.settings) for trial in search.trials):
            raise UserError(
                f"The axis {name} is a setting of no variant of {search.sweep.name!r}: correct or remove it."
            )
    if all(axis.name in lacking for axis in search.axes):
        whose = "; ".join(f"{name} is not one of {', '.join(left)}" for name, left in lacking.items())
        raise UserError(
            f"The variants of {search.sweep.name!r} share no tunable axis, so no tuning would be equal: {whose}. "
            "Give the sweep file an axis under `tune` that all have, such as optim.lr, or narrow the variants."
        )


def _notes(search: Search) -> list[str]:
    """What is not tuned everywhere."""
    return [
        f"{name} is not tuned on {', '.join(left)}: no such setting, or fixed there."
        for name, left in search.lacking().items()
    ]


def _label(trial: Trial) -> str:
    return f"{trial.run.label} · trial {trial.number}"


def _shown(values: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _conclude(search: Search, results: Path, words: Sequence[str]) -> int:
    """Choose, write and print the choices."""
    rows = [_row(search, trial, results) for trial in search.trials]
    chosen = _chosen(search, rows)
    for row in rows:
        row["chosen"] = chosen[row["task"]][row["variant"]].trial == row["trial"]
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
    write_tuning(path, tuning, [{**row, "values": json.dumps(row["values"])} for row in rows])
    for task, variants in chosen.items():
        for variant, choice in variants.items():
            print(f"{task} · {variant}: {_said(choice)}")
    print(path)
    return 0 if all(choice.trial is not None for variants in chosen.values() for choice in variants.values()) else 1


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
        measure = "perplexity" if TASKS[task][0].kind == "language" else "accuracy"
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


if __name__ == "__main__":
    sys.exit(main())
