"""A small sweep, written through `results.store` as the harness would: 6 variants, 3 seeds."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spike_ssm.reports.pages.paper.definition import definition
from spike_ssm.reports.pages.sweep import build_report
from spike_ssm.results.energy import energy_nj, energy_of
from spike_ssm.results.reading import run_path
from spike_ssm.results.schema import Manifest, PlannedRun
from spike_ssm.results.store import write_manifest, write_run

VARIANTS = {
    "none": (0.420, 0.180),
    "fixed": (0.414, 0.128),
    "trainable": (0.446, 0.112),
    "trainable_decay": (0.452, 0.109),
    "control_decay0": (0.416, 0.150),
    "control_reset": (0.419, 0.146),
}
NOTES = {
    "none": "Plain leaky integrate-and-fire neuron with soft reset, theta = 0.",
    "fixed": "Refractory magnitude 0.5 of the threshold and decay 0.5, not trained.",
    "trainable": "Refractory magnitude trained per channel; our reading of the abstract.",
    "trainable_decay": "Magnitude and decay of the refractory current trained per channel.",
    "control_decay0": "rho = 0: a soft reset enlarged by theta, not a refractory neuron.",
    "control_reset": "No refractory current; the reset enlarged to spike as often as `fixed`.",
}
SEEDS = (0, 1, 2)
EXAMPLES, LABELS, LAYERS, EPOCHS = 400, 10, 4, 12


@dataclass
class Synthetic:
    """The options of a synthetic sweep; the defaults are the ablation the report is drawn for first."""

    name: str = "ablation_refractory"
    variants: Sequence[str] = tuple(VARIANTS)
    seeds: Sequence[int] = SEEDS
    tasks: Sequence[str] = ("listops",)
    baseline: str | None = "none"
    scale: str = "laptop"
    shared: bool = False
    details: bool = True  # epochs, layers and predictions, which take most of the time to write and draw
    change: Callable[[dict[str, Any]], dict[str, Any] | None] = field(default=lambda row: row)  # None: not written


def row_of(task: str, variant: str, seed: int, *, scale: str = "laptop", shared: bool = False) -> dict[str, Any]:
    """One finished run with predictions that add up to its accuracy. A seed decides its own numbers."""
    accuracy, rate = VARIANTS[variant]
    noise = np.random.default_rng([seed, sorted(VARIANTS).index(variant), len(task)])
    common = np.random.default_rng([seed, len(task)])  # what a seed does to every variant
    accuracy += 0.012 * common.standard_normal() + 0.004 * noise.standard_normal()
    right = round(accuracy * EXAMPLES)
    labels = np.random.default_rng(len(task)).integers(0, LABELS, EXAMPLES)
    hit = np.zeros(EXAMPLES, dtype=bool)
    hit[np.argsort(np.arange(EXAMPLES) + 60 * noise.standard_normal(EXAMPLES))[:right]] = True
    predictions = np.where(hit, labels, (labels + 1) % LABELS)
    rate *= 1 + 0.03 * noise.standard_normal()
    refractory = 0.0 if variant in ("none", "control_reset") else 0.5
    trained = variant.startswith("trainable")
    curve = 1 - np.exp(-np.arange(1, EPOCHS + 1) / 3.5)
    return {
        "id": f"{task[:3]}-{variant}-{seed}",
        "status": "done",
        "task": task,
        "neuron": "refractory_lif",
        "scale": scale,
        "seed": seed,
        "config": json.dumps(
            {
                "task": {"name": task, "length": [20, 100]},
                "neuron": {"name": "refractory_lif", "refractory": variant, "threshold": "trainable"},
                "optim": {"lr": 0.01, "weight_decay": 0.05},
                "seed": seed,
            }
        ),
        "environment": json.dumps(
            {
                "python": "3.11.9",
                "libraries": {"torch": "2.13.0+cpu"},
                "device": "cpu",
                "threads": 1,
                "seed_streams": {"initialisation": 0, "order": 1, "noise": 2},
            }
        ),
        "code_version": "0123456789ab",
        "started_at": f"2026-11-22T1{seed}:05:00Z",
        "duration_s": 95.0 + 7 * noise.random(),
        "parameters": 21_482 + (256 if trained else 0),
        "test_accuracy": right / EXAMPLES,
        "validation_accuracy": accuracy + 0.01,
        "best_epoch": EPOCHS - 1,
        "shortcut_accuracy": 0.345,
        "majority_accuracy": 0.1725,
        "firing_rate": rate,
        "silent": 0.03 + 0.02 * noise.random(),
        "saturated": 0.002,
        "train_samples_per_s": 310.0,
        "train_tokens_per_s": 19_000 + 800 * noise.random(),
        "train_ms_per_step": 101 + 5 * noise.random(),
        "test_samples_per_s": 900.0,
        "test_tokens_per_s": 55_000.0,
        "machine_shared": shared,
        "peak_memory_mib": 512 + 20 * noise.random(),
        **energies(rate),
        "undetermined": 0.0,
        "epochs": [
            {
                "epoch": epoch + 1,
                "train_loss": 2.2 - value,
                "train_accuracy": accuracy * value,
                "validation_loss": 2.2 - 0.9 * value,
                "validation_accuracy": accuracy * value + 0.006 * noise.standard_normal(),
                "learning_rate": 0.01,
                "seconds": 8.0,
            }
            for epoch, value in enumerate(curve)
        ],
        "layers": [
            {
                "layer": layer,
                "firing_rate": rate * (1.25 - 0.16 * layer),
                "silent": 0.03,
                "saturated": 0.002,
                "input_std": 0.9 + 0.1 * layer,
                "leak_before": 0.5,
                "leak_after": 0.5,
                "threshold_before": 1.0,
                "threshold_after": 1.0 + 0.08 * layer + 0.05 * noise.standard_normal(),
                "refractory_before": refractory,
                "refractory_after": refractory + (0.2 - 0.05 * layer if trained else 0.0),
                "decay_before": refractory,
                "decay_after": refractory + (0.1 if variant == "trainable_decay" else 0.0),
            }
            for layer in range(LAYERS)
        ],
        "predictions": [
            {"example": i, "label": int(label), "prediction": int(guess), "score": 0.5}
            for i, (label, guess) in enumerate(zip(labels, predictions, strict=True))
        ],
    }


def energies(rate: float) -> dict[str, Any]:
    """Operations of a token at this firing rate, and what follows from them."""
    macs = {"ssm": 4000.0, "neuron": 128.0}
    layers = [
        {"layer": layer, "part": part, "multiply_accumulates": macs.get(part, 0.0), "accumulates": accumulates}
        for layer in range(LAYERS)
        for part, accumulates in (("ssm", 0.0), ("neuron", 64 + 64 * rate), ("projection", 128 + 8192 * rate))
    ]
    operations = [*layers, {"layer": None, "part": "head", "multiply_accumulates": 6.4, "accumulates": 64.0}]
    dense = LAYERS * energy_nj(8192, 128)
    return {
        "operations": operations,
        "energy_nj_per_token": energy_of(operations),
        "dense_energy_nj_per_token": LAYERS * energy_nj(4000, 0) + dense + energy_nj(6.4, 64),
        "projection_energy_nj_per_token": energy_of(operations, "projection"),
        "dense_projection_energy_nj_per_token": dense,
    }


def failed(row: dict[str, Any], error: str, traceback: str = "Traceback (most recent call last):\n") -> dict[str, Any]:
    """What the harness writes when a run fails: who it was and why, and nulls."""
    kept = ("id", "task", "neuron", "scale", "seed", "config", "environment", "code_version", "started_at")
    return {name: row[name] for name in kept} | {"status": "failed", "error": error, "traceback": traceback}


def write_sweep(folder: Path, options: Synthetic) -> Path:
    """Write manifest and runs; returns `folder`."""
    folder.mkdir(exist_ok=True)
    planned = []
    for task in options.tasks:
        for variant in options.variants:
            for seed in options.seeds:
                row = row_of(task, variant, seed, scale=options.scale, shared=options.shared)
                planned.append(PlannedRun(row["id"], {"task": task, "refractory": variant}, variant, seed))
                if not options.details:
                    row |= dict.fromkeys(("epochs", "layers", "predictions"))
                changed = options.change(row)
                run_path(folder, row["id"]).unlink(missing_ok=True)  # the first finished result of a run stays
                if changed is not None:
                    write_run(folder, changed)
    manifest = Manifest(
        name=options.name,
        title="Does the refractory period pay for itself?",
        question="What do a refractory current and its training change in accuracy and firing rate?",
        scale=options.scale,
        scale_note="Small networks on short sequences, run on two CPU cores.",
        baseline=options.baseline,
        words=[f"+sweep={options.name}"],
        runs=planned,
        variant_notes={variant: NOTES[variant] for variant in options.variants},
        task_notes=dict.fromkeys(options.tasks, "the answer from the root operator alone."),
    )
    write_manifest(folder, manifest)
    return folder


@pytest.fixture
def sweep(tmp_path: Path) -> Callable[..., Path]:
    """Call with the options of `Synthetic` that differ; returns the results folder."""
    return lambda **options: write_sweep(tmp_path / "runs", Synthetic(**options))


@pytest.fixture(scope="session")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the report of the sweep it is drawn for first, with every detail."""
    folder = tmp_path_factory.mktemp("sweep")
    build_report("ablation_refractory", write_sweep(folder / "runs", Synthetic()), folder / "html")
    return folder / "html"


@pytest.fixture
def failed_row() -> Callable[..., dict[str, Any]]:
    """Turns a finished row into what the harness writes when that run fails."""
    return failed


def published_run(table: str, model: str, column: str, seed: int, **changes: Any) -> dict[str, Any]:
    """A finished run that may be set against this published figure; `changes` are columns, or settings with a dot.

    With `protocol` it is of that one instead of the row's.
    """
    tables = definition()
    (found,) = [each for each in tables.tables if each.name == table]
    (entry,) = [each for each in found.entries if each.name == model]
    (place,) = [each for each in found.columns if each.name == column]
    entry = replace(entry, protocol=changes.pop("protocol", entry.protocol))
    settings = {**(tables.required(entry, place) or {}), "seed": seed}
    settings |= {key: value for key, value in changes.items() if "." in key}
    config: dict[str, Any] = {"scale": changes.get("scale", "paper")}
    for key, value in settings.items():
        *parents, leaf = key.split(".")
        node = config
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    row = {
        "id": f"{table}-{model}-{column}-{seed}-{changes}".replace("/", "_")[:120],
        "status": "done",
        "task": config["task"]["name"],
        "neuron": config["neuron"]["name"],
        "scale": config["scale"],
        "seed": seed,
        "config": json.dumps(config),
        "environment": json.dumps({"device": "NVIDIA H200"}),
        "code_version": "0123456789ab",
        "started_at": f"2026-11-22T1{seed}:05:00Z",
        "machine_shared": False,
        place.measure: 0.5,
    }
    return row | {key: value for key, value in changes.items() if "." not in key}


@pytest.fixture(scope="session")
def paper_row() -> Callable[..., dict[str, Any]]:
    """Makes a finished run that may be set against a published figure."""
    return published_run


@pytest.fixture
def paper_runs(tmp_path: Path) -> Callable[..., Path]:
    """Call with table, model, column and one value a seed; adds those runs and returns the folder."""
    folder = tmp_path / "paper_runs"
    folder.mkdir(exist_ok=True)

    def add(table: str, model: str, column: str, values: Sequence[float], **changes: Any) -> Path:
        measure = changes.pop("measure", "test_accuracy")
        for seed, value in enumerate(values):
            write_run(folder, published_run(table, model, column, seed, **{measure: value}, **changes))
        return folder

    return add
