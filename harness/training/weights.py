"""The tested weights of finished runs, kept so that trained networks can be looked at again without training."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from spike_ssm.harness.state.run_files import RunFiles
from spike_ssm.harness.training.checkpoint import DamageError, State, code_fingerprint, read_state, write_state
from spike_ssm.results.errors import UserError
from spike_ssm.results.files import Guard, unguarded

FORMAT = 1
"""Counts up when the content of a file changes its meaning."""

_log = logging.getLogger(__name__)


def keep_weights(results: Path, run_id: str, weights: Mapping[str, Tensor], guard: Guard = unguarded) -> None:
    """Write the weights, a network's `state_dict`, with run and code version in the metadata, and a checksum.

    Where they cannot be written (a full disk, say) that is logged: the run's numbers are worth more than its weights.
    The guard raises `LostLease` where the run has become another's.
    """
    path = RunFiles(results, run_id).weights
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        owner = {"format": FORMAT, "run": run_id, "code": code_fingerprint()}
        write_state(path, owner, State(dict(weights), {}), guard)
    except OSError as error:
        _log.warning("The weights of run %s cannot be kept in %s (%s).", run_id, path, error.strerror or error)


def read_weights(results: Path, run_id: str) -> dict[str, Tensor]:
    """The weights of a run. Raises `UserError` when they are damaged, or of another run or code version."""
    path = RunFiles(results, run_id).weights
    try:
        owner, state = read_state(path)
    except DamageError as error:
        raise UserError(f"The weights {path} are damaged or missing ({error}): {_again(results, run_id)}.") from error
    if (owner.get("format"), owner.get("run")) != (FORMAT, run_id):
        raise UserError(f"The weights {path} are not those of run {run_id}: {_again(results, run_id)}.")
    if owner.get("code") != code_fingerprint():
        raise UserError(
            f"The weights {path} were trained by code {owner.get('code')}, but this is {code_fingerprint()}, whose "
            f"networks may differ: go back to that code, or {_again(results, run_id)}."
        )
    return state.tensors


def _again(results: Path, run_id: str) -> str:
    return f"remove {RunFiles(results, run_id).result} and train the run again"
