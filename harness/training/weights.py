"""The tested weights of finished runs, kept so that trained networks can be looked at again without training."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import Tensor

from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.data.facts import Facts
from spike_ssm.harness.state.run_files import RunFiles
from spike_ssm.harness.training.checkpoint import DamageError, State, code_fingerprint, read_state, write_state
from spike_ssm.results.errors import UserError
from spike_ssm.results.files import Guard, unguarded

FORMAT = 1
"""Counts up when the content of a file changes its meaning."""

OF_THE_MACHINE = ("launcher", "paths", "device", "tracker", "keep_weights")
"""Settings that say nothing of the network."""

_log = logging.getLogger(__name__)


def description(settings: Settings, facts: Facts) -> dict[str, Any]:
    """What builds the network of a run again and encodes its inputs, as JSON values; nothing of the machine."""
    plain = {name: each for name, each in asdict(settings).items() if name not in OF_THE_MACHINE}
    for field in fields(settings.task):
        if "same_numbers" in field.metadata:  # where a file of the user's lies, say
            del plain["task"][field.name]
    return {"settings": plain, "facts": {**asdict(facts), "notes": []}}


def keep_weights(
    results: Path,
    run_id: str,
    weights: Mapping[str, Tensor],
    network: Mapping[str, Any] = MappingProxyType({}),
    guard: Guard = unguarded,
) -> None:
    """Write the weights, a `state_dict`, with run, code version and the `network` in the metadata, and a checksum.

    network: as JSON values, what it takes to build it again, see `description`.
    Where they cannot be written (a full disk, say) that is logged: the run's numbers are worth more than its weights.
    The guard raises `LostLease` where the run has become another's.
    """
    path = RunFiles(results, run_id).weights
    try:
        owner = {"format": FORMAT, "run": run_id, "code": code_fingerprint()}
        write_state(path, owner, State(dict(weights), dict(network)), guard)
    except OSError as error:
        _log.warning("The weights of run %s cannot be kept in %s (%s).", run_id, path, error.strerror or error)


def read_kept(results: Path, run_id: str) -> tuple[State, str]:
    """The weights of a run, with the `network` that they are of, and the code version that trained them.

    Raises `UserError` when they are damaged, or of another run.
    """
    path = RunFiles(results, run_id).weights
    try:
        owner, state = read_state(path)
    except DamageError as error:
        raise UserError(f"The weights {path} are damaged or missing ({error}): {_again(results, run_id)}.") from error
    if (owner.get("format"), owner.get("run")) != (FORMAT, run_id):
        raise UserError(f"The weights {path} are not those of run {run_id}: {_again(results, run_id)}.")
    return state, str(owner.get("code"))


def read_weights(results: Path, run_id: str) -> dict[str, Tensor]:
    """The weights of a run. Raises `UserError` when they are damaged, or of another run or code version."""
    state, code = read_kept(results, run_id)
    path = RunFiles(results, run_id).weights
    if code != code_fingerprint():
        raise UserError(
            f"The weights {path} were trained by code {code}, but this is {code_fingerprint()}, whose "
            f"networks may differ: go back to that code, or {_again(results, run_id)}."
        )
    return state.tensors


def _again(results: Path, run_id: str) -> str:
    return f"remove {RunFiles(results, run_id).result} and train the run again"
