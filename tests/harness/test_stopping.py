"""Commands in a real terminal: what Ctrl-C once, twice and three times does, a terminal that closes, and kill -9."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil
import pytest

from spike_ssm.harness.state.survey import look
from tests.harness.waiting import PATIENCE_S, wait_for

CTRL_C = b"\x03"
LONG = ("launcher=local", "launcher.workers=1", "optim.epochs=2000", "neuron.leak=0.5")
"""A run that does not end by itself here; its first checkpoint is due after five minutes."""


class Terminal:
    """A command in the foreground of a terminal of its own, of whose session it is the leader, as a shell would be."""

    def __init__(self, command: str, words: list[str], folder: Path) -> None:
        self._keys, inside = pty.openpty()
        self._shown: list[bytes] = []
        code = f"import sys; from spike_ssm.harness.{command} import main; sys.exit(main())"
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", code, *words],
            cwd=folder,
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
            preexec_fn=_as_in_a_shell,
        )
        os.close(inside)
        self._closed = Event()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with suppress(OSError):  # nobody has it open any more
            while not self._closed.is_set():
                if select.select([self._keys], [], [], 0.05)[0]:
                    self._shown.append(os.read(self._keys, 4096))
        self._closed.wait()
        os.close(self._keys)

    @property
    def text(self) -> str:
        """What the terminal has shown, on lines of any length."""
        return " ".join(b"".join(self._shown).decode().split())

    def press(self, keys: bytes) -> None:
        """Type `keys`."""
        os.write(self._keys, keys)

    def close(self) -> None:
        """Close the window."""
        self._closed.set()
        self._reader.join()


def _as_in_a_shell() -> None:
    """In the new process: its terminal is the one that it stands in, whose end it hears, though the tests may not."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def in_terminal(command: str, words: list[str], place: Any) -> Iterator[tuple[Terminal, list[psutil.Process]]]:
    """The command in a terminal, once its run is in training, and its processes; all end in order after the block."""
    terminal = Terminal(command, words, place.folder)
    place.started.append(terminal.process)

    def trains() -> bool:
        assert terminal.process.poll() is None, terminal.text
        states = [look(place.results, path.stem) for path in place.results.glob("state/*.json")]
        return any(state.progress and state.progress["done"] > 0 for state in states)

    try:
        wait_for(trains, "the training to begin")
        below = psutil.Process(terminal.process.pid).children(recursive=True)
        yield terminal, below
        wait_for(lambda: not any(map(is_alive, below)), "all processes to end")
    finally:
        terminal.close()
    logs = [path.read_text() for path in place.results.glob("logs/*") if path.suffix in (".err", ".out", ".log")]
    assert "Traceback" not in terminal.text + "".join(logs)


def checkpoints(place: Any) -> list[Path]:
    return list(place.results.glob("checkpoints/*/*.safetensors"))


@pytest.mark.slow
@pytest.mark.fault(
    "Ctrl-C in the terminal of a local sweep.",
    "Every worker saves a checkpoint within a step and ends; the sweep says how to go on.",
)
def test_ctrl_c_once_leaves_a_checkpoint(place: Any) -> None:
    with in_terminal("sweep", place.words("estimate=false", *LONG), place) as (terminal, _):
        terminal.press(CTRL_C)
        assert terminal.process.wait(PATIENCE_S) == 128 + signal.SIGINT
        assert "1 worker to end within 90 s" in terminal.text
        assert "Asked to stop by SIGINT. The same command goes on from here" in terminal.text
    assert checkpoints(place)
    assert place.rows() == {}, "what was stopped has not failed"


@pytest.mark.slow
@pytest.mark.fault(
    "Ctrl-C twice, or three times, while a worker of a local sweep hangs.",
    "After the second the worker has five seconds more, after the third none; no process is left.",
)
@pytest.mark.parametrize("presses", [2, 3], ids=["twice", "three times"])
def test_ctrl_c_again_does_not_wait_for_a_worker_that_hangs(presses: int, place: Any) -> None:
    with in_terminal("sweep", place.words("estimate=false", *LONG), place) as (terminal, below):
        (worker,) = [process for process in below if "submitit.core._submit" in process.cmdline()]
        worker.suspend()
        terminal.press(CTRL_C)
        wait_for(lambda: "a third time ends them at once" in terminal.text, "the sweep to say what more would do")
        pressed = time.monotonic()
        for _ in range(presses - 1):
            terminal.press(CTRL_C)
            time.sleep(0.2)
        assert terminal.process.wait(PATIENCE_S) == 128 + signal.SIGINT
        assert (time.monotonic() - pressed >= 5) == (presses == 2)
    assert place.rows() == {}


@pytest.mark.slow
@pytest.mark.fault(
    "The terminal of a local sweep is closed.",
    "Its workers save a checkpoint and end, and so does the sweep, which can write nowhere any more.",
)
def test_a_terminal_that_closes_is_like_ctrl_c(place: Any) -> None:
    with in_terminal("sweep", place.words("estimate=false", *LONG), place) as (terminal, _):
        terminal.close()
        assert terminal.process.wait(PATIENCE_S) == 128 + signal.SIGHUP
    assert checkpoints(place)


@pytest.mark.slow
@pytest.mark.fault(
    "The process of a local sweep is killed with -9.",
    "Its workers see that it is gone, save a checkpoint and end.",
)
def test_workers_end_with_a_sweep_that_is_killed(place: Any) -> None:
    with in_terminal("sweep", place.words("estimate=false", *LONG), place) as (terminal, _):
        terminal.process.kill()
    assert checkpoints(place)


@pytest.mark.slow
def test_a_single_run_is_stopped_likewise(place: Any) -> None:
    options_and_sweep = 3
    with in_terminal("train", place.words(*LONG[2:])[options_and_sweep:], place) as (terminal, _):
        terminal.press(CTRL_C)
        assert terminal.process.wait(PATIENCE_S) == 128 + signal.SIGINT
        assert "The same command goes on from here;" in terminal.text
    assert checkpoints(place)
