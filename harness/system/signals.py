"""Being asked to stop: a signal sets a flag, and work in progress looks at it where it can stop in good order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGUSR2, signal.SIGTERM)
"""What announces the end: submitit's signal before a SLURM job's time is up, and what preemption and `kill` send."""

_received: signal.Signals | None = None  # signals belong to the process, and so does the flag


class Interrupted(KeyboardInterrupt):
    """The process was asked to stop, by `signal`. No `Exception`: a run that stops has not failed."""

    def __init__(self, by: signal.Signals) -> None:
        super().__init__(f"Asked to stop by {by.name}.")
        self.signal = by


def _note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (the signature of a handler)
    global _received
    _received = signal.Signals(number)


def received() -> signal.Signals | None:
    """The one of `SIGNALS` that has come since the `interruptible` block was entered, if any."""
    return _received


def raise_if_interrupted() -> None:
    """Raise `Interrupted` when one of `SIGNALS` has come since the `interruptible` block was entered."""
    if _received is not None:
        raise Interrupted(_received)


@contextmanager
def interruptible() -> Iterator[None]:
    """While this block runs, `SIGNALS` do no more than make `raise_if_interrupted` raise.

    A signal that nobody has looked at when the block ends raises there, so that none is lost. The handlers of before
    come back with the end. Outside the main thread, where Python installs no handlers, the block changes nothing.
    """
    global _received
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _note) for number in SIGNALS}
    try:
        yield
        raise_if_interrupted()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)  # None: set by something else than Python
        _received = None
