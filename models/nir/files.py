"""Files of NIR: HDF5, written whole or not at all, and read without running anything that is in them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nir
from nir.serialization import write

from spike_ssm.models.nir.content import content
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

    Only what is in the file itself is read. Raises `OSError` where the file cannot be opened, and ValueError for one
    that is not of NIR or cannot be run, as `NIRNetwork` does.
    """
    path = Path(path)
    try:
        return NIRNetwork(_graph(_whole(content(path, "node")))).eval()
    except MemoryError as error:
        raise ValueError(f"{path} cannot be run. It needs more memory than there is.") from error
    except ValueError as error:
        raise ValueError(f"{path} cannot be run. {error}") from error


def _whole(fields: Any) -> Mapping[str, Any]:
    """The fields, where they are a graph's. Raises ValueError."""
    kind = fields.get("type") if isinstance(fields, dict) else None
    kind = kind if isinstance(kind, str) else "no type"
    if kind != "NIRGraph" or not isinstance(fields.get("nodes"), dict) or "edges" not in fields:
        raise ValueError(f"It is not a whole graph of NIR: it has {kind} in it.")
    return fields  # type: ignore[no-any-return]


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
    except (AssertionError, AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"The node {name!r} is no whole {kind}: {error!r}.") from error
