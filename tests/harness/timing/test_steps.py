"""What is timed is what training and testing do, on batches of the run's own, and leaves the network as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.data.splits import Batch
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.data.tasks.listops import ListOps
from spike_ssm.harness.timing.steps import Steps, some_data
from spike_ssm.harness.training.trainer import Trainer
from spike_ssm.models.network import Network

SettingsOf = Callable[..., Settings]


def test_a_step_is_one_of_the_training_and_changes_no_parameter(
    tiny: SettingsOf, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Batch] = []
    inner = Trainer.step
    monkeypatch.setattr(Trainer, "step", lambda self, batch: (taken.append(batch), inner(self, batch))[1])
    steps = Steps(tiny(), data, count=3)
    network = steps._trainer.network
    before = [parameter.clone() for parameter in network.parameters()]
    for _ in range(2 * steps.training.batches):
        steps.train_step()
    assert all(torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))
    assert any(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())
    assert [each is other for each, other in zip(taken[:3], taken[3:], strict=True)] == [True] * 3, "in turn"
    of_training = [batch.examples.tolist() for batch in Trainer(tiny(), data, lambda _: None).batches(1)]
    assert all(batch.examples.tolist() in of_training for batch in taken)


def test_an_inference_answers_the_test_set_in_evaluation_mode(
    tiny: SettingsOf, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[tuple[bool, bool, int]] = []
    inner = Network.score

    def score(self: Network, inputs: torch.Tensor, *rest: torch.Tensor, predict: bool = True) -> object:
        modes.append((self.training, torch.is_grad_enabled(), len(inputs)))
        return inner(self, inputs, *rest, predict=predict)

    monkeypatch.setattr(Network, "score", score)
    steps = Steps(tiny(), data)
    modes.clear()
    steps.inference()
    steps.train_step()
    steps.inference()
    assert modes == [(False, False, 16), (True, True, 16), (False, False, 16)]


def test_the_load_is_that_of_the_batches_and_batches_are_spread_over_lengths(tiny: SettingsOf, cache: Path) -> None:
    words = ("task.max_length=60", "optim.batch_size=8")
    data = ListOps(tiny(*words).task).prepare(cache, cache)
    by_length = Steps(tiny(*words, "optim.length_pool=8"), data, count=8)
    mixed = Steps(tiny(*words, "optim.length_pool=1"), data, count=8)
    assert by_length.training.samples == mixed.training.samples == 8
    assert by_length.training.tokens == mixed.training.tokens == data.train.lengths.sum() / 8, "the same examples, all"
    assert by_length.training.places < mixed.training.places, "batches of like lengths need less padding"
    assert by_length.inferences.tokens == data.test.lengths.sum() / 4
    assert (mixed.training.batches, mixed.inferences.batches) == (8, 4), "no more than there are"


def test_data_that_are_not_prepared_are_prepared_in_part_and_not_kept(
    tiny: SettingsOf, data: Dataset, cache: Path, tmp_path: Path
) -> None:
    with some_data(tiny(f"paths.cache={tmp_path}", "optim.batch_size=4", "optim.length_pool=2"), count=2) as few:
        assert (len(few.train), len(few.test), few.kind) == (8, 8, data.kind)
        assert few.vocabulary == data.vocabulary
    assert not list(tmp_path.iterdir())
    with some_data(tiny(f"paths.cache={cache}", "optim.batch_size=4"), count=2) as whole:
        assert len(whole.train) == len(data.train) == 64
