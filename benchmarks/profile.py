"""`python -m benchmarks.profile`: where the time of a training step goes; with --save, as docs/step_profile.svg.

The network of benchmarks.network at state size 16, its batch and threads, on the CPU, through torch's profiler; the
parts are told apart by the modules of the forward and by the nodes of the backward. Shares, not speeds: a profiled step
is a little slower.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from matplotlib.figure import Figure
from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks.report import THREADS, start_anew_with
from benchmarks.steps import CPU, OURS, Size, training_step
from benchmarks.words import parser
from spike_ssm.harness.system.environment import KEEP_MEMORY, compute_with
from spike_ssm.harness.system.root import ROOT
from spike_ssm.models.network import Network

PICTURE = ROOT / "docs" / "step_profile.svg"
STEPS = 10
PARTS = {
    "states and neurons": r"spike_ssm_(spiking_)?scan|spike_ssm_discretised|^(Exp|Mul|Stack)Backward",
    "mixing and gate": r"spike_ssm_gated_mixing|^SelectBackward",
    "norm": r"spike_ssm_(batch_norm|channel_statistics)",
}
"""Part -> the names of its nodes in the backward; all else is `rest`."""
Shares = dict[str, float]
_NODE = "autograd::engine::evaluate_function: "
_STEP, _FORWARD, _OPTIMISER = "step", "forward", "Optimizer.step"


def name_parts(network: Network) -> None:
    """Show the profiler the parts of the forward."""
    network.score = _named(_FORWARD, network.score)  # type: ignore[method-assign]
    for block in network.blocks:
        block._driven = _named("states and neurons", block._driven)  # type: ignore[method-assign]
        block.norm.forward = _named("norm", block.norm.forward)  # type: ignore[method-assign]
        block.mixing.gated = _named("mixing and gate", block.mixing.gated)  # type: ignore[method-assign]


def _named(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    return partial(_recorded, name, function)


def _recorded(name: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    with record_function(name):
        return function(*arguments, **options)


def shares(totals: Mapping[str, float]) -> dict[str, Shares]:
    """Percentage of a step that each part takes of forward, backward and optimiser; totals: time by name."""
    forward = {part: totals[part] for part in PARTS}
    forward["rest"] = totals[_FORWARD] - sum(forward.values())
    backward = dict.fromkeys([*PARTS, "rest"], 0.0)
    for name, time in totals.items():
        if name.startswith(_NODE):
            node = name.removeprefix(_NODE)
            backward[next((part for part, nodes in PARTS.items() if re.search(nodes, node)), "rest")] += time
    update = next(time for name, time in totals.items() if name.startswith(_OPTIMISER))
    backward["rest"] += totals[_STEP] - totals[_FORWARD] - sum(backward.values()) - update
    percent = totals[_STEP] / 100
    found = {"forward": forward, "backward": backward, "optimiser": {"rest": update}}
    return {phase: {part: time / percent for part, time in parts.items()} for phase, parts in found.items()}


def measured(size: Size) -> dict[str, Shares]:
    """Shares of `STEPS` profiled training steps, see `shares`."""
    network = size.candidate(OURS)
    step = training_step(network, size, CPU)
    step()
    name_parts(network)
    step = training_step(network, size, CPU)
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        for _ in range(STEPS):
            with record_function(_STEP):
                step()
    return shares({event.key: event.cpu_time_total for event in seen.key_averages()})


def draw(found: dict[str, Shares]) -> None:
    """Draw one bar per phase to `PICTURE`."""
    figure = Figure(figsize=(7, 2.4), layout="constrained")
    axes = figure.subplots()
    for place, phase in enumerate(reversed(found)):
        left = 0.0
        for number, part in enumerate([*PARTS, "rest"]):
            width = found[phase].get(part, 0.0)
            axes.barh(place, width, left=left, color=f"C{number}", label=part if place == 0 else None)
            if width > 2:
                axes.text(left + width / 2, place, f"{width:.0f}", ha="center", va="center", color="white")
            left += width
    axes.set_yticks(range(len(found)), list(reversed(found)))
    axes.set_xlabel("% of a training step")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=len(PARTS) + 1, frameon=False, fontsize=8)
    figure.savefig(PICTURE, metadata={"Date": None, "Creator": None})


def main() -> None:
    """Measure and print, and draw where asked to."""
    options = parser("profile").parse_args()
    start_anew_with(KEEP_MEMORY | {"OMP_NUM_THREADS": str(THREADS), "NUMBA_NUM_THREADS": str(THREADS)})
    compute_with(THREADS)
    found = measured(Size(state_size=16))
    for phase, parts in found.items():
        print(phase, ", ".join(f"{part} {share:.1f} %" for part, share in parts.items()))
    if options.save:
        draw(found)
        print(os.path.relpath(PICTURE))


if __name__ == "__main__":
    main()
