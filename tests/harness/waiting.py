"""How tests wait for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

PATIENCE_S = 90


def wait_for(what: Callable[[], Any], why: str) -> Any:
    """The first true value of `what`."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := what()):
        assert time.monotonic() < deadline, f"waited in vain for {why}"
        time.sleep(0.02)
    return found
