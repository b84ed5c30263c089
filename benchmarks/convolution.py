"""`python -m benchmarks.convolution`: S4D's convolution by FFT, as one matrix product, and in chunks with states.

The FFT is also measured with all channels at once and some at a time. Float32, on the CPU with one thread, as a worker
of the laptop's sweeps has it, and with two; the first section on a GPU too where there is one. Nothing is timed at a
size before both ways agree there in the output and every gradient. With --save, rows and their environment go to
results/measured/convolution_cpu.parquet and convolution_gpu.parquet.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from benchmarks import report
from benchmarks.chunks import in_chunks
from benchmarks.network import CPU, CUDA, OURS, training_step
from benchmarks.network import Size as NetworkSize
from benchmarks.report import MEASURED, THREADS, start_anew_with, verdict
from benchmarks.sections import BOTH, FORWARD
from spike_ssm.harness.measurements.timing import interleaved_medians
from spike_ssm.harness.system.environment import KEEP_MEMORY, compute_with
from spike_ssm.models.ssm import S4D
from spike_ssm.models.ssm.convolution import convolution, faster_by_product

FFT, PRODUCT, CHOSEN = "FFT", "product", "as chosen"
ALL, SOME = "all channels at once", "some at a time"
LAPTOP = NetworkSize(layers=2, channels=64, state_size=16, length=60, batch=64)
"""The network and the longest batch of the laptop scale's ListOps."""

Row = dict[str, Any]
"""A row: section, candidate, pass, threads, batch, channels, length, state_size, ms (median) and `ratio`."""
Convolve = Callable[[], Tensor]
Pass = Callable[[], tuple[Tensor, ...]]


class Size(NamedTuple):
    """Size [B, H, L] of an input, and the state's size where the input is a layer's."""

    batch: int
    channels: int
    length: int
    state_size: int = 0


SIZES = tuple(
    Size(*size)
    for size in (
        (1, 64, 16), (4, 64, 8), (16, 64, 16), (16, 64, 32), (16, 64, 64), (64, 64, 16), (64, 64, 60), (64, 64, 128),
        (32, 256, 64), (8, 64, 64), (32, 64, 128), (64, 64, 256),
    )
)  # fmt: skip
LARGE = (Size(8, 64, 4096), Size(8, 64, 16_384), Size(32, 128, 512), Size(64, 128, 1024), Size(32, 256, 2048))
LAYERS = (Size(8, 64, 1024, 16), Size(8, 64, 4096, 4), Size(8, 64, 4096, 16), Size(8, 64, 4096, 64))
CHUNKS = (64, 128)


def check(candidates: Mapping[str, Pass], size: Size) -> None:
    """Raise AssertionError unless all candidates have one output and the same gradients."""
    (_, first), *others = candidates.items()
    expected = first()
    for name, candidate in others:
        for one, other in zip(expected, candidate(), strict=True):
            tolerance = 1e-4 * float(one.detach().abs().max())
            torch.testing.assert_close(other, one, rtol=1e-3, atol=tolerance, msg=f"{name} differs at {size}.")


def both(convolve: Convolve, leaves: Sequence[Tensor]) -> Pass:
    """Pass forward and backward, which gives the output and the gradients of `leaves`."""
    torch.manual_seed(1)
    grad = torch.randn_like(convolve())

    def run() -> tuple[Tensor, ...]:
        y = convolve()
        return y, *torch.autograd.grad(y, leaves, grad)

    return run


def _rows(section: str, phase: str, size: Size, medians: dict[str, float], base: float) -> Iterator[Row]:
    threads = torch.get_num_threads()
    for name, ms in medians.items():
        row = {"section": section, "candidate": name, "pass": phase, "threads": threads, **size._asdict()}
        yield row | {"ms": ms, "ratio": base / ms}


def _leaves(size: Size, device: torch.device) -> list[Tensor]:
    """Leaves x [B, H, L], skip [H] and two kernels [H, L], each of which requires a gradient."""
    torch.manual_seed(0)
    x, skip = torch.randn(size[:3], device=device), torch.randn(size.channels, device=device)
    kernels = torch.randn(2, size.channels, size.length, device=device) / size.length
    return [leaf.requires_grad_() for leaf in (x, skip, *kernels)]


def choice(sizes: Sequence[Size], rounds: int, device: torch.device = CPU) -> Iterator[Row]:
    """Rows of both ways and of what `convolution` chooses; ratio: time of the faster way over this one's."""
    for size in sizes:
        leaves = _leaves(size, device)
        ways = {
            name: both(partial(convolution, *leaves, by_product=name == PRODUCT), leaves) for name in (FFT, PRODUCT)
        }
        check(ways, size)
        medians = interleaved_medians(ways, rounds, device)
        chosen = medians[PRODUCT if faster_by_product(size.batch, size.length) else FFT]
        yield from _rows("choice", BOTH, size, medians | {CHOSEN: chosen}, min(medians.values()))


def parts(sizes: Sequence[Size], rounds: int) -> Iterator[Row]:
    """Rows of the FFT of all channels at once and of some at a time; ratio: times as fast as all at once."""
    for size in sizes:
        leaves = _leaves(size, CPU)
        some = both(partial(convolution, *leaves, by_product=False), leaves)

        def at_once(some: Pass = some) -> tuple[Tensor, ...]:
            with patch("spike_ssm.models.ssm.convolution.AT_ONCE", 2**62):
                return some()

        ways = {ALL: at_once, SOME: some}
        check(ways, size)
        medians = interleaved_medians(ways, rounds)
        yield from _rows("parts", BOTH, size, medians, medians[ALL])


def chunks(sizes: Sequence[Size], rounds: int) -> Iterator[Row]:
    """Rows of a layer's own convolution and of chunks; ratio: times as fast as the layer's own."""
    for size in sizes:
        torch.manual_seed(0)
        layer, x = S4D(size.channels, size.state_size), torch.randn(size[:3])
        leaves = [x.requires_grad_(), *layer.parameters()]
        ways: dict[str, Convolve] = {FFT: partial(layer, x)}
        ways |= {f"chunks of {steps}": partial(in_chunks, layer, x, steps) for steps in CHUNKS}
        passes = {name: both(way, leaves) for name, way in ways.items()}
        check(passes, size)
        with torch.no_grad():
            medians = interleaved_medians(ways, rounds)
        yield from _rows("chunks", FORWARD, size, medians, medians[FFT])
        medians = interleaved_medians(passes, rounds)
        yield from _rows("chunks", BOTH, size, medians, medians[FFT])


def training(network: NetworkSize, rounds: int) -> Iterator[Row]:
    """Rows of a network's training step, all convolutions by FFT and as chosen; ratio: times as fast as by FFT."""
    step = training_step(network.candidate(OURS), network, CPU)

    def by_fft() -> None:
        with patch("spike_ssm.models.ssm.s4d.convolution", partial(convolution, by_product=False)):
            step()

    medians = interleaved_medians({FFT: by_fft, CHOSEN: step}, 3 * rounds)
    size = Size(network.batch, network.channels, network.length, network.state_size)
    yield from _rows("training step", BOTH, size, medians, medians[FFT])


def measure_cpu(rounds: int) -> Iterator[Row]:
    """Rows of all sections on the CPU, about three minutes."""
    for threads in (1, THREADS):
        compute_with(threads)
        yield from choice(SIZES, rounds)
        yield from training(LAPTOP, rounds)
        yield from parts(LARGE, rounds)
        yield from chunks(LAYERS, rounds)


def verdicts(rows: list[Row]) -> list[str]:
    """Sentences on whether the choice is right, and whether it pays."""
    targets = (("choice", CHOSEN, 0.9), ("training step", CHOSEN, 1.0))
    found = []
    for section, candidate, bound in targets:
        ratios = [row["ratio"] for row in rows if (row["section"], row["candidate"]) == (section, candidate)]
        if ratios:
            found.append(verdict(section, ratios, bound))
    return found


def run(device: torch.device, rounds: int, save: bool) -> None:
    """Measure, print, and save where asked to."""
    measured = measure_cpu(rounds) if device == CPU else choice(SIZES, rounds, device)
    rows = list(track(measured, f"measuring on {device.type}", transient=True))
    table = Table("section", "threads", "B", "H", "L", "N", "pass", "candidate", "ms (median)", "ratio")
    for row in rows:
        sizes = (str(row[name] or "") for name in ("threads", *Size._fields))
        table.add_row(row["section"], *sizes, row["pass"], row["candidate"], f"{row['ms']:.3f}", f"{row['ratio']:.2f}")
    console = Console(width=None if Console().is_terminal else 120)
    console.print(table)
    for sentence in verdicts(rows):
        console.print(sentence, highlight=False)
    if save:
        report.save(f"convolution_{'cpu' if device == CPU else 'gpu'}", rows, device, rounds=rounds)


def main() -> None:
    """Measure on the CPU, then on the GPU where there is one."""
    parser = argparse.ArgumentParser("benchmarks.convolution", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--save", action="store_true", help=f"write {MEASURED.parent.name}/{MEASURED.name}/")
    options = parser.parse_args()
    start_anew_with(KEEP_MEMORY)
    run(CPU, options.rounds, options.save)
    if torch.cuda.is_available():
        run(CUDA, options.rounds, options.save)
    else:
        Console().print("There is no CUDA device here: the GPU rows are not measured.")


if __name__ == "__main__":
    main()
