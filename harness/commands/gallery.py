"""The work of harness.gallery: every neuron's potential and spikes on the same input, drawn."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib.figure import Figure
from torch import Tensor

from spike_ssm.harness.config.compose import Composer
from spike_ssm.models.neurons import NEURONS, Neuron, build_neuron

STEPS = 120
_INPUT, _POTENTIAL, _THRESHOLD, _SPIKES = "#9aa5b1", "#2166ac", "#b2182b", "#111827"


def example_input() -> Tensor:
    """[1, 1, 120]: noise around a slow wave, between silence and steady drive; in thresholds."""
    steps = torch.arange(STEPS, dtype=torch.float32)
    noise = torch.randn(STEPS, generator=torch.Generator().manual_seed(5))
    return (0.35 + 0.45 * torch.sin(steps / 9) + 0.35 * noise)[None, None]


def one_channel(name: str) -> Neuron:
    """The neuron `name` with its YAML's settings over one channel."""
    lengths = {"neuron.length": STEPS} if name == "psn" else {}
    torch.manual_seed(0)
    return build_neuron(1, Composer().settings({"neuron": name, **lengths}).neuron)


@torch.no_grad()
def draw(name: str) -> Figure:
    """Input, potential and threshold, and below them spikes over time; of a neuron without spikes its output."""
    neuron, x = one_channel(name), example_input()
    torch.manual_seed(0)  # a stochastic neuron draws the same spikes each time
    figure = Figure(figsize=(8, 2.3), facecolor="white", layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1 if neuron.spiking else 1e-6))
    above.plot(x.flatten(), color=_INPUT, linewidth=2.2, label="input")
    above.plot(neuron.potential(x).flatten(), color=_POTENTIAL, label="potential" if neuron.spiking else "output")
    if neuron.threshold is not None:
        above.axhline(float(neuron.threshold()[0]), color=_THRESHOLD, linestyle="--", label="threshold")
    below.vlines(neuron(x).flatten().nonzero().flatten() if neuron.spiking else [], 0, 1, color=_SPIKES)
    below.set(ylabel="spikes" if neuron.spiking else "", yticks=[], ylim=(0, 1), xlabel="time step")
    above.legend(loc="upper right", ncols=3, fontsize=8, frameon=False)
    above.set_xlim(0, STEPS - 1)
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    return figure


def run(out: Path) -> None:
    """Draw every registered neuron into the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "spike-ssm", "font.family": "DejaVu Sans", "lines.linewidth": 1.1}):
        for name in NEURONS:
            draw(name).savefig(out / f"{name}.svg", metadata={"Date": None})
