"""`python -m harness.sweep +sweep=NAME`: run a sweep, collect its results, render its report.

    python -m harness.sweep +sweep=ablation_refractory              the whole sweep
    python -m harness.sweep +sweep=ablation_refractory task=listops seed=0 refractory=none,fixed
                                                                    narrowed: axes take one value or a list
    python -m harness.sweep +sweep=NAME dry_run=true                which runs, and which are finished
    python -m harness.sweep +sweep=NAME show=config                 the resolved configuration of a run
    python -m harness.sweep +sweep=NAME retry=true                  failed runs again
    python -m harness.sweep +sweep=NAME wait=false                  submit and return; see harness.status
    python -m harness.sweep +sweep=robustness of=NAME                a sweep's trained networks under corruptions
    python -m harness.sweep +sweep=NAME tuned=true                  with the settings that harness.tune chose
    python -m harness.sweep +sweep=NAME scale=gpu launcher=slurm neuron.leak=0.9
                                                                    any setting of sweeps/, for every run

Finished runs (by id, a hash of all that decides their outcome) are not run again.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from omegaconf import OmegaConf

from spike_ssm.harness.cli import run_command
from spike_ssm.harness.config.command_line import parse_command_line
from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.config.settings import PathSettings, Settings
from spike_ssm.harness.launch.batch import announce, execute_shown, is_to_run, jobs_of, require_launcher, results_folder
from spike_ssm.harness.launch.launcher import submit, wait
from spike_ssm.harness.plan.grid import Grid, GridRun, expand, untuned
from spike_ssm.harness.plan.manifest import manifest_of
from spike_ssm.harness.plan.sweep_file import Sweep, check_purpose, named_sweep
from spike_ssm.harness.plan.tuned import check_seeds, choices_of, wanted_tuning
from spike_ssm.harness.robustness.trained import require_trained, training_command
from spike_ssm.harness.run.job import Job
from spike_ssm.harness.state.survey import RunState, Survey
from spike_ssm.harness.training.trackers import require
from spike_ssm.results.store import discard_failure, write_manifest


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit status: 0 when every run of the sweep is done, else 1."""
    return run_command("harness.sweep", __doc__, arguments, run)


def run(composer: Composer, settings_words: list[str], words: list[str]) -> int:
    """As `main`, with the words less options; errors are raised, see `harness.cli`."""
    command = parse_command_line(settings_words)
    of, tuned = command.overrides.pop("of", None), command.overrides.pop("tuned", None)
    sweep = named_sweep(composer, command, None if of is None else str(of))
    tuning = wanted_tuning(tuned, sweep, command)
    grid = expand(composer, command, sweep, choices_of(tuning) if tuning else untuned)
    settings = grid.runs[0].settings
    check_purpose(sweep, settings)
    if tuning:
        check_seeds(tuning, grid)
    if settings.show == "config":
        _show_config(grid)
        return 0
    if not (settings.dry_run or settings.collect):
        require_launcher(settings)
    results = results_folder(settings, create=not settings.dry_run)
    jobs = jobs_of(grid.runs, results)
    states = Survey(results, jobs).states()
    if settings.dry_run:
        _show_plan(grid, states, settings.retry)
        return 0
    if settings.collect:
        ended = [job for run_id, job in jobs.items() if states[run_id].is_finished and not states[run_id].recorded]
        wait(ended, Survey(results, [job.run_id for job in ended]), lambda _: None)
    else:
        require(settings.tracker)
        todo = [job for run_id, job in jobs.items() if is_to_run(states[run_id], settings.retry)]
        _require_trained(sweep, grid, todo, words)
        write_manifest(results, manifest_of(sweep, grid, words, tuning))
        announce(states, len(todo), settings)
        if todo:
            _execute(todo, sweep, grid, words)
            if not settings.wait:
                return 0
    return _finish(sweep, grid, results)


def _require_trained(sweep: Sweep, grid: Grid, todo: list[Job], words: list[str]) -> None:
    """Raise `UserError`, with the command that trains them, when runs that `todo` evaluates cannot be used."""
    if sweep.of is None or not todo:
        return
    wanted = {job.run_id for job in todo}
    labels = {run.settings.trained().run_id(): run.label for run in grid.runs if run.plan.id in wanted}
    require_trained(todo[0].results, labels, training_command(f"harness.sweep +sweep={sweep.of}", words))


def _execute(todo: list[Job], sweep: Sweep, grid: Grid, words: list[str]) -> None:
    """Have `todo` run, and wait for it where that is wanted."""
    settings = grid.runs[0].settings
    if settings.wait:
        execute_shown(todo, sweep.name, {run.plan.id: run.label for run in grid.runs})
        return
    for job in todo:
        discard_failure(job.results, job.run_id)
    submit(todo, sweep.name, words)
    print(f"Submitted. See how it goes: {_status_command(sweep.name, settings)}")


def _status_command(sweep: str, settings: Settings) -> str:
    elsewhere = settings.paths.results != PathSettings.results
    return f"python -m harness.status {sweep}" + (f" --results {settings.paths.results}" if elsewhere else "")


def _show_plan(grid: Grid, states: dict[str, RunState], retry: bool) -> None:
    for run in grid.runs:
        state = states[run.plan.id]
        fate = "to run" if is_to_run(state, retry) else f"skipped, {state.status}"
        print(f"{run.plan.id}  {run.label}  ({fate})")
    count = sum(is_to_run(state, retry) for state in states.values())
    print(f"{len(states)} runs, {count} to run, {len(states) - count} skipped.")


def _show_config(grid: Grid) -> None:
    run: GridRun = grid.runs[0]
    print(f"# Run {run.plan.id}, {run.label}: the first of {len(grid.runs)}. Narrow the sweep to see another.")
    print(OmegaConf.to_yaml(OmegaConf.create(asdict(run.settings))), end="")


def _finish(sweep: Sweep, grid: Grid, results: Path) -> int:
    """Say what failed and render the report; its path is the last line."""
    started = time.perf_counter()
    states = Survey(results, [run.plan.id for run in grid.runs]).states()
    for run in grid.runs:
        state = states[run.plan.id]
        if state.has_failed:
            print(f"{state.status.capitalize()}: {run.label}. {state.error}", file=sys.stderr)
    from spike_ssm.reports.pages.sweep import build_report  # plotting libraries, needed only now

    page = build_report(sweep.name, results, Path(grid.runs[0].settings.paths.reports).expanduser().absolute())
    count = Counter("failed" if state.has_failed else state.status for state in states.values())
    others = "".join(f", {count[status]} {status}" for status in count if status not in ("done", "failed"))
    print(
        f"{count['done']} runs done, {count['failed']} failed{others}; "
        f"report rendered in {time.perf_counter() - started:.0f} s:"
    )
    sys.stdout.flush()
    print(page)
    return 0 if count["done"] == len(states) else 1


if __name__ == "__main__":
    sys.exit(main())
