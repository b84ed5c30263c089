"""Single neurons in NIR: the node that each has, and the spikes that come back from its file."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from spike_ssm.harness.system.root import ROOT
from spike_ssm.models.neurons import NEURONS, Neuron, NeuronSettings, build_neuron
from spike_ssm.models.neurons.alif import ALIFSettings
from spike_ssm.models.neurons.base import ThresholdSettings
from spike_ssm.models.neurons.binary import BinarySettings
from spike_ssm.models.neurons.gelu import GELUSettings
from spike_ssm.models.neurons.lif_hard import LIFHardSettings
from spike_ssm.models.neurons.lif_soft import LIFSoftSettings
from spike_ssm.models.neurons.refractory_lif import RefractoryLIFSettings
from spike_ssm.models.nir import read_nir, to_nir, write_nir

CHANNELS, STEPS = 6, 10_000
EXPORTABLE = [
    RefractoryLIFSettings(leak=0.9),
    RefractoryLIFSettings(leak=0.3, reset="none", decay=0.8),
    LIFSoftSettings(leak=0.97),
    LIFHardSettings(),
    LIFHardSettings(leak=0.9),
    ALIFSettings(),
    BinarySettings(),
    GELUSettings(),
]


def trained(settings: NeuronSettings, dtype: torch.dtype) -> Neuron:
    """A neuron whose channels are not alike, as after training."""
    torch.manual_seed(0)
    if isinstance(settings, LIFHardSettings | LIFSoftSettings):
        settings = replace(settings, leak_trainable=True)
    neuron = build_neuron(CHANNELS, settings).to(dtype)
    with torch.no_grad():
        for each in neuron.parameters():
            each += 0.2 * torch.randn(each.shape) * each.requires_grad
    return neuron


def gaussian(dtype: torch.dtype) -> Tensor:
    return torch.randn(2, STEPS, CHANNELS, generator=torch.Generator().manual_seed(1)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("settings", EXPORTABLE, ids=lambda each: each.name)
def test_a_neuron_comes_back_from_its_file_with_the_same_spikes(
    settings: NeuronSettings, dtype: torch.dtype, tmp_path: Path
) -> None:
    neuron, x = trained(settings, dtype), gaussian(dtype)
    write_nir(to_nir(neuron), tmp_path / "neuron.nir")
    given = read_nir(tmp_path / "neuron.nir")(x).transpose(1, 2)
    wanted = neuron(x.transpose(1, 2).contiguous()).detach()
    assert torch.equal(given, wanted)
    assert given.dtype == dtype
    if neuron.spiking:
        assert 0.01 < float(wanted.mean()) < 0.9


def lif_of_nir(node: nir.LIF, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Spikes [L, H] of x [L, H] as the papers of NIR define the node, by forward Euler with a step of 1."""
    v, spikes = np.zeros(x.shape[1]), []
    for x_t in x:
        v = v + (node.v_leak - v + node.r * x_t) / node.tau
        spikes.append(v > node.v_threshold)
        v = np.where(spikes[-1], node.v_reset, v)
    return np.array(spikes)


@pytest.mark.parametrize("leak", [0.125, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_lif_hard_is_nirs_lif_to_anybody_who_reads_the_file(leak: float, dtype: torch.dtype, tmp_path: Path) -> None:
    """Also to NIR's own reader, and to an interpreter that knows nothing of ours."""
    neuron, x = trained(LIFHardSettings(leak=leak), dtype), gaussian(dtype)
    write_nir(to_nir(neuron), tmp_path / "lif.nir")
    (node,) = (each for each in nir.read(tmp_path / "lif.nir").nodes.values() if isinstance(each, nir.LIF))
    for example, wanted in zip(x, neuron(x.transpose(1, 2)), strict=True):
        assert np.array_equal(lif_of_nir(node, example.numpy()), wanted.T.numpy(force=True) == 1)


@pytest.mark.parametrize("settings", [LIFHardSettings(threshold_trainable=False), BinarySettings()], ids=str)
def test_a_potential_at_the_threshold_fires_though_nirs_nodes_fire_above_theirs(settings: ThresholdSettings) -> None:
    node = to_nir(build_neuron(1, settings)).nodes["neuron"]
    limit = node.v_threshold if isinstance(node, nir.LIF) else node.threshold
    assert np.array_equal(np.array([1.0], np.float32) > limit, [True])
    assert np.array_equal(np.nextafter(np.array([1.0], np.float32), np.float32(0)) > limit, [False])


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 0), (torch.float64, 2e-16)])
def test_the_membranes_time_constant_gives_the_leak_back(dtype: torch.dtype, error: float) -> None:
    exponents = torch.rand(20_000, generator=torch.Generator().manual_seed(0)).to(dtype)
    leaks = 10 ** (-8 * exponents.clamp(min=1e-4))  # from 1e-8 to nearly 1
    neuron = build_neuron(20_000, LIFHardSettings()).to(dtype)
    with torch.no_grad():
        neuron.leak.stored.copy_(leaks)
    node = to_nir(neuron).nodes["neuron"]
    assert node.tau.dtype == np.float64
    assert float(np.abs((1 - 1 / node.tau).astype(leaks.numpy().dtype) - leaks.numpy()).max()) <= error
    assert np.array_equal(node.r / node.tau, np.ones(20_000))


WITHOUT_NODE = [name for name in NEURONS if name not in {each.name for each in EXPORTABLE}]


def test_the_page_names_the_neurons_with_a_node_and_those_without() -> None:
    page = (ROOT / "docs" / "interchange.md").read_text()
    (without,) = re.findall(r"neurons without a node: (.*) and those of your own", page)
    assert re.findall(r"`(\w+)`", without) == WITHOUT_NODE
    table = page[: page.index("## The nodes of ours")]
    assert {each.name for each in EXPORTABLE} <= set(re.findall(r"`(\w+)`", table))


@pytest.mark.parametrize("name", WITHOUT_NODE)
def test_a_neuron_without_a_node_is_refused_with_those_that_have_one(name: str) -> None:
    with pytest.raises(ValueError, match=f"The neuron {name} has no node in NIR.* are refractory_lif, lif_soft, lif_"):
        to_nir(build_neuron(2, NEURONS[name][1](**({"length": 5} if name == "psn" else {}))))


def test_an_approximation_of_a_neuron_is_refused() -> None:
    with pytest.raises(ValueError, match="PMBC's paper mode is an approximation"):
        to_nir(build_neuron(2, RefractoryLIFSettings(max_iterations=3)))
