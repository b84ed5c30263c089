"""The networks that come with the package answer as they did when they were tested."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import spike_ssm
from spike_ssm.harness.data import find_task
from spike_ssm.harness.data.readers.common import MissingError
from spike_ssm.harness.data.splits import Batch, batches
from spike_ssm.harness.training.loaded import LoadedRun
from spike_ssm.results.errors import UserError

EXAMPLES = 100
NAMES = list(spike_ssm.pretrained())
MISSED = 1 / EXAMPLES  # another processor may round one answer to the other side


def first_examples(run: LoadedRun, cache: Path) -> Batch:
    """The first examples of its test set; of digits those that are in an installed package."""
    settings = run.settings.task
    if settings.name == "mnist_digits":
        settings = replace(settings, further=0)
    test = find_task(settings.name)[0](settings).prepare(cache, cache).test
    return next(batches(test, EXAMPLES))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_answers_as_it_did(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    run, cache = spike_ssm.load_pretrained(name), tmp_path_factory.getbasetemp() / "pretrained"
    try:
        test = first_examples(run, cache)
    except MissingError as error:
        pytest.skip(str(error))
    stored = run.rows["predictions"].iloc[0][:EXAMPLES]
    assert np.array_equal(stored["label"], test.labels)
    assert (run.predict(test) != stored["prediction"]).mean() <= MISSED


def test_each_neuron_is_there_for_each_task_and_named_as_it_is() -> None:
    tasks, neurons = ({name.split("/")[part] for name in NAMES} for part in (0, 1))
    assert {f"{task}/{neuron}" for task in tasks for neuron in neurons} == set(NAMES)
    for name in NAMES:
        settings = spike_ssm.load_pretrained(name).settings
        assert (settings.task.name, settings.neuron.name) == tuple(name.split("/"))


def test_a_name_of_no_network_gets_those_that_there_are() -> None:
    with pytest.raises(UserError, match=r"No pretrained network is called 'mnist_digit/gelu'; did you mean mnist_"):
        spike_ssm.load_pretrained("mnist_digit/gelu")
