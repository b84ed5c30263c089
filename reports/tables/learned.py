"""What training made of the neurons' parameters: their means over layers, before and after, for the main table."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

PARAMETERS = {
    "threshold": "Threshold",
    "refractory": "Refractory magnitude",
    "decay": "Refractory decay",
    "leak": "Leak",
}
"""Name in the columns of `results.schema.LAYERS`, NAME_before and NAME_after -> what people call it."""

COLUMNS = tuple(f"{name}_{when}" for name in PARAMETERS for when in ("before", "after"))

NOTE = (
    "Threshold, refractory magnitude (in thresholds), refractory decay and leak (kept per step): before and after "
    "training, means over channels, layers and seeds. A threshold says nothing without the spread of its input, beside "
    "which the figure has it."
)


def learned(runs: pd.DataFrame) -> pd.DataFrame:
    """Columns `COLUMNS` of each run, means over its layers; NaN where not recorded, or where its neurons have no such.

    Without a refractory magnitude, before and after, there is no refractory decay either.
    """
    return pd.DataFrame([_of_run(layers) for layers in runs["layers"]], index=runs.index, columns=list(COLUMNS))


def _of_run(layers: Any) -> dict[str, float]:
    frame = pd.DataFrame(layers if isinstance(layers, list) else [], columns=list(COLUMNS)).astype(float)
    means = {name: float(frame[name].mean()) for name in COLUMNS}
    if not max(means["refractory_before"], means["refractory_after"]) > 0:
        means |= dict.fromkeys((name for name in COLUMNS if name.startswith(("refractory", "decay"))), math.nan)
    return means
