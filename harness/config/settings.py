"""The typed schema of a run's configuration, and what of it makes up the run's identity.

Every YAML value under sweeps/ lands in one of these dataclasses: an unknown key or a value of the wrong type is an
error. Neurons, tasks and measurements bring their own dataclasses, see `harness.config.compose`.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from spike_ssm.harness.config.robustness import RobustnessSettings
from spike_ssm.harness.config.words import check_asked, check_one_line
from spike_ssm.harness.data import shared
from spike_ssm.harness.data.settings import TaskSettings
from spike_ssm.models.identity import LATER, identity_of
from spike_ssm.models.network import ModelSettings
from spike_ssm.results.milestones import Stop
from spike_ssm.results.names import instead

SCALES = ("laptop", "workstation", "gpu", "paper")
LAUNCHERS = ("auto", "local", "slurm", "debug")
DEVICES = ("auto", "cpu", "cuda")
TRACKERS = ("none", "tensorboard", "wandb")
RESOURCES = (
    *("processes", "threads", "gpus", "memory_gb", "timeout_minutes", "runs_per_job", "recompute_activations"),
    *("partition", "account", "qos", "constraint"),
)
"""Fields of the launcher that a task at a scale may have its own value of."""


def _one_of(label: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{label} {value!r} does not exist; {instead(value, allowed)}")


def _at_least(label: str, value: float, least: float) -> None:
    if not least <= value < math.inf:
        raise ValueError(f"{label} must be a number of at least {least}, but it is {value}.")


@dataclass
class ScaleSettings:
    """How large the experiment is; `note` is the sentence of the report's banner."""

    name: str = "laptop"
    note: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError for an unknown scale."""
        _one_of("scale", self.name, SCALES)


@dataclass
class OptimSettings:
    """AdamW, linear warm-up over `warmup_epochs`, cosine decay to 0 over the rest; both per step.

    Batches are cut from stretches of `length_pool` batches sorted by length (1: no sorting), which saves padding.
    `firing_rate_weight` times the mean over layers of (firing rate - `firing_rate_target`)^2 joins the training loss.
    `tested_weights`: a run's test accuracy is that of the weights with the `best` validation accuracy (perplexity), or
    of the `last` ones; the result has both.
    dt_lr: of the SSM's step sizes; null: `ssm_lr`, as A and B have. neuron_weight_decay: on thresholds and the like.
    """

    lr: float = 0.01
    ssm_lr: float = 0.001
    weight_decay: float = 0.05
    batch_size: int = 32
    epochs: int = 40
    warmup_epochs: float = 1.0
    length_pool: int = 1
    firing_rate_target: float | None = None
    firing_rate_weight: float = 0.0
    tested_weights: str = "best"
    dt_lr: float | None = field(default=None, metadata=LATER)
    neuron_weight_decay: float = field(default=0.0, metadata=LATER)

    def __post_init__(self) -> None:
        """Raise ValueError when a value is out of range."""
        _one_of("tested_weights", self.tested_weights, ("best", "last"))
        for label in ("lr", "ssm_lr", "weight_decay", "warmup_epochs", "firing_rate_weight", "neuron_weight_decay"):
            _at_least(label, getattr(self, label), 0)
        if self.dt_lr is not None:
            _at_least("dt_lr", self.dt_lr, 0)
        for label in ("batch_size", "epochs", "length_pool"):
            _at_least(label, getattr(self, label), 1)
        if self.warmup_epochs > self.epochs:
            raise ValueError(f"warmup_epochs ({self.warmup_epochs}) must not exceed epochs ({self.epochs}).")
        if self.firing_rate_target is not None and not 0 <= self.firing_rate_target <= 1:
            raise ValueError(f"firing_rate_target must be in [0, 1] or null, but it is {self.firing_rate_target}.")
        if (self.firing_rate_target is None) != (self.firing_rate_weight == 0):
            raise ValueError(
                "firing_rate_target and firing_rate_weight must be set together, a target and a weight above 0, or be "
                f"left at null and 0, but they are {self.firing_rate_target} and {self.firing_rate_weight}."
            )


@dataclass
class LauncherSettings:
    """The launcher that executes runs, and what each run gets.

    `processes` processes train a run together and share every batch; threads, gpus and memory_gb are those of
    each. `memory_gb` and `timeout_minutes`, where set, end a run that exceeds them. A run writes a checkpoint every
    `checkpoint_minutes`. `recompute_activations`: a step keeps only the blocks' inputs for the backward, which computes
    the rest again: less memory, more time, the same numbers.
    workers: local processes that take the runs. All below is for SLURM: see sweeps/launcher/slurm.yaml.

    `resources` maps a SCALE or a TASK_SCALE, which goes before it, to the fields in `RESOURCES` that its runs get
    instead.
    """

    kind: str = "auto"
    processes: int = 1
    threads: int = 1
    gpus: int = 0
    memory_gb: int | None = None
    timeout_minutes: float | None = None
    checkpoint_minutes: float = 5.0
    recompute_activations: bool = False
    workers: int | None = None
    max_parallel: int = 64
    runs_per_job: int = 1
    grace_seconds: int = 90
    requeues: int = 50
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    extra: dict[str, str] = field(default_factory=dict)
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ValueError for an unknown launcher, a count out of range, or words and resources that cannot be."""
        _one_of("launcher", self.kind, LAUNCHERS)
        for label in ("processes", "threads", "max_parallel", "runs_per_job", "grace_seconds"):
            _at_least(f"launcher.{label}", getattr(self, label), 1)
        for label in ("gpus", "requeues", "checkpoint_minutes"):
            _at_least(f"launcher.{label}", getattr(self, label), 0)
        for label, least in (("workers", 1), ("memory_gb", 1), ("timeout_minutes", 0.01)):
            if getattr(self, label) is not None:
                _at_least(f"launcher.{label}", getattr(self, label), least)
            elif self.kind == "slurm" and label != "workers":
                raise ValueError(f"SLURM jobs need launcher.{label}; set it to a number of at least {least}.")
        self._check_processes()
        check_asked(
            {"partition": self.partition, "account": self.account, "qos": self.qos}, self.constraint, self.extra
        )
        for name, needs in self.resources.items():
            for label in needs:
                _one_of(f"launcher.resources.{name}:", label, RESOURCES)

    def _check_processes(self) -> None:
        if self.processes == 1:
            return
        if self.kind == "debug":
            raise ValueError(
                f"launcher=debug runs in this process, so launcher.processes={self.processes} cannot be; start "
                f"torchrun --nproc-per-node={self.processes} -m harness.train instead, or use launcher=local."
            )
        if self.runs_per_job > 1:
            raise ValueError(
                f"launcher.runs_per_job={self.runs_per_job} bundles short runs, launcher.processes={self.processes} "
                "divides long ones: set one of them to 1."
            )


@dataclass
class PathSettings:
    """Folders, relative to the working directory.

    `cache` null is the user's cache folder. `data` holds the tasks' original files; null is `files` in the cache.
    """

    results: str = "results/runs"
    reports: str = "reports/html"
    cache: str | None = None
    data: str | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for a path of several lines."""
        for label, path in asdict(self).items():
            check_one_line(f"paths.{label}", path)


@dataclass
class Settings:
    """Everything about one run. The fields down to `seed` decide its outcome and make up its id.

    So does `robustness`, where it is set: the run then trains nothing, but evaluates the run of the same settings
    without it. So does `test`, where it is false: the run has no test accuracy, as a trial of a tuning should not. So
    does `stop_if`, where it is set: what may end early is another training than one that has all its epochs.
    """

    scale: ScaleSettings = field(default_factory=ScaleSettings)
    task: Any = MISSING
    neuron: Any = MISSING
    model: ModelSettings = field(default_factory=ModelSettings)
    optim: OptimSettings = field(default_factory=OptimSettings)
    seed: int = 0
    robustness: RobustnessSettings | None = None
    test: bool = True  # false: validation is all that is measured, and the test set is left alone
    stop_if: str | None = None  # at_chance@EPOCH, below_shortcut@EPOCH or diverged: the training ends early there
    launcher: LauncherSettings = field(default_factory=LauncherSettings)
    paths: PathSettings = field(default_factory=PathSettings)
    device: str = "auto"
    tracker: str = "none"  # is told of every epoch, see harness/training/trackers.py
    keep_weights: bool | None = None  # of trained networks; null: all but those of language models, which are large

    def __post_init__(self) -> None:
        """Raise ValueError for an unknown device or tracker, or settings that do not go together."""
        _one_of("device", self.device, DEVICES)
        _one_of("tracker", self.tracker, TRACKERS)
        if self.launcher.processes > self.optim.batch_size:
            raise ValueError(
                f"launcher.processes={self.launcher.processes} cannot share a batch of {self.optim.batch_size}: lower "
                "it to at most optim.batch_size."
            )
        if self.robustness is not None and not self._has_classes():
            raise ValueError(
                f"robustness is of trained classifiers, and task={self.task.name} trains none: choose another task."
            )
        if self.robustness is not None and not self.test:
            raise ValueError("robustness is measured on the test set, which test=false leaves alone: set one of them.")
        if self.stop_if is not None:
            self._check_stop(Stop.parse(self.stop_if))

    def _check_stop(self, stop: Stop) -> None:
        if not isinstance(self.task, TaskSettings):
            raise ValueError(f"stop_if={self.stop_if} ends trainings, and task={self.task.name} trains no network.")
        if stop.word == "at_chance" and not self._has_classes():
            raise ValueError(
                f"stop_if={self.stop_if}: task={self.task.name} knows no chance; give below_shortcut@EPOCH."
            )
        if stop.epoch is not None and stop.epoch >= self.optim.epochs:
            raise ValueError(
                f"stop_if={self.stop_if} would stop nothing: runs of task={self.task.name} have {self.optim.epochs} "
                "epochs (optim.epochs), and the epoch must come before the last."
            )

    def _has_classes(self) -> bool:
        return isinstance(self.task, TaskSettings) and self.task.kind != "language"

    def identity(self) -> dict[str, Any]:
        """All that decides the outcome, as plain containers; of the scale only its name."""
        parts = {label: identity_of(getattr(self, label)) for label in ("task", "neuron", "model", "optim")}
        corruptions = {} if self.robustness is None else {"robustness": asdict(self.robustness)}
        untested = {} if self.test else {"test": False}
        stopping = {} if self.stop_if is None else {"stop_if": self.stop_if}
        return {"scale": self.scale.name, **parts, "seed": self.seed, **corruptions, **untested, **stopping}

    def trained(self) -> Settings:
        """The settings of the training run that a robustness run evaluates."""
        return replace(self, robustness=None)

    def keeps_weights(self) -> bool:
        """Whether the tested weights of the run are kept when it is finished."""
        return self._has_classes() if self.keep_weights is None else self.keep_weights

    def run_id(self) -> str:
        """Twelve hexadecimal digits, a hash of `identity`."""
        text = json.dumps(self.identity(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def cache_folder(settings: Settings) -> Path:
    """The folder of prepared data."""
    return shared.cache_folder(settings.paths.cache)


def files_folder(settings: Settings) -> Path:
    """The folder of the tasks' original files."""
    data = settings.paths.data
    return cache_folder(settings) / "files" if not data else Path(data).expanduser().absolute()
