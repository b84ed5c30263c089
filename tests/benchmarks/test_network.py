"""The benchmark of the network times nothing that disagrees, and its rows are of what they say."""

from __future__ import annotations

import pytest

from benchmarks import network, steps
from benchmarks.network import BEFORE, CPU, OURS, PLAIN, PRODUCTS, Size
from spike_ssm.models.network import Network

SMALL = Size(layers=2, channels=4, state_size=4, length=40, batch=2)


def test_every_section_gives_its_rows() -> None:
    plain = list(network.against_plain(SMALL, CPU, 1))
    assert [row["candidate"] for row in plain] == [OURS, PLAIN]
    before = list(network.against_before(SMALL, 1))
    assert [row["candidate"] for row in before] == [OURS, BEFORE]
    alone = list(network.products_alone(SMALL, 1))
    assert [row["candidate"] for row in alone] == [OURS, PRODUCTS]
    assert before[1]["ratio"] == alone[1]["ratio"] == 1
    assert before[0]["ratio"] == before[1]["value"] / before[0]["value"], "times as fast"
    assert alone[0]["ratio"] == alone[0]["value"] / alone[1]["value"], "times as long"
    assert all(row["ratio"] > 0 for row in plain)


def test_the_network_as_before_has_its_weights_and_no_scan() -> None:
    ours, before = SMALL.candidate(OURS), SMALL.candidate(BEFORE)
    assert before.convolution == "fft_or_product"
    weights, others = ours.state_dict(), before.state_dict()
    assert all((weights[name] == others[name]).all() for name in weights)


@pytest.mark.parametrize("name", ["as_before", "made_plain"])
def test_no_network_is_timed_that_computes_something_else(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = getattr(steps, name)

    def wrong(one: Network, **options: bool) -> Network:
        other: Network = right(one, **options)
        other.blocks[1].ssm.d.data += 0.1
        return other

    monkeypatch.setattr(steps, name, wrong)
    monkeypatch.setattr(network, "interleaved_medians", lambda *_: pytest.fail("timed all the same"))
    with pytest.raises(AssertionError, match=f"{BEFORE if name == 'as_before' else PLAIN} differs at Size"):
        list(network.against_before(SMALL, 1))
    with pytest.raises(AssertionError, match="differs at Size"):
        list(network.against_plain(SMALL, CPU, 1))


def test_verdicts_are_of_our_ratio_at_each_state_size() -> None:
    def row(section: str, candidate: str, states: int, ratio: float) -> network.Row:
        return {"section": section, "candidate": candidate, "state_size": states, "ratio": ratio}

    rows = [
        row("against the plain composition", OURS, 64, 21),
        row("against the plain composition", OURS, 16, 34),
        row("against before", BEFORE, 16, 1),
        row("products alone", OURS, 16, 2.9),
    ]
    assert network.verdicts(rows, CPU) == [
        "against the plain composition, N = 64: 21.00 (target at least 20.00: met)",
        "against the plain composition, N = 16: 34.00 (target at least 35.00: missed)",
        "products alone, N = 16: 2.90 (target at most 3.00: met)",
    ]
