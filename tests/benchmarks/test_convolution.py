"""The benchmark of the convolution times nothing that disagrees, and its rows are of what they say."""

from __future__ import annotations

import pytest
import torch

from benchmarks import convolution
from benchmarks.chunks import in_chunks
from benchmarks.convolution import CHOSEN, FFT, PRODUCT, Size
from benchmarks.network import Size as NetworkSize
from spike_ssm.models.ssm import S4D


@pytest.mark.parametrize("steps", [1, 8, 40])
def test_chunks_with_carried_states_are_the_layer(steps: int) -> None:
    torch.manual_seed(0)
    layer, x = S4D(3, 4), torch.randn(2, 3, 40)
    torch.testing.assert_close(in_chunks(layer, x, steps), layer(x), rtol=1e-4, atol=1e-5)


def test_every_section_gives_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = list(convolution.choice([Size(8, 2, 12)], 1))
    assert [row["candidate"] for row in chosen] == [FFT, PRODUCT, CHOSEN]
    assert chosen[1]["ms"] == chosen[2]["ms"], "short sequences are convolved as products"
    parts = list(convolution.parts([Size(40, 4, 9)], 1))
    assert [row["candidate"] for row in parts] == [convolution.ALL, convolution.SOME]
    monkeypatch.setattr(convolution, "CHUNKS", (4,))
    rows = list(convolution.chunks([Size(2, 2, 12, 4)], 1))
    assert [row["candidate"] for row in rows] == 2 * [FFT, "chunks of 4"]
    trained = list(convolution.training(NetworkSize(layers=1, channels=4, state_size=4, length=12, batch=8), 1))
    assert [row["candidate"] for row in trained] == [FFT, CHOSEN]
    assert all(row["ratio"] > 0 for row in chosen + parts + rows + trained)


def test_a_way_that_is_not_the_convolution_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = convolution.convolution

    def wrong(*arguments: torch.Tensor, by_product: bool) -> torch.Tensor:
        return right(*arguments, by_product=by_product) * (1.01 if by_product else 1)

    monkeypatch.setattr(convolution, "convolution", wrong)
    monkeypatch.setattr(convolution, "interleaved_medians", lambda *_: pytest.fail("timed all the same"))
    with pytest.raises(AssertionError, match="product differs at Size"):
        list(convolution.choice([Size(8, 2, 12)], 1))


def test_a_wrong_gradient_is_seen() -> None:
    x = torch.ones(1, 1, 3, requires_grad=True)
    ways = {"right": lambda: 2 * x, "wrong": lambda: x + x.detach()}
    passes = {name: convolution.both(way, [x]) for name, way in ways.items()}
    with pytest.raises(AssertionError, match="wrong differs"):
        convolution.check(passes, Size(1, 1, 3))


def test_the_training_step_by_fft_is_by_fft(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool | None] = []

    def recorded(*arguments: torch.Tensor, by_product: bool | None = None) -> torch.Tensor:
        asked.append(by_product)
        return right(*arguments, by_product=by_product)

    right = convolution.convolution
    monkeypatch.setattr(convolution, "convolution", recorded)
    monkeypatch.setattr(
        convolution, "interleaved_medians", lambda ways, _: {name: float(bool(way())) + 1 for name, way in ways.items()}
    )
    list(convolution.training(NetworkSize(layers=1, channels=4, state_size=4, length=12, batch=8), 1))
    assert asked == [False], "the layer's own convolution is replaced for that candidate alone"


def test_verdicts_are_of_the_choice_and_of_the_step() -> None:
    rows = [{"section": "choice", "candidate": CHOSEN, "ratio": 0.8}]
    assert convolution.verdicts(rows) == ["choice: 0.80 (target at least 0.90: missed)"]
