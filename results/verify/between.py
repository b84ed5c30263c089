"""What packs say of the same things: the outcome of a run, the test set of a task, the run that another evaluates."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spike_ssm.results.names import count
from spike_ssm.results.verify.identity import id_of
from spike_ssm.results.verify.numbers import percent
from spike_ssm.results.verify.outcome import digest, hashed
from spike_ssm.results.verify.plain import read_object


@dataclass(frozen=True)
class Known:
    """What other runs are compared with, of one run."""

    pack: str  # the file's name
    run: str  # its id
    outcome: str  # `results.verify.outcome.digest`
    trained: str | None  # the id of the run that it evaluates
    accuracy: float | None
    data: str  # settings of its task, and notes on its copy of the data
    baselines: tuple[float | None, ...]  # accuracies of the shortcut and of the commonest class
    labels: str  # a hash of those of its test set; empty where it has no predictions


@dataclass(frozen=True)
class Between:
    """What is wrong between the runs of two packs, or of one where both are the same."""

    one: str
    other: str  # the files' names
    sentence: str


Pair = tuple[Known, Known]


def known(pack: str, row: Mapping[str, Any]) -> Known:
    """What other runs are compared with, of a row that nothing is wrong with."""
    config = read_object(row["config"])
    without = {key: value for key, value in config.items() if key != "robustness"}
    baselines = (row["shortcut_accuracy"], row["majority_accuracy"])
    return Known(
        pack,
        row["id"],
        digest(row),
        id_of(json.dumps(without, sort_keys=True)) if "robustness" in config else None,
        row["test_accuracy"],
        json.dumps([config["task"], row["data_notes"] or []], sort_keys=True),
        tuple(None if each is None else round(each, 6) for each in baselines),
        hashed([each["label"] for each in row["predictions"]]) if row["predictions"] else "",
    )


def disagreements(runs: Iterable[Known]) -> Iterator[Between]:
    """What these runs, none of them wrong by itself, say differently of the same things; once for each two packs."""
    runs = list(runs)
    for one, other, pairs in _by_packs(_contradicting(runs, lambda run: run.run, lambda run: run.outcome)):
        first = " and ".join(percent(run.accuracy) for run in pairs[0] if run.accuracy is not None)
        said = f"{one} and {other} have different outcomes of {count(len(pairs), 'run')}, the first {pairs[0][0].run}"
        why = "other processors round otherwise, or one was changed; python -m harness.repeat tells how far they are"
        yield Between(one, other, f"{said} ({first or 'without accuracy'}): {why}.")
    tested = [run for run in runs if run.labels or any(each is not None for each in run.baselines)]
    test_sets = _contradicting(
        tested, lambda run: (run.data, bool(run.labels)), lambda run: (run.labels, run.baselines)
    )
    for one, other, pairs in _by_packs(test_sets):
        where = f"{other} has runs" if one == other else f"{one} and {other} have runs"
        named = f"{len(pairs)} of them, the first {pairs[0][1].run} beside {pairs[0][0].run}"
        yield Between(one, other, f"{where} with the same task and other test sets, {named}.")
    for one, other, pairs in _by_packs(_wrongly_evaluated(runs)):
        said = f"the accuracy of {count(len(pairs), 'evaluation')} is not that of the runs in {one} that they are of"
        yield Between(one, other, f"{other}: {said}, the first {pairs[0][1].run} of {pairs[0][0].run}.")


def _contradicting(
    runs: Iterable[Known], of: Callable[[Known], Hashable], says: Callable[[Known], Hashable]
) -> Iterator[Pair]:
    """Each run after the first one of every other thing that was said of the same."""
    firsts: dict[Hashable, dict[Hashable, Known]] = {}
    for run in runs:
        earlier = firsts.setdefault(of(run), {})
        earlier.setdefault(says(run), run)
        yield from ((first, run) for said, first in earlier.items() if said != says(run))


def _wrongly_evaluated(runs: Iterable[Known]) -> Iterator[Pair]:
    """Each evaluation whose accuracy, without a corruption, no run has that it is of; those of its own pack first."""
    trained: dict[str, list[Known]] = {}
    for run in runs:
        trained.setdefault(run.run, []).append(run)
    for run in runs:
        all_of_it = trained.get(run.trained or "", []) if run.accuracy is not None else []
        of_it = [each for each in all_of_it if each.pack == run.pack] or all_of_it
        if of_it and all(each.accuracy != run.accuracy for each in of_it):
            yield of_it[0], run


def _by_packs(pairs: Iterable[Pair]) -> Iterator[tuple[str, str, list[Pair]]]:
    """The pairs of runs of each two packs."""
    found: dict[tuple[str, str], list[Pair]] = {}
    for one, other in pairs:
        found.setdefault((one.pack, other.pack), []).append((one, other))
    yield from ((one, other, them) for (one, other), them in found.items())
