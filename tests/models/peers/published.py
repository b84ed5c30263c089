"""Asks the public code of `brf` or `tc_lif` for what test_neuron_peers.py holds ours to, and writes the JSON file here.

    git clone https://github.com/AdaptiveAILab/brf-neurons CLONE
    git -C CLONE checkout 5d45b0e7d545f09b79d029bb40573200fde57fd7
    python tests/models/peers/published.py brf CLONE > tests/models/peers/brf.json

    git clone https://github.com/ZhangShimin1/TC-LIF CLONE
    git -C CLONE checkout 1d24704101255433ceade0c6f859bee8173ec361
    python tests/models/peers/published.py tc_lif CLONE > tests/models/peers/tc_lif.json

It needs torch and numpy. Their code is called where it lies, and none of it is here. What it is given is of numpy's
RandomState with the seed `SEED`, whose numbers never change.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

SEED = 0
SHAPE = BATCH, CHANNELS, STEPS = 2, 8, 300
SOURCES: dict[str, dict[str, Any]] = {
    "brf": {
        "code": "https://github.com/AdaptiveAILab/brf-neurons",
        "commit": "5d45b0e7d545f09b79d029bb40573200fde57fd7",
        "files": ["snn/modules/rf.py"],
    },
    "tc_lif": {
        "code": "https://github.com/ZhangShimin1/TC-LIF",
        "commit": "1d24704101255433ceade0c6f859bee8173ec361",
        "files": ["MNIST/spiking_neuron/TCLIF.py", "MNIST/surrogate.py"],
    },
}
BRF = {"dt": 0.01, "theta": 1.0}
TC_LIF: list[dict[str, Any]] = [
    {"raw": [0.0, 0.0], "threshold": 1.0, "gamma": 0.5, "detach_reset": False},
    {"raw": [1.5, -0.5], "threshold": 1.0, "gamma": 0.5, "detach_reset": False},
    {"raw": [-1.4, 1.4], "threshold": 1.8, "gamma": 0.5, "detach_reset": False},
    {"raw": [0.0, 0.0], "threshold": 1.5, "gamma": 0.7, "detach_reset": True},
]


def described(name: str) -> dict[str, Any]:
    """What a file begins with: where its numbers are from."""
    return {**SOURCES[name], "script": Path(__file__).name, "seed": SEED, "shape": list(SHAPE)}


def given_to_brf() -> tuple[Tensor, Tensor, Tensor]:
    """Input [B, H, L], omega [H] and b_offset [H], in double precision."""
    draws = np.random.RandomState(SEED)
    x, omega, b_offset = (
        30 * draws.standard_normal(SHAPE),
        draws.uniform(15, 85, CHANNELS),
        draws.uniform(0.1, 1, CHANNELS),
    )
    return torch.from_numpy(x), torch.from_numpy(omega), torch.from_numpy(b_offset)


def given_to_tc_lif() -> tuple[Tensor, Tensor]:
    """Input, and the weights of the spikes in the sum that is differentiated, both [B, H, L] in double precision."""
    draws = np.random.RandomState(SEED)
    return torch.from_numpy(draws.standard_normal(SHAPE)), torch.from_numpy(draws.standard_normal(SHAPE))


def brf(clone: Path) -> list[dict[str, Any]]:
    """The spikes of the balanced resonate-and-fire neuron, from a state of 0."""
    sys.path.insert(0, str(clone))
    theirs = import_module("snn.modules.rf")
    x, omega, b_offset = given_to_brf()
    u = v = q = torch.zeros(BATCH, CHANNELS, dtype=torch.float64)
    spikes = []
    for x_t in x.unbind(-1):
        spike, u, v, q = theirs.brf_update(
            x_t, u, v, q, theirs.sustain_osc(omega, BRF["dt"]) - b_offset - q, omega, **BRF
        )
        spikes.append(spike)
    return [{**BRF, **packed(torch.stack(spikes, -1))}]


def tc_lif(clone: Path) -> list[dict[str, Any]]:
    """The spikes of the two-compartment neuron, and gradients by its two decay factors and every 60th step of x."""
    sys.path.insert(0, str(clone / "MNIST"))
    node, surrogate = import_module("spiking_neuron.TCLIF").TCLIFNode, import_module("surrogate").Triangle.apply
    found = []
    for case in TC_LIF:
        (x, weights), settings = given_to_tc_lif(), dict(case)
        raw = torch.tensor([settings.pop("raw")], dtype=torch.float64)
        threshold = settings.pop("threshold")
        built = node(v_threshold=threshold, surrogate_function=surrogate, decay_factor=raw, **settings)
        spikes = torch.stack([built(x_t) for x_t in x.requires_grad_().unbind(-1)], -1)
        by_x, by_raw = torch.autograd.grad((spikes * weights).sum(), (x, built.decay_factor))
        gradients = {"by_raw": rounded(by_raw), "by_input": rounded(by_x[..., ::60])}
        found.append({**case, **gradients, **packed(spikes.detach())})
    return found


def rounded(values: Tensor) -> list[float]:
    """The values in order, to seven digits."""
    return [float(f"{value:.7g}") for value in values.flatten().tolist()]


def packed(spikes: Tensor) -> dict[str, Any]:
    """The spikes [B, H, L] as numpy.packbits, in hexadecimal, and their mean."""
    bits = np.packbits(spikes.numpy().astype(bool))
    return {"rate": float(spikes.double().mean()), "packed": bits.tobytes().hex()}


def main(name: str, clone: Path) -> None:
    """Print the file of `name`. Exits with a sentence where the clone is not at its commit."""
    head = subprocess.run(["git", "-C", clone, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    if head.stdout.strip() != SOURCES[name]["commit"]:
        sys.exit(f"{clone} is at {head.stdout.strip()}; check {SOURCES[name]['commit']} out.")
    cases = {"brf": brf, "tc_lif": tc_lif}[name](clone)
    text = json.dumps({**described(name), "cases": cases}, indent=1)
    print(re.sub(r"\n\s+(?=-?\d)|(?<=\d)\n\s+(?=\])", "", text))  # a list of numbers on one line


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
