"""The finished runs that a robustness sweep evaluates: found, or named with the command that trains them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from spike_ssm.harness.state.run_files import weights_path
from spike_ssm.harness.training.weights import read_weights
from spike_ssm.results.errors import UserError
from spike_ssm.results.store import read_outcome, run_path

NAMED = 3
"""So many runs at the most are named in a sentence; of the others it tells the number."""


NOT_OF_TRAINING = ("+sweep", "of", "robustness", "dry_run", "show", "wait", "retry", "collect")
"""Settings that are not also said to the sweep that trains."""


def trained_run(results: Path, run_id: str) -> Trained:
    """The run with its weights. Raises `UserError` when it is not there, has failed, or its weights cannot be used."""
    path = run_path(results, run_id)
    outcome = read_outcome(path) if path.exists() else None
    if outcome is None or outcome.status != "done" or outcome.test_accuracy is None:
        raise UserError(
            f"The trained run {run_id} is not in {results}: train it first, with these settings less robustness."
        )
    return Trained(run_id, read_weights(results, run_id), outcome.test_accuracy)


def require_trained(results: Path, labels: Mapping[str, str], command: str) -> None:
    """Raise `UserError` unless every run, `labels` by id, is finished and its weights can be used.

    command: trains the runs that have no result. Those that have one are not trained again while it is there.
    """
    outcomes = {run_id: read_outcome(run_path(results, run_id)) for run_id in labels if _has_result(results, run_id)}
    untrained = [run_id for run_id in labels if run_id not in outcomes]
    failed = [run_id for run_id, outcome in outcomes.items() if outcome.status != "done"]
    bare = [i for i, outcome in outcomes.items() if outcome.status == "done" and not weights_path(results, i).exists()]
    if untrained:
        raise UserError(
            f"{_named(untrained, labels)} must be trained first, into {results}, where there is no result: {command}"
        )
    if failed:
        raise UserError(
            f"{_named(failed, labels)} failed in training, so there is nothing to evaluate: {command} retry=true"
        )
    if bare:
        files = ", ".join(str(run_path(results, run_id)) for run_id in bare)
        raise UserError(
            f"{_named(bare, labels)} left no weights (results from before they were kept, or keep_weights=false): "
            f"remove {files}, then train again: {command}"
        )
    for run_id in labels:
        try:
            read_weights(results, run_id)
        except UserError as error:
            raise UserError(f"{labels[run_id]}: {str(error).rstrip('.')}: {command}") from error


def _has_result(results: Path, run_id: str) -> bool:
    return run_path(results, run_id).exists()


def _named(run_ids: list[str], labels: Mapping[str, str]) -> str:
    """`Run ID (task · variant · seed 0)`, or several and how many more."""
    shown = ", ".join(f"{run_id} ({labels[run_id]})" for run_id in run_ids[:NAMED])
    more = f" and {len(run_ids) - NAMED} more" if len(run_ids) > NAMED else ""
    return f"{'Run' if len(run_ids) == 1 else 'Runs'} {shown}{more}"


def training_command(program: str, words: Sequence[str]) -> str:
    """For a shell: `python -m` `program`, which trains what the same command with all of these words evaluates."""
    kept = [word for word in words if word.split("=")[0].split(".")[0] not in NOT_OF_TRAINING]
    return f"python -m {program} {shlex.join(kept)}".strip()


@dataclass(frozen=True)
class Trained:
    """A finished run: its tested weights and the accuracy that they had on the test set."""

    run_id: str
    weights: Mapping[str, Tensor]
    test_accuracy: float
