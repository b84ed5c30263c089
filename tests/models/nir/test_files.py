"""Files of NIR that cannot be run are refused in a sentence, and none is left half written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
import torch

from spike_ssm.models.neurons import build_neuron
from spike_ssm.models.neurons.lif_hard import LIFHardSettings
from spike_ssm.models.neurons.refractory_lif import RefractoryLIFSettings
from spike_ssm.models.nir import NIRNetwork, files, read_nir, to_nir, write_nir
from spike_ssm.models.nir.nodes import (
    SpikeSSMGELU,
    SpikeSSMGLU,
    SpikeSSMLayerNorm,
    SpikeSSMPooling,
    SpikeSSMRefractoryLIF,
    SpikeSSMS4D,
)


def ends(size: int = 2, out: int | None = None) -> dict[str, nir.NIRNode]:
    return {"in": nir.Input(np.array([size])), "out": nir.Output(np.array([size if out is None else out]))}


def chain(*nodes: nir.NIRNode, size: int = 2, out: int | None = None) -> nir.NIRGraph:
    """The nodes n0, n1, ... one after the other, whether they fit or not."""
    inner = {f"n{number}": node for number, node in enumerate(nodes)}
    names = ["in", *inner, "out"]
    return nir.NIRGraph({**ends(size, out), **inner}, list(pairwise(names)), type_check=False)


def matrix(rows: int, columns: int) -> nir.Linear:
    return nir.Linear(np.arange(rows * columns, dtype=np.float32).reshape(rows, columns))


def lif(**changes: float) -> nir.LIF:
    numbers = {"tau": 2.0, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0} | changes
    return nir.LIF(**{name: np.full(2, value) for name, value in numbers.items()})


def refractory(**changes: Any) -> SpikeSSMRefractoryLIF:
    numbers = {"leak": 0.5, "threshold": 1.0, "refractory": 0.5, "decay": 0.5}
    arrays = {name: np.full(2, changes.pop(name, value)) for name, value in numbers.items()}
    return SpikeSSMRefractoryLIF(**arrays, **{"reset": "soft", "raises_threshold": False, **changes})


def s4d(states: tuple[int, ...], weights: tuple[int, ...]) -> SpikeSSMS4D:
    return SpikeSSMS4D(-np.ones(states), np.ones(weights), np.ones(2))


def with_edges(*edges: tuple[str, str], **nodes: nir.NIRNode) -> nir.NIRGraph:
    return nir.NIRGraph({**ends(), **nodes}, list(edges), type_check=False)


def norm(**changes: Any) -> SpikeSSMLayerNorm:
    return SpikeSSMLayerNorm(**{"weight": np.ones(2), "bias": np.zeros(2), "eps": 1e-5, **changes})


def linear(*values: float, dtype: type = np.float64) -> nir.Linear:
    return nir.Linear(np.diag(np.array(values, dtype)))


MEAN = SpikeSSMPooling(np.array([2]), "mean")
NAN, INF = np.nan, np.inf

REFUSED: list[tuple[nir.NIRGraph, str]] = [
    (chain(nir.IF(np.ones(2), np.ones(2))), "'n0' is a IF; those that can be run are Input, Output, Affine.*SpikeSSMS"),
    (chain(chain(matrix(2, 2))), "'n0' is a NIRGraph; those that can be run"),
    (
        with_edges(("in", "a"), ("a", "b"), ("b", "a"), ("b", "out"), a=matrix(2, 2), b=matrix(2, 2)),
        "recurrent, which cannot be run: (a -> b -> a|b -> a -> b)",
    ),
    (with_edges(("in", "out"), other=nir.Input(np.array([2]))), "must have one Input, but it has in, other"),
    (with_edges(("in", "out"), other=nir.Output(np.array([2]))), "must have one Output, but it has other, out"),
    (with_edges(("in", "out"), ("in", "gone")), "has an end 'gone', which is no node"),
    (with_edges(("in", "out"), ("in", "out")), "The edge 'in' -> 'out' is there twice"),
    (with_edges(("in", "a"), ("a", "a"), ("a", "out"), a=matrix(2, 2)), "recurrent, which cannot be run: a -> a"),
    (with_edges(("in", "out"), a=matrix(2, 2)), "'a' is given nothing"),
    (with_edges(), "'out' is given nothing"),
    (chain(matrix(3, 2), matrix(2, 2)), "'n0' -> 'n1' does not fit: 'n0' gives .3. and 'n1' takes .2."),
    (chain(SpikeSSMGLU(np.array([2]))), "'in' -> 'n0' does not fit: 'in' gives .2. and 'n0' takes .4."),
    (chain(nir.Linear(np.ones((2, 2, 2), np.float32))), "does not fit"),
    (chain(nir.Affine(np.ones((2, 2)), np.ones(3))), "bias must be numbers of the shape .2., not float64 .3."),
    (chain(nir.Linear(np.ones((2, 2), np.complex64))), "weight must be numbers of the shape .*not complex64"),
    (chain(s4d((2, 4), (2, 3))), r"weights must be numbers of the shape \[2, 4\], not float64 \[2, 3\]"),
    (chain(s4d((3, 4, 2), (3, 4, 2))), r"dt_a must be numbers of the shape \[2, any, 2\]"),
    (chain(s4d((2, 4, 3), (2, 4, 3))), r"dt_a must be numbers of the shape \[2, any, 2\]"),
    (chain(lif(tau=0.5)), "'n0', a LIF, cannot be run: tau must be above the time step"),
    (chain(lif(v_reset=-1.0)), "v_leak and v_reset must be 0"),
    (chain(lif(v_threshold=-1.0)), "threshold must be > 0"),
    (chain(refractory(leak=1.5)), "leak must be in"),
    (chain(refractory(reset="sideways")), "reset 'sideways' does not exist"),
    (chain(SpikeSSMPooling(np.array([2]), "median")), "over must be mean or last, but it is 'median'"),
    (chain(linear(1, NAN)), "'n0', a Linear, cannot be run: weight must be finite, but nan is among its numbers"),
    (chain(nir.Affine(np.eye(2), np.array([0, -INF]))), "bias must be finite, but -inf is among"),
    (chain(lif(r=INF)), "'n0', a LIF, cannot be run: r must be finite"),
    (chain(lif(tau=INF)), "tau must be finite"),
    (chain(nir.Threshold(np.array([1, NAN]))), "threshold must be finite"),
    (chain(refractory(refractory=INF)), "refractory must be finite"),
    (chain(refractory(raises_threshold="no")), "raises_threshold must be true or false, but it is 'no'"),
    (chain(SpikeSSMS4D(np.full((2, 4), NAN), np.ones((2, 4)), np.ones(2))), "dt_a must be finite"),
    (chain(norm(eps=-5.0)), "'n0', a SpikeSSMLayerNorm, cannot be run: eps must be > 0, but it is -5.0"),
    (chain(norm(eps=NAN)), "eps must be finite"),
    (chain(norm(eps=np.ones(2))), "eps must be numbers of the shape"),
    (chain(linear(1e300, 1), linear(1, 1, dtype=np.float32)), "'n0' has numbers .weight. that are too large for .*32"),
    (chain(MEAN, refractory()), "'n1' goes through time, but its input is one value for a sequence"),
    (with_edges(("in", "a"), ("in", "out"), ("a", "out"), a=MEAN), "'out' adds values of steps to values of whole"),
]


@pytest.mark.parametrize(("graph", "why"), REFUSED, ids=[why[:30] for _, why in REFUSED])
def test_a_graph_that_cannot_be_run_is_refused(graph: nir.NIRGraph, why: str, tmp_path: Path) -> None:
    nir.write(tmp_path / "graph.nir", graph)
    with pytest.raises(ValueError, match=f"graph.nir cannot be run. .*{why}") as refused:
        read_nir(tmp_path / "graph.nir")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("dt", [1e-3, 2, "one"])
def test_another_time_step_is_refused(dt: Any) -> None:
    graph = to_nir(build_neuron(2, LIFHardSettings()))
    graph.metadata["dt"] = dt
    with pytest.raises(ValueError, match=f"time steps of dt={dt}, but only those of 1"):
        NIRNetwork(graph)


def test_a_graph_of_others_without_a_word_on_time_counts_in_steps() -> None:
    network = NIRNetwork(chain(lif(tau=4.0, r=2.0, v_threshold=0.75)))
    potentials = torch.tensor([0.5, 0.875])  # of an input of 1 a step: a gain of 1/2 and a leak of 3/4
    assert torch.equal(network(torch.ones(1, 2, 2, dtype=torch.float64))[0, :, 0], (potentials > 0.75).double())


@pytest.mark.parametrize("size", [np.array([INF]), np.array([2.5]), np.array([2, 2]), np.array(2)])
def test_nodes_of_ours_have_one_size(size: Any) -> None:
    for node in (SpikeSSMGELU, SpikeSSMGLU, partial(SpikeSSMPooling, over="mean")):
        with pytest.raises(ValueError, match="shape must be one whole number, but it is"):
            node(size)


def not_hdf5(path: Path) -> None:
    path.write_bytes(b"cos\nsystem\n(S'touch executed'\ntR.")


def of_something_else(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["data"] = np.ones(3)


def a_node_alone(path: Path) -> None:
    nir.write(path, lif())


def a_node_without_its_numbers(path: Path) -> None:
    nir.write(path, chain(lif()))
    with h5py.File(path, "r+") as file:
        del file["node/nodes/n0/tau"]


def cut_short(path: Path) -> None:
    nir.write(path, chain(lif()))
    path.write_bytes(path.read_bytes()[:700])


@pytest.mark.parametrize(
    ("spoilt", "why"),
    [
        (not_hdf5, "is not a file of NIR, which is HDF5"),
        (of_something_else, "is not a file of NIR"),
        (cut_short, "is not a file of NIR"),
        (a_node_alone, "is not a whole graph of NIR: it has LIF in it"),
        (a_node_without_its_numbers, "The node 'n0' is no whole LIF: .*tau"),
    ],
)
def test_a_file_that_is_none_of_nirs_is_refused(spoilt: Callable[[Path], None], why: str, tmp_path: Path) -> None:
    spoilt(tmp_path / "file.nir")
    with pytest.raises(ValueError, match=f"file.nir .*{why}"):
        read_nir(tmp_path / "file.nir")
    assert [path.name for path in tmp_path.iterdir()] == ["file.nir"]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.nir"):
        read_nir(tmp_path / "gone.nir")


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        (torch.zeros(1, 4, 3), r"The graph takes numbers \[B, L, 2\], not \[1, 4, 3\]"),
        (torch.zeros(1, 4), r"The graph takes numbers \[B, L, 2\], not \[1, 4\]"),
        (torch.tensor([[0, 2]]), "takes tokens .* from 0 to 1"),
        (torch.tensor([0, 1]), "takes tokens"),
    ],
)
def test_other_inputs_are_refused(inputs: torch.Tensor, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        NIRNetwork(chain(matrix(2, 2)))(inputs)


def test_tokens_are_refused_where_the_input_goes_to_no_matrix() -> None:
    with pytest.raises(ValueError, match="takes numbers, not tokens"):
        NIRNetwork(chain(refractory()))(torch.tensor([[0, 1]]))


def test_the_names_of_others_may_have_any_letters() -> None:
    weight = np.array([[1.0, 2.0], [3.0, 4.0]])
    names = {"a.b": nir.Linear(weight), "keys": nir.Linear(weight)}
    network = NIRNetwork(with_edges(("in", "a.b"), ("a.b", "keys"), ("keys", "out"), **names))
    assert network(torch.tensor([[[1.0, 0.0]]], dtype=torch.float64)).tolist() == [[[7.0, 15.0]]]


def test_a_file_is_replaced_whole_or_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "neuron.nir"
    write_nir(to_nir(build_neuron(2, LIFHardSettings())), path)
    before = path.read_bytes()

    def half_written(name: Path, _graph: nir.NIRGraph) -> None:
        name.write_bytes(b"half")
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files, "write", half_written)
        with pytest.raises(OSError, match="No space left"):
            write_nir(to_nir(build_neuron(2, RefractoryLIFSettings())), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    write_nir(to_nir(build_neuron(2, RefractoryLIFSettings())), path)
    assert path.read_bytes() != before


def test_without_the_package_a_sentence_says_how_to_install_it(tmp_path: Path) -> None:
    code = "import sys\nsys.modules['nir'] = None\nimport spike_ssm.models.network\nimport spike_ssm.models.nir\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: NIR needs the package nir, which is not installed. "
        "Install it with pip install 'spike-ssm[nir]'."
    )
