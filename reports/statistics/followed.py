"""Comparisons that were followed from seed to seed, and what was decided of them on the way."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from scipy import stats

from spike_ssm.reports.statistics.looks import at_any_look, level_of_a_look
from spike_ssm.reports.statistics.seeds import CONFIDENCE, Comparison, Verdict, t_interval


def at_all_looks(comparison: Comparison, looks: int) -> Comparison:
    """The comparison before correction, as one of so many looks of which any might be the last."""
    if not comparison.freedom:
        return comparison
    level = level_of_a_look(1 - CONFIDENCE, looks)
    half = comparison.error * float(stats.t.isf(level / 2, comparison.freedom))
    difference = replace(comparison.difference, half=half)
    return replace(comparison, difference=difference, p=at_any_look(comparison.p, looks), looks=looks, level=level)


NOTHING = Comparison(t_interval([]), math.nan, math.nan, 0, Verdict.TOO_FEW)
"""A comparison before its first look."""


@dataclass(frozen=True)
class Followed:
    """The comparisons of one task's variants with the baseline, each as of its last look, and what is decided."""

    baseline: str
    accuracy: dict[str, Comparison]
    decided: dict[str, int]  # variant -> seeds after which it was
    planned: int  # seeds

    @property
    def shown(self) -> list[str]:
        """Variants that are shown to differ."""
        return [variant for variant in self.decided if self.accuracy[variant].verdict.decided]

    @property
    def ruled_out(self) -> list[str]:
        """Variants whose difference is shown to be less than the margin."""
        return [variant for variant in self.decided if variant not in self.shown]

    def needs(self, variant: str, place: int) -> bool:
        """Whether the seed at this place, from 0, of a variant is to be run, as far as is known by now."""
        others = [self.decided.get(each, self.planned) for each in self.accuracy]
        until = max(others, default=self.planned) if variant == self.baseline else self.decided.get(variant)
        return until is None or place < until
