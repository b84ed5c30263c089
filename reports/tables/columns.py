"""The columns of the main table in numbers that belong together: a mean, its interval and its range."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from spike_ssm.reports.statistics.seeds import Interval


def stated(row: Mapping[Hashable, Any] | pd.Series[Any], name: str, unit: str, seeds: int) -> Interval:
    """The mean of a row of `measurements` with its interval and range."""
    half, least, most = (row[f"{name}_{which}_{unit}"] for which in ("half_interval", "lowest", "highest"))
    return Interval(row[f"{name}_{unit}"], half, seeds, least, most)
