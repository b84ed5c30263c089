"""`python -m benchmarks.convolution`: an S4D layer as a scan, by FFT and as a matrix product, and what is chosen.

Float32, on the CPU with one thread, as a worker of the laptop's sweeps has it, and with two; the sections of
long sequences on a GPU too where there is one. Nothing is timed at a size before all ways agree there in the output and
every gradient. With --save, rows and their environment go to results/measured/convolution_KIND.parquet,
KIND being the CPU's vector instructions (avx2, avx512) or gpu.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from benchmarks import report
from benchmarks.report import THREADS, named, start_anew_with, verdict
from benchmarks.sections import BOTH
from benchmarks.steps import CPU, CUDA, OURS, training_step
from benchmarks.steps import Size as NetworkSize
from benchmarks.words import parser
from spike_ssm.harness.measurements.timing import interleaved_medians
from spike_ssm.harness.system.environment import KEEP_MEMORY, compute_with
from spike_ssm.models.ssm import S4D
from spike_ssm.models.ssm.convolution import convolution

FFT, PRODUCT, SCAN, CHOSEN = "FFT", "product", "scan", "as chosen"
WAYS = {FFT: "fft", PRODUCT: "product", SCAN: "scan", CHOSEN: "auto"}
"""Candidate -> `model.convolution`."""
LONGEST_PRODUCT = 256
"""Steps beyond which a matrix of all pairs of them is not even tried."""
ALL, SOME = "all channels at once", "some at a time"
LAPTOP = NetworkSize(layers=2, channels=64, state_size=16, length=60, batch=64)
"""The network and the longest batch of the laptop scale's ListOps."""

Row = dict[str, Any]
"""A row: section, candidate, pass, threads, the fields of `Size`, ms (median) and `ratio`."""
Pass = Callable[[], tuple[Tensor, ...]]


class Size(NamedTuple):
    """Size [B, H, L] of an input, the directions of what is computed of it, and the state's size of a layer."""

    batch: int
    channels: int
    length: int
    state_size: int = 0
    directions: int = 2


STATE_SIZES = (4, 16, 64)
SHORT = (
    (1, 64, 16), (4, 64, 8), (16, 64, 16), (16, 64, 32), (16, 64, 64), (64, 64, 16), (64, 64, 60), (64, 64, 128),
    (32, 256, 64), (8, 64, 64), (32, 64, 128), (64, 64, 256), (8, 64, 512), (32, 64, 1024),
)  # fmt: skip
CHOICES = tuple(Size(*size, states) for size in SHORT for states in STATE_SIZES)
LONG = tuple(Size(16, 64, *rest) for rest in product((1024, 4096), STATE_SIZES, (1, 2)))
LARGE = (Size(8, 64, 4096), Size(8, 64, 16_384), Size(32, 128, 512), Size(64, 128, 1024), Size(32, 256, 2048))


def check(candidates: Mapping[str, Pass], size: Size) -> None:
    """Raise AssertionError unless all candidates have one output and the same gradients."""
    (_, first), *others = candidates.items()
    expected = first()
    for name, candidate in others:
        for one, other in zip(expected, candidate(), strict=True):
            tolerance = 1e-4 * float(one.detach().abs().max())
            torch.testing.assert_close(other, one, rtol=1e-3, atol=tolerance, msg=f"{name} differs at {size}.")


def both(compute: Callable[[], Tensor], leaves: Sequence[Tensor]) -> Pass:
    """Pass forward and backward, which gives the output and the gradients of `leaves`."""
    torch.manual_seed(1)
    grad = torch.randn_like(compute())

    def run() -> tuple[Tensor, ...]:
        y = compute()
        return y, *torch.autograd.grad(y, leaves, grad)

    return run


def _rows(section: str, size: Size, medians: Mapping[str, float], base: float) -> Iterator[Row]:
    threads = torch.get_num_threads()
    for name, ms in medians.items():
        row = {"section": section, "candidate": name, "pass": BOTH, "threads": threads, **size._asdict()}
        yield row | {"ms": ms, "ratio": base / ms}


def computed(layer: S4D, x: Tensor, name: str) -> Tensor:
    """Output of a layer in the way of a candidate."""
    layer.convolution = WAYS[name]
    return layer(x)  # type: ignore[no-any-return]


def layer_medians(size: Size, rounds: int, device: torch.device) -> dict[str, float]:
    """Median milliseconds of a layer forward and backward, with all gradients, by candidate."""
    torch.manual_seed(0)
    layer = S4D(size.channels, size.state_size, bidirectional=size.directions == 2).to(device)
    x = torch.randn(size[:3], device=device, requires_grad=True)
    names = [name for name in WAYS if name != PRODUCT or size.length <= LONGEST_PRODUCT]
    leaves = [x, *layer.parameters()]
    passes = {name: both(partial(computed, layer, x, name), leaves) for name in names}
    check(passes, size)
    return interleaved_medians(passes, rounds, device)


def against_fft(sizes: Sequence[Size], rounds: int, device: torch.device = CPU) -> Iterator[Row]:
    """Rows of a causal or bidirectional layer; ratio: times as fast as by FFT."""
    for size in sizes:
        medians = layer_medians(size, rounds, device)
        section = "bidirectional" if size.directions == 2 else "causal"
        yield from _rows(section, size, medians, medians[FFT])


def choice(sizes: Sequence[Size], rounds: int) -> Iterator[Row]:
    """Rows of all ways and of what is chosen of them; ratio: time of the fastest way over this one's."""
    for size in sizes:
        medians = layer_medians(size, rounds, CPU)
        fastest = min(ms for name, ms in medians.items() if name != CHOSEN)
        yield from _rows("choice", size, medians, fastest)


def training(size: NetworkSize, rounds: int) -> Iterator[Row]:
    """Rows of a network's training step, SSMs by FFT and as chosen; ratio: times as fast as by FFT."""
    steps = {}
    for name in (FFT, CHOSEN):
        network = size.candidate(OURS)
        network.convolution = WAYS[name]
        steps[name] = training_step(network, size, CPU)
    medians = interleaved_medians(steps, 3 * rounds)
    yield from _rows(
        "training step", Size(size.batch, size.channels, size.length, size.state_size), medians, medians[FFT]
    )


def parts(sizes: Sequence[Size], rounds: int) -> Iterator[Row]:
    """Rows of the FFT of all channels at once and of some at a time; ratio: times as fast as all at once."""
    for size in sizes:
        torch.manual_seed(0)
        kernels = torch.randn(2, size.channels, size.length) / size.length
        leaves = [leaf.requires_grad_() for leaf in (torch.randn(size[:3]), torch.randn(size.channels), *kernels)]
        some = both(partial(convolution, *leaves, by_product=False), leaves)

        def at_once(some: Pass = some) -> tuple[Tensor, ...]:
            with patch("spike_ssm.models.ssm.convolution.AT_ONCE", 2**62):
                return some()

        ways = {ALL: at_once, SOME: some}
        check(ways, size)
        medians = interleaved_medians(ways, rounds)
        yield from _rows("parts", size, medians, medians[ALL])


def measure(device: torch.device, rounds: int) -> Iterator[Row]:
    """Rows of all sections on `device`; on the CPU about ten minutes."""
    if device != CPU:
        yield from against_fft(LONG, rounds, device)
        return
    for threads in (1, THREADS):
        compute_with(threads)
        yield from against_fft(LONG, rounds)
        yield from choice(CHOICES, rounds)
        yield from training(LAPTOP, rounds)
        yield from parts(LARGE, rounds)


TARGETS = {
    ("causal", SCAN): {4: 8.0, 16: 5.0, 64: 1.3},
    ("bidirectional", CHOSEN): {4: 4.0, 16: 2.5, 64: 1.0},
    ("choice", CHOSEN): dict.fromkeys(STATE_SIZES, 0.9),
    ("training step", CHOSEN): {LAPTOP.state_size: 1.0},
}
"""On a CPU: section and candidate -> state size -> the least ratio."""


def verdicts(rows: Sequence[Row]) -> list[str]:
    """One sentence per target: the worst ratio, and whether it meets the target."""
    found = []
    for place, bounds in TARGETS.items():
        for states, bound in bounds.items():
            here = (*place, states)
            ratios = [row["ratio"] for row in rows if (row["section"], row["candidate"], row["state_size"]) == here]
            if ratios:
                found.append(verdict(f"{place[0]}, N = {states}", ratios, bound))
    return found


def run(device: torch.device, rounds: int, save: bool) -> None:
    """Measure, print, and save where asked to."""
    rows = list(track(measure(device, rounds), f"measuring on {device.type}", transient=True))
    columns = ("threads", *Size._fields)
    table = Table("section", "threads", "B", "H", "L", "N", "directions", "candidate", "ms (median)", "ratio")
    for row in rows:
        sizes = (str(row[name] or "") for name in columns)
        table.add_row(row["section"], *sizes, row["candidate"], f"{row['ms']:.3f}", f"{row['ratio']:.2f}")
    console = Console(width=None if Console().is_terminal else 120)
    console.print(table)
    for sentence in verdicts(rows) if device == CPU else ():
        console.print(sentence, highlight=False)
    if save:
        report.save(named("convolution", device), rows, device, rounds=rounds)


def main() -> None:
    """Measure on the CPU, then on the GPU where there is one."""
    options = parser("convolution").parse_args()
    start_anew_with(KEEP_MEMORY)
    run(CPU, options.rounds, options.save)
    if torch.cuda.is_available():
        run(CUDA, options.rounds, options.save)
    else:
        Console().print("There is no CUDA device here: the GPU rows are not measured.")


if __name__ == "__main__":
    main()
