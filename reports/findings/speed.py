"""What a training step takes beside the baseline's, alone on one machine, in a sentence."""

from __future__ import annotations

import pandas as pd

from spike_ssm.reports.loading.times import chosen
from spike_ssm.reports.render.statements import Statement
from spike_ssm.reports.render.text import number

CLOSE = 0.05
"""Ratios this close to 1 are the same: as far as two sittings on a quiet machine may differ."""


def speed(times: pd.DataFrame, baseline: str | None) -> list[Statement]:
    """What the intervals of the ratios allow; nothing where the chosen machine timed none, or was shared."""
    here = chosen(times)
    if here.empty or here["machine_shared"].any():
        return []
    machine, own = here["machine"].iloc[0], here[here["variant"] == baseline]
    others = here[here["train_ratio_low"].notna()]
    if own.empty or others.empty:
        least, most = here["train_tokens_per_s"].min(), here["train_tokens_per_s"].max()
        return [Statement("speed", (), f"{_thousands(least)} to {_thousands(most)} tokens/s, alone on {machine}.")]
    low, high = others["train_ratio_low"].min(), others["train_ratio_high"].max()
    span = f"{number(low, 2)} to {number(high, 2)} times"
    who = others["variant"].iloc[0] if len(others) == 1 else f"the other {len(others)} variants"
    if low >= 1 - CLOSE and high <= 1 + CLOSE:
        said = f"A training step takes as long in {who} as in {baseline} ({span})"
    else:
        said = f"A training step in {who} takes {span} as long as in {baseline}{_slowest(others)}"
    rate = _thousands(float(own["train_tokens_per_s"].iloc[0]))
    return [Statement("speed", (), f"{said}, which does {rate} tokens/s alone on {machine}.")]


def _slowest(others: pd.DataFrame) -> str:
    """The slowest in brackets, where its interval lies above that of every other."""
    ranked = others.sort_values("train_ratio", ascending=False)
    if len(ranked) > 1 and ranked["train_ratio_low"].iloc[0] > ranked["train_ratio_high"].iloc[1:].max():
        return f" (slowest: {ranked['variant'].iloc[0]})"
    return ""


def _thousands(tokens: float) -> str:
    return f"{tokens / 1e3:,.0f} thousand"
