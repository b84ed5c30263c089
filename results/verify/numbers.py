"""Do the numbers of a row agree? What is stored twice, or follows from what is stored, must be the same.

So an accuracy cannot be raised alone: it is the share of right predictions, and the mean over every grouping of them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from spike_ssm.results.energy import energy_of
from spike_ssm.results.schema import LANGUAGE, MEASUREMENTS, RUN, SHORTCUT
from spike_ssm.results.verify.limits import PERPLEXITIES, is_possible

_NUMERIC = [field.name for field in RUN if str(field.type) in ("double", "int32", "int64")]
_NESTED = ("rules", "groups", "pmbc_map", "epochs", "layers", "operations", "traces", "robustness")
_MEANS = ("firing_rate", "silent", "saturated")
"""Columns that are means over layers."""

_RELATIVE, _ABSOLUTE = 1e-6, 1e-9


def impossible_numbers(row: Mapping[str, Any]) -> Iterator[str]:
    """The numbers that no measurement gives, in words that follow "run ID: "."""
    for name in _NUMERIC:
        if row[name] is not None and not is_possible(name, row[name]):
            yield f"its {name} is {row[name]:g}, which no measurement gives"
    for name in _NESTED:
        fields = (field for each in row[name] or [] for field, value in (each or {}).items() if not _fits(field, value))
        if field := next(fields, None):
            yield f"{field} of its {name} holds what no measurement gives"
    scores = [each["score"] for each in row["predictions"] or []]
    if not all(score is None or 0 <= score <= 1 + _RELATIVE for score in scores):
        yield "a score of its predictions is no probability"


def _fits(field: str, value: Any) -> bool:
    return value is None or is_possible(field, value)


def disagreeing_numbers(row: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    """The numbers that contradict each other, in words that follow "run ID: "."""
    if row["status"] != "done":
        if _is_tested(row):
            yield f"it is {row['status']}, and has an accuracy, a perplexity or predictions"
        return
    if row["task"] in MEASUREMENTS:
        return
    yield from _baselines(row)
    yield from _perplexities(row)
    if config.get("robustness") is not None:
        return
    if config.get("test") is False:
        if _is_tested(row):
            yield "it was not to be tested, and has an accuracy, a perplexity or predictions"
    else:
        yield from _tested(row)
        yield from _grouped(row)
    yield from _epochs(row, config.get("optim"), stopped="stop_if" in config)
    yield from _layers(row)


def _is_tested(row: Mapping[str, Any]) -> bool:
    return bool(row["test_accuracy"] is not None or row["test_perplexity"] is not None or row["predictions"])


def _perplexities(row: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the perplexities, which only language has; whether a user's own task is that, nothing says."""
    known = [name for name in PERPLEXITIES if row[name] is not None]
    if known and row["task"] not in LANGUAGE and "." not in (row["task"] or ""):
        yield f"it has a {known[0]}, and its task is not to predict words"
    if known and (row["predictions"] or row["groups"]):
        yield f"it has a {known[0]} beside predictions or groups, and a run has the one or the others"
    if row["test_accuracy"] is None or row["test_perplexity"] is None:
        return
    least = 2 ** (1 - row["test_accuracy"])  # no word that is not the answer had a probability above a half
    if row["test_perplexity"] < least * (1 - _RELATIVE):
        yield f"its test_perplexity is {row['test_perplexity']:.6g}, and with its accuracy none is below {least:.6g}"


def _tested(row: Mapping[str, Any]) -> Iterator[str]:
    accuracy, predictions = row["test_accuracy"], row["predictions"] or []
    if accuracy is None:
        yield "it is done, and has no test_accuracy"
        return
    if not predictions and row["test_perplexity"] is None:
        yield "it has no predictions, of which its accuracy would be the share that is right"
    elif predictions:
        right = sum(each["label"] == each["prediction"] for each in predictions) / len(predictions)
        if not _same(right, accuracy):
            yield f"its test_accuracy is {percent(accuracy)}, but {percent(right)} of its predictions are right"
        if [each["example"] for each in predictions] != list(range(len(predictions))):
            yield "its predictions are not of the test examples, each once and in their order"
    for name in ("test_accuracy", *(["test_perplexity"] if row["test_perplexity"] is not None else [])):
        if not _same(row.get(f"{row['tested_weights']}_{name}"), row[name]):
            yield f"its {name} is not that of its tested_weights"


def _grouped(row: Mapping[str, Any]) -> Iterator[str]:
    groupings: dict[str, list[Mapping[str, Any]]] = {}
    for each in row["groups"] or []:
        groupings.setdefault(each["grouping"], []).append(each)
    for name, groups in groupings.items():
        examples = [each["examples"] or 0 for each in groups]
        if sum(examples) != len(row["predictions"] or []):
            yield f"its groups by {name[:40]!r} are not of as many examples as there are predictions"
            continue
        for column in ("test_accuracy", "shortcut_accuracy"):
            found = _weighted([each[column.removeprefix("test_")] for each in groups], examples)
            if row[column] is not None and not _same(found, row[column]):
                yield f"its {column} is {percent(row[column])}, but {percent(found)} over its groups by {name[:40]!r}"
    if groupings and SHORTCUT not in groupings:
        yield "its groups are not parted by whether the shortcut is right"


def _baselines(row: Mapping[str, Any]) -> Iterator[str]:
    rules, labels = row["rules"] or [], Counter(each["label"] for each in row["predictions"] or [])
    if rules and not _same(rules[0]["accuracy"], row["shortcut_accuracy"]):
        yield "its shortcut_accuracy is not that of the first of its rules"
    majority, examples = row["majority_accuracy"], sum(labels.values())
    if labels and majority is not None and not any(_same(count / examples, majority) for count in labels.values()):
        yield "its majority_accuracy is the share of no label of its test set"


def _epochs(row: Mapping[str, Any], optim: Any, *, stopped: bool) -> Iterator[str]:
    epochs = row["epochs"] or []
    asked = optim.get("epochs") if isinstance(optim, dict) else None
    if [each["epoch"] for each in epochs] != list(range(1, len(epochs) + 1)):
        yield "its epochs are not counted from 1"
    elif type(asked) is not int or not 0 < len(epochs) <= asked or (len(epochs) < asked and not stopped):
        yield f"it has {len(epochs)} epochs, and its configuration asks for {asked}"
    elif row["best_epoch"] is not None and not 1 <= row["best_epoch"] <= len(epochs):
        yield f"its best_epoch is {row['best_epoch']} of {len(epochs)}"
    elif row["tested_weights"] in ("best", "last"):
        of_them = epochs[-1 if row["tested_weights"] == "last" else (row["best_epoch"] or len(epochs)) - 1]
        if not _same(of_them["validation_accuracy"], row["validation_accuracy"]):
            yield "its validation_accuracy is not that of the epoch of its tested_weights"
        perplexity = row["validation_perplexity"]
        if perplexity is not None and not _same(of_them["validation_loss"], math.log(perplexity)):
            yield "its validation_perplexity is not e to the loss of the epoch of its tested_weights"
    seconds = sum(each["seconds"] or 0 for each in epochs)
    if row["duration_s"] is None or seconds > 1.01 * row["duration_s"] + 1:
        yield f"its epochs took {seconds:.0f} s, longer than all of it"


def _layers(row: Mapping[str, Any]) -> Iterator[str]:
    layers, traces = row["layers"] or [], row["traces"] or []
    for name in _MEANS:
        values = [each[name] for each in layers if each[name] is not None]
        if layers and (row[name] is None) != (not values):
            yield f"its {name} is known of the run or of its layers alone"
        elif values and not _same(sum(values) / len(values), row[name]):
            yield f"its {name} is {row[name]:.6g}, but {sum(values) / len(values):.6g} over its layers"
    rates = {each["layer"]: each["firing_rate"] for each in layers}
    for trace in traces:
        over_time, tokens = trace["rate_over_time"], trace["tokens_over_time"]
        if over_time and tokens and not _same(_weighted(over_time, tokens), rates.get(trace["layer"])):
            yield f"the firing rate of its layer {trace['layer']} is not that of its steps"
    operations = row["operations"] or []
    known = all(None not in (each["multiply_accumulates"], each["accumulates"]) for each in operations)
    if operations and not (known and _same(energy_of(operations), row["energy_nj_per_token"])):
        yield "its energy_nj_per_token is not that of its operations"


def _weighted(values: Sequence[float | None], weights: Iterable[float | None]) -> float:
    """The mean of the values with these weights; NaN where one that counts is not known."""
    pairs = [(value, weight) for value, weight in zip(values, weights, strict=False) if weight]
    if not pairs or any(value is None for value, _ in pairs):
        return math.nan
    return sum((value or 0) * weight for value, weight in pairs) / sum(weight for _, weight in pairs)


def _same(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and math.isclose(one, other, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)


def percent(share: float) -> str:
    """`51.85 %`, of a share."""
    return f"{share * 100:.2f} %"
