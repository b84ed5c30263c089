"""What runs will cost on their launcher, before it is started: looked up, timed where need be, and said.

What was timed is kept in the folder of prepared data, a file a kind of machine, so that it is timed once.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from spike_ssm.harness.config.command_line import Flags
from spike_ssm.harness.config.settings import Settings, cache_folder
from spike_ssm.harness.launch.local_pool import runs_at_once
from spike_ssm.harness.plan.cost import NOTHING, Cost, Range, RunCost, cost_of, duration, sentence, span
from spike_ssm.harness.plan.expected import TIMED, Evidence, Wanted
from spike_ssm.harness.plan.finished import Place, finished_in
from spike_ssm.harness.plan.shapes import Shape, shape_of
from spike_ssm.harness.run.job import Job
from spike_ssm.harness.system.environment import pick_device
from spike_ssm.harness.system.provenance import environment
from spike_ssm.harness.timing.calibration import Calibration, StepTimes, calibrate
from spike_ssm.harness.training.checkpoint import code_fingerprint
from spike_ssm.results.costs.estimate import Start, add_estimate
from spike_ssm.results.errors import UnpreparedError, UserError
from spike_ssm.results.schema import MEASUREMENTS
from spike_ssm.results.store import write_json

SECONDS = 12.0
"""Most time that steps are timed for, however many kinds of run there are."""


@dataclass(frozen=True)
class Estimate:
    """The cost of the runs that are to be executed, and of each by id, None where nothing tells; start: of a worker."""

    jobs: tuple[Job, ...]
    each: tuple[RunCost | None, ...]
    start: Range

    @property
    def cost(self) -> Cost:
        """The cost of all."""
        return self._cost(self.each)

    def of_one_seed(self) -> tuple[int, Cost]:
        """The first seed, and the cost of its runs."""
        seed = self.jobs[0].settings.seed
        pairs = zip(self.jobs, self.each, strict=True)
        return seed, self._cost([run for job, run in pairs if job.settings.seed == seed])

    def _cost(self, runs: Sequence[RunCost | None]) -> Cost:
        launcher = self.jobs[0].settings.launcher
        slurm = launcher.kind == "slurm"
        bundle = launcher.runs_per_job if slurm else 1
        return cost_of(runs, runs_at_once(launcher, len(runs)), self.start, bundle, each_job_starts=slurm)

    def keep(self, plan: str) -> None:
        """Keep it in the results folder, for the page to hold against what the runs took."""
        pairs = zip(self.jobs, self.each, strict=True)
        seconds = {job.run_id: run.seconds.point for job, run in pairs if run and run.basis != "time limit"}
        if seconds:
            with suppress(OSError):  # nothing else depends on it
                add_estimate(self.jobs[0].results, plan, Start(self.cost.wall.point, seconds))


def estimate(todo: Sequence[Job], ids: Sequence[str], flags: Flags) -> Estimate | None:
    """The cost of the runs `todo`; None where there are none, or no estimate is wanted.

    ids: of all runs of the same plan, which are looked at first as evidence. Times steps of what is not known yet; what
    could not be timed before is tried again, but not by a dry run.
    """
    jobs = tuple(todo)
    if not flags.estimate or not jobs:
        return None
    settings = jobs[0].settings
    at_once = runs_at_once(settings.launcher, len(jobs))
    shapes = _shapes(jobs)
    place = _place(settings, at_once)
    finished = finished_in(jobs[0].results, ids, place) if place else []
    known = Evidence(finished, {})
    kinds: dict[str, tuple[Shape, Settings]] = {}
    for shape, job in zip(shapes, jobs, strict=True):
        if _can_be_timed(job.settings) and not known.tells(shape):
            kinds.setdefault(shape.key, (shape, job.settings))
    timed, start = _timed(
        _in_order(list(kinds.values()), Counter(each.key for each in shapes)), at_once, not flags.dry_run
    )
    evidence = Evidence(finished, timed)
    each = tuple(evidence.expect(_wanted(shape, job.settings)) for shape, job in zip(shapes, jobs, strict=True))
    return Estimate(jobs, each, start)


def say(found: Estimate | None) -> None:
    """Print it."""
    if found is not None:
        print(f"Cost: {sentence(found.cost)}")


def require_affordable(found: Estimate | None, max_hours: float | None) -> None:
    """Return where the runs end within `max_hours`, or the person at the terminal wants them all the same.

    Raises `UserError`, with how to narrow the sweep, where they do not.
    """
    if found is None or max_hours is None:
        return
    trouble = _over(found, max_hours)
    if trouble is None:
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UserError(f"{trouble} Nothing was started.")
    if input(f"{trouble} Start it all the same? [y/N] ").strip().lower() not in ("y", "yes"):
        raise UserError("Nothing was started.")


def _over(found: Estimate, max_hours: float) -> str | None:
    """The sentence that the runs take longer than `max_hours`, or may; None where they do not."""
    cost, limit = found.cost, 3600 * max_hours
    if not cost.runs or cost.unknown:
        return f"max_hours={max_hours} cannot be kept to: {sentence(cost)}"
    if cost.wall.point <= limit:
        return None
    if cost.shortest.point > limit:
        return (
            f"max_hours={max_hours} is {duration(limit)}, and the shortest of these runs alone takes about "
            f"{span(cost.shortest)}: raise it, or make the runs smaller, e.g. optim.epochs=1."
        )
    seed, one = found.of_one_seed()
    narrower = f"seed={seed} alone takes about {span(one.wall)}" if one.runs < cost.runs else "an axis takes a list"
    return (
        f"The runs would take about {span(cost.wall)}, more than max_hours={max_hours} ({duration(limit)}). "
        f"Narrow the sweep ({narrower}), or raise max_hours."
    )


def _threads(settings: Settings) -> int:
    """Threads of each process of a run; launcher=debug leaves those of this one as they are."""
    launcher = settings.launcher
    return torch.get_num_threads() if launcher.kind == "debug" else launcher.threads


def _shapes(jobs: Sequence[Job]) -> list[Shape]:
    """The shape of each job; those that differ in the seed share their settings, which are looked at once."""
    found: dict[tuple[object, ...], Shape] = {}
    shapes = []
    for settings in (job.settings for job in jobs):
        parts = (settings.task, settings.neuron, settings.model, settings.optim, settings.robustness)
        key = (*map(id, parts), settings.test)
        if key not in found:
            found[key] = shape_of(settings.identity())
        shapes.append(found[key])
    return shapes


def _wanted(shape: Shape, settings: Settings) -> Wanted:
    launcher = settings.launcher
    slurm = launcher.kind == "slurm"
    here = slurm or not torch.cuda.is_available() or settings.device == "cpu"
    gpus = launcher.processes * (launcher.gpus if here else 1)
    limit = 60 * launcher.timeout_minutes if launcher.timeout_minutes else None
    return Wanted(shape, launcher.processes * _threads(settings), gpus, limit, elsewhere=slurm)


def _place(settings: Settings, at_once: int) -> Place | None:
    """The place that the runs will be executed in; None where this machine lacks what they ask for."""
    launcher = settings.launcher
    if launcher.kind == "slurm":
        device = None if launcher.gpus else "cpu"
        return Place(None, device, launcher.threads, launcher.processes, shared=True)
    try:
        here = environment(pick_device(settings.device, launcher.gpus))
    except UnpreparedError:
        return None
    return Place(here["processor"], here["device"], _threads(settings), launcher.processes, shared=at_once > 1)


def _can_be_timed(settings: Settings) -> bool:
    """Whether steps of the run can be timed on this machine: it trains, and on what is here."""
    if settings.task.name in MEASUREMENTS or settings.robustness is not None:
        return False
    with suppress(UnpreparedError):
        pick_device(settings.device, settings.launcher.gpus)
        return True
    return False


def _in_order(kinds: list[tuple[Shape, Settings]], runs: Counter[str]) -> list[tuple[Shape, Settings]]:
    """The kinds of run: first one of each family, from which its others follow best; those of many runs first."""
    by_runs = sorted(kinds, key=lambda kind: -runs[kind[0].key])
    first = {shape.family: shape.key for shape, _ in reversed(by_runs)}
    return sorted(by_runs, key=lambda kind: first[kind[0].family] != kind[0].key)


def _timed(
    kinds: list[tuple[Shape, Settings]], at_once: int, again: bool
) -> tuple[dict[str, tuple[Shape, StepTimes]], Range]:
    """Times of the kinds that were, or now are, timed, by the key of the shape; and of the start of a worker.

    again: what could not be timed before is tried again.
    """
    if not kinds:
        return {}, NOTHING
    settings = kinds[0][1]
    processes = 1 if settings.launcher.kind == "slurm" else at_once
    path = _file(settings, processes)
    kept = _read(path)
    done = {name for name, times in kept["steps"].items() if times or not again}
    missing = [kind for kind in kinds if _name(kind[0]) not in done]
    if missing:
        print(f"Timing steps of {len(missing)} kinds of run, for {SECONDS:.0f} s at the most (estimate=false: not) ...")
        sys.stdout.flush()
        found = calibrate([each for _, each in missing], processes, _threads(settings), SECONDS)
        kept = _joined(kept, found, [_name(shape) for shape, _ in missing])
        with suppress(OSError, UserError):
            write_json(path, kept)
    timed = {shape.key: (shape, StepTimes(**times)) for shape, _ in kinds if (times := kept["steps"].get(_name(shape)))}
    return timed, Range.around(kept["start_s"], TIMED)


def _file(settings: Settings, processes: int) -> Path:
    here = environment(pick_device(settings.device, settings.launcher.gpus), settings.launcher.processes)
    launcher = settings.launcher
    what = [here, processes, _threads(settings), launcher.recompute_activations, code_fingerprint()]
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]
    return cache_folder(settings) / "calibration" / f"{digest}.json"


def _name(shape: Shape) -> str:
    return hashlib.sha256(shape.key.encode()).hexdigest()[:12]


def _read(path: Path) -> dict[str, Any]:
    """What was kept: `start_s`, and `steps` by name, None for what could not be timed; nothing where it is no such."""
    nothing: dict[str, Any] = {"start_s": 0.0, "steps": {}}
    try:
        found = json.loads(path.read_bytes())
        for times in filter(None, found["steps"].values()):
            assert all(0 <= each < 1e15 for each in asdict(StepTimes(**times)).values())
        return {"start_s": float(found["start_s"]), "steps": dict(found["steps"])}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, AssertionError):
        return nothing


def _joined(kept: dict[str, Any], found: Calibration, names: Sequence[str]) -> dict[str, Any]:
    new = {name: asdict(found.times[place]) if place in found.times else None for place, name in enumerate(names)}
    return {"start_s": found.start_s or kept["start_s"], "steps": {**kept["steps"], **new}}
