"""The sweep that a command is about, also where nobody names it."""

from __future__ import annotations

from pathlib import Path

from spike_ssm.results.errors import UserError
from spike_ssm.results.schema import Manifest
from spike_ssm.results.store import read_manifest, read_manifests


def named_or_only(results: Path, name: str | None) -> Manifest:
    """The sweep of this name, or without one the only sweep that was run, which is then said.

    Raises `UserError`, with the names of all where there are several.
    """
    if name is not None:
        return read_manifest(results, name)
    manifests, errors = read_manifests(results)
    if errors:
        raise errors[0]
    if not manifests:
        raise UserError(f"No sweep has been run in {results}. Run python -m harness.sweep +sweep=NAME first.")
    if len(manifests) > 1:
        names = ", ".join(manifest.name for manifest in manifests)
        raise UserError(f"Name one of the sweeps in {results}: {names}. python -m harness.status shows how they stand.")
    print(f"The only sweep in {results} is {manifests[0].name}.")
    return manifests[0]
