"""The contract between the harness, which writes results, and the reports, which read them."""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    if name == "load":  # imported when it is first used: it needs pyarrow, and looking at errors needs none
        return importlib.import_module("spike_ssm.results.frames").load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has load.")


if __name__ == "results":  # in a checkout: another name of spike_ssm.results, see src/spike_ssm/checkout.py
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
    from spike_ssm.checkout import alias

    alias(__name__)
