"""Signals that ask a process to stop: what they do inside an `interruptible` block, and that nothing of it remains."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from spike_ssm.harness.system.signals import SIGNALS, Interrupted, interruptible, raise_if_interrupted

received: list[int] = []


def remember(number: int, frame: FrameType | None) -> None:
    received.append(number)


@pytest.fixture(autouse=True)
def _remembered() -> Iterator[None]:
    """Outside a block, signals are noted in `received` instead of ending the tests."""
    received.clear()
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
    assert not received


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
    assert received == list(SIGNALS)
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
