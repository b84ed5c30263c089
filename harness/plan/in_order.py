"""What a sequential sweep takes: seeds in order, of each variant no more than decide it."""

from __future__ import annotations

from spike_ssm.harness.config.command_line import Flags
from spike_ssm.harness.plan.grid import Grid
from spike_ssm.harness.plan.sweep_file import Sweep
from spike_ssm.results.errors import UserError
from spike_ssm.results.schema import MEASUREMENTS


def check_sequential(sweep: Sweep, grid: Grid, flags: Flags) -> None:
    """Raise `UserError` where nothing could be decided before the last seed, or nobody would wait to decide it."""
    tasks = {run.plan.axes.get("task"): run.settings.task for run in grid.runs}
    if grid.baseline is None:
        problem = f"the sweep {sweep.name!r} names no baseline to compare with"
    elif grid.baseline not in {run.plan.variant for run in grid.runs}:
        problem = f"the baseline {grid.baseline!r} is not among these runs"
    elif sweep.of is not None or any(task.name in MEASUREMENTS for task in tasks.values()):
        problem = f"the sweep {sweep.name!r} trains no networks"
    elif any(run.settings.task != tasks[run.plan.axes.get("task")] for run in grid.runs):
        problem = "its variants have different data, so that not all can be compared with the baseline"
    elif len({run.plan.seed for run in grid.runs}) < 4:
        problem = "it begins with three seeds, and there are no more: give some, such as seed=0,1,2,3,4,5,6,7"
    elif not flags.wait and grid.runs[0].settings.launcher.kind == "slurm":
        problem = "the command has to wait for each seed before it submits the next: leave out wait=false"
    else:
        return
    raise UserError(f"sequential=true compares variants with the baseline after every seed, but {problem}.")
