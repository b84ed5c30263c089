"""The work of harness.sweep: a sweep's runs are planned, executed and collected, its report rendered."""

from __future__ import annotations

import shlex
import sys
import time
from collections import Counter
from pathlib import Path

from spike_ssm.harness.config.command_line import CommandLine
from spike_ssm.harness.config.compose import Composer, settings_to_yaml
from spike_ssm.harness.config.settings import PathSettings, Settings
from spike_ssm.harness.launch.batch import Batch
from spike_ssm.harness.launch.estimate import estimate, require_affordable, say
from spike_ssm.harness.launch.timing_stage import TimingStage
from spike_ssm.harness.plan.grid import Grid, expand
from spike_ssm.harness.plan.in_order import check_sequential
from spike_ssm.harness.plan.manifest import record
from spike_ssm.harness.plan.sweep_file import Sweep, check_purpose, named_sweep
from spike_ssm.harness.plan.timed import timed_runs
from spike_ssm.harness.plan.tuned import check_seeds, results_of, tuned_by, wanted_tuning
from spike_ssm.harness.robustness.trained import require_trained
from spike_ssm.harness.run import time_alone
from spike_ssm.harness.run.job import Job
from spike_ssm.harness.run.worker import EXECUTION
from spike_ssm.harness.state.decided import next_and_decided
from spike_ssm.harness.training.trackers import require
from spike_ssm.reports.render.files import page_path
from spike_ssm.results.errors import UserError
from spike_ssm.results.store import read_manifest
from spike_ssm.results.tuning.record import Tuning


def run(composer: Composer, command: CommandLine) -> int:
    """The exit status; errors are raised, see `harness.cli`."""
    command.refuse("harness.sweep", takes="axes, settings")
    flags, of = command.flags, command.flags.of
    sweep = named_sweep(composer, command, None if of is None else str(of))
    tuning = wanted_tuning(sweep, command)
    grid = expand(composer, command, sweep, tuned_by(tuning))
    check_purpose(sweep, grid.runs[0].settings)
    if tuning:
        check_seeds(tuning, grid)
    if flags.show:
        _show_config(grid)
        return 0
    if flags.planned:
        grid = _planned(grid, command)
    if flags.sequential:
        check_sequential(sweep, grid, flags)
    batch = Batch(str(flags.planned or sweep.name), grid.runs, flags)
    if flags.dry_run:
        _show_plan(grid, batch)
        _require_trained(sweep, grid, batch, command)
        say(estimate(batch.todo, batch.ids, flags))
        return 0
    stage = TimingStage(batch.name, batch.settings.launcher.kind, flags, time_alone.work)
    if flags.collect:
        batch.collect()
    elif stage.alone:
        stage.run(_to_time(grid, batch))
    else:
        require(batch.settings.tracker)
        _require_trained(sweep, grid, batch, command)
        cost = estimate(batch.todo, batch.ids, flags)
        require_affordable(cost, flags.max_hours)
        if not flags.planned:
            _record(composer, command, sweep, grid, batch.results, tuning)
        batch.announce()
        say(cost)
        if cost is not None:
            cost.keep(batch.name)
        if not flags.wait and batch.todo:
            arrays = batch.submit(EXECUTION, [*command.lasting(), "estimate=false"])
            stage.submit(batch.jobs_of(timed_runs(grid, {run.plan.id for run in grid.runs})), after=arrays)
            follow = _of_folder(f"python -m reports {batch.name} --follow", batch.settings)
            print(f"Its report, written anew as results come: {follow}")
            print(f"Submitted. See how it goes: {_of_folder(f'python -m harness.status {batch.name}', batch.settings)}")
            return 0
        page = batch.page(_page(batch))
        if batch.todo:
            print(f"{page.line}.")
        if flags.sequential:
            _run_in_order(batch)
        else:
            batch.run(EXECUTION, page)
        stage.run(_to_time(grid, batch))
    return _finish(grid, batch)


def _run_in_order(batch: Batch) -> None:
    """Have the runs of the plan executed seed by seed, as far as they are not decided. Says what the seeds decided."""
    manifest, tried, said = read_manifest(batch.results, batch.name), set[str](), 0
    batch.clear()  # which of them failed is asked again
    while True:
        following, decided = next_and_decided(batch.results, manifest)
        if len(decided) > said:
            said = len(decided)
            print(f"{said} runs need not be run: their variants are decided by the seeds so far.")
        wave = following.intersection(batch.ids) - tried  # what was tried and has no result could not begin
        if not wave:
            return
        batch.run(EXECUTION, batch.page(_page(batch)), wave)
        tried |= wave


def _to_time(grid: Grid, batch: Batch) -> list[Job]:
    """The runs that stand for the variants with a finished run."""
    done = {run_id for run_id, state in batch.states().items() if state.status == "done"}
    return batch.jobs_of(timed_runs(grid, done))


def _planned(grid: Grid, command: CommandLine) -> Grid:
    """The runs of the grid that the plan named by `planned` has. Raises `UserError` where none is left."""
    name, results = str(command.flags.planned), results_of(command)
    ids = {run.id for run in read_manifest(results, name).runs}
    left = grid.only(ids)
    if not left.runs:
        raise UserError(
            f"The plan {name!r} in {results} has none of these runs: the sweep file was changed, or a setting is given "
            "that makes other runs. To run those, use python -m harness.sweep."
        )
    if lacking := len(ids) - len(left.runs):
        print(f"{lacking} runs of {name} are left alone: these words, or the sweep file as it is now, make others.")
    return left


def _record(
    composer: Composer, command: CommandLine, sweep: Sweep, grid: Grid, results: Path, tuning: Tuning | None
) -> None:
    """Add the runs to the sweep's manifest, and say which were set aside."""

    def expanded(wider: CommandLine) -> Grid:
        return expand(composer, wider, sweep, tuned_by(tuning))

    aside = record(results, sweep, command, composer.config_dir, grid, expanded, tuning)
    if aside:
        page = _of_folder(f"python -m reports {aside}", grid.runs[0].settings)
        print(f"Earlier runs of {sweep.name} with other settings are set aside under a name of their own: {page}")


def _require_trained(sweep: Sweep, grid: Grid, batch: Batch, command: CommandLine) -> None:
    """Raise `UserError`, with the command that trains them, when runs that are to be evaluated cannot be used."""
    wanted = {job.run_id for job in batch.todo}
    if sweep.of is None or not wanted:
        return
    labels = {run.settings.trained().run_id(): run.label for run in grid.runs if run.plan.id in wanted}
    words = command.lasting("+sweep", "of", "robustness", "planned")
    require_trained(batch.results, labels, shlex.join(["python", "-m", "harness.sweep", f"+sweep={sweep.of}", *words]))


def _of_folder(command: str, settings: Settings) -> str:
    """The command, told of the results folder where that is not the usual one."""
    results = settings.paths.results
    return command if results == PathSettings.results else f"{command} --results {shlex.quote(results)}"


def _show_plan(grid: Grid, batch: Batch) -> None:
    fates = batch.fates()
    for run in grid.runs:
        print(f"{run.plan.id}  {run.label}  ({fates[run.plan.id]})")
    count = len(batch.todo)
    print(f"{len(fates)} runs, {count} to run, {len(fates) - count} skipped.")


def _show_config(grid: Grid) -> None:
    run = grid.runs[0]
    print(f"# Run {run.plan.id}, {run.label}: the first of {len(grid.runs)}. Narrow the sweep to see another.")
    print(settings_to_yaml(run.settings), end="")


def _page(batch: Batch) -> Path:
    """The place of the report."""
    return page_path(batch.name, Path(batch.settings.paths.reports).expanduser().absolute())


def _finish(grid: Grid, batch: Batch) -> int:
    """Say what failed and render the report; its path is the last line."""
    started = time.perf_counter()
    states = batch.states()
    for run in grid.runs:
        state = states[run.plan.id]
        if state.has_failed or state.is_unreadable:
            print(f"{state.status.capitalize()}: {run.label}. {state.error}", file=sys.stderr)
    from spike_ssm.reports.pages.sweep import build_report  # plotting libraries, needed only now

    page = build_report(batch.name, batch.results, _page(batch).parent)
    _, decided = next_and_decided(batch.results, read_manifest(batch.results, batch.name))
    states = {run_id: state for run_id, state in states.items() if run_id not in decided}
    count = Counter("failed" if state.has_failed else state.status for state in states.values())
    others = "".join(f", {count[status]} {status}" for status in count if status not in ("done", "failed"))
    print(
        f"{count['done']} runs done, {count['failed']} failed{others}"
        f"{f', {len(decided)} not run: decided' if decided else ''}; "
        f"report rendered in {time.perf_counter() - started:.0f} s:"
    )
    sys.stdout.flush()
    print(page)
    return 0 if count["done"] == len(states) else 1
