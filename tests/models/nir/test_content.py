"""A file is refused that would have another one read, unfolds without end or claims sizes that it does not have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from spike_ssm.models.neurons import build_neuron
from spike_ssm.models.neurons.lif_hard import LIFHardSettings
from spike_ssm.models.nir import content, read_nir, to_nir, write_nir

Make = Callable[[h5py.Group, str], object]
"""Makes something in a group by a name."""


def write_with(path: Path, place: str, make: Make) -> None:
    """Write a graph in which `make` has made what is at `place`; beside it are two files that nobody may read."""
    write_nir(to_nir(build_neuron(2, LIFHardSettings())), path)
    (path.parent / "other").mkdir()
    (path.parent / "other" / "secret").write_bytes(bytes(range(64)))
    with h5py.File(path.parent / "other" / "graph.nir", "w") as other:
        other["tau"] = np.full(2, 3.0)
    with h5py.File(path, "r+") as file:
        above, _, name = place.rpartition("/")
        group = file[f"/{above}"]
        if name in group:
            del group[name]
        make(group, name)


def virtual(group: h5py.Group, name: str) -> None:
    layout = h5py.VirtualLayout((2,), "f8")
    layout[:] = h5py.VirtualSource("other/graph.nir", "tau", (2,))
    group.create_virtual_dataset(name, layout)


def unfolding(group: h5py.Group, name: str) -> None:
    """Groups that each have the next by two names: a hundred, and 2 ** 100 when they are followed."""
    for _ in range(100):
        below = group.create_group(name)
        group[f"{name} too"] = below
        group = below


def deep(group: h5py.Group, name: str) -> None:
    for _ in range(2000):
        group = group.create_group(name)


def sized(shape: tuple[int, ...], **words: Any) -> Make:
    """Makes a data set that takes no room in the file."""
    return lambda group, name: group.create_dataset(name, shape, "f8", **words)


def is_(value: Any) -> Make:
    return lambda group, name: group.__setitem__(name, value)


TAU, SHAPE = "node/nodes/neuron/tau", "node/nodes/input/shape"
SECRET = [("other/secret", 0, 16)]

HARMFUL: list[tuple[str, Make, str]] = [
    (TAU, sized((2,), external=SECRET), "numbers of /node/nodes/neuron/tau in another file"),
    (TAU, virtual, "numbers of /node/nodes/neuron/tau in another file"),
    (TAU, is_(h5py.ExternalLink("other/graph.nir", "tau")), "a link at /node/nodes/neuron/tau"),
    (TAU, is_(h5py.SoftLink("/node/nodes/input/shape")), "a link at /node/nodes/neuron/tau"),
    ("node", is_(h5py.ExternalLink("other/graph.nir", "tau")), "a link at /node"),
    (TAU, lambda group, name: is_(group.file["node/edges"])(group, name), "/node/edges by other names too"),
    ("node/nodes/neuron/again", lambda group, name: is_(group.file["node"])(group, name), "/node by other names too"),
    ("node/nodes/neuron/again", unfolding, "by other names too"),
    ("node/nodes/neuron/again", deep, "is not a file of NIR"),
    (TAU, is_(np.dtype("f8")), "a type at /node/nodes/neuron/tau; only groups and data sets"),
    (TAU, sized((2**41,), chunks=(1024,)), "more than 2 GiB in it at /node/nodes/neuron/tau"),
    ("node/edges", sized((2**41,), chunks=(1024,)), "more than 2 GiB in it at /node/edges"),
    (SHAPE, is_(np.array([np.inf])), "The node 'input' has the size .inf.; sizes are whole numbers above 0"),
    (SHAPE, is_(np.array([2.5])), "'input' has the size .2.5."),
    (SHAPE, is_(np.array([-2])), "'input' has the size .-2."),
    (SHAPE, is_(2), "'input' has the size 2;"),
    (SHAPE, is_("two"), "'input' has the size two"),
    (SHAPE, is_(h5py.Empty("f8")), "'input' has the size Empty"),
    ("node/type", is_(np.ones(3)), "is not a whole graph of NIR: it has no type in it"),
    ("node", is_(np.ones(3)), "is not a whole graph of NIR: it has no type in it"),
]


@pytest.mark.parametrize(
    ("place", "make", "why"), HARMFUL, ids=[f"{why[:30]} {n}" for n, (*_, why) in enumerate(HARMFUL)]
)
def test_a_file_that_may_be_harmful_is_refused(
    place: str, make: Make, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It claims sizes that it does not have, unfolds without end, or would have another file read."""
    monkeypatch.chdir(tmp_path)
    write_with(tmp_path / "file.nir", place, make)
    with pytest.raises(ValueError, match=f"file.nir cannot be run. .*{why}") as refused:
        read_nir("file.nir")
    assert "\n" not in str(refused.value)


def test_arrays_that_memory_has_no_room_for_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_with(tmp_path / "file.nir", TAU, sized((2**46,), chunks=(1024,)))
    monkeypatch.setattr(content, "LARGEST", 2**60)
    with pytest.raises(ValueError, match=r"file\.nir cannot be run\. It needs more memory than there is"):
        read_nir(tmp_path / "file.nir")
