"""How spikes follow each other, against a walk over every train step by step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spike_ssm.models.intervals import LONGEST, SpikeIntervals


def walked(trains: list[list[int]]) -> tuple[list[int], list[int], int, int]:
    """Intervals, runs, spikes with a step after them, and those with a spike after them."""
    intervals, runs, followed, after = [], [], 0, 0
    for train in trains:
        last, run = None, 0
        for step, spike in enumerate(train):
            if spike and last is not None:
                intervals.append(step - last)
            if not spike and run:
                runs.append(run)
            last, run = (step if spike else last), (run + 1 if spike else 0)
            if spike and step + 1 < len(train):
                followed += 1
                after += train[step + 1]
        runs += [run] if run else []
    return intervals, runs, followed, after


@given(
    st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=3), min_size=1, max_size=3),
    st.sampled_from([0.0, 0.05, 0.5, 0.95, 1.0]),
    st.integers(0, 2**31),
)
def test_intervals_and_runs_are_those_of_each_train_alone(batches: list[list[int]], rate: float, seed: int) -> None:
    generator, counted, trains = torch.Generator().manual_seed(seed), SpikeIntervals(), []
    for lengths in batches:
        spikes = (torch.rand(len(lengths), 2, max(lengths) + 3, generator=generator) < rate).float()
        kept = (torch.arange(spikes.shape[2]) < torch.tensor(lengths)[:, None])[:, None].float()
        counted.add(spikes * kept, kept)
        trains += [train[:length].int().tolist() for row, length in zip(spikes, lengths, strict=True) for train in row]
    intervals, runs, followed, after = walked(trains)
    for found, steps in zip(counted.counts, (intervals, runs), strict=True):
        assert found.tolist() == np.bincount(steps, minlength=1)[1:].tolist()
    assert counted.spike_after_spike == (pytest.approx(after / followed) if followed else None)
    assert counted.run_length == (pytest.approx(np.mean(runs)) if runs else None)
    assert counted.variation == (pytest.approx(np.std(intervals) / np.mean(intervals), abs=1e-6) if intervals else None)


def test_what_lasts_longer_than_can_be_told_apart_is_counted_together_and_varies_as_it_is() -> None:
    spikes = torch.zeros(1, 1, 3 * LONGEST)
    spikes[..., [0, 1, LONGEST + 1, 3 * LONGEST - 1]] = 1
    counted = SpikeIntervals()
    counted.add(spikes, torch.ones_like(spikes))
    assert counted.counts[0].nonzero()[:, 0].tolist() == [0, LONGEST - 1]
    assert counted.counts[0].sum() == 3
    steps = [1, LONGEST, 2 * LONGEST - 2]
    assert counted.variation == pytest.approx(np.std(steps) / np.mean(steps))


def test_a_clock_does_not_vary_and_spikes_at_random_vary_about_as_much_as_their_mean() -> None:
    clock, chance = torch.zeros(4, 8, 2000), (torch.rand(4, 8, 20_000) < 0.02).float()
    clock[..., ::7] = 1
    variations = []
    for spikes in (clock, chance):
        counted = SpikeIntervals()
        counted.add(spikes, torch.ones(4, 1, spikes.shape[2]))
        variations.append(counted.variation)
    assert variations[0] == 0
    assert variations[1] == pytest.approx(0.98**0.5, abs=0.05)
