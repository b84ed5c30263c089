"""Files of NIR: HDF5, written whole or not at all, and read without running anything that is in them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import nir
from nir.serialization import hdf2dict, write

from spike_ssm.models.nir.network import NIRNetwork
from spike_ssm.models.nir.nodes import NODES


def write_nir(graph: nir.NIRGraph, path: str | Path) -> None:
    """Write `graph` to the file `path`, instead of what is there; a reader sees the old file or the new one.

    Raises `OSError`.
    """
    path = Path(path)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}~") as folder:
        temporary = Path(folder) / path.name
        write(temporary, graph)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)


def read_nir(path: str | Path) -> NIRNetwork:
    """The graph in the file `path` as a module, in evaluation mode.

    Raises `OSError` where the file cannot be opened, and ValueError for one that is not of NIR or cannot be run, as
    `NIRNetwork` does.
    """
    path = Path(path)
    with path.open("rb") as file:
        try:
            with h5py.File(file, "r") as content:
                fields = hdf2dict(content["node"])
        except (OSError, KeyError, ValueError, AttributeError, RecursionError, RuntimeError) as error:
            raise ValueError(f"{path} is not a file of NIR, which is HDF5 with a graph in it.") from error
    kind = str(fields.get("type", "no type"))
    if kind != "NIRGraph" or not isinstance(fields.get("nodes"), dict) or "edges" not in fields:
        raise ValueError(f"{path} is not a whole graph of NIR: it has {kind} in it.")
    try:
        return NIRNetwork(_graph(fields)).eval()
    except ValueError as error:
        raise ValueError(f"{path} cannot be run. {error}") from error


def _graph(fields: Mapping[str, Any]) -> nir.NIRGraph:
    nodes = {name: _node(name, each) for name, each in fields["nodes"].items()}
    try:
        edges = [(source.decode(), name.decode()) for source, name in fields["edges"]]
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError("Its edges are not pairs of names.") from error
    metadata = fields.get("metadata", {})
    return nir.NIRGraph(nodes, edges, metadata if isinstance(metadata, dict) else {}, type_check=False)


def _node(name: str, fields: Any) -> nir.NIRNode:
    """The node `name`. Raises ValueError for an unknown type, and for fields that are not those of its type."""
    kind = fields.get("type") if isinstance(fields, dict) else None
    if not isinstance(kind, str) or kind not in NODES:
        raise ValueError(f"The node {name!r} is a {kind}; those that can be run are {', '.join(NODES)}.")
    try:
        return NODES[kind].from_dict(fields)
    except (AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"The node {name!r} is no whole {kind}: {error!r}.") from error
