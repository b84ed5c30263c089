"""The work of harness.export: a finished run's network, written as a graph of NIR."""

from __future__ import annotations

import json
from pathlib import Path

from spike_ssm.harness.training.loaded import LoadedRun, load_run
from spike_ssm.results.errors import UserError


def run(name: str, path: Path, results: Path) -> int:
    """The exit status. Writes the run's network to `path`; raises `UserError` where that cannot be."""
    try:
        from spike_ssm.models.nir import to_nir, write_nir
    except ModuleNotFoundError as error:
        raise UserError(str(error)) from error
    loaded = load_run(name, results)
    try:
        graph = to_nir(loaded.network)
    except ValueError as error:
        raise UserError(f"The run {name} cannot be exported. {error}") from error
    graph.metadata |= _told_of(loaded)
    try:
        write_nir(graph, path)
    except OSError as error:
        raise UserError(f"The file {path} cannot be written: {error.strerror or error}.") from error
    print(f"{path}: {len(graph.nodes)} nodes of run {loaded.run_id}.")
    return 0


def _told_of(loaded: LoadedRun) -> dict[str, str]:
    """What the graph's metadata say of the run: its id, its task and, in JSON, what tokens and classes stand for."""
    names = {"symbols": loaded.facts.symbols, "labels": loaded.facts.labels}
    told = {"run": loaded.run_id, "task": loaded.settings.task.name}
    return told | {what: json.dumps(each) for what, each in names.items() if each is not None}
