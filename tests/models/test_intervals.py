"""How spikes follow each other, against a walk over every train step by step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spike_ssm.models.activity import LayerActivity
from spike_ssm.models.intervals import LONGEST, SpikeIntervals

CHANNELS = 2


def walked(trains: list[list[int]]) -> tuple[list[int], list[int], int, int]:
    """Intervals, runs, spikes with a step after them, and those with a spike after them."""
    intervals: list[int] = []
    runs, followed, after = [], 0, 0
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
    generator, counted, trains = torch.Generator().manual_seed(seed), SpikeIntervals(CHANNELS), []
    for lengths in batches:
        spikes = (torch.rand(len(lengths), CHANNELS, max(lengths) + 3, generator=generator) < rate).float()
        kept = (torch.arange(spikes.shape[2]) < torch.tensor(lengths)[:, None])[:, None].float()
        counted.add(spikes * kept, kept)
        trains += [train[:length].int().tolist() for row, length in zip(spikes, lengths, strict=True) for train in row]
    intervals, runs, followed, after = walked(trains)
    for found, steps in zip(counted.counts, (intervals, runs), strict=True):
        assert found.tolist() == np.bincount(steps, minlength=1)[1:].tolist()
    assert counted.spike_after_spike == (pytest.approx(after / followed) if followed else None)
    assert counted.run_length == (pytest.approx(np.mean(runs)) if runs else None)
    of_channels = [walked(trains[channel::CHANNELS])[0] for channel in range(CHANNELS)]
    varied = [np.std(each) / np.mean(each) for each in of_channels if each]
    assert counted.variation == (pytest.approx(np.mean(varied), abs=1e-6) if varied else None)


def test_what_lasts_longer_than_can_be_told_apart_is_counted_together_and_varies_as_it_is() -> None:
    spikes = torch.zeros(1, 1, 3 * LONGEST)
    spikes[..., [0, 1, LONGEST + 1, 3 * LONGEST - 1]] = 1
    counted = SpikeIntervals(1)
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
        counted = SpikeIntervals(8)
        counted.add(spikes, torch.ones(4, 1, spikes.shape[2]))
        variations.append(counted.variation)
    assert variations[0] == 0
    assert variations[1] == pytest.approx(0.98**0.5, abs=0.05)


def test_channels_of_unequal_rates_are_what_chance_makes_of_them() -> None:
    rates = torch.tensor([0.02, 0.1, 0.6])
    spikes = (torch.rand(8, 3, 20_000) < rates[:, None]).float()
    activity = LayerActivity(intervals=True)
    activity.add(spikes, spikes, None, None)
    assert activity.intervals is not None
    by_chance = float(rates.square().sum() / rates.sum())
    assert activity.spike_after_spike_by_chance == pytest.approx(by_chance, abs=0.005)
    assert activity.intervals.spike_after_spike == pytest.approx(by_chance, abs=0.005)
    assert activity.intervals.variation == pytest.approx(float((1 - rates).sqrt().mean()), abs=0.02)
