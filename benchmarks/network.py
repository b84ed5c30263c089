"""`python -m benchmarks.network`: a training step of the whole network, against GELU and the plain composition.

Float32, on the CPU with two threads, and on a GPU where there is one. Nothing is timed before our network and the plain
one (benchmarks/plain.py) agree: with GELU in their outputs and all gradients, their neurons spike for spike. With
--save, rows and their environment go to results/measured/network_cpu.parquet and network_gpu.parquet.
"""

from __future__ import annotations

import argparse
import copy
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks import report
from benchmarks.cases import LEAK
from benchmarks.plain import PlainLIF, made_plain
from benchmarks.report import MEASURED, THREADS, start_anew_with, verdict
from spike_ssm.harness.measurements.timing import interleaved_medians, wait_for
from spike_ssm.harness.system.environment import KEEP_MEMORY, compute_with
from spike_ssm.models.network import Inputs, ModelSettings, Network, build_network, parameter_groups
from spike_ssm.models.neurons import NEURONS, build_neuron
from spike_ssm.models.neurons.lif_soft import LIFSoftSettings

OURS, DENSE, PLAIN = "refractory LIF", "GELU", "plain composition"
VOCABULARY, CLASSES = 20, 10
CPU, CUDA = torch.device("cpu"), torch.device("cuda")

Row = dict[str, Any]
Step = Callable[[], object]


@dataclass(frozen=True)
class Size:
    """A network and its batch."""

    layers: int = 6
    channels: int = 64
    state_size: int = 64
    length: int = 4096
    batch: int = 8

    def network(self, neuron: str, *, bidirectional: bool = True) -> Network:
        """A network with the weights of seed 0, which do not depend on the neuron."""
        torch.manual_seed(0)
        settings = ModelSettings(
            layers=self.layers, channels=self.channels, state_size=self.state_size, bidirectional=bidirectional
        )
        return build_network("classification", Inputs(VOCABULARY), CLASSES, settings, NEURONS[neuron][1]())

    def candidate(self, name: str) -> Network:
        """The network called `name`."""
        if name == PLAIN:
            return made_plain(self.network("refractory_lif"), spiking=True)
        return self.network({OURS: "refractory_lif", DENSE: "gelu"}[name])

    def batch_of(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens [B, L], their lengths [B] and labels [B]."""
        generator = torch.Generator().manual_seed(1)
        tokens = torch.randint(1, VOCABULARY, (self.batch, self.length), generator=generator)
        labels = torch.randint(0, CLASSES, (self.batch,), generator=generator)
        return tokens.to(device), torch.full((self.batch,), self.length), labels.to(device)


PAPER_LISTOPS = Size(channels=256, state_size=4, length=2048, batch=32)
PATHX = Size(channels=256, state_size=64, length=16_384, batch=16)


def training_step(network: Network, size: Size, device: torch.device, *, fast: bool = False) -> Step:
    """Step that makes one update. fast: bfloat16 where torch's autocast sees fit, and compiled."""
    network = network.to(device).train()
    optimiser = torch.optim.AdamW(parameter_groups(network, 1e-3, 1e-3, 0.05), fused=True)
    batch, score = size.batch_of(device), torch.compile(network.score) if fast else network.score

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=fast):
            loss = score(*batch, predict=False).loss
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    return step


def check(size: Size, device: torch.device) -> None:
    """Raise AssertionError unless the plain composition computes what our network does."""
    ours = size.network("gelu").to(device).train()
    plain = made_plain(copy.deepcopy(ours), spiking=False)
    tokens, lengths, labels = size.batch_of(device)
    for one in (ours, plain):
        one.score(tokens, lengths, labels, predict=False).loss.backward()
    torch.testing.assert_close(ours(tokens, lengths), plain(tokens, lengths), rtol=1e-3, atol=1e-3)
    for (label, mine), other in zip(ours.named_parameters(), plain.parameters(), strict=True):
        assert mine.grad is not None
        assert other.grad is not None
        tolerance = 1e-3 * float(other.grad.abs().max()) + 1e-6
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-2, atol=tolerance, msg=f"gradient of {label}")
    lif = build_neuron(size.channels, LIFSoftSettings(leak=LEAK)).to(device)
    x = torch.randn(size.batch, size.channels, size.length, device=device)
    if not torch.equal(lif(x), PlainLIF()(x)):
        raise AssertionError(f"The plain LIF's spikes differ from SpikingJelly's at {size}.")


def _row(section: str, candidate: str, size: Size, value: float, unit: str, ratio: float) -> Row:
    return {"section": section, "candidate": candidate, **vars(size), "value": value, "unit": unit, "ratio": ratio}


def against_plain(size: Size, device: torch.device, rounds: int) -> Iterator[Row]:
    """Rows of our training step and of the plain composition's; ratio: times as fast as the plain composition."""
    check(replace(size, batch=2, length=min(size.length, 1024)), device)
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


def memory(size: Size) -> Iterator[Row]:
    """Rows of a step's peak memory, MiB, beyond the resident set before it; ratio: over the plain composition's."""
    environment = {name: value for name, value in os.environ.items() if name not in KEEP_MEMORY}
    command = [sys.executable, "-m", "benchmarks.network", "--peak-of"]
    peaks = {
        name: float(
            subprocess.run([*command, name], env=environment, check=True, capture_output=True, text=True).stdout
        )
        for name in (OURS, DENSE, PLAIN)
    }
    for name, peak in peaks.items():
        yield _row("memory", name, size, peak, "MiB", peak / peaks[PLAIN])


def _print_peak(name: str) -> None:
    """Print the peak, MiB, of a step in this process, which has made a small one before."""
    small = Size(layers=1, channels=8, length=64, batch=2)
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
    yield from against_plain(Size(), device, rounds)
    yield from against_dense(Size(), device, rounds)
    yield from memory(Size())
    yield from length_scaling(rounds)
    yield from streaming(rounds)


def verdicts(rows: list[Row], device: torch.device) -> list[str]:
    """One sentence per target: the worst ratio, and whether it meets the target."""
    plain = 5.0 if device.type == "cpu" else 2.0
    targets = (("against the plain composition", OURS, plain), ("against GELU", OURS, 0.95), ("length", OURS, 1 / 1.5))
    found = []
    for section, candidate, bound in (*targets, ("memory", OURS, 1 / 3)):
        ratios = [row["ratio"] for row in rows if (row["section"], row["candidate"]) == (section, candidate)]
        if ratios:
            found.append(verdict(section, ratios, bound, at_most=section == "memory"))
    return found


def run(device: torch.device, rounds: int, save: bool) -> None:
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
        report.save(f"network_{'cpu' if device.type == 'cpu' else 'gpu'}", rows, device, rounds=rounds)


def main() -> None:
    """Measure on the CPU, then on the GPU where there is one."""
    parser = argparse.ArgumentParser("benchmarks.network", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--save", action="store_true", help=f"write {MEASURED.parent.name}/{MEASURED.name}/")
    parser.add_argument("--peak-of", metavar="CANDIDATE", help="print the peak memory of a step, MiB, and nothing else")
    options = parser.parse_args()
    compute_with(THREADS)
    if options.peak_of:
        _print_peak(options.peak_of)
        return
    start_anew_with(KEEP_MEMORY)
    run(CPU, options.rounds, options.save)
    if torch.cuda.is_available():
        run(CUDA, options.rounds, options.save)
    else:
        Console().print("There is no CUDA device here: the GPU rows are not measured.")


if __name__ == "__main__":
    main()
