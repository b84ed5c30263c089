"""One pass over a split: loss, accuracy, and the answer to each target."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spike_ssm.harness.data.splits import Split, batches
from spike_ssm.harness.system.seeds import seed_torch
from spike_ssm.harness.system.signals import received
from spike_ssm.harness.training.data_parallel import ALONE, Processes
from spike_ssm.harness.training.stopwatch import Stopwatch
from spike_ssm.models.network import IGNORED, Network


@dataclass(frozen=True)
class Evaluation:
    """Mean loss and accuracy over a split's targets, and each target's label, prediction and its probability, [n]."""

    loss: float
    accuracy: float
    labels: Tensor
    predictions: Tensor
    scores: Tensor


_Piece = tuple[int, float, Tensor, Tensor, Tensor]
"""A batch's number, summed loss, and each target's label, prediction and score."""


@torch.no_grad()
def evaluate(
    network: Network,
    split: Split,
    batch_size: int,
    device: torch.device,
    watch: Stopwatch | None = None,
    *,
    noise: tuple[int, int] = (0, 0),
    processes: Processes = ALONE,
) -> Evaluation:
    """Every example of `split` once, in evaluation mode; the last batch may be smaller.

    noise: seed and position of what stochastic neurons draw, so that an evaluation repeats; the position is the
    epoch, 0 for the test. Several processes take the batches in turn, and all get the outcome. Raises `Interrupted`
    between two batches when the process, or one of them, is asked to stop.
    """
    network.eval()
    watch = watch or Stopwatch(device)
    pieces: list[_Piece] = []
    seed, epoch = noise
    for step, batch in enumerate(batches(split, batch_size, start=processes.rank, every=processes.count)):
        if received():
            break
        number = processes.rank + step * processes.count
        seed_torch(seed, "evaluation", epoch, number)
        here = batch.to(device)
        watch.start()
        scored = network.score(here.inputs, here.lengths, here.labels, predict=True)
        watch.stop(len(batch.examples), int(batch.lengths.sum()))
        labels = batch.labels[batch.labels != IGNORED]
        loss = float(scored.loss) * scored.count
        pieces.append((number, loss, labels, scored.predictions.cpu(), scored.scores.cpu()))
    processes.stop_together()
    return _together(sorted(processes.gather(pieces), key=lambda piece: piece[0]))


def _together(pieces: list[_Piece]) -> Evaluation:
    _, losses, labels, predictions, scores = zip(*pieces, strict=True)
    label, prediction = torch.cat(labels), torch.cat(predictions)
    accuracy = float((label == prediction).double().mean())
    return Evaluation(sum(losses) / len(label), accuracy, label, prediction, torch.cat(scores))
