"""Signals that ask a process to stop: what they do in our blocks, and that nothing of it remains."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from spike_ssm.harness.system.signals import (
    OF_TERMINALS,
    SIGNALS,
    Interrupted,
    interruptible,
    out_of_earshot,
    presses,
    raise_if_interrupted,
    received,
    stoppable,
)

outside: list[int] = []


def remember(number: int, frame: FrameType | None) -> None:
    outside.append(number)


@pytest.fixture(autouse=True)
def _remembered() -> Iterator[None]:
    """Outside a block, signals are noted in `outside` instead of ending the tests."""
    outside.clear()
    before = {number: signal.signal(number, remember) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def work(steps: list[str], number: signal.Signals, then: BaseException | None = None) -> None:
    with interruptible():
        raise_if_interrupted()
        signal.raise_signal(number)
        steps.append("worked on")
        if then is not None:
            raise then
        raise_if_interrupted()
        steps.append("went on all the same")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_waits_until_it_is_looked_at(number: signal.Signals) -> None:
    steps: list[str] = []
    with pytest.raises(Interrupted, match=number.name):
        work(steps, number)
    assert steps == ["worked on"]
    assert not outside


def test_a_signal_that_nobody_looked_at_is_raised_at_the_end_of_the_block() -> None:
    with pytest.raises(Interrupted), interruptible():
        signal.raise_signal(signal.SIGTERM)


def test_another_error_is_not_hidden_by_a_signal() -> None:
    with pytest.raises(KeyError):
        work([], signal.SIGTERM, then=KeyError())


def test_it_cannot_be_taken_for_a_failure() -> None:
    assert not issubclass(Interrupted, Exception)


@pytest.mark.parametrize("then", [None, KeyError()])
def test_the_handlers_of_before_come_back_and_nothing_is_remembered(then: BaseException | None) -> None:
    with pytest.raises((Interrupted, KeyError)):
        work([], signal.SIGUSR2, then)
    raise_if_interrupted()
    for number in SIGNALS:
        signal.raise_signal(number)
    assert outside == list(SIGNALS)
    with interruptible():
        raise_if_interrupted()


def test_outside_the_main_thread_a_block_changes_nothing() -> None:
    def enter() -> None:
        with interruptible():
            raise_if_interrupted()
            entered.append(signal.getsignal(signal.SIGTERM))

    entered: list[object] = []
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered == [remember]


def test_in_a_stoppable_process_the_first_signal_raises_at_once_and_the_others_do_not_disturb_its_end() -> None:
    steps: list[str] = []

    def end() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
            steps.append("went on all the same")
        finally:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGHUP)
            steps.append("tidied up")

    with pytest.raises(Interrupted, match="SIGTERM"), stoppable():
        end()
    assert steps == ["tidied up"]
    assert received() is None


def test_a_signal_in_an_interruptible_block_stops_the_stoppable_process_around_it_only_once() -> None:
    def end() -> None:
        try:
            with interruptible():
                signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted), stoppable():
        end()


def test_a_third_ctrl_c_ends_what_waits_and_no_other_signal_counts() -> None:
    def press() -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2, signal.SIGINT):
            signal.raise_signal(number)
        assert presses() == 2
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as ended, interruptible():
        press()
    assert not isinstance(ended.value, Interrupted)
    assert presses() == 0


def test_what_a_process_was_started_to_ignore_stays_ignored() -> None:
    """As `nohup` has it."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with stoppable(), interruptible():
        signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


@pytest.mark.parametrize("number", OF_TERMINALS)
def test_processes_started_out_of_earshot_do_not_hear_what_a_terminal_sends_to_all(number: signal.Signals) -> None:
    with out_of_earshot():
        process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        signal.raise_signal(number)
        assert outside == []
    assert outside == [number], "this process hears it afterwards"
    process.send_signal(number)
    assert process.communicate(b"\n") == (None, None)
    assert process.returncode == 0
