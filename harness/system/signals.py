"""Being asked to stop: the first signal ends work in good order, and those that follow do not disturb it.

In a `stoppable` process it raises `Interrupted` wherever the process is. Inside an `interruptible` block it sets a flag
only, and work in progress looks at that where it can stop.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from spike_ssm.results.process import Process

OF_TERMINALS = (signal.SIGINT, signal.SIGHUP)
"""What a terminal sends to all processes in its foreground at once: for Ctrl-C, and when it is closed."""

SIGNALS = (signal.SIGUSR2, signal.SIGTERM, *OF_TERMINALS)
"""What announces the end. The first is submitit's before a SLURM job's time is up, the second what preemption and
`kill` send."""

ENOUGH = 3
"""Times of Ctrl-C that end at once whatever goes on."""

_received: signal.Signals | None = None  # signals belong to the process, and so do the flags
_presses = 0
_blocks = 0


class Interrupted(KeyboardInterrupt):
    """The process was asked to stop, by `signal`. No `Exception`: a run that stops has not failed."""

    def __init__(self, by: signal.Signals) -> None:
        super().__init__(f"Asked to stop by {by.name}.")
        self.signal = by


def _note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (the signature of a handler)
    global _received, _presses
    _received = signal.Signals(number)
    _presses += number == signal.SIGINT
    if _presses >= ENOUGH:
        raise KeyboardInterrupt


def _stop(number: int, frame: FrameType | None) -> None:
    """Raise `Interrupted`, once: what it does on its way out is not interrupted."""
    asked = _received is not None
    _note(number, frame)
    if not asked:
        raise Interrupted(signal.Signals(number))


def received() -> signal.Signals | None:
    """The last of `SIGNALS` that has come since the outermost of our blocks was entered, if any."""
    return _received


def presses() -> int:
    """How often Ctrl-C has come since then."""
    return _presses


def raise_if_interrupted() -> None:
    """Raise `Interrupted` when one of `SIGNALS` has come since then."""
    if _received is not None:
        raise Interrupted(_received)


@contextmanager
def stoppable() -> Iterator[None]:
    """While this block runs, the first of `SIGNALS` raises `Interrupted`; the others are noted only.

    A third Ctrl-C raises `KeyboardInterrupt`. Outside the main thread, where Python installs no handlers, the block
    changes nothing; what the process was started to ignore (`nohup`) stays ignored.
    """
    with _handled(_stop):
        yield


@contextmanager
def interruptible() -> Iterator[None]:
    """While this block runs, `SIGNALS` do no more than make `raise_if_interrupted` raise.

    A signal that nobody has looked at when the block ends raises there, so that none is lost. For the rest it is as in
    `stoppable`, inside which it may be.
    """
    with _handled(_note):
        yield
        if threading.current_thread() is threading.main_thread():
            raise_if_interrupted()


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Have `SIGNALS` handled so; with the outermost block's end all is forgotten."""
    global _received, _presses, _blocks
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in heard}
    _blocks += 1
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier or signal.SIG_DFL)  # None: set by something else than Python
        _blocks -= 1
        if not _blocks:
            _received, _presses = None, 0


@contextmanager
def out_of_earshot() -> Iterator[None]:
    """Processes started inside do not hear what a terminal sends to all; this one hears it when the block ends."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, OF_TERMINALS)  # which children inherit
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def stop_with(other: Process, every_s: float = 1.0) -> None:
    """Have this process sent SIGTERM soon after `other`, of the same machine, has ended."""

    def watch() -> None:
        while other.lives() is not False:
            time.sleep(every_s)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="stop with another process", daemon=True).start()
