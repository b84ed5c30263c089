"""A log per run: what the process prints while it executes the run, Python or not."""

from __future__ import annotations

import faulthandler
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def own_log(path: Path) -> Iterator[None]:
    """What this process prints goes to `path` inside, Python or not, after what stands there already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = os.dup(sys.stdout.fileno()), os.dup(sys.stderr.fileno())
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        _redirect(log, log)
        faulthandler.enable()
        yield
    finally:
        _redirect(*before)
        for descriptor in (log, *before):
            os.close(descriptor)


def _redirect(output: int, errors: int) -> None:
    for stream, target in ((sys.stdout, output), (sys.stderr, errors)):
        stream.flush()
        os.dup2(target, stream.fileno())
