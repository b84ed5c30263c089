"""`python -m harness.sweep +sweep=NAME`: run a sweep, collect its results, render its report.

    python -m harness.sweep +sweep=ablation_refractory              the whole sweep
    python -m harness.sweep +sweep=ablation_refractory task=listops seed=0 refractory=none,fixed
                                                                    narrowed: axes take one value or a list
    python -m harness.sweep +sweep=NAME dry_run=true                which runs, and which are finished
    python -m harness.sweep +sweep=NAME show=config                 the resolved configuration of a run
    python -m harness.sweep +sweep=NAME retry=true                  failed runs again
    python -m harness.sweep +sweep=NAME scale=gpu launcher=slurm neuron.leak=0.9
                                                                    any setting of sweeps/, for every run

Finished runs (by id, a hash of all that decides their outcome) are not run again.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from omegaconf import OmegaConf

from harness.compose import CommandLine, Composer, parse_command_line
from harness.display import Display
from harness.errors import UserError
from harness.grid import Grid, GridRun, Sweep, expand, load_sweep
from harness.launch import RunState, launch, look, resolve_launcher, worker_count
from harness.run import Job
from harness.settings import Settings
from harness.tasks import TASKS
from results.schema import Manifest
from results.store import ResultError, prepare_folder, run_path, write_manifest


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit status: 0 when every run of the sweep is done, else 1."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(
        "harness.sweep", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config-dir", type=Path, help="a folder of yours with sweep/NAME.yaml files")
    parser.add_argument("settings", nargs="*", metavar="key=value")
    options, unknown = parser.parse_known_args(words)
    try:
        return _run(parse_command_line([*unknown, *options.settings]), Composer(options.config_dir), words)
    except (UserError, ResultError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. Finished runs are kept; the same command goes on from here.", file=sys.stderr)
        return 130


def _run(command: CommandLine, composer: Composer, words: list[str]) -> int:
    if command.sweep is None:
        raise UserError(f"Name a sweep with +sweep=NAME; there are {', '.join(composer.options('sweep'))}.")
    sweep = load_sweep(composer, command.sweep, str(command.overrides.get("scale", "laptop")))
    grid = expand(composer, command, sweep)
    settings = grid.runs[0].settings
    if settings.show == "config":
        _show_config(grid)
        return 0
    kind = resolve_launcher(settings.launcher)
    results = _results_folder(settings, create=not settings.dry_run)
    workers = worker_count(settings.launcher, len(grid.runs)) if kind == "local" else 1
    shared = workers > 1 or kind == "slurm"  # a node may have other tenants
    jobs = {run.plan.id: Job(run.plan.id, run.settings, results, shared) for run in grid.runs}
    states = {run_id: _look(job) for run_id, job in jobs.items()}
    if settings.dry_run:
        _show_plan(grid, states, settings.retry)
        return 0
    write_manifest(results, _manifest(sweep, grid, words))
    todo = [job for run_id, job in jobs.items() if _is_to_run(states[run_id], settings.retry)]
    _announce(states, len(todo), kind, workers, settings.retry)
    for job in todo:
        if states[job.run_id].status == "failed":  # its file says so, or is damaged; it may lie in our way no longer
            run_path(results, job.run_id).unlink(missing_ok=True)
    if todo:
        labels = {run.plan.id: run.label for run in grid.runs}
        with Display({job.run_id: labels[job.run_id] for job in todo}, workers) as display:
            launch(todo, settings.launcher, kind, display)
    states = {run_id: _look(job) for run_id, job in jobs.items()}
    return _finish(sweep, grid, states, results, Path(settings.paths.reports).expanduser().absolute())


def _results_folder(settings: Settings, create: bool) -> Path:
    folder = Path(settings.paths.results).expanduser().absolute()
    return prepare_folder(folder) if create else folder


def _look(job: Job) -> RunState:
    """The state of a run; a damaged result counts as failed and says so."""
    try:
        return look(job)
    except ResultError as error:
        return RunState("failed", error=str(error))


def _is_to_run(state: RunState, retry: bool) -> bool:
    return state.status in ("waiting", "running") or (state.status == "failed" and retry)


def _announce(states: dict[str, RunState], todo: int, kind: str, workers: int, retry: bool) -> None:
    failed = Counter(state.status for state in states.values())["failed"]
    finished = len(states) - todo
    print(f"{len(states)} runs: {finished} finished earlier, {todo} to run ({kind}, {workers} at a time).")
    if failed and not retry:
        print(f"{failed} of them failed earlier; retry=true runs them again.")


def _show_plan(grid: Grid, states: dict[str, RunState], retry: bool) -> None:
    for run in grid.runs:
        state = states[run.plan.id]
        fate = "to run" if _is_to_run(state, retry) else f"skipped, {state.status}"
        print(f"{run.plan.id}  {run.label}  ({fate})")
    count = sum(_is_to_run(state, retry) for state in states.values())
    print(f"{len(states)} runs, {count} to run, {len(states) - count} skipped.")


def _show_config(grid: Grid) -> None:
    run: GridRun = grid.runs[0]
    print(f"# Run {run.plan.id}, {run.label}: the first of {len(grid.runs)}. Narrow the sweep to see another.")
    print(OmegaConf.to_yaml(OmegaConf.create(asdict(run.settings))), end="")


def _manifest(sweep: Sweep, grid: Grid, words: list[str]) -> Manifest:
    scale = grid.runs[0].settings.scale
    tasks = {run.settings.task.name for run in grid.runs}
    return Manifest(
        name=sweep.name,
        title=sweep.title,
        question=sweep.question,
        scale=scale.name,
        scale_note=scale.note,
        baseline=grid.baseline,
        command=shlex.join(["python", "-m", "harness.sweep", *words]),
        runs=[run.plan for run in grid.runs],
        variant_notes=grid.variant_notes,
        task_notes={name: TASKS[name][0].shortcut for name in sorted(tasks & set(TASKS))},
    )


def _finish(sweep: Sweep, grid: Grid, states: dict[str, RunState], results: Path, reports: Path) -> int:
    """Say what failed and render the report; its path is the last line."""
    started = time.perf_counter()
    failed = {run.label: states[run.plan.id] for run in grid.runs if states[run.plan.id].status == "failed"}
    for label, state in failed.items():
        print(f"Failed: {label}. {state.error}", file=sys.stderr)
    from reports.build import build_report  # plotting libraries, needed only now

    page = build_report(sweep.name, results, reports)
    done = len(states) - len(failed)
    print(f"{done} runs done, {len(failed)} failed; report rendered in {time.perf_counter() - started:.0f} s:")
    sys.stdout.flush()
    print(page)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
