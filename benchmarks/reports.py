"""`python -m benchmarks.reports`: how long the page of a large sweep takes, as a whole command, and how large it is.

The sweep has 2,000 runs, each with its history, layers, operations, traces and predictions, written as the harness
writes them. With --save, rows and their environment go to results/measured/reports_cpu.parquet.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import report
from benchmarks.data import Row, Target, row, sentence, verdicts
from benchmarks.report import THREADS
from benchmarks.words import parser
from spike_ssm.harness.system.environment import compute_with
from spike_ssm.harness.system.provenance import environment
from spike_ssm.harness.system.root import ROOT
from spike_ssm.results.raster import RASTER_CHANNELS, RASTER_STEPS, pack_raster
from spike_ssm.results.schema import POTENTIAL_EDGES, TIME_BINS, Manifest, PlannedRun
from spike_ssm.results.store import write_manifest, write_run

CPU = torch.device("cpu")
SWEEP = "large"
LAYERS, LABELS = 6, 10
TARGETS = (Target("building", "s", 20, at_most=True), Target("page", "MB", 8, at_most=True))


@dataclass(frozen=True)
class Size:
    """Size of a sweep."""

    tasks: int = 10
    neurons: int = 10
    seeds: int = 20
    epochs: int = 30
    predictions: int = 1000

    @property
    def runs(self) -> int:
        """Number of runs."""
        return self.tasks * self.neurons * self.seeds


def write_sweep(folder: Path, size: Size) -> None:
    """Write the manifest and the runs of a sweep `SWEEP` of that size to `folder`; the same each time."""
    planned = []
    where = json.dumps(environment(CPU) | {"seed_streams": {"initialisation": 0, "order": 1, "noise": 2}})
    for task in range(size.tasks):
        for neuron in range(size.neurons):
            for seed in range(size.seeds):
                done = finished_row(size, task, neuron, seed) | {"environment": where}
                axes = {"task": done["task"], "neuron": done["neuron"]}
                planned.append(PlannedRun(done["id"], axes, done["neuron"], seed))
                write_run(folder, done)
    words = [f"+sweep={SWEEP}"]
    title, question = "A large sweep", "How long does its page take?"
    write_manifest(folder, Manifest(SWEEP, title, question, "laptop", "No run.", "neuron_0", words, planned))


def finished_row(size: Size, task: int, neuron: int, seed: int) -> dict[str, Any]:
    """A made-up done run: its accuracy and rate are those of its predictions and layers, about."""
    noise = np.random.default_rng([task, neuron, seed])
    accuracy = 0.5 + 0.02 * neuron + 0.01 * noise.standard_normal()
    rate = 0.2 - 0.01 * neuron + 0.005 * noise.standard_normal()
    curve = accuracy * (1 - np.exp(-np.arange(1, size.epochs + 1) / 5)) + 0.01 * noise.standard_normal(size.epochs)
    labels = np.random.default_rng(task).integers(0, LABELS, size.predictions)
    right = noise.random(size.predictions) < accuracy
    answers = np.where(right, labels, (labels + 1) % LABELS)
    return {
        "id": f"{task:04x}{neuron:04x}{seed:04x}",
        "status": "done",
        "task": f"task_{task}",
        "neuron": f"neuron_{neuron}",
        "scale": "laptop",
        "seed": seed,
        "config": json.dumps(_config(task, neuron, seed)),
        "code_version": "0123456789ab",
        "started_at": f"2026-11-22T10:{seed:02}:00Z",
        "duration_s": 60 + 10 * noise.random(),
        "parameters": 20_000 + neuron,
        "test_accuracy": right.mean(),
        "validation_accuracy": accuracy,
        "best_epoch": size.epochs - 1,
        "shortcut_accuracy": 0.3,
        "majority_accuracy": 0.1,
        "firing_rate": rate,
        "silent": 0.03,
        "saturated": 0.002,
        "train_samples_per_s": 300.0,
        "train_tokens_per_s": 20_000 + 1000 * noise.random(),
        "train_ms_per_step": 100 + 5 * noise.random(),
        "test_samples_per_s": 900.0,
        "test_tokens_per_s": 60_000.0,
        "machine_shared": False,
        "peak_memory_mib": 500 + 20 * noise.random(),
        "energy_nj_per_token": 25 + 60 * rate,
        "dense_energy_nj_per_token": 150.0,
        "epochs": [_epoch(place + 1, value) for place, value in enumerate(curve)],
        "layers": [_layer(layer, rate, noise) for layer in range(LAYERS)],
        "operations": [_operations(layer, rate) for layer in range(LAYERS)],
        "traces": [_traces(layer, rate, noise) for layer in range(LAYERS)],
        "predictions": [
            {"example": place, "label": label, "prediction": answer, "score": 0.5}
            for place, (label, answer) in enumerate(zip(labels.tolist(), answers.tolist(), strict=True))
        ],
    }


def _config(task: int, neuron: int, seed: int) -> dict[str, Any]:
    """Settings as many as a run's: two differ between neurons, one between tasks."""
    parts = {part: {f"setting_{place}": place / 7 for place in range(12)} for part in ("model", "optim", "launcher")}
    named = {"task": {"name": f"task_{task}"}, "neuron": {"name": f"neuron_{neuron}", "leak": neuron / 10}}
    return {**parts, **named, "seed": seed}


def _epoch(epoch: int, accuracy: float) -> dict[str, Any]:
    return {
        "epoch": epoch,
        "train_loss": 2 - accuracy,
        "train_accuracy": accuracy,
        "validation_loss": 2 - accuracy,
        "validation_accuracy": accuracy,
        "learning_rate": 0.01,
        "seconds": 2.0,
    }


def _layer(layer: int, rate: float, noise: np.random.Generator) -> dict[str, Any]:
    before = {"leak_before": 0.5, "threshold_before": 1.0, "refractory_before": 0.5, "decay_before": 0.5}
    after = {name.replace("before", "after"): value + 0.1 * noise.random() for name, value in before.items()}
    share = {"firing_rate": rate * (1.2 - 0.1 * layer), "silent": 0.03, "saturated": 0.002, "input_std": 1.0}
    return {"layer": layer, **share, **before, **after}


def _operations(layer: int, rate: float) -> dict[str, Any]:
    return {"layer": layer, "part": "projection", "multiply_accumulates": 64.0, "accumulates": 64 * 64 * rate}


def _traces(layer: int, rate: float, noise: np.random.Generator) -> dict[str, Any]:
    return {
        "layer": layer,
        "bin_steps": 64,
        "rate_over_time": (rate * (1 + 0.1 * noise.standard_normal(TIME_BINS))).tolist(),
        "tokens_over_time": [64_000] * TIME_BINS,
        "potential": noise.integers(0, 10_000, len(POTENTIAL_EDGES) + 1).tolist(),
        "raster": pack_raster(noise.random((RASTER_CHANNELS, RASTER_STEPS)) < rate),
        "raster_steps": RASTER_STEPS,
    }


def measure(size: Size) -> Iterator[Row]:
    """Rows of the command that writes the page of a sweep of that size: its time, s, and the page's size, MB."""
    with tempfile.TemporaryDirectory() as name:
        results, out = Path(name) / "runs", Path(name) / "html"
        write_sweep(results, size)
        words = [sys.executable, "-m", "reports", SWEEP, "--results", str(results), "--out", str(out)]
        started = time.perf_counter()
        shown = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - started
        page = Path(shown.stdout.strip())
        content = page.read_text(encoding="utf-8")
        assert f"{size.runs} of {size.runs} runs finished" in content, "the page is of the whole sweep"
        assert content.count("Learning curves</strong>") == size.tasks
        yield row("building", f"{size.runs:,} runs, python -m reports", "s", seconds)
        yield row("page", f"{size.runs:,} runs", "MB", page.stat().st_size / 1e6)


def main() -> None:
    """Measure, print, and save where asked to."""
    options = parser("reports").parse_args()
    compute_with(THREADS)
    print(environment(CPU)["processor"])
    rows = []
    for measured in measure(Size()):
        print(sentence(measured), flush=True)
        rows.append(measured)
    print(*verdicts(rows, TARGETS), sep="\n")
    if options.save:
        report.save("reports_cpu", rows, CPU)


if __name__ == "__main__":
    main()
