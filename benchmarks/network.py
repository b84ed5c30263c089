"""`python -m benchmarks.network`: a training step of the whole network, against other ways to compute it, and GELU.

Float32, on the CPU with two threads or --threads, and on a GPU where there is one. Nothing is timed before our network,
the plain one (benchmarks/plain.py) and ours as before agree: with GELU in their outputs and all gradients, the plain
neurons spike for spike. With --save, rows and their environment go to results/measured/network_KIND.parquet,
or network_KIND_threads_N.parquet, KIND being the CPU's vector instructions (avx2, avx512) or gpu.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import torch
from rich.console import Console
from rich.table import Table

from benchmarks import report
from benchmarks.report import named, require_peer, start_anew_with, verdict
from benchmarks.steps import BEFORE, CPU, CUDA, DENSE, OURS, PLAIN, Size, check, products, training_step
from benchmarks.words import parser
from spike_ssm.harness.measurements.timing import interleaved_medians, wait_for
from spike_ssm.harness.system.environment import KEEP_MEMORY, compute_with
from spike_ssm.models.ssm.choice import LONG
from spike_ssm.results.errors import exit_status

SMALL_STATES = (Size(state_size=16), Size(state_size=4))
PAPER_LISTOPS = Size(channels=256, state_size=4, length=2048, batch=32)
PATHX = Size(channels=256, state_size=64, length=16_384, batch=16)
PRODUCTS = "products of the mixing"

Row = dict[str, Any]


def _row(section: str, candidate: str, size: Size, value: float, unit: str, ratio: float) -> Row:
    return {"section": section, "candidate": candidate, **vars(size), "value": value, "unit": unit, "ratio": ratio}


def _small(size: Size) -> Size:
    """A size of the same states, on which to check."""
    return replace(size, batch=2, length=min(size.length, 1024))


def against_plain(size: Size, device: torch.device, rounds: int) -> Iterator[Row]:
    """Rows of our training step and of the plain composition's; ratio: times as fast as the plain composition."""
    check(_small(size), device)
    steps = {name: training_step(size.candidate(name), size, device) for name in (OURS, PLAIN)}
    if device.type == "cuda":
        steps[f"{OURS}, bfloat16 and compiled"] = training_step(size.candidate(OURS), size, device, fast=True)
    medians = interleaved_medians(steps, rounds, device)
    for name, ms in medians.items():
        yield _row("against the plain composition", name, size, ms, "ms/step", medians[PLAIN] / ms)


def against_dense(size: Size, device: torch.device, rounds: int) -> Iterator[Row]:
    """Rows of a training step with our neuron and with GELU; ratio: times as fast as with GELU.

    The difference is small against the rest of a step: hence more rounds.
    """
    steps = {name: training_step(size.candidate(name), size, device) for name in (OURS, DENSE)}
    medians = interleaved_medians(steps, 5 * rounds, device)
    for name, ms in medians.items():
        yield _row("against GELU", name, size, ms, "ms/step", medians[DENSE] / ms)


def against_before(size: Size, rounds: int) -> Iterator[Row]:
    """Rows of a training step and of one as before; ratio: times as fast as before."""
    check(_small(size), CPU)
    steps = {name: training_step(size.candidate(name), size, CPU) for name in (OURS, BEFORE)}
    medians = interleaved_medians(steps, rounds)
    for name, ms in medians.items():
        yield _row("against before", name, size, ms, "ms/step", medians[BEFORE] / ms)


def products_alone(size: Size, rounds: int) -> Iterator[Row]:
    """Rows of a training step and of its matrix products of the mixing; ratio: time over that of the products.

    These are what a step cannot do without, whatever becomes of the rest.
    """
    network = size.candidate(OURS)
    steps = {OURS: training_step(network, size, CPU), PRODUCTS: products(network, size)}
    medians = interleaved_medians(steps, rounds)
    for name, ms in medians.items():
        yield _row("products alone", name, size, ms, "ms/step", ms / medians[PRODUCTS])


def memory(size: Size) -> Iterator[Row]:
    """Rows of a step's peak memory, MiB, beyond the resident set before it; ratio: over the plain composition's."""
    environment = {name: value for name, value in os.environ.items() if name not in KEEP_MEMORY}
    command = [sys.executable, "-m", "benchmarks.network", "--threads", str(torch.get_num_threads()), "--peak-of"]
    peaks = {
        name: float(
            subprocess.run([*command, name], env=environment, check=True, capture_output=True, text=True).stdout
        )
        for name in (OURS, DENSE, PLAIN)
    }
    for name, peak in peaks.items():
        yield _row("memory", name, size, peak, "MiB", peak / peaks[PLAIN])


def _print_peak(name: str) -> None:
    """Print the peak, MiB, of a step in this process, which has made a small one before, with the same kernels."""
    small = Size(layers=1, channels=8, length=LONG, batch=2)
    training_step(small.candidate(name), small, CPU)()
    step, before = training_step(Size().candidate(name), Size(), CPU), psutil.Process().memory_info().rss
    step()
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print((1024 * int(line.split()[1]) - before) / 2**20)


def length_scaling(rounds: int) -> Iterator[Row]:
    """Rows of the time per token by length, with batches of one size; ratio: the cheapest length's over this one's."""
    sizes = [Size(length=length) for length in (1024, 2048, 4096, 8192, 16_384)]
    steps = {str(size.length): training_step(size.candidate(OURS), size, CPU) for size in sizes}
    medians = interleaved_medians(steps, rounds)
    per_token = {size: 1e3 * medians[str(size.length)] / (size.batch * size.length) for size in sizes}
    for size, microseconds in per_token.items():
        yield _row("length", OURS, size, microseconds, "microseconds/token", min(per_token.values()) / microseconds)


def streaming(rounds: int) -> Iterator[Row]:
    """Row of the latency of one time step of one sequence; it has no ratio."""
    size = Size(length=1, batch=1)
    network = size.network("refractory_lif", bidirectional=False).eval()
    token, state = torch.ones(1, dtype=torch.int64), None
    _, state = network.step(token, state)
    ms = interleaved_medians({OURS: lambda: network.step(token, state)}, rounds)[OURS]
    yield _row("streaming", OURS, size, 1e3 * ms, "microseconds/step", float("nan"))


def fits(size: Size, device: torch.device) -> Iterator[Row]:
    """Rows of the peak memory of a step, GiB, and of its time, ms; they have no ratio."""
    step = training_step(size.candidate(OURS), size, device)
    torch.cuda.reset_peak_memory_stats()
    ms = interleaved_medians({OURS: step}, 3, device)[OURS]
    wait_for(device)
    yield _row("Path-X", OURS, size, torch.cuda.max_memory_allocated() / 2**30, "GiB", float("nan"))
    yield _row("Path-X", OURS, size, ms, "ms/step", float("nan"))


def measure(device: torch.device, rounds: int) -> Iterator[Row]:
    """Rows of all sections on `device`; on the CPU about four minutes."""
    if device.type == "cuda":
        yield from against_plain(PAPER_LISTOPS, device, rounds)
        yield from against_dense(PAPER_LISTOPS, device, rounds)
        yield from fits(PATHX, device)
        return
    for size in (Size(), Size(state_size=16)):
        yield from against_plain(size, device, rounds)
    for size in SMALL_STATES:
        yield from against_before(size, rounds)
    for size in SMALL_STATES:
        yield from products_alone(size, rounds)
    yield from against_dense(Size(), device, rounds)
    yield from memory(Size())
    yield from length_scaling(rounds)
    yield from streaming(rounds)


class Target(NamedTuple):
    """A bound on our ratio in a section, for one state size."""

    section: str
    state_size: int
    bound: float
    at_most: bool = False


TARGETS = {
    "cpu": (
        Target("against the plain composition", 64, 20),
        Target("against the plain composition", 16, 35),
        Target("against before", 16, 2.5),
        Target("against before", 4, 3),
        Target("products alone", 16, 3, at_most=True),
        Target("products alone", 4, 3, at_most=True),
        Target("against GELU", 64, 0.95),
        Target("memory", 64, 0.2, at_most=True),
        Target("length", 64, 1 / 1.5),
    ),
    "cuda": (Target("against the plain composition", 4, 2), Target("against GELU", 4, 0.95)),
}


def verdicts(rows: list[Row], device: torch.device) -> list[str]:
    """One sentence per target: the worst ratio, and whether it meets the target."""
    found = []
    for target in TARGETS[device.type]:
        place = (target.section, OURS, target.state_size)
        ratios = [row["ratio"] for row in rows if (row["section"], row["candidate"], row["state_size"]) == place]
        if ratios:
            what = f"{target.section}, N = {target.state_size}"
            found.append(verdict(what, ratios, target.bound, at_most=target.at_most))
    return found


def run(device: torch.device, rounds: int, threads: int, save: bool) -> None:
    """Measure, print, and save where asked to."""
    rows = list(measure(device, rounds))
    table = Table("section", "candidate", "layers", "H", "N", "L", "B", "median", "unit", "ratio", title=device.type)
    for row in rows:
        sizes = (str(row[name]) for name in ("layers", "channels", "state_size", "length", "batch"))
        table.add_row(
            row["section"], row["candidate"], *sizes, f"{row['value']:,.1f}", row["unit"], f"{row['ratio']:.2f}"
        )
    console = Console(width=None if Console().is_terminal else 140)
    console.print(table)
    for sentence in verdicts(rows, device):
        console.print(sentence, highlight=False)
    if save:
        report.save(named("network", device, threads), rows, device, rounds=rounds)


def main() -> int:
    """Measure on the CPU, then on the GPU where there is one; the exit status."""
    options = parser("network").parse_args()
    require_peer("spikingjelly")
    compute_with(options.threads)
    if options.peak_of:
        _print_peak(options.peak_of)
        return 0
    start_anew_with(KEEP_MEMORY)
    run(CPU, options.rounds, options.threads, options.save)
    if torch.cuda.is_available():
        run(CUDA, options.rounds, options.threads, options.save)
    else:
        Console().print("There is no CUDA device here: the GPU rows are not measured.")
    return 0


if __name__ == "__main__":
    sys.exit(exit_status(main))
