"""A log per run: what the process prints while it executes the run, Python or not."""

from __future__ import annotations

import faulthandler
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from spike_ssm.results.files import Survived, make_lowest_folders


@contextmanager
def own_log(path: Path) -> Iterator[None]:
    """What this process prints goes to `path` inside, Python or not, after what stands there already.

    Where there can be no such file it goes where it went before.
    """
    log = None
    with Survived(f"The log {path} cannot be written"):
        log = open_log(path)
    if log is None:
        yield
        return
    before = os.dup(sys.stdout.fileno()), os.dup(sys.stderr.fileno())
    try:
        _redirect(log, log)
        faulthandler.enable()
        yield
    finally:
        _redirect(*before)
        for descriptor in (log, *before):
            os.close(descriptor)


def open_log(path: Path) -> int:
    """A descriptor of the file, to write behind what stands there. Raises `OSError`.

    A link, which another user of the folder may have put there, is not followed to a file of the reader's.
    """
    make_lowest_folders(path.parent)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o644)


def _redirect(output: int, errors: int) -> None:
    for stream, target in ((sys.stdout, output), (sys.stderr, errors)):
        with suppress(OSError):  # a full disk
            stream.flush()
        os.dup2(target, stream.fileno())
