"""`python -m benchmarks.harness`: what the harness costs at scale, each time behind a check that it did its work.

A sweep of 2,000 runs is submitted and looked at, as whole commands. SLURM's commands are stand-ins that take and list
jobs at once, also where there is a cluster: what is measured is ours, and nobody's queue is filled. Then 200 runs end
at one moment, and a tiny run is executed in a process that has already done one. With --save, rows and their
environment go to results/measured/harness_cpu.parquet.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import torch

from benchmarks import report
from benchmarks.data import Row, Target, row, sentence, verdicts
from benchmarks.finishing import finished_row
from benchmarks.report import THREADS
from benchmarks.words import parser
from spike_ssm.harness.config.command_line import parse_command_line
from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.launch.launcher import SECONDS_BETWEEN_SURVEYS
from spike_ssm.harness.run.execute import execute
from spike_ssm.harness.run.job import Job
from spike_ssm.harness.state.submissions import submissions
from spike_ssm.harness.state.survey import Survey
from spike_ssm.harness.system.environment import compute_with
from spike_ssm.harness.system.provenance import environment
from spike_ssm.harness.system.root import ROOT
from spike_ssm.results.reading import read_outcome, run_path
from spike_ssm.results.store import prepare_folder, read_manifest, write_run

CPU = torch.device("cpu")
SWEEP = "many"
SEEDS = 50
MAX_ARRAY_SIZE = 1001
WRITERS = 8
HEAVY = ("torch", "numba", "datasets")
"""Packages that take seconds to import."""

ONE_STEP = (
    *("task=listops", "task.min_length=3", "task.max_length=12", "task.train=16", "task.validation=16", "task.test=16"),
    *("model.layers=1", "model.channels=8", "model.state_size=4", "optim.epochs=1", "optim.batch_size=16"),
    *("device=cpu", "launcher=debug"),
)

TARGETS = (
    Target("submitting", "s", 20, at_most=True),
    Target("looking", "s", 2, at_most=True),
    Target("looking", "heavy packages imported", 0, at_most=True),
    Target("starting", "s", 3, at_most=True),
)

STAND_INS = {
    "sbatch": """
        echo . >> "$JOBS/count"; n=$(wc -l < "$JOBS/count")
        grep -o -e '--array=0-[0-9]*' "$1" | cut -d- -f4 > "$JOBS/$n.last" || exit 1
        sed -n "s/^#SBATCH --job-name=//p" "$1" > "$JOBS/$n.name"
        echo "Submitted batch job $n" """,
    "scontrol": f"echo ClusterName = stand-in; echo MaxArraySize = {MAX_ARRAY_SIZE}",
    "squeue": """
        cd "$JOBS"; for file in *.last; do
            name=$(cat "${file%.last}.name")
            seq 0 "$(cat "$file")" | sed "s/.*/${file%.last}_&|PENDING|$(id -un)|$name/"
        done""",
    "sacct": "",
    "srun": "",  # only looked for
}
"""SLURM's commands -> shell scripts: arrays are numbered from 1, and wait for ever."""


class Commands:
    """Commands of the harness, started in processes of their own, where SLURM's commands are stand-ins."""

    def __init__(self, folder: Path) -> None:
        self.results = prepare_folder(folder / "runs")
        self.arrays = folder / "jobs"
        self.config = folder / "config"
        self._path = folder / "bin"
        for place in (self.arrays, self._path, self.config / "sweep"):
            place.mkdir(parents=True)
        for name, script in STAND_INS.items():
            command = self._path / name
            command.write_text(f"#!/bin/sh\n{script.strip()}\n")
            command.chmod(0o755)

    def seconds(self, *words: str) -> tuple[float, str]:
        """Seconds of `python -m WORDS`, imports and all, and what it printed."""
        variables = {**os.environ, "PATH": f"{self._path}{os.pathsep}{os.environ['PATH']}", "JOBS": str(self.arrays)}
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=ROOT, env=variables, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - started
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(words)} failed: {done.stderr}")
        return seconds, done.stdout


def submitting(commands: Commands, runs: int) -> Iterator[Row]:
    """Row of the time to expand `runs` runs and a duplicate per seed, and to hand them to SLURM, one job per run."""
    leaks = [round(0.5 + 0.4 * i * SEEDS / runs, 6) for i in range(runs // SEEDS)]
    same = {f"leak {leak}": {"neuron.leak": leak} for leak in leaks} | {"again": {"neuron.leak": leaks[0]}}
    sweep = {"title": "Many runs", "question": "How long?", "seeds": list(range(SEEDS)), "grid": {"leak": same}}
    (commands.config / "sweep" / f"{SWEEP}.yaml").write_text(json.dumps(sweep))  # JSON is YAML
    seconds, _ = commands.seconds(
        *("harness.sweep", "--config-dir", str(commands.config), f"+sweep={SWEEP}", "launcher=slurm", "wait=false"),
        *("launcher.runs_per_job=1", "estimate=false", "timing=false", f"paths.results={commands.results}"),
    )
    planned = {run.id for run in read_manifest(commands.results, SWEEP).runs}
    arrays = [one.jobs for one in submissions(commands.results)]
    held = [run_id for jobs in arrays for run_ids in jobs.values() for run_id in run_ids]
    assert len(held) == len(planned) == runs, "every run is handed over once, duplicates are not"
    assert set(held) == planned
    sizes = [len(jobs) for jobs in arrays]
    taken = [int(file.read_text()) + 1 for file in commands.arrays.glob("*.last")]
    assert sorted(taken) == sorted(sizes), "sbatch was asked for what is recorded"
    assert max(sizes) <= MAX_ARRAY_SIZE, "no array is longer than SLURM takes"
    yield row(
        "submitting", f"{runs:,} runs in arrays of {' and '.join(map(str, sizes))}, stand-in sbatch", "s", seconds
    )


def looking(commands: Commands) -> Iterator[Row]:
    """Row of the time to look at that sweep, once half of its runs are done."""
    run_ids = [run.id for run in read_manifest(commands.results, SWEEP).runs]
    done = run_ids[: len(run_ids) // 2]
    for run_id in done:
        write_run(commands.results, finished_row(run_id))
    seconds, shown = commands.seconds("harness.status", SWEEP, "--results", str(commands.results))
    counts = re.findall(r"(\d+) (runs|done|queued)", shown.splitlines()[-1])
    expected = [(len(run_ids), "runs"), (len(done), "done"), (len(run_ids) - len(done), "queued")]
    assert counts == [(str(count), what) for count, what in expected], shown
    yield row("looking", f"{len(run_ids):,} runs, stand-in squeue", "s", seconds)


def imports() -> Iterator[Row]:
    """Row of the number of heavy packages that looking at a sweep imports."""
    code = "import sys, spike_ssm.harness.status; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    yield row("looking", "harness.status", "heavy packages imported", len({*HEAVY} & {*shown.stdout.split()}))


def finishing(results: Path, runs: int) -> Iterator[Row]:
    """Row of the time until the results of `runs` runs, which `WRITERS` processes write at one moment, are seen."""
    run_ids = [f"{number:012x}" for number in range(runs)]
    survey = Survey(prepare_folder(results), run_ids)
    with ExitStack() as stack:
        writers = []
        for part in range(WRITERS):
            words = [sys.executable, "-m", "benchmarks.finishing", str(results), *run_ids[part::WRITERS]]
            writer = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            writers.append(stack.enter_context(writer))
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        assert not any(state.is_finished for state in survey.states().values())
        started = time.perf_counter()
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("\n")
            writer.stdin.flush()
        while not all(state.status == "done" and state.recorded for state in survey.states().values()):
            assert not any(writer.poll() for writer in writers), "a writer failed"
            time.sleep(SECONDS_BETWEEN_SURVEYS)
        yield row("finishing", f"{runs} results of {WRITERS} processes, written and seen", "s", _since(started))


def starting(folder: Path) -> Iterator[Row]:
    """Row of the time of a whole run of one step, the second in this process: a bound on the time to its first step."""
    composer = Composer()
    results = prepare_folder(folder / "runs")
    for seed in (0, 1):
        words = (*ONE_STEP, f"seed={seed}", f"paths.cache={folder / 'cache'}")
        settings = composer.settings(parse_command_line(words).overrides)
        started = time.perf_counter()
        executed = execute(Job(settings.run_id(), settings, results, machine_shared=False), "benchmark")
        seconds = _since(started)
        outcome = read_outcome(run_path(results, settings.run_id()))
        assert executed, "the run was new"
        assert outcome.status == "done", outcome.error
    yield row("starting", "a run of one step in a warm process, to its result", "s", seconds)


def _since(started: float) -> float:
    return time.perf_counter() - started


def measure(runs: int = 2000, at_once: int = 200) -> Iterator[Row]:
    """Rows of all sections: a sweep of `runs` runs, a multiple of `SEEDS`, and `at_once` runs that end together."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        commands = Commands(folder / "sweep")
        yield from submitting(commands, runs)
        yield from looking(commands)
        yield from imports()
        yield from finishing(folder / "finishing", at_once)
        yield from starting(folder / "starting")


def main() -> None:
    """Measure, print, and save where asked to."""
    options = parser("harness").parse_args()
    compute_with(THREADS)
    print(environment(CPU)["processor"])
    rows = []
    for measured in measure():
        print(sentence(measured), flush=True)
        rows.append(measured)
    print(*verdicts(rows, TARGETS), sep="\n")
    if options.save:
        report.save("harness_cpu", rows, CPU)


if __name__ == "__main__":
    main()
