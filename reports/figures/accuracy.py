"""The figures of one task: means over seeds, with single seeds, their range or their interval beside them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from spike_ssm.reports.loading.sweep import unfold
from spike_ssm.reports.render import svg
from spike_ssm.reports.render.drawn import Drawn, draw_lines, finished, new_axes
from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.text import listing, number
from spike_ssm.reports.statistics import pareto
from spike_ssm.reports.statistics.matched import Curve, through
from spike_ssm.reports.statistics.seeds import VERDICT_SEEDS, by_seed, t_interval

ACCURACY_AND_RATE = "Accuracy against firing rate"
"""Title of the figure that is seen first."""

_NO_PARAMETER_MOVED = 1e-9
_IN_PERCENT = {"accuracy": "validation_accuracy_percent", "rate": "firing_rate_percent"}
_SMOOTH = 60  # points of a drawn curve
_FEW_EPOCHS = 10  # that each gets a marker: a single epoch would draw no line at all


@dataclass(frozen=True)
class Parameter:
    """A neuron parameter that can be shown before and after training."""

    name: str  # of its columns in `results.schema.LAYERS`: NAME_before, NAME_after
    title: str
    label: str
    caption: str  # the end of a sentence
    over_input: bool = False  # divided by the standard deviation of the neuron's input
    of_refractory: bool = False  # without meaning where the refractory magnitude is zero


PARAMETERS = (
    Parameter(
        "threshold",
        "Threshold",
        "threshold / s.d. of its input",
        "in standard deviations of the neuron's input, since scaling both changes no spike",
        over_input=True,
    ),
    Parameter("refractory", "Refractory magnitude", "magnitude / threshold", "in units of the threshold"),
    Parameter(
        "decay",
        "Refractory decay",
        "kept per step",
        "the share of the refractory current that a step keeps",
        of_refractory=True,
    ),
    Parameter("leak", "Leak", "kept per step", "the share of the membrane potential that a step keeps"),
)


def task_figures(
    runs: pd.DataFrame, looks: Mapping[str, Look], prefix: str, curves: Sequence[Curve] = ()
) -> list[Drawn]:
    """Every figure for which `runs`, the finished runs of one task, hold the data.

    curves: as in `reports.statistics.matched`.
    """
    names = (f"{prefix}f{place}" for place in count())
    layers = unfold(runs, "layers")
    drawn = [
        accuracy_and_rate(runs, looks, names, curves),
        learning_curves(runs, looks, names),
        rate_by_layer(layers, looks, names),
    ]
    drawn += [parameter_by_layer(layers, parameter, looks, names) for parameter in PARAMETERS]
    return [figure for figure in drawn if figure is not None]


def accuracy_and_rate(
    runs: pd.DataFrame, looks: Mapping[str, Look], names: Iterator[str], curves: Sequence[Curve] = ()
) -> Drawn | None:
    """Test accuracy against firing rate, both %: one small point a seed, the mean with 95 % t-intervals.

    Variants without a firing rate are lines across, at their mean.
    """
    shown = runs.dropna(subset=["test_accuracy", "firing_rate"])
    if shown.empty:
        return None
    accuracy, rate = by_seed(shown, "test_accuracy") * 100, by_seed(shown, "firing_rate") * 100
    dense = by_seed(runs[~runs["variant"].isin(accuracy)].dropna(subset=["test_accuracy"]), "test_accuracy") * 100
    sentences = [f"{variant} {number(mean)} % without a firing rate" for variant, mean in dense.mean().items()]
    with svg.drawing():
        axes = new_axes("mean firing rate, %", "test accuracy, %")
        for variant in accuracy:
            look, y, x = looks[str(variant)], t_interval(accuracy[variant]), t_interval(rate[variant])
            colour = look.placeholder
            points = partial(axes.scatter, marker=look.marker, color=colour)
            points(rate[variant], accuracy[variant], s=14, alpha=0.45, linewidths=0)
            if y.n >= VERDICT_SEEDS:
                axes.errorbar(x.mean, y.mean, xerr=x.half, yerr=y.half, fmt="none", color=colour, elinewidth=1.1)
            points(x.mean, y.mean, s=42, edgecolors=svg.PAGE, linewidths=0.7, zorder=3)
            sentences.append(f"{variant} {number(y.mean)} % at {number(x.mean)} %")
        on_front = _front(axes, shown)
        joined = _joined(axes, pd.DataFrame({"rate": rate.mean(), "accuracy": accuracy.mean()}), curves, looks)
        across, off = _across(axes, dense.mean(), looks), _reference_lines(axes, runs)
        has_intervals = (accuracy.count() >= VERDICT_SEEDS).any()
        drawn = [
            "small markers are seeds",
            f"large ones means{', with 95 % intervals' if has_intervals else ''}",
            *(["the steps their Pareto front"] if on_front else []),
            *([f"the dashes {listing(joined)}"] if joined else []),
            *([f"the line{'s' * (len(across) > 1)} across {listing(across)}, without a firing rate"] if across else []),
        ]
        far = [f"{variant} {number(mean, 1)} %" for variant, mean in dense.mean().items() if variant not in across]
        caption = f"Up is more accurate and left sparser: {listing(drawn)}."
        caption += f" Off the axis: {listing([*far, *off])}." if far or off else ""
        label = f"{ACCURACY_AND_RATE}: {'; '.join(sentences)}."
        label += f" Pareto front of the means: {', '.join(on_front)}." if on_front else ""
        numbers = pd.concat([_points(accuracy, rate), _points(dense, dense * math.nan)], ignore_index=True)
        return finished(axes, next(names), ACCURACY_AND_RATE, caption, label, numbers, looks)


def _points(accuracy: pd.DataFrame, rate: pd.DataFrame) -> pd.DataFrame:
    """What is drawn, in %: every seed, then every variant's means, without a seed, with half their intervals."""
    values = {"accuracy_percent": accuracy, "firing_rate_percent": rate}
    seeds = pd.DataFrame({name: table.unstack() for name, table in values.items()}).dropna(subset="accuracy_percent")
    means = pd.DataFrame({name: table.mean() for name, table in values.items()})
    for name, table in values.items():
        means[f"{name}_half_interval"] = [t_interval(table[variant]).half for variant in table]
    return pd.concat([seeds.reset_index(names=["variant", "seed"]), means.reset_index(names="variant")])


def _front(axes: Axes, runs: pd.DataFrame) -> list[str]:
    """Draw the front as steps, which promise nothing between its members; returns these, by rising rate."""
    means = pareto.mean_points(runs)
    members = pareto.front(means)
    if members:
        ends = pd.DataFrame({"accuracy": [means["accuracy"].max()], "rate": [means["rate"].max()]})
        steps = pd.concat([means.loc[members], ends]) * 100
        axes.plot(steps["rate"], steps["accuracy"], drawstyle="steps-post", color=svg.MUTED, lw=0.9, zorder=1)
    return members


def _joined(axes: Axes, means: pd.DataFrame, curves: Sequence[Curve], looks: Mapping[str, Look]) -> list[str]:
    """Draw each curve through its `means` (%, one row a variant), in the look of its first; returns the names."""
    joined = []
    for curve in curves:
        points = means.reindex(curve.variants).dropna()
        if len(points) > 1:
            rate, accuracy = points["rate"].to_numpy(), points["accuracy"].to_numpy()
            drawn = np.geomspace(rate.min(), rate.max(), _SMOOTH)
            colour = looks[curve.variants[0]].placeholder
            axes.plot(drawn, through(rate, accuracy)(drawn), color=colour, lw=0.9, ls=(0, (4, 2)), zorder=2)
            joined.append(curve.name)
    return joined


def learning_curves(runs: pd.DataFrame, looks: Mapping[str, Look], names: Iterator[str]) -> Drawn | None:
    """Validation accuracy in % against epoch: mean and range over seeds."""
    epochs = unfold(runs, "epochs")
    if epochs.empty or epochs["validation_accuracy"].isna().all():
        return None
    epochs["accuracy"] = epochs["validation_accuracy"] * 100
    with svg.drawing():
        axes = new_axes("epoch", "validation accuracy, %")
        draw_lines(axes, epochs, "epoch", "accuracy", looks, markers=epochs["epoch"].max() <= _FEW_EPOCHS)
        off = _reference_lines(axes, runs)
        last = epochs[epochs["epoch"] == epochs["epoch"].max()].groupby("variant", sort=False)["accuracy"].mean()
        label = "Validation accuracy by epoch; at the last epoch: " + "; ".join(
            f"{variant} {number(value)} %" for variant, value in last.items()
        )
        caption = (
            "Where lines still rise at the end, training was too short to compare; bands reach from the lowest to the "
            f"highest seed, references are of the test set.{off}"
        )
        numbers = epochs[["variant", "seed", "epoch", "accuracy"]].rename(columns=_IN_PERCENT)
        return finished(axes, next(names), "Learning curves", caption, f"{label}.", numbers, looks)


def rate_by_layer(layers: pd.DataFrame, looks: Mapping[str, Look], names: Iterator[str]) -> Drawn | None:
    """Firing rate in % of every layer: mean and range over seeds; variants that do not spike are left out."""
    if layers.empty or layers["firing_rate"].isna().all():
        return None
    shown = layers.dropna(subset=["firing_rate"])
    shown = shown.assign(rate=shown["firing_rate"] * 100)
    with svg.drawing():
        axes = new_axes("layer (0 is next to the encoder)", "firing rate, %")
        draw_lines(axes, shown, "layer", "rate", looks, markers=True)
        axes.set_ylim(bottom=0)
        label = "Firing rate by layer: " + _by_layer(shown, "rate")
        caption = (
            "Which layers carry the spikes: means over seeds on the test set, with bands from the lowest to the "
            f"highest seed.{_without_rate(layers, shown)}"
        )
        numbers = shown[["variant", "seed", "layer", "rate"]].rename(columns=_IN_PERCENT)
        return finished(axes, next(names), "Firing rate by layer", caption, label, numbers, looks)


def parameter_by_layer(
    layers: pd.DataFrame, parameter: Parameter, looks: Mapping[str, Look], names: Iterator[str]
) -> Drawn | None:
    """A neuron parameter of every layer before and after training, mean over channels and seeds.

    None if training is known not to have moved it; variants without the parameter (null or zero throughout) are left
    out.
    """
    if parameter.of_refractory and not layers.empty:
        layers = layers[layers["refractory_after"] > 0]
    columns = [f"{parameter.name}_before", f"{parameter.name}_after"]
    if layers.empty or layers[columns].isna().all(axis=None):
        return None
    shown = layers.assign(before=layers[columns[0]], after=layers[columns[1]])
    if parameter.over_input:
        before = shown.get("input_std_before", pd.Series(math.nan, shown.index))
        shown = shown.assign(before=shown["before"] / before, after=shown["after"] / shown["input_std"])
    shown = shown.groupby(["variant", "layer"], sort=False)[["before", "after"]].mean().reset_index()
    has = shown.groupby("variant")[["before", "after"]].transform("max").max(axis=1) > 0
    shown = shown[has].dropna(subset=["after"])
    unknown = shown["before"].isna()
    if not unknown.any() and not (shown["before"] - shown["after"]).abs().max() > _NO_PARAMETER_MOVED:
        return None
    with svg.drawing():
        axes = new_axes("layer (0 is next to the encoder)", parameter.label)
        variants = list(dict.fromkeys(shown["variant"]))
        for place, variant in enumerate(variants):
            offset = (place - (len(variants) - 1) / 2) * 0.8 / len(variants)
            _dumbbells(axes, shown[shown["variant"] == variant], offset, looks[variant])
        label = f"{parameter.title} by layer after training: " + _by_layer(shown, "after")
        caption = f"How far training moved each layer's mean, from hollow to filled markers, {parameter.caption}."
        if unknown.any():
            caption += f" Before training not recorded: {', '.join(dict.fromkeys(shown.loc[unknown, 'variant']))}."
        return finished(axes, next(names), f"{parameter.title} by layer", caption, label, shown, looks)


def _without_rate(frame: pd.DataFrame, shown: pd.DataFrame) -> str:
    """The end of a caption that names the variants of `frame` that are not among the `shown`."""
    absent = [variant for variant in dict.fromkeys(frame["variant"]) if variant not in set(shown["variant"])]
    return f" Not shown, without a firing rate: {', '.join(absent)}." if absent else ""


def _across(axes: Axes, means: pd.Series[float], looks: Mapping[str, Look]) -> list[str]:
    """Draw these mean accuracies (%) as lines with a marker at the right, where they are near; returns which."""
    near = _near(axes, means)
    for variant, mean in near.items():
        line = axes.axhline(mean, color=looks[variant].placeholder, lw=1.1, dashes=looks[variant].dashes, zorder=1)
        line.set(marker=looks[variant].marker, markevery=[1], ms=6, mec=svg.PAGE, mew=0.5, clip_on=False)
    return [*near]


def _near(axes: Axes, values: Mapping[str, float] | pd.Series[float]) -> dict[str, float]:
    """The values that are not so far from what is drawn that this would fill less than half of the axis."""
    low, high = axes.get_ylim()
    return {str(name): value for name, value in values.items() if 2 * low - high <= value <= 2 * high - low}


def _reference_lines(axes: Axes, runs: pd.DataFrame) -> list[str]:
    """The shortcut and the majority class, labelled at the right: both above their lines unless they meet.

    Returns what is too far to be drawn.
    """
    means = {"shortcut": runs["shortcut_accuracy"].mean(), "majority class": runs["majority_accuracy"].mean()}
    values = {name: mean * 100 for name, mean in means.items() if pd.notna(mean)}
    near = _near(axes, values)
    for value in near.values():
        axes.axhline(value, color=svg.MUTED, lw=0.9, dashes=(4, 2), zorder=1)
    low, high = axes.get_ylim()
    meet = len(near) > 1 and max(near.values()) - min(near.values()) < 0.07 * (high - low)
    for name, value in near.items():
        below = meet and value == min(near.values())
        axes.annotate(
            f"{name} {number(value, 1)} %",
            xy=(1, value),
            xycoords=("axes fraction", "data"),
            xytext=(0, -2 if below else 2),
            textcoords="offset points",
            ha="right",
            va="top" if below else "bottom",
            color=svg.MUTED,
            size=8,
        )
    return [f"{name} {number(value, 1)} %" for name, value in values.items() if name not in near]


def _dumbbells(axes: Axes, frame: pd.DataFrame, offset: float, look: Look) -> None:
    x = frame["layer"] + offset
    axes.vlines(x, frame["before"], frame["after"], color=look.placeholder, lw=1)
    colour = look.placeholder
    for column, fill in (("before", svg.PAGE), ("after", colour)):
        axes.plot(x, frame[column], ls="", marker=look.marker, ms=5, mec=colour, mfc=fill)


def _by_layer(frame: pd.DataFrame, column: str) -> str:
    """`none 12.0, 11.5; fixed 9.8, 9.1.`: means over seeds, layer by layer."""
    means = frame.groupby(["variant", "layer"], sort=False)[column].mean()
    return (
        "; ".join(
            f"{variant} {', '.join(number(value) for value in values)}"
            for variant, values in means.groupby("variant", sort=False)
        )
        + "."
    )
