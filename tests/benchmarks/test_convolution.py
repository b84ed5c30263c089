"""The benchmark of the ways to compute S4D times nothing that disagrees, and its rows are of what they say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from benchmarks import convolution
from benchmarks.convolution import CHOSEN, FFT, PRODUCT, SCAN, WAYS, Size
from benchmarks.steps import CPU
from benchmarks.steps import Size as NetworkSize
from spike_ssm.models.ssm import S4D, s4d

NETWORK = NetworkSize(layers=1, channels=4, state_size=4, length=12, batch=8)


def test_every_section_gives_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = list(convolution.choice([Size(8, 2, 12, 4)], 1))
    assert [row["candidate"] for row in chosen] == [FFT, PRODUCT, SCAN, CHOSEN]
    assert max(row["ratio"] for row in chosen if row["candidate"] != CHOSEN) == 1
    monkeypatch.setattr(convolution, "LONGEST_PRODUCT", 10)
    long = list(convolution.against_fft([Size(2, 2, 12, 4, directions) for directions in (1, 2)], 1))
    assert [row["candidate"] for row in long] == 2 * [FFT, SCAN, CHOSEN]
    assert [row["section"] for row in long] == 3 * ["causal"] + 3 * ["bidirectional"]
    parts = list(convolution.parts([Size(40, 4, 9)], 1))
    assert [row["candidate"] for row in parts] == [convolution.ALL, convolution.SOME]
    trained = list(convolution.training(NETWORK, 1))
    assert [row["candidate"] for row in trained] == [FFT, CHOSEN]
    for row in chosen + long + parts + trained:
        assert row["ratio"] > 0
        assert set(row) == {"section", "candidate", "pass", "threads", *Size._fields, "ms", "ratio"}


def test_each_candidate_is_computed_in_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def by_convolution(*arguments: Any, by_product: bool) -> torch.Tensor:
        seen.append(PRODUCT if by_product else FFT)
        return right[0](*arguments, by_product=by_product)

    def by_scan(*arguments: Any) -> torch.Tensor:
        seen.append(SCAN)
        return right[1](*arguments)

    right = s4d.convolution, s4d.scan
    monkeypatch.setattr(s4d, "convolution", by_convolution)
    monkeypatch.setattr(s4d, "scan", by_scan)
    for name in (FFT, PRODUCT, SCAN):
        layer = S4D(2, 4)
        convolution.computed(layer, torch.randn(8, 2, 12), name)
        assert seen.pop() == name
    convolution.computed(layer, torch.randn(8, 2, 12), CHOSEN)
    assert layer.convolution == "auto"


def test_a_way_that_is_not_the_layer_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = s4d.scan
    monkeypatch.setattr(s4d, "scan", lambda *arguments: 1.01 * right(*arguments))
    monkeypatch.setattr(convolution, "interleaved_medians", lambda *_: pytest.fail("timed all the same"))
    with pytest.raises(AssertionError, match="scan differs at Size"):
        convolution.layer_medians(Size(8, 2, 12, 4), 1, CPU)


def test_a_wrong_gradient_is_seen() -> None:
    x = torch.ones(1, 1, 3, requires_grad=True)
    ways = {"right": lambda: 2 * x, "wrong": lambda: x + x.detach()}
    passes = {name: convolution.both(way, [x]) for name, way in ways.items()}
    with pytest.raises(AssertionError, match="wrong differs"):
        convolution.check(passes, Size(1, 1, 3))


def test_the_training_steps_are_of_networks_by_fft_and_as_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    def step(network: Any, *_: object) -> str:
        return str(network.blocks[0].ssm.convolution)

    def ways(steps: Mapping[str, str], _: int) -> dict[str, float]:
        assert steps == {name: WAYS[name] for name in (FFT, CHOSEN)}
        return dict.fromkeys(steps, 1.0)

    monkeypatch.setattr(convolution, "training_step", step)
    monkeypatch.setattr(convolution, "interleaved_medians", ways)
    assert len(list(convolution.training(NETWORK, 1))) == 2


def test_verdicts_are_of_the_worst_ratio_at_each_state_size() -> None:
    def row(section: str, candidate: str, ratio: float, states: int = 16) -> convolution.Row:
        return {"section": section, "candidate": candidate, "state_size": states, "ratio": ratio}

    rows = [row("choice", CHOSEN, 0.8), row("choice", CHOSEN, 0.95), row("causal", SCAN, 9.5, 4), row("causal", FFT, 1)]
    assert convolution.verdicts(rows) == [
        "causal, N = 4: 9.50 (target at least 8.00: met)",
        "choice, N = 16: 0.80 (target at least 0.90: missed)",
    ]
