"""`python -m harness.sweep +sweep=NAME`: run a sweep, collect its results, render its report.

    python -m harness.sweep +sweep=ablation_refractory              the whole sweep
    python -m harness.sweep +sweep=ablation_refractory task=listops seed=0 refractory=none,fixed
                                                                    narrowed: axes take one value or a list
    python -m harness.sweep +sweep=NAME dry_run=true                which runs, and which are finished
    python -m harness.sweep +sweep=NAME show=config                 the resolved configuration of a run
    python -m harness.sweep +sweep=NAME retry=true                  failed runs again
    python -m harness.sweep +sweep=NAME wait=false                  submit and return; see harness.status
    python -m harness.sweep +sweep=robustness of=NAME                a sweep's trained networks under corruptions
    python -m harness.sweep +sweep=NAME scale=gpu launcher=slurm neuron.leak=0.9
                                                                    any setting of sweeps/, for every run

Finished runs (by id, a hash of all that decides their outcome) are not run again.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from omegaconf import OmegaConf

from harness import slurm
from harness.compose import CommandLine, Composer, parse_command_line
from harness.display import Display
from harness.environment import code_version
from harness.errors import UserError
from harness.grid import Grid, GridRun, Sweep, expand, load_sweep
from harness.interruption import Interrupted
from harness.launch import launch, submit, wait
from harness.pool import worker_count
from harness.robustness.sweep import training_command
from harness.robustness.trained import require_trained
from harness.run import Job
from harness.settings import PathSettings, Settings
from harness.states import RunState, Survey
from harness.tasks import TASKS
from harness.trackers import require
from results.schema import Manifest
from results.store import ResultError, discard_failure, prepare_folder, write_manifest


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
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # harness.cancel asks so; end in good order
        return _run(parse_command_line([*unknown, *options.settings]), Composer(options.config_dir), words)
    except (UserError, ResultError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, Interrupted):
        print("Stopped; jobs on SLURM go on. The same command goes on from here.", file=sys.stderr)
        return 130


def _run(command: CommandLine, composer: Composer, words: list[str]) -> int:
    if command.sweep is None:
        raise UserError(f"Name a sweep with +sweep=NAME; there are {', '.join(composer.options('sweep'))}.")
    of = command.overrides.pop("of", None)
    scale = str(command.overrides.get("scale", "laptop"))
    sweep = load_sweep(composer, command.sweep, scale, None if of is None else str(of))
    grid = expand(composer, command, sweep)
    settings = grid.runs[0].settings
    _check_purpose(sweep, settings)
    if settings.show == "config":
        _show_config(grid)
        return 0
    if settings.launcher.kind == "slurm" and not (settings.dry_run or settings.collect or slurm.is_available()):
        raise UserError("launcher=slurm, but there is no sbatch on this machine. Use launcher=local.")
    results = _results_folder(settings, create=not settings.dry_run)
    jobs = _jobs(grid, results)
    states = Survey(results, jobs).states()
    if settings.dry_run:
        _show_plan(grid, states, settings.retry)
        return 0
    if settings.collect:
        ended = [job for run_id, job in jobs.items() if states[run_id].is_finished and not states[run_id].recorded]
        wait(ended, Survey(results, [job.run_id for job in ended]), lambda _: None)
    else:
        require(settings.tracker)
        todo = [job for run_id, job in jobs.items() if _is_to_run(states[run_id], settings.retry)]
        _require_trained(sweep, grid, todo, words)
        write_manifest(results, _manifest(sweep, grid, words))
        _announce(states, len(todo), grid, settings.retry)
        if todo:
            _execute(todo, sweep, grid, words)
            if not settings.wait:
                return 0
    return _finish(sweep, grid, results)


def _check_purpose(sweep: Sweep, settings: Settings) -> None:
    """Raise `UserError` unless the sweep either trains its runs or evaluates those of another."""
    if sweep.of is None and settings.robustness is not None:
        raise UserError(
            f"The sweep {sweep.name!r} trains its runs, so it takes no robustness; evaluate them afterwards: "
            f"+sweep=robustness of={sweep.name}."
        )
    if sweep.of is not None and settings.robustness is None:
        raise UserError(f"The sweep {sweep.name!r} evaluates runs, but its base does not say under what: robustness.")


def _require_trained(sweep: Sweep, grid: Grid, todo: list[Job], words: list[str]) -> None:
    """Raise `UserError`, with the command that trains them, when runs that `todo` evaluates cannot be used."""
    if sweep.of is None or not todo:
        return
    wanted = {job.run_id for job in todo}
    labels = {run.settings.trained().run_id(): run.label for run in grid.runs if run.plan.id in wanted}
    require_trained(todo[0].results, labels, training_command(f"harness.sweep +sweep={sweep.of}", words))


def _jobs(grid: Grid, results: Path) -> dict[str, Job]:
    launcher = grid.runs[0].settings.launcher
    # a node may have other tenants
    shared = launcher.kind == "slurm" or (launcher.kind == "local" and worker_count(launcher, len(grid.runs)) > 1)
    version = code_version()
    return {run.plan.id: Job(run.plan.id, run.settings, results, shared, version) for run in grid.runs}


def _execute(todo: list[Job], sweep: Sweep, grid: Grid, words: list[str]) -> None:
    """Have `todo` run, and wait for it where that is wanted."""
    for job in todo:
        discard_failure(job.results, job.run_id)
    settings = grid.runs[0].settings
    if not settings.wait:
        submit(todo, sweep.name, words)
        print(f"Submitted. See how it goes: {_status_command(sweep.name, settings)}")
        return
    labels = {run.plan.id: run.label for run in grid.runs}
    with Display({job.run_id: labels[job.run_id] for job in todo}, _workers(grid)) as display:
        launch(todo, sweep.name, display)


def _workers(grid: Grid) -> int:
    launcher = grid.runs[0].settings.launcher
    return {"local": worker_count(launcher, len(grid.runs)), "slurm": launcher.max_parallel}.get(launcher.kind, 1)


def _status_command(sweep: str, settings: Settings) -> str:
    elsewhere = settings.paths.results != PathSettings.results
    return f"python -m harness.status {sweep}" + (f" --results {settings.paths.results}" if elsewhere else "")


def _results_folder(settings: Settings, create: bool) -> Path:
    folder = Path(settings.paths.results).expanduser().absolute()
    return prepare_folder(folder) if create else folder


def _is_to_run(state: RunState, retry: bool) -> bool:
    return not (state.is_finished and state.recorded) or (state.has_failed and retry)


def _announce(states: dict[str, RunState], todo: int, grid: Grid, retry: bool) -> None:
    kind = grid.runs[0].settings.launcher.kind
    failed = sum(state.has_failed and state.recorded for state in states.values())
    ready = len(states) - todo
    print(f"{len(states)} runs: {ready} finished earlier, {todo} to run ({kind}, {_workers(grid)} at a time).")
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
        command=shlex.join(["python", "-m", "harness.sweep", *_lasting(words)]),
        runs=[run.plan for run in grid.runs],
        variant_notes=grid.variant_notes,
        task_notes={name: TASKS[name][0].shortcut for name in sorted(tasks & set(TASKS))},
    )


def _lasting(words: list[str]) -> list[str]:
    """The words that say what the sweep is, without those that say what to do with it this time."""
    return [word for word in words if word.split("=")[0] not in ("retry", "wait", "collect")]


def _finish(sweep: Sweep, grid: Grid, results: Path) -> int:
    """Say what failed and render the report; its path is the last line."""
    started = time.perf_counter()
    states = Survey(results, [run.plan.id for run in grid.runs]).states()
    for run in grid.runs:
        state = states[run.plan.id]
        if state.has_failed:
            print(f"{state.status.capitalize()}: {run.label}. {state.error}", file=sys.stderr)
    from reports.build import build_report  # plotting libraries, needed only now

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
