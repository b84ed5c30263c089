"""What was tuned before a sweep, and which variants were not: a table a task, and a tag on every row of a variant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.table import Heading, Row, Table
from spike_ssm.reports.render.text import ABSENT, count, listing, number
from spike_ssm.results.schema import Manifest
from spike_ssm.results.tuning.record import Choice, Tuning

UNTUNED, PARTLY = "untuned", "partly untuned"
_AT_EDGE = "\N{DOUBLE DAGGER}"


def tagged(looks: Mapping[str, Look], manifest: Manifest, tasks: Iterable[str]) -> dict[str, Look]:
    """The looks, tagged where the sweep was tuned, but a variant was not on all or some of the `tasks`."""
    tuning, tasks = manifest.tuning, list(tasks)
    if tuning is None:
        return dict(looks)
    found = {}
    for variant, look in looks.items():
        without = sum(tuning.choice(task, variant) is None for task in tasks)
        tag = {0: "", len(tasks): UNTUNED}.get(without, PARTLY)
        found[variant] = replace(look, tag=tag)
    return found


def tuning_table(manifest: Manifest, task: str, looks: Mapping[str, Look]) -> Table | None:
    """What was chosen for every variant on `task`; None where the sweep was not tuned."""
    tuning = manifest.tuning
    if tuning is None:
        return None
    perplexity = any(choice.measure == "perplexity" for choice in tuning.chosen.get(task, {}).values())
    score = Heading("perplexity" if perplexity else "accuracy, %", "Validation")
    headings = [Heading("finished", "Trials"), Heading("failed", "Trials"), score]
    headings += [Heading(axis, "Chosen") for axis in tuning.axes]
    rows = [Row(variant, _cells(tuning, task, variant), look) for variant, look in looks.items()]
    return Table("Tuning", "Variant", tuple(headings), tuple(rows), _notes(manifest, tuning, task))


def _cells(tuning: Tuning, task: str, variant: str) -> tuple[str, ...]:
    choice = tuning.chosen.get(task, {}).get(variant)
    if choice is None:
        return ("0", "0", *[ABSENT] * (1 + len(tuning.axes)))
    factor = 100 if choice.measure == "accuracy" else 1
    score = ABSENT if choice.score is None else number(choice.score * factor)
    return (str(choice.done), str(choice.failed), score, *(_value(choice, axis) for axis in tuning.axes))


def _value(choice: Choice, axis: str) -> str:
    if axis not in choice.values:
        return ABSENT
    return f"{choice.values[axis]}{f' {_AT_EDGE}' if axis in choice.edges else ''}"


def _notes(manifest: Manifest, tuning: Tuning, task: str) -> tuple[str, ...]:
    spread = "a scrambled Sobol sequence" if tuning.sampler == "qmc" else "uniformly random points"
    ranges = "; ".join(f"{axis} {_range(content)}" for axis, content in tuning.axes.items())
    seeds = f"{'seed' if len(tuning.seeds) == 1 else 'seeds'} {listing([str(seed) for seed in tuning.seeds])}"
    notes = [
        f"{count(tuning.budget, 'trial')} for every variant at the same points ({spread}), chosen by the validation "
        f"set alone, with {seeds}, which no run of the sweep has. Searched: {ranges}.",
        "The chosen trial's validation score is the best of several, so it is too good; compare test accuracies.",
    ]
    if any(choice.edges for choice in tuning.chosen.get(task, {}).values()):
        notes.append(f"{_AT_EDGE} At an end of the range: a wider one might do better.")
    if tuning.lacking:
        notes.append(f"{ABSENT} The variant has no such setting, or fixes it itself.")
    missing = [run.variant for run in manifest.runs if run.axes.get("task") == task]
    if left := [variant for variant in dict.fromkeys(missing) if tuning.choice(task, variant) is None]:
        notes.append(f"Untuned, with the sweep's own settings: {listing(left)}.")
    return tuple(notes)


def _range(content: Mapping[str, Any]) -> str:
    if "choices" in content:
        return f"one of {listing([str(choice) for choice in content['choices']])}"
    return f"{content['low']:g} to {content['high']:g}{', evenly in the logarithm' if content['log'] else ''}"
