"""`python -m models.neurons.train_sdn`: train the network of the neuron sdn, measure its spike error, write its file.

Input is white, N(0, 1); the target is what the neuron lif_hard (leak 0.125, threshold 1) carries over from the step
before, read off the loop. A predicted contribution c' makes the spike wrong where the present input falls between 1 - c
and 1 - c', c being the true one, so the loss is that probability to first order: |c' - c| times the normal density at
1 - c. Of several seeds the best on validation input is kept; the error stated is that on test input, drawn apart. The
loss and the optimiser's settings (Adam, one warm-up and cosine cycle) are ours, and no layer is normalised. Takes about
three minutes.
"""

from __future__ import annotations

import argparse
import math
import uuid
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from spike_ssm.models.neurons.sdn import LEAK, NETWORK_FILE, ContributionNetwork, past_windows
from spike_ssm.models.ops.refractory_lif import refractory_lif

VALIDATION, TEST = 10_000, 20_000
"""Seeds of the inputs that networks are chosen and measured on, far from those of training."""


class Recipe(NamedTuple):
    """Recipe of a training: `rows` sequences of `length` steps, in batches of windows drawn at random."""

    rows: int = 4096
    length: int = 256
    batch: int = 2048
    steps: int = 30_000
    learning_rate: float = 0.03
    warm_up: float = 0.05  # fraction of the steps


def white_input(rows: int, length: int, seed: int) -> Tensor:
    """Independent numbers from N(0, 1), [rows, length]."""
    return torch.randn(rows, length, generator=torch.Generator().manual_seed(seed))


def exact_contribution(x: Tensor) -> Tensor:
    """Carry-over [rows, L] of lif_hard's membrane into each step, leak * u_{t-1} * (1 - s_{t-1}), for x [rows, L]."""
    _, potential = refractory_lif(
        x[:, None], LEAK, 1.0, 0.0, 0.0, reset="hard", solver="sequential", return_potential=True
    )
    return potential[:, 0] - x


@torch.no_grad()
def spike_error(network: nn.Module, x: Tensor) -> float:
    """Share of the steps of x [rows, L] at which the network's spike is not the loop's, in [0, 1]."""
    wrong = 0
    for part in x.split(256):
        predicted = network(past_windows(part))
        wrong += int(((predicted + part >= 1) != (exact_contribution(part) + part >= 1)).sum())
    return wrong / x.numel()


def train(seed: int, recipe: Recipe) -> tuple[ContributionNetwork, list[float]]:
    """Trained network and its loss at every step; the same for the same seed and number of threads."""
    x = white_input(recipe.rows, recipe.length, seed)
    windows = past_windows(x).reshape(-1, past_windows(x).shape[-1])
    targets = exact_contribution(x).reshape(-1)
    density = torch.exp(-((1 - targets) ** 2) / 2) / math.sqrt(2 * math.pi)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network, losses = ContributionNetwork(), []
        optimizer = torch.optim.Adam(network.parameters())
        schedule = OneCycleLR(optimizer, recipe.learning_rate, recipe.steps, pct_start=recipe.warm_up)
        for _ in range(recipe.steps):
            drawn = torch.randint(len(windows), (recipe.batch,))
            loss = ((network(windows[drawn]) - targets[drawn]).abs() * density[drawn]).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
    return network, losses


def save(network: nn.Module, path: Path, metadata: dict[str, str]) -> None:
    """Write the network's parameters and what is known of them; `path` is whole or not there."""
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    save_file(dict(network.state_dict()), temporary, metadata)
    temporary.replace(path)


def _other_inputs(white: Tensor) -> dict[str, Tensor]:
    """Inputs that the network was not trained on, made of white input [rows, L]."""
    smooth, steps = torch.zeros_like(white[:, 0]), []
    for noise in white.unbind(-1):
        smooth = 0.9 * smooth + math.sqrt(1 - 0.9**2) * noise
        steps.append(smooth)
    return {
        "N(0, 0.5^2)": 0.5 * white,
        "N(0, 2^2)": 2 * white,
        "N(0, 4^2)": 4 * white,
        "N(0.5, 1)": white + 0.5,
        "N(1, 1)": white + 1,
        "N(0, 1), correlation 0.9 from step to step": torch.stack(steps, -1),
    }


def main() -> None:
    """Train, choose, measure, print, and write the network's file."""
    parser = argparse.ArgumentParser("models.neurons.train_sdn", description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=4, help="how many networks are trained, the best being kept")
    parser.add_argument("--out", type=Path, default=NETWORK_FILE, help="the file to write")
    options = parser.parse_args()
    seeds: int = options.seeds
    recipe, validation = Recipe(), white_input(1024, 2048, VALIDATION)
    trained = {seed: train(seed, recipe)[0] for seed in range(seeds)}
    errors = {seed: spike_error(network, validation) for seed, network in trained.items()}
    best = min(errors, key=lambda seed: errors[seed])
    for seed, error in errors.items():
        print(f"seed {seed}: spike error {error:.3%} on validation input{', kept' if seed == best else ''}")
    test = white_input(4096, 2048, TEST)
    stated = spike_error(trained[best], test)
    print(f"stated: {stated:.4%} of {test.numel():,} steps of test input")
    for name, x in _other_inputs(test[:512]).items():
        print(f"for information, {name}: {spike_error(trained[best], x):.3%}")
    numbers = {
        "spike_error": stated,
        "test_steps": test.numel(),
        "seed": best,
        "seeds_tried": seeds,
        "leak": LEAK,
        "threshold": 1.0,
        **recipe._asdict(),
    }
    save(trained[best], options.out, {name: str(value) for name, value in numbers.items()})


if __name__ == "__main__":
    main()
