"""The learning rate over the steps of a training."""

from __future__ import annotations

import math

import torch

from spike_ssm.harness.config.settings import OptimSettings


def learning_rate_factor(step: int, warmup: int, total: int) -> float:
    """Linear from 0 to 1 over `warmup` steps, then half a cosine down to 0 at `total`; steps count from 0."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1)))


class Schedule:
    """The schedule of an optimiser whose groups have their peak learning rates when this is made."""

    def __init__(self, optimiser: torch.optim.Optimizer, optim: OptimSettings, steps_per_epoch: int) -> None:
        self._optimiser = optimiser
        self._peaks = [group["lr"] for group in optimiser.param_groups]
        self._warmup = round(optim.warmup_epochs * steps_per_epoch)
        self._total = optim.epochs * steps_per_epoch

    def set(self, step: int) -> None:
        """Give every group the learning rate of `step`, counted from 0."""
        factor = learning_rate_factor(step, self._warmup, self._total)
        for group, peak in zip(self._optimiser.param_groups, self._peaks, strict=True):
            group["lr"] = peak * factor
