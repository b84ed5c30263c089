"""A small spiking S4D network on ListOps, in plain PyTorch: no sweep, no launcher, no files but the prepared data.

python examples/train_listops.py [CACHE]        CACHE: a folder for the prepared data
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch

from spike_ssm import NEURONS, Inputs, ModelSettings, build_network, parameter_groups
from spike_ssm.harness.data.splits import batches
from spike_ssm.harness.data.tasks.listops import ListOps, ListOpsSettings


def main(cache: Path) -> None:
    """Train for a few epochs; print the training loss of each and the accuracy on the test set."""
    torch.manual_seed(0)
    task = ListOps(ListOpsSettings(min_length=3, max_length=20, train=3_000, validation=100, test=500))
    data = task.prepare(cache, cache)
    _, settings = NEURONS["refractory_lif"]
    model = ModelSettings(layers=2, channels=32, state_size=8)
    network = build_network("classification", Inputs(data.vocabulary), data.facts.classes, model, settings())
    optimiser = torch.optim.AdamW(parameter_groups(network, lr=0.01, ssm_lr=0.001, weight_decay=0.05))
    for epoch in range(1, 5):
        network.train()
        losses = []
        for batch in batches(data.train, 32, torch.randperm(len(data.train)).numpy()):
            loss = network.score(batch.inputs, batch.lengths, batch.labels).loss
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
        print(f"epoch {epoch}: loss {sum(losses) / len(losses):.3f}")
    network.eval()
    with torch.no_grad():
        (test,) = batches(data.test, len(data.test))
        answers = network.score(test.inputs, test.lengths, test.labels).predictions
    print(f"test accuracy {(answers == test.labels).double().mean():.1%}")
    print(f"shortcut {data.baselines.shortcut_accuracy:.1%}, commonest answer {data.baselines.majority_accuracy:.1%}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(Path(folder))
