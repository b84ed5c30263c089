"""How spikes follow each other: what comes a step after a spike, the time to the next one, and how long runs last."""

from __future__ import annotations

import torch
from torch import Tensor

LONGEST = 1024
"""Steps from which on intervals and runs are counted together."""


class SpikeIntervals:
    """Counts over the spike trains that one layer's channels send, each within its sequence; a spike is not 0.

    An interval is the number of steps from a spike of a channel to its next one. A run is a stretch of spikes at
    intervals of 1, as long as it has spikes; one that the sequence's end cuts short counts as it stands.

    channels: H.
    """

    def __init__(self, channels: int) -> None:
        self._followed = 0  # spikes that a real step follows
        self._intervals = torch.zeros(LONGEST + 1, dtype=torch.int64)  # counts by steps, the last of all from there on
        self._runs = torch.zeros(LONGEST + 1, dtype=torch.int64)
        self._moments = torch.zeros(3, channels, dtype=torch.float64)  # of each channel's intervals: sums of powers

    @torch.no_grad()
    def add(self, spikes: Tensor, kept: Tensor) -> None:
        """Count a batch: spikes [B, H, L], 0 where a step is not real; kept [B, 1, L], not 0 at real steps.

        The real steps of a sequence are its first ones.
        """
        length = spikes.shape[2]
        self._followed += int(((spikes[..., :-1] != 0) & (kept[..., 1:] != 0)).sum())
        places = spikes.reshape(-1).nonzero()[:, 0]
        gaps = places.diff()
        trains = places.div(length, rounding_mode="floor")
        same = trains[1:] == trains[:-1]
        intervals, channel = gaps[same], trains[1:][same] % spikes.shape[1]
        self._intervals += _counts(intervals)
        for power, moment in enumerate(self._moments):
            moment += torch.bincount(channel, intervals.double() ** power, len(moment)).cpu()
        if len(places):
            ends = torch.cat([((gaps != 1) | ~same).nonzero()[:, 0], gaps.new_tensor([len(gaps)])])
            self._runs += _counts(torch.cat([ends[:1] + 1, ends.diff()]))

    @property
    def counts(self) -> tuple[Tensor, Tensor]:
        """How many intervals, and how many runs, last 1, 2, ... steps: [n] int64 each, n at most `LONGEST`.

        The last number of a full one is of all that last as long or longer.
        """
        return _cut(self._intervals), _cut(self._runs)

    @property
    def spike_after_spike(self) -> float | None:
        """The share of spikes that another follows a step later, of those that a real step follows; None without."""
        return int(self._intervals[1]) / self._followed if self._followed else None

    @property
    def variation(self) -> float | None:
        """The standard deviation of a channel's intervals over their mean, mean over channels; None without.

        0 of a clock, about 1 of spikes at random. Channels count that have intervals, each over all its sequences.
        """
        count, total, squares = self._moments[:, self._moments[0] > 0]
        mean = total / count
        deviation = (squares / count - mean**2).clamp(min=0).sqrt()
        return float((deviation / mean).mean()) if len(count) else None

    @property
    def run_length(self) -> float | None:
        """The mean length of a run, in spikes; None without."""
        runs = int(self._runs.sum())
        return (runs + int(self._intervals[1])) / runs if runs else None


def _counts(steps: Tensor) -> Tensor:
    return torch.bincount(steps.clamp(max=LONGEST), minlength=LONGEST + 1).cpu()


def _cut(counts: Tensor) -> Tensor:
    """The counts of 1 step and more, up to the last that is not 0."""
    return counts[1 : int(counts.nonzero().max()) + 1] if bool(counts.any()) else counts[:0]
