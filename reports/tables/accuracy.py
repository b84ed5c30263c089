"""Tables: one plain structure for every table of the page, and the numbers and text of the main table."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from spike_ssm.reports.loading.sweep import json_object
from spike_ssm.reports.loading.times import SHARED
from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.table import BEST, NEAR_BEST, Heading, Row, Table
from spike_ssm.reports.render.text import ABSENT, digits_for, estimate, number
from spike_ssm.reports.statistics import pareto
from spike_ssm.reports.statistics.baseline import Comparisons
from spike_ssm.reports.statistics.seeds import VERDICT_SEEDS, t_interval
from spike_ssm.reports.tables.brief import brief_table
from spike_ssm.reports.tables.columns import stated
from spike_ssm.reports.tables.groups import where_shortcut_is_wrong
from spike_ssm.reports.tables.learned import COLUMNS, NOTE, PARAMETERS, learned
from spike_ssm.reports.tables.standings import standings


@dataclass(frozen=True)
class Measure:
    """A column of the main table that is a mean over seeds."""

    column: str  # of the runs
    name: str  # in the CSV, with its unit
    heading: Heading
    factor: float = 1.0  # from the stored unit to the shown one
    digits: int | None = None  # None: three significant digits of the largest value
    timing: bool = False  # of variants alone on a machine, see `reports.loading.times`; shown only where there is one
    always: bool = True  # False: shown only where a variant has more than 0


_SEEN = ("threshold", "refractory")  # what is asked for first of all that is learned

MEASURES = (
    Measure(
        "where_wrong",
        "accuracy_where_shortcut_wrong_percent",
        Heading("%", "Where the shortcut is wrong", rest=True),
        100,
        always=False,
    ),
    Measure("test_perplexity", "test_perplexity", Heading("perplexity", "Language"), digits=1, always=False),
    Measure("firing_rate", "firing_rate_percent", Heading("rate, %", "Firing"), 100, 2),
    Measure("silent", "silent_channels_percent", Heading("silent, %", "Firing", rest=True), 100, 1),
    Measure("saturated", "saturated_channels_percent", Heading("saturated, %", "Firing", rest=True), 100, 1),
    Measure(
        "undetermined", "undetermined_percent", Heading("undetermined, %", "PMBC", rest=True), 100, 3, always=False
    ),
    Measure(
        "train_tokens_per_s", "train_tokens_per_s", Heading("tokens/s", "Training", rest=True), digits=0, timing=True
    ),
    Measure("train_ms_per_step", "train_ms_per_step", Heading("ms/step", "Training", rest=True), timing=True),
    Measure(
        "test_tokens_per_s",
        "inference_tokens_per_s",
        Heading("tokens/s", "Inference", rest=True),
        digits=0,
        timing=True,
    ),
    Measure("peak_memory_mib", "peak_memory_mib", Heading("peak MiB", "Training", rest=True), digits=0),
    Measure("energy_nj_per_token", "energy_nj_per_token", Heading("nJ/token", "Energy", rest=True)),
    Measure("energy_ratio", "energy_over_dense", Heading("÷ dense", "Energy"), digits=3),
    Measure("parameters", "parameters", Heading("parameters", "Size", rest=True), digits=0),
    *(
        Measure(
            f"{name}_{when}",
            f"{name}_{when}",
            Heading(when, called, rest=name not in _SEEN or when == "before"),
            digits=3,
            always=False,
        )
        for name, called in PARAMETERS.items()
        for when in ("before", "after")
    ),
)


def energy_ratio(runs: pd.DataFrame) -> pd.Series[float]:
    """Energy of a token over that of the dense equivalent network; below 1 is a saving."""
    return runs["energy_nj_per_token"] / runs["dense_energy_nj_per_token"]


def measurements(
    task: str, runs: pd.DataFrame, comparisons: Comparisons, notes: Mapping[str, str], controls: Collection[str] = ()
) -> pd.DataFrame:
    """The main table in numbers, one row a variant; units are in the columns' names.

    Variants are ranked among those with the same data: longer sequences are another task.
    """
    alike = [group for _, group in runs.groupby(data_of(runs), sort=False)]
    against = comparisons.baseline, comparisons.accuracy
    marks = {variant: mark for group in alike for variant, mark in standings(group, *against, controls).items()}
    places = {variant: place for group in alike for variant, place in pareto.places(group).items()}
    rows = []
    runs = runs.assign(energy_ratio=energy_ratio(runs), where_wrong=where_shortcut_is_wrong(runs)).join(learned(runs))
    for variant, group in runs.groupby("variant", sort=False):
        name = str(variant)
        accuracy = t_interval(group["test_accuracy"])
        test = comparisons.accuracy.get(name)
        difference = test.difference if test else t_interval([])
        row: dict[str, str | float] = {
            "task": task,
            "variant": name,
            "note": notes.get(name, ""),
            "mark": marks.get(name, ""),
            "pareto": places.get(name, ""),
            "seeds": accuracy.n,
            "accuracy_percent": accuracy.mean * 100,
            "accuracy_half_interval_percent": accuracy.half * 100,
            "accuracy_lowest_percent": accuracy.least * 100,
            "accuracy_highest_percent": accuracy.most * 100,
            "difference_points": difference.mean * 100,
            "difference_half_interval_points": difference.half * 100,
            "difference_lowest_points": difference.least * 100,
            "difference_highest_points": difference.most * 100,
            "difference_seeds": difference.n,
            "p": test.p if test else math.nan,
            "p_holm": test.adjusted_p if test else math.nan,
            "tested_weights": ", ".join(sorted(set(group["tested_weights"].dropna()))),
            "best_weights_percent": group["best_test_accuracy"].mean() * 100,
            "last_weights_percent": group["last_test_accuracy"].mean() * 100,
            "shortcut_percent": group["shortcut_accuracy"].mean() * 100,
            "majority_percent": group["majority_accuracy"].mean() * 100,
            "shortcut_perplexity": group["shortcut_perplexity"].mean(),
        }
        row |= {measure.name: group[measure.column].mean() * measure.factor for measure in MEASURES}
        rows.append(row | {"machine_shared": bool(group["machine_shared"].eq(True).any())})
    return pd.DataFrame(rows)


def data_of(runs: pd.DataFrame) -> pd.Series[str]:
    """What each run was trained and tested on, as text; what cannot be read counts as the same."""
    return runs["config"].map(lambda config: json.dumps(json_object(config).get("task"), sort_keys=True))


def main_table(
    numbers: pd.DataFrame,
    looks: Mapping[str, Look],
    comparisons: Comparisons,
    shortcut: str,
    data_notes: Sequence[str],
    weaker: Mapping[str, float],
) -> Table:
    """The main table of one task as text; reference rows: the shortcut, `weaker` rules and the majority."""
    shared = bool(numbers["machine_shared"].any())
    measures = [m for m in MEASURES if (m.always and not m.timing) or (numbers[m.name] > 0).any()]
    digits = {m.name: m.digits if m.digits is not None else digits_for(numbers[m.name]) for m in measures}
    difference = [Heading(f"vs {comparisons.baseline}, points", "Accuracy")] if comparisons.baseline else []
    dagger = [f"{m.heading.text} †" if m.timing and shared else m.heading.text for m in measures]
    on_front = [Heading("accuracy, rate", "Pareto", rest=True)] if numbers["pareto"].any() else []
    headings = [Heading("test, %", "Accuracy"), *difference, Heading("seeds", "Accuracy"), *on_front]
    headings += [replace(measure.heading, text=text) for text, measure in zip(dagger, measures, strict=True)]
    rows = []
    for row in numbers.to_dict("records"):
        cells = [estimate(stated(row, "accuracy", "percent", row["seeds"]))]
        versus = stated(row, "difference", "points", row["difference_seeds"])
        cells += [estimate(versus, signed=True)] if difference else []
        cells += [str(row["seeds"]), *([row["pareto"] or ABSENT] if on_front else [])]
        cells += [number(row[m.name], digits[m.name]) for m in measures]
        rows.append(Row(row["variant"], tuple(cells), looks[row["variant"]], row["mark"]))
    blank = ("",) * (len(headings) - 1)
    references = {"Shortcut": numbers["shortcut_percent"].mean()}
    references |= {f"Rule: {name}": accuracy * 100 for name, accuracy in weaker.items()}
    references["Majority class"] = numbers["majority_percent"].mean()
    rows += [Row(label, (number(value), *blank), reference=True) for label, value in references.items()]
    return Table(
        "Test accuracy, spikes and cost",
        "Variant",
        tuple(headings),
        tuple(rows),
        (*_notes(numbers, shared, shortcut, comparisons.baseline), *(f"Data: {note}" for note in data_notes)),
        numbers=numbers,
        brief=brief_table(numbers, comparisons.baseline),
    )


def _of_which_weights(numbers: pd.DataFrame) -> str:
    """The rule, and how much the other one would have changed."""
    criterion = "perplexity" if numbers["test_perplexity"].notna().any() else "accuracy"
    words = {"best": f"with the best validation {criterion}", "last": "of the last epoch"}
    rules = list(dict.fromkeys(rule for rule in numbers["tested_weights"] if rule)) or ["best"]
    sentence = f"Accuracy is of the weights {' or '.join(words.get(rule, rule) for rule in rules)}"
    change = (numbers["best_weights_percent"] - numbers["last_weights_percent"]).abs().max()
    if len(rules) > 1 or math.isnan(change):
        return f"{sentence}."
    (other,) = set(words) - set(rules)
    return f"{sentence}; with those {words[other]} a variant's mean changes by at most {number(change)} points."


def _beside(baseline: str | None) -> str:
    """What the best must be shown to lie above."""
    return f"{baseline}, or where it is {baseline}, above another" if baseline else "another"


def _notes(numbers: pd.DataFrame, shared: bool, shortcut: str, baseline: str | None) -> tuple[str, ...]:
    few = (
        f" Below {VERDICT_SEEDS} seeds there is none: in brackets stand the lowest and the highest seed."
        if (numbers["seeds"] < VERDICT_SEEDS).any()
        else ""
    )
    notes = [
        f"Means over seeds; ± is the half width of the 95 % t-interval over seeds.{few} {_of_which_weights(numbers)}",
        f"{BEST}: the highest mean of the variants with the most seeds, shown to lie above {_beside(baseline)}; never "
        f"a control. {NEAR_BEST}: no test tells it from the best."
        if (numbers["mark"] != "").any()
        else f"None is marked {BEST}: the highest mean is not shown to lie above {_beside(baseline)}.",
        "Energy: recurrent execution at 45 nm (Horowitz 2014), memory traffic not counted; ÷ dense is "
        "relative to the same network with dense activations. Its parts, and what is counted, are below.",
    ]
    if words := _parameter_counts(numbers):
        notes.append(words)
    if shortcut:
        notes.insert(1, f"Shortcut: {shortcut}")
    if numbers["pareto"].any():
        notes.append(
            f"Pareto: {pareto.FRONT}, no other means are at least as accurate and as sparse; {pareto.DOMINATED}, some "
            "are, and tests show one of them better in accuracy or rate (Holm over all pairs) and not a point worse in "
            "the other; "
            f"{pareto.UNDECIDED}, some are, but no test shows it. {pareto.CAVEAT}"
        )
    if numbers["firing_rate_percent"].isna().any():
        notes.append(f"Firing: {ABSENT} where the neurons do not spike; their energy is that of the dense network.")
    if numbers["test_perplexity"].notna().any():
        perplexity = number(numbers["shortcut_perplexity"].mean(), 1)
        notes.append(f"Accuracy: the share of words guessed right. The shortcut's perplexity is {perplexity}.")
    if numbers[list(COLUMNS)].notna().any(axis=None):
        notes.append(NOTE)
    if shared:
        notes.append(f"† {SHARED}")
    return tuple(notes)


def _parameter_counts(numbers: pd.DataFrame) -> str:
    """Whether the variants are equally large."""
    counts = numbers.set_index("variant")["parameters"].sort_values(kind="stable")
    counts = counts[counts > 0]
    if len(counts) < 2:
        return ""
    least, most = counts.iloc[0], counts.iloc[-1]
    if least == most:
        return f"All variants have {least:,.0f} trained parameters."
    return (
        f"Trained parameters differ by {number((most / least - 1) * 100, 1)} %: from {least:,.0f} "
        f"({counts.index[0]}) to {most:,.0f} ({counts.index[-1]})."
    )


def overview(numbers: pd.DataFrame, looks: Mapping[str, Look]) -> Table | None:
    """Accuracy of every variant on every task; None for a single task."""
    tasks = list(dict.fromkeys(numbers["task"]))
    if len(tasks) < 2:
        return None
    indexed = numbers.set_index(["variant", "task"])
    rows = []
    for variant in dict.fromkeys(numbers["variant"]):
        found = [indexed.loc[(variant, task)] if (variant, task) in indexed.index else None for task in tasks]
        cells = [ABSENT if row is None else estimate(stated(row, "accuracy", "percent", row["seeds"])) for row in found]
        rows.append(Row(variant, tuple(cells), looks[variant]))
    headings = tuple(Heading(task) for task in tasks)
    return Table("Test accuracy by task, %", "Variant", headings, tuple(rows), numbers=numbers)
