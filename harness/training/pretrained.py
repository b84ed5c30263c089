"""Trained networks that come with this package: the runs of the sweep `pretrained`, at the scale `workstation`."""

from __future__ import annotations

import warnings
from pathlib import Path

import spike_ssm.results
from spike_ssm.harness.training.loaded import LoadedRun, load_run
from spike_ssm.results.errors import UserError
from spike_ssm.results.names import instead
from spike_ssm.results.verify.content import read_pack

PRETRAINED = Path(spike_ssm.results.__file__).with_name("measured") / "pretrained.parquet"
"""The file that they come in, packed with their weights."""


def pretrained() -> dict[str, str]:
    """The names that `load_pretrained` takes, TASK/NEURON, each with the id of its run in `PRETRAINED`."""
    (manifest,) = read_pack(PRETRAINED, ["id"]).manifests
    return {f"{run.axes['task']}/{run.axes['neuron']}": run.id for run in manifest.runs}


def load_pretrained(name: str) -> LoadedRun:
    """The trained network called `name`, TASK/NEURON, such as "mnist_digits/refractory_lif", as `load_run` gives runs.

    It needs neither data nor a network connection. Raises `UserError` with the names that there are.
    """
    known = pretrained()
    if name not in known:
        raise UserError(f"No pretrained network is called {name!r}; {instead(name, known, 'there are', known)}")
    with warnings.catch_warnings():  # tests of this code compare what it predicts with what was stored
        warnings.filterwarnings("ignore", "The weights of .* were trained by code")
        return load_run(known[name], PRETRAINED)
