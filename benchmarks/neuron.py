"""`python -m benchmarks.neuron`: the refractory LIF's solvers against each other, SpikingJelly and a plain loop.

Float32, on the CPU with two threads or --threads, and on a GPU where there is one. Ours computes the gradients of x and
of all four parameters. Before anything is timed, spikes and gradients must agree (benchmarks/gate.py). The process
keeps its memory as the harness's workers do. With --save, rows and their environment go to
results/measured/neuron_KIND.parquet, or neuron_KIND_threads_N.parquet, KIND being the CPU's vector instructions (avx2,
avx512) or gpu.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import report, sections
from benchmarks.cases import Case
from benchmarks.report import named, require_peer, start_anew_with, verdict
from benchmarks.sections import BOTH, FORWARD, PEER, Row
from benchmarks.words import parser
from spike_ssm.harness.system.environment import KEEP_MEMORY, compute_with
from spike_ssm.harness.system.provenance import environment
from spike_ssm.results.errors import exit_status

SOLVERS = ("sequential", "pmbc", "fused")
BYTES_PER_ELEMENT = 100  # of GPU memory, with the gate's float64 copies


class Target(NamedTuple):
    """Target for `ratio`, at least `bound` (at most, for memory), in the rows of a section that match."""

    section: str
    phase: str
    candidate: str
    lengths: tuple[int, ...]  # none: all
    bound: float
    rows: tuple[int, int] = (1, 10**9)  # B * H from, to


CPU_TARGETS = (
    Target("against SpikingJelly", BOTH, "fused", (1024,), 50),
    Target("against SpikingJelly", BOTH, "fused", (4096, 8192), 60),
    Target("against SpikingJelly", FORWARD, "fused", (), 80),
    Target("memory", BOTH, "fused", (), 1.0),
    Target("length", BOTH, "fused", (), 1 / 1.3),
    Target("choice", BOTH, "auto", (), 0.9),
)
GPU_TARGETS = (
    Target("against SpikingJelly", BOTH, "fused", (), 2, (1, 4096)),
    Target("against SpikingJelly", BOTH, "fused", (), 1.5, (65_536, 10**9)),
    Target("against a loop", BOTH, "fused", (1024,), 100),
    Target("against a loop", BOTH, "fused", (8192,), 500),
    Target("bandwidth", BOTH, "fused", (), 0.7),
    Target("choice", BOTH, "auto", (), 0.9),
)


def measure_cpu(rounds: int) -> Iterator[Row]:
    """Rows of all sections on the CPU, about two minutes."""
    lengths = [Case(8, 2**18 // length, length) for length in (1024, 2048, 4096, 8192, 16_384, 32_768, 65_536)]
    few = [Case(batch, channels, length) for batch, channels in ((1, 1), (1, 16), (8, 64)) for length in (64, 1024)]
    return chain(
        sections.against_spikingjelly([Case(8, 64, length) for length in (1024, 4096, 8192)], SOLVERS, rounds),
        sections.memory(Case(8, 64, 16_384), (*SOLVERS, PEER)),
        sections.length_scaling(lengths, rounds),
        sections.choices(few, rounds),
    )


def measure_gpu(rounds: int) -> Iterator[Row]:
    """Rows of all sections on the current CUDA device."""

    def case(batch: int, channels: int, length: int) -> Case:
        return Case(batch, channels, length, "cuda")

    peer = [case(8, rows // 8, length) for rows in (512, 4096, 65_536) for length in (1024, 4096, 16_384)]
    peer.sort(key=lambda size: size.elements)
    few = [case(1, rows, length) for rows in (1, 16, 64, 256) for length in (16_384, 65_536)]
    fitting = [size for size in peer if BYTES_PER_ELEMENT * size.elements < torch.cuda.mem_get_info()[0]]
    for size in peer[len(fitting) :]:
        Console().print(f"Left out, because the device's memory is too small: {size}.")
    return chain(
        sections.against_spikingjelly(fitting, ("fused",), rounds),
        sections.against_loop([case(64, 64, 1024), case(64, 64, 8192)], 2),
        sections.bandwidth(case(256, 256, 4096), rounds),
        sections.choices(few, rounds),
    )


def verdicts(rows: list[Row], targets: tuple[Target, ...]) -> list[str]:
    """One sentence per target: the worst matching ratio, and whether it meets the target."""
    sentences = []
    for target in targets:
        least, most = target.rows
        ratios = [
            row["ratio"]
            for row in rows
            if (row["section"], row["pass"], row["candidate"]) == (target.section, target.phase, target.candidate)
            and (not target.lengths or row["length"] in target.lengths)
            and least <= row["batch"] * row["channels"] <= most
        ]
        if not ratios:
            continue
        where = f" at L = {', '.join(f'{length:,}' for length in target.lengths)}" if target.lengths else ""
        what = f"{target.section}, {target.phase}, {target.candidate}{where}"
        sentences.append(verdict(what, ratios, target.bound, at_most=target.section == "memory"))
    return sentences


def _show(rows: list[Row], title: str) -> None:
    table = Table("section", "B", "H", "L", "pass", "candidate", "ms (median)", "ratio", title=title)
    for row in rows:
        ms = "" if row["ms"] is None else f"{row['ms']:.2f}"
        sizes = (str(row[name]) for name in ("batch", "channels", "length"))
        table.add_row(row["section"], *sizes, row["pass"], row["candidate"], ms, f"{row['ratio']:.2f}")
    Console(width=None if Console().is_terminal else 120).print(table)


def run(device: torch.device, rounds: int, threads: int, save: bool) -> None:
    """Gate, measure, print, and save where asked to."""
    rows, targets = (measure_cpu(rounds), CPU_TARGETS) if device.type == "cpu" else (measure_gpu(rounds), GPU_TARGETS)
    measured = list(track(rows, f"measuring on {device.type}", transient=True))
    where = environment(device)
    _show(measured, f"{where['device'] if device.type == 'cuda' else where['processor']}, float32")
    for sentence in verdicts(measured, targets):
        Console().print(sentence, highlight=False)
    if save:
        report.save(named("neuron", device, threads), measured, device, rounds=rounds)


def main() -> int:
    """Measure on the CPU, then on the GPU where there is one; the exit status."""
    options = parser("neuron").parse_args()
    require_peer("spikingjelly")
    start_anew_with(KEEP_MEMORY)
    compute_with(options.threads)
    run(torch.device("cpu"), options.rounds, options.threads, options.save)
    if torch.cuda.is_available():
        run(torch.device("cuda"), options.rounds, options.threads, options.save)
    else:
        Console().print("There is no CUDA device here: the GPU rows are not measured.")
    return 0


if __name__ == "__main__":
    sys.exit(exit_status(main))
