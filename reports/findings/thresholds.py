"""From what to what thresholds were trained, in a sentence."""

from __future__ import annotations

import pandas as pd

from spike_ssm.reports.loading.sweep import unfold
from spike_ssm.reports.render.statements import Statement
from spike_ssm.reports.render.text import number

_MOVED = 1e-9  # thresholds closer than this were not trained


def trained_thresholds(runs: pd.DataFrame, baseline: str | None) -> list[Statement]:
    """A description of means over layers, channels and seeds, without a test; nothing where no threshold was trained.

    In standard deviations of the neuron's input where these were recorded: a threshold alone says little, because
    scaling it together with its input changes no spike.
    """
    layers = unfold(runs, "layers")
    if layers.empty:
        return []
    trained = layers[(layers["threshold_before"] - layers["threshold_after"]).abs() > _MOVED]
    means, unit = _means(trained)
    if means.empty:
        return []
    ends = means["after"].sort_values()
    least, most = (f"{number(ends.iloc[end])} ({ends.index[end]})" for end in (0, -1))
    ends_at = f"{least} to {most}" if len(ends) > 1 else least
    if baseline in means.index:
        own = means[means.index == baseline].iloc[0]
        text = f"{baseline}: trained from {number(own['before'])} to {number(own['after'])}{unit}"
        text += f"; all variants end at {ends_at}." if len(means) > 1 else "."
    else:
        text = f"Trained to {ends_at}{unit}."
    return [Statement("threshold", (), text)]


def _means(trained: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """`before` and `after` training, a row a variant, and their unit."""
    columns = {when: trained[f"threshold_{when}"] for when in ("before", "after")}
    unit = ""
    if "input_std_before" in trained and trained["input_std_before"].notna().all():
        columns["before"] /= trained["input_std_before"]
        columns["after"] /= trained["input_std"]
        unit = " s.d. of its input"
    return pd.DataFrame(columns).groupby(trained["variant"], sort=False).mean().dropna(), unit
