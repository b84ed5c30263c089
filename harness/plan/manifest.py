"""The manifest of a sweep: what it is and what was asked of it, for whoever reads its results.

It grows: a command that asks for other runs of the same sweep adds them, whichever terminal it is typed in. Earlier
runs that the sweep file, as it is now, and the settings of the latest command would not make any more (another scale,
another learning rate, an axis that was changed) are set aside as a plan of their own, with its own status and page.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from spike_ssm.harness.config.command_line import CommandLine, words_to_repeat
from spike_ssm.harness.data import find_task
from spike_ssm.harness.plan.grid import Grid, axis_choices
from spike_ssm.harness.plan.sweep_file import Sweep, axis_of, listed
from spike_ssm.harness.state.lease import Lease, Watch, read
from spike_ssm.results.errors import UnreadableError, UserError
from spike_ssm.results.files import may_exist
from spike_ssm.results.schema import MEASUREMENTS, Asked, Manifest
from spike_ssm.results.store import manifest_path, read_manifest, set_aside, write_manifest
from spike_ssm.results.tuning.record import Tuning

PATIENCE_S = 150.0
"""How long a command waits for others that write the same manifest: longer than it takes to notice that one died."""


def asked_of(sweep: Sweep, command: CommandLine, config_dir: Path | None) -> Asked:
    """What the command line asks of `sweep`, as values."""
    axes = axis_choices(sweep, command)
    if "seed" in command.overrides:
        axes["seed"] = listed(command.overrides["seed"])
    flags = command.flags
    return Asked(
        sweep=str(command.sweep),
        axes=axes,
        overrides={key: value for key, value in command.overrides.items() if key not in axes},
        config_dir=None if config_dir is None else str(config_dir),
        of=None if flags.of is None else str(flags.of),
        tuned=None if flags.tuned in (None, False) else "true" if flags.tuned is True else str(flags.tuned),
        sequential=flags.sequential,
    )


def manifest_of(sweep: Sweep, grid: Grid, asked: Asked, tuning: Tuning | None) -> Manifest:
    """What the results folder keeps of a sweep."""
    scale = grid.runs[0].settings.scale
    tasks = {run.plan.axes.get("task", run.settings.task.name): run.settings.task.name for run in grid.runs}
    return Manifest(
        name=sweep.name,
        title=sweep.title,
        question=sweep.question,
        scale=scale.name,
        scale_note=scale.note,
        baseline=grid.baseline,
        words=words_to_repeat(asked),
        runs=[run.plan for run in grid.runs],
        variant_notes=grid.variant_notes,
        task_notes={
            label: find_task(name)[0].shortcut() for label, name in sorted(tasks.items()) if name not in MEASUREMENTS
        },
        tuning=tuning,
        controls=grid.controls,
        asked=asked,
    )


def record(
    folder: Path,
    sweep: Sweep,
    command: CommandLine,
    config_dir: Path | None,
    grid: Grid,
    expanded: Callable[[CommandLine], Grid],
    tuning: Tuning | None,
) -> str | None:
    """Add the runs of `grid` to the sweep's manifest in `folder`; the name under which others were set aside, if any.

    expanded: a command line -> its grid, as `grid` is that of `command`. Raises `UserError`.
    """
    asked = asked_of(sweep, command, config_dir)
    with _alone(manifest_path(folder, sweep.name)):
        earlier = _earlier(folder, sweep.name)
        if earlier is None:
            write_manifest(folder, manifest_of(sweep, grid, asked, tuning))
            return None
        wide, its_grid = _with_earlier(sweep, asked, command, grid, earlier, expanded)
        left = _without(earlier, its_grid)
        if left is not None:
            write_manifest(folder, left)
        write_manifest(folder, manifest_of(sweep, its_grid, wide, tuning))
        return None if left is None else left.name


def _alone(manifest: Path) -> Lease:
    """A lease on `manifest`, waited for. Raises `UserError`."""
    path, watch = manifest.with_name(f"{manifest.name}.lease"), Watch()
    end = time.monotonic() + PATIENCE_S
    while (lease := Lease.acquire(path, watch=watch)) is None:
        if time.monotonic() > end:
            raise UserError(
                f"The manifest {manifest} has been held for minutes by {read(path)}. End that command, or name another "
                "results folder with paths.results=FOLDER."
            )
        time.sleep(0.02)
    return lease


def _earlier(folder: Path, name: str) -> Manifest | None:
    """What was planned so far; None where that is nothing, or damaged, which moves to quarantine.

    Raises `UnreadableError` where it cannot be read now.
    """
    path = manifest_path(folder, name)
    if not may_exist(path):
        return None
    try:
        return read_manifest(folder, name)
    except UnreadableError:
        raise
    except UserError:
        set_aside(folder, path)
        return None


def _with_earlier(
    sweep: Sweep,
    asked: Asked,
    command: CommandLine,
    grid: Grid,
    earlier: Manifest,
    expanded: Callable[[CommandLine], Grid],
) -> tuple[Asked, Grid]:
    """What was asked for together, and the runs of it: those of `grid`, and earlier ones that are still what they were.

    That is asked of the ids: of the union of all that was asked for, the runs that one of the commands had.
    """
    known = {run.id for run in earlier.runs}
    here = {run.plan.id for run in grid.runs}
    if known <= here:
        return asked, grid
    wide = replace(asked, axes=_joined_axes(sweep, asked, earlier))
    try:
        union = expanded(replace(command, overrides={**asked.overrides, **wide.axes}, texts={}))
    except UserError:  # an earlier value that is no longer allowed
        return asked, grid
    return wide, union.only(known | here)


def _joined_axes(sweep: Sweep, asked: Asked, earlier: Manifest) -> dict[str, list[Any]]:
    """What either asked for, by axis; labels that the sweep file has no longer are left out."""
    joined = {}
    for name in [*sweep.grid, "seed"]:
        labels = {} if name == "seed" else axis_of(sweep, name, sweep.grid[name])
        everything = sweep.seeds if name == "seed" else list(labels)
        both = [*asked.axes.get(name, everything), *_earlier_values(name, everything, earlier)]
        plain = all(list(settings) == [name] for settings in labels.values())
        values = {str(value): value for value in both if plain or str(value) in labels}
        is_named = name in asked.axes or earlier.asked is None or name in earlier.asked.axes
        asks_for_more = is_named and any(name in rule for rule in sweep.on_request)
        if asks_for_more or set(values) != set(map(str, everything)):
            listed_first = {str(value): value for value in everything if str(value) in values}
            joined[name] = list({**listed_first, **values}.values())
    return joined


def _earlier_values(name: str, everything: list[Any], earlier: Manifest) -> list[Any]:
    if earlier.asked is not None:
        return earlier.asked.axes.get(name, everything)
    if name == "seed":
        return sorted({run.seed for run in earlier.runs})
    return list({run.axes[name]: None for run in earlier.runs if name in run.axes})


def _without(earlier: Manifest, grid: Grid) -> Manifest | None:
    """The runs of the earlier plan that `grid` lacks, as a plan whose name tells which they are; None for none."""
    here = {run.plan.id for run in grid.runs}
    left = [run for run in earlier.runs if run.id not in here]
    if not left:
        return None
    digest = hashlib.sha256(" ".join(sorted(run.id for run in left)).encode()).hexdigest()[:8]
    return replace(earlier, name=f"{earlier.name}-{digest}", title=f"{earlier.title} (set aside)", runs=left)
