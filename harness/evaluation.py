"""One pass over a split: loss, accuracy, and the answer to each target."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.interruption import raise_if_interrupted
from harness.metrics import Stopwatch
from harness.streams import seed_torch
from harness.tasks import Split, batches
from models.network import IGNORED, Network


@dataclass(frozen=True)
class Evaluation:
    """Mean loss and accuracy over a split's targets, and each target's label, prediction and its probability, [n]."""

    loss: float
    accuracy: float
    labels: Tensor
    predictions: Tensor
    scores: Tensor


@torch.no_grad()
def evaluate(
    network: Network,
    split: Split,
    batch_size: int,
    device: torch.device,
    watch: Stopwatch | None = None,
    *,
    noise: tuple[int, int] = (0, 0),
) -> Evaluation:
    """Every example of `split` once, in evaluation mode; the last batch may be smaller.

    noise: seed and position of what stochastic neurons draw, so that an evaluation repeats; the position is the
    epoch, 0 for the test. Raises `Interrupted` between two batches when the process is asked to stop.
    """
    network.eval()
    watch = watch or Stopwatch(device)
    losses, scores, predictions, labels = 0.0, [], [], []
    seed, epoch = noise
    for step, batch in enumerate(batches(split, batch_size)):
        raise_if_interrupted()
        seed_torch(seed, "evaluation", epoch, step)
        here = batch.to(device)
        watch.start()
        scored = network.score(here.inputs, here.lengths, here.labels, predict=True)
        watch.stop(len(batch.examples), int(batch.lengths.sum()))
        losses += float(scored.loss) * scored.count
        scores.append(scored.scores.cpu())
        predictions.append(scored.predictions.cpu())
        labels.append(batch.labels[batch.labels != IGNORED])
    label, prediction = torch.cat(labels), torch.cat(predictions)
    accuracy = float((label == prediction).double().mean())
    return Evaluation(losses / len(label), accuracy, label, prediction, torch.cat(scores))
