"""The benchmark times nothing before its gate is green, and interleaves what it compares."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchmarks import neuron
from harness.timing import interleaved_medians
from models.ops.refractory_lif import Solution


def test_the_gate_is_green_for_our_solvers() -> None:
    neuron.check(257)


def test_the_gate_is_red_for_a_solver_with_a_wrong_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    right = neuron.solve

    def biased(x: torch.Tensor, *rest: Any, return_potential: bool) -> Solution:
        found = right(x, *rest, return_potential=return_potential)
        fused = rest[-1].solver == "fused"
        return found._replace(spikes=found.spikes + 0.1 * (x - x.detach())) if fused else found

    monkeypatch.setattr(neuron, "solve", biased)
    with pytest.raises(AssertionError, match="fused: gradient of x"):
        neuron.check(64)


def test_nothing_is_timed_on_a_red_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    def red(length: int) -> None:
        raise AssertionError("red")

    monkeypatch.setattr(neuron, "check", red)
    monkeypatch.setattr(neuron, "interleaved_medians", lambda *_: pytest.fail("timed all the same"))
    with pytest.raises(AssertionError, match="red"):
        neuron.measure(rounds=1)


def test_candidates_take_turns() -> None:
    calls: list[str] = []
    medians = interleaved_medians({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3)
    assert calls == ["a", "b"] * 4  # the first round warms up
    assert set(medians) == {"a", "b"}
    assert all(median >= 0 for median in medians.values())


def test_every_candidate_is_measured_at_every_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neuron, "LENGTHS", (16, 32))
    frame = neuron.measure(rounds=1)
    assert len(frame) == 2 * 2 * 4
    assert set(frame["solver"]) == {*neuron.SOLVERS, neuron.PEER}
    assert (frame[frame["solver"] == neuron.PEER]["times_spikingjelly"] == 1).all()
