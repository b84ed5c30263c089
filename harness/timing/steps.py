"""Training steps and inferences of one run, as its training and its test make them, for whoever times them."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from spike_ssm.harness.config.settings import Settings, cache_folder, files_folder
from spike_ssm.harness.data import find_task
from spike_ssm.harness.data.settings import TaskSettings
from spike_ssm.harness.data.splits import SPLITS, Batch, batches
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.training.trainer import Trainer

BATCHES = 4


@dataclass(frozen=True)
class Load:
    """What a step works on, on average over its `batches`: examples, real tokens, places of tensors with padding."""

    batches: int
    samples: float
    tokens: float
    places: float


class Steps:
    """A run's network and optimiser as they are before the first step, and a few of its batches, taken in turn.

    Training batches are spread over the lengths of the first stretch that the training cuts batches from
    (`optim.length_pool`); for the inference they are the first ones of the test set. Where all are of one size, one
    stands for them. A step is the whole of one: loss, gradients and the optimiser's update, whose learning rate is 0,
    so that the network, and how often its neurons fire, stays the same however often it is timed. Collating
    a batch is not part of it, nor are several processes: this one computes the whole batch.
    """

    def __init__(self, settings: Settings, data: Dataset, count: int = BATCHES) -> None:
        self._trainer = Trainer(settings, data, lambda _: None)
        for group in self._trainer.optimiser.param_groups:
            group["lr"] = 0.0
        optim = settings.optim
        training = _spread(self._trainer.batches(1), max(count, optim.length_pool), count)
        inference = _spread(batches(data.test, optim.batch_size), count, count)
        self.training, self.inferences = _load(training), _load(inference)
        self.device = self._trainer.device
        self.parameters = sum(each.numel() for each in self._trainer.network.parameters())
        self.convolution = self._trainer.network.convolution
        self._training, self._inference = itertools.cycle(training), itertools.cycle(inference)

    @property
    def count(self) -> int:
        """After so many steps, the batches that are taken in turn were all there: of the training, and of the test."""
        return max(self.training.batches, self.inferences.batches)

    def train_step(self) -> None:
        """Make one update, with the next training batch."""
        network = self._trainer.network
        if not network.training:
            network.train()
        self._trainer.step(next(self._training))

    @torch.no_grad()
    def inference(self) -> None:
        """Answer the next batch of the test set, in evaluation mode."""
        network, batch = self._trainer.network, next(self._inference)
        if network.training:
            network.eval()
        here = batch.to(self.device)
        network.score(here.inputs, here.lengths, here.labels, predict=True).predictions.cpu()


def _spread(made: Iterable[Batch], among: int, count: int) -> list[Batch]:
    """`count` of the first `among` batches, spread evenly over their sizes; one where these are all the same."""
    by_size = sorted(itertools.islice(made, among), key=lambda batch: batch.inputs.numel())
    count = min(count, len(by_size)) if len({batch.inputs.shape for batch in by_size}) > 1 else 1
    return [by_size[(2 * number + 1) * len(by_size) // (2 * count)] for number in range(count)]


def _load(made: Sequence[Batch]) -> Load:
    samples, tokens, places = (
        sum(of(batch) for batch in made) / len(made)
        for of in (lambda b: len(b.examples), lambda b: int(b.lengths.sum()), lambda b: b.inputs.numel())
    )
    return Load(len(made), samples, tokens, places)


@contextmanager
def some_data(settings: Settings, count: int = BATCHES) -> Iterator[Dataset]:
    """Data of the run's task that suffice for `Steps`: all of them where they are prepared, else a few.

    The few are prepared for themselves and gone afterwards. Of a task that has no sizes to choose, or predicts words
    out of a vocabulary, all are prepared. Raises `UserError` where its original files are not there.
    """
    make, _ = find_task(settings.task.name)
    task, cache, files = make(settings.task), cache_folder(settings), files_folder(settings)
    few = _few(settings.task, settings, count)
    if few == settings.task or task.place(cache, files).folder.exists():
        yield task.prepare(cache, files)
        return
    with tempfile.TemporaryDirectory(prefix="spike-ssm-") as folder:
        yield make(few).prepare(Path(folder), files)


def _few(task: TaskSettings, settings: Settings, count: int) -> Any:
    """The task with splits no larger than `Steps` needs them."""
    if task.kind == "language":
        return task
    optim = settings.optim
    needed = dict.fromkeys(SPLITS, count * optim.batch_size)
    needed["train"] = max(count, optim.length_pool) * optim.batch_size
    sizes = {name: size for name in SPLITS if (size := getattr(task, name, None)) is not None}
    return replace(task, **{name: min(needed[name], size) for name, size in sizes.items()})
