"""The finished runs that a robustness sweep evaluates: found, or named with the command that trains them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from spike_ssm.harness.state.run_files import RunFiles
from spike_ssm.harness.training.weights import read_weights
from spike_ssm.results.errors import UserError
from spike_ssm.results.files import may_exist
from spike_ssm.results.reading import read_outcome, read_run

BEFORE_SCANS = "fft_or_product"
"""How the SSM was computed in runs that do not say it."""

NAMED = 3
"""Runs that are named in a sentence, at most; of the others it tells the number."""


@dataclass(frozen=True)
class Trained:
    """A finished run: its tested weights, the accuracy that they had on the test set, and how its SSM was computed."""

    run_id: str
    weights: Mapping[str, Tensor]
    test_accuracy: float
    convolution: str  # see `models.ssm.choice.WAYS`


def trained_run(results: Path, run_id: str) -> Trained:
    """The run with its weights. Raises `UserError` when it is not there, has failed, or its weights cannot be used."""
    path = RunFiles(results, run_id).result
    outcome = read_outcome(path) if may_exist(path) else None
    if outcome is None or outcome.status != "done" or outcome.test_accuracy is None:
        raise UserError(
            f"The trained run {run_id} is not in {results}: train it first, with these settings less robustness."
        )
    way = read_run(path, ["convolution"]).get("convolution") or BEFORE_SCANS
    return Trained(run_id, read_weights(results, run_id), outcome.test_accuracy, way)


def require_trained(results: Path, labels: Mapping[str, str], command: str) -> None:
    """Raise `UserError` unless every run, `labels` by id, is finished and its weights can be used.

    command: trains the runs that have no result. Those that have one are not trained again while it is there.
    """
    files = {run_id: RunFiles(results, run_id) for run_id in labels}
    outcomes = {run_id: read_outcome(each.result) for run_id, each in files.items() if may_exist(each.result)}
    untrained = [run_id for run_id in labels if run_id not in outcomes]
    failed = [run_id for run_id, outcome in outcomes.items() if outcome.status != "done"]
    bare = [i for i, each in outcomes.items() if each.status == "done" and not files[i].weights.exists()]
    if untrained:
        raise UserError(
            f"{_named(untrained, labels)} must be trained first, into {results}, where there is no result: {command}"
        )
    if failed:
        raise UserError(
            f"{_named(failed, labels)} failed in training, so there is nothing to evaluate: {command} retry=true"
        )
    if bare:
        results_of = ", ".join(str(files[run_id].result) for run_id in bare)
        raise UserError(
            f"{_named(bare, labels)} left no weights (results from before they were kept, or keep_weights=false): "
            f"remove {results_of}, then train again: {command}"
        )
    for run_id in labels:
        try:
            read_weights(results, run_id)
        except UserError as error:
            raise UserError(f"{labels[run_id]}: {str(error).rstrip('.')}: {command}") from error


def _named(run_ids: list[str], labels: Mapping[str, str]) -> str:
    """`Run ID (task · variant · seed 0)`, or several and how many more."""
    shown = ", ".join(f"{run_id} ({labels[run_id]})" for run_id in run_ids[:NAMED])
    more = f" and {len(run_ids) - NAMED} more" if len(run_ids) > NAMED else ""
    return f"{'Run' if len(run_ids) == 1 else 'Runs'} {shown}{more}"
