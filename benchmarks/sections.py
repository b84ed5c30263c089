"""Sections of `python -m benchmarks.neuron`: one function per section, each of which returns rows.

A row: section, candidate, pass, batch, channels, length, ms (median), and `ratio`, which is what the section's targets
are about; the function's docstring defines it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from benchmarks import cases
from benchmarks.cases import Case
from benchmarks.gate import check, check_peer
from benchmarks.memory import beyond_input_and_output
from spike_ssm.harness.measurements.timing import interleaved_medians
from spike_ssm.models.ops.refractory_lif import Options
from spike_ssm.models.ops.refractory_lif.options import choose_solver

Row = dict[str, Any]
PEER = "spikingjelly"
FORWARD, BOTH = "forward", "forward + backward"


def _row(section: str, case: Case, candidate: str, phase: str, ms: float | None, ratio: float) -> Row:
    sizes = {"batch": case.batch, "channels": case.channels, "length": case.length}
    return {"section": section, "candidate": candidate, "pass": phase, **sizes, "ms": ms, "ratio": ratio}


def _timed(
    section: str, case: Case, phase: str, candidates: dict[str, cases.Pass], against: str, rounds: int
) -> list[Row]:
    medians = interleaved_medians(candidates, rounds, torch.device(case.device))
    return [_row(section, case, name, phase, ms, medians[against] / ms) for name, ms in medians.items()]


def against_spikingjelly(sizes: Sequence[Case], solvers: Sequence[str], rounds: int) -> Iterator[Row]:
    """Rows of our solvers and SpikingJelly; ratio: times as fast as its soft-reset LIF.

    The backward of that gives the gradient of x only.
    """
    for case in sizes:
        check(case, solvers)
        check_peer(case, solvers[-1])
        inference = {solver: cases.forward(case, solver) for solver in solvers}
        training = {solver: cases.both(case, solver) for solver in solvers}
        section = "against SpikingJelly"
        yield from _timed(section, case, FORWARD, {**inference, PEER: cases.spikingjelly_forward(case)}, PEER, rounds)
        yield from _timed(section, case, BOTH, {**training, PEER: cases.spikingjelly_both(case)}, PEER, rounds)


def memory(case: Case, candidates: Sequence[str]) -> Iterator[Row]:
    """Rows of memory; ratio: peak memory beyond input, output and gradients, in sizes of the input."""
    for candidate in candidates:
        yield _row("memory", case, candidate, BOTH, None, beyond_input_and_output(candidate, case))


def length_scaling(sizes: Sequence[Case], rounds: int) -> Iterator[Row]:
    """Rows by length; ratio: time of the cheapest length over this one's; all cases have as many elements."""
    for case in sizes:
        check(case, ("fused",))
    medians = interleaved_medians({str(case.length): cases.both(case, "fused") for case in sizes}, rounds)
    for case in sizes:
        ms = medians[str(case.length)]
        yield _row("length", case, "fused", BOTH, ms, min(medians.values()) / ms)


def choices(sizes: Sequence[Case], rounds: int) -> Iterator[Row]:
    """Rows by solver; ratio: time of the best one over this one's. `auto` has a row with the time of what it picks."""
    for case in sizes:
        solvers = ("pmbc", "fused") if case.device != "cpu" else ("sequential", "pmbc", "fused")
        check(case, solvers)
        medians = interleaved_medians(
            {solver: cases.both(case, solver) for solver in solvers}, rounds, torch.device(case.device)
        )
        best, picked = min(medians.values()), choose_solver(Options(), case.x)
        for solver, ms in medians.items():
            yield _row("choice", case, solver, BOTH, ms, best / ms)
        yield _row("choice", case, "auto", BOTH, medians[picked], best / medians[picked])


def against_loop(sizes: Sequence[Case], rounds: int) -> Iterator[Row]:
    """Rows of our solvers and a loop over `x.unbind` with backpropagation through time; ratio: times as fast as it."""
    for case in sizes:
        check(case, ("fused", "pmbc"))
        solvers = {solver: cases.both(case, solver) for solver in ("fused", "pmbc")}
        yield from _timed("against a loop", case, BOTH, {**solvers, "loop": cases.loop(case)}, "loop", rounds)


def bandwidth(case: Case, rounds: int) -> Iterator[Row]:
    """Rows of bandwidth; ratio: the bytes that must move, over the time, against what copying x reaches here.

    Forward must read x and write spikes; backward must read x and the incoming gradient and write that of x.
    """
    check(case, ("fused",))
    target = torch.empty_like(case.x)
    candidates: dict[str, cases.Pass] = {
        "copy": lambda: target.copy_(case.x),
        FORWARD: cases.forward(case, "fused"),
        BOTH: cases.both(case, "fused"),
    }
    medians = interleaved_medians(candidates, rounds, torch.device(case.device))
    for phase, moved in ((FORWARD, 2), (BOTH, 5)):
        share = moved / 2 * medians["copy"] / medians[phase]
        yield _row("bandwidth", case, "fused", phase, medians[phase], share)
