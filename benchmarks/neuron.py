"""`python -m benchmarks.neuron`: the refractory LIF's solvers against each other and against SpikingJelly, on the CPU.

Forward, and forward with backward, at B = 8, H = 64, float32, two threads. The solvers run the refractory neuron with
the gradients of all five inputs; SpikingJelly's LIFNode, which has no refractory current, runs the plain soft-reset
LIF with the gradient of x. Before anything is timed, spikes and gradients must agree (models/ops/agreement.py).
Rows with their environment go to results/measured/neuron_cpu.parquet with --save.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from rich.console import Console
from rich.table import Table
from spikingjelly.activation_based import functional, neuron, surrogate
from torch import Tensor

from benchmarks.timing import interleaved_medians
from harness.environment import code_version, environment
from models.ops.agreement import assert_agreement
from models.ops.refractory_lif import Options, refractory_lif, solve

BATCH, CHANNELS, LENGTHS, THREADS = 8, 64, (1024, 4096, 8192), 2
LEAK, THRESHOLD, REFRACTORY, DECAY = 0.5, 1.0, 0.5, 0.5
SOLVERS = ("sequential", "pmbc", "fused")
PEER = "spikingjelly"
TARGET = 30.0
"""Fused, all gradients, must be this many times as fast as SpikingJelly, forward and backward, at L = 4,096."""


def _inputs(length: int) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
    generator = torch.Generator().manual_seed(length)
    x = 0.9 * torch.randn(BATCH, CHANNELS, length, generator=generator)
    parameters = tuple(torch.full((CHANNELS,), p) for p in (LEAK, THRESHOLD, REFRACTORY, DECAY))
    return x, parameters, torch.randn(x.shape, generator=generator)


def check(length: int) -> None:
    """The gate: raise AssertionError unless all solvers and SpikingJelly agree at this length."""
    x, parameters, grad = _inputs(length)
    reference: tuple[Tensor, ...] | None = None
    for solver in SOLVERS:
        leaves = [x.clone().requires_grad_(), *(p.clone().requires_grad_() for p in parameters)]
        found = solve(leaves[0], *leaves[1:], Options(solver=solver), return_potential=True)
        assert_agreement(x, parameters, found.spikes, found.potential)  # type: ignore[arg-type]
        grads = torch.autograd.grad(found.spikes, leaves, grad)
        reference = reference or grads
        for name, expected, got in zip(
            ("x", "leak", "threshold", "refractory", "decay"), reference, grads, strict=True
        ):
            torch.testing.assert_close(
                got,
                expected,
                rtol=1e-3,
                atol=1e-4 * float(expected.abs().max()),
                msg=f"{solver}: gradient of {name}",
            )
    ours = refractory_lif(x, LEAK, THRESHOLD, 0.0, 0.0, solver="fused")
    if not torch.equal(ours, _peer_spikes(x.movedim(-1, 0).contiguous(), _peer()).movedim(0, -1)):  # type: ignore[arg-type]
        raise AssertionError("The plain LIF's spikes differ from SpikingJelly's.")


def _peer() -> torch.nn.Module:
    return neuron.LIFNode(  # type: ignore[no-any-return]
        tau=1 / (1 - LEAK),
        decay_input=False,
        v_reset=None,
        step_mode="m",
        surrogate_function=surrogate.ATan(),
    )


def _peer_spikes(x: Tensor, node: torch.nn.Module) -> Tensor:
    functional.reset_net(node)
    return node(x)  # type: ignore[no-any-return]


def _candidates(length: int) -> dict[str, dict[str, Callable[[], None]]]:
    """Pass -> candidate -> what to time."""
    x, parameters, grad = _inputs(length)
    leaves = [x.clone().requires_grad_(), *(p.clone().requires_grad_() for p in parameters)]
    # SpikingJelly takes [T, B, H]; the transposition is done beforehand and not timed
    peer_x, peer_grad = (tensor.movedim(-1, 0).contiguous() for tensor in (x, grad))
    peer_leaf, node = peer_x.clone().requires_grad_(), _peer()

    def forward(solver: str) -> None:
        with torch.no_grad():
            refractory_lif(x, *parameters, solver=solver)

    def both(solver: str) -> None:
        spikes = refractory_lif(leaves[0], *leaves[1:], solver=solver)
        torch.autograd.grad(spikes, leaves, grad)

    def peer_forward() -> None:
        with torch.no_grad():
            _peer_spikes(peer_x, node)

    def peer_both() -> None:
        torch.autograd.grad(_peer_spikes(peer_leaf, node), [peer_leaf], peer_grad)

    return {
        "forward": {**{s: partial(forward, s) for s in SOLVERS}, PEER: peer_forward},
        "forward + backward": {**{s: partial(both, s) for s in SOLVERS}, PEER: peer_both},
    }


def measure(rounds: int) -> pd.DataFrame:
    """One row per length, pass and candidate: median ms and the speed-up over SpikingJelly in the same run."""
    rows = []
    for length in LENGTHS:
        check(length)
        for phase, candidates in _candidates(length).items():
            medians = interleaved_medians(candidates, rounds)
            for name, ms in medians.items():
                rows.append(
                    {
                        "batch": BATCH,
                        "channels": CHANNELS,
                        "length": length,
                        "pass": phase,
                        "solver": name,
                        "ms": ms,
                        "times_spikingjelly": medians[PEER] / ms,
                        "rounds": rounds,
                    }
                )
    return pd.DataFrame(rows)


def _show(frame: pd.DataFrame) -> None:
    table = Table(
        "L", "pass", "solver", "ms (median)", "x SpikingJelly", title=f"B={BATCH}, H={CHANNELS}, float32, CPU"
    )
    for row in frame.to_dict("records"):
        table.add_row(
            str(row["length"]),
            row["pass"],
            row["solver"],
            f"{row['ms']:.1f}",
            f"{row['times_spikingjelly']:.1f}",
        )
    Console().print(table)


def main() -> None:
    """Gate, measure, print, and save where asked to."""
    parser = argparse.ArgumentParser("benchmarks.neuron", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--save", action="store_true", help="write results/measured/neuron_cpu.parquet")
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    frame = measure(options.rounds)
    _show(frame)
    at_target = frame[
        (frame["length"] == 4096) & (frame["pass"] == "forward + backward") & (frame["solver"] == "fused")
    ]
    ratio = float(at_target["times_spikingjelly"].iloc[0])
    Console().print(
        f"fused, forward + backward with all gradients, L = 4,096: {ratio:.0f} times as fast as SpikingJelly "
        f"(target {TARGET:.0f}: {'met' if ratio >= TARGET else 'missed'})"
    )
    if options.save:
        frame["environment"] = json.dumps(environment(torch.device("cpu")), sort_keys=True)
        frame["code_version"] = code_version()
        frame.to_parquet(Path(__file__).resolve().parent.parent / "results" / "measured" / "neuron_cpu.parquet")


if __name__ == "__main__":
    main()
