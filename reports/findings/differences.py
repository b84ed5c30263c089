"""Tested differences in sentences, never stronger than their tests: a line each where decided, else one for all."""

from __future__ import annotations

from collections.abc import Mapping

from spike_ssm.reports.render.statements import Statement, of_several
from spike_ssm.reports.render.text import PERCENT_95, bounds, count, listing, number, p_value
from spike_ssm.reports.statistics.resolution import resolution
from spike_ssm.reports.statistics.seeds import Comparison, Verdict


def differences_from(reference: str, compared: Mapping[str, Comparison]) -> list[Statement]:
    """What the tests say of each of the `compared`: those with a verdict first, the others by why they have none."""
    said = [
        Statement(each.verdict.value, (name,), _decided(reference, each))
        for name, each in compared.items()
        if each.verdict.decided
    ]
    if found := _with(compared, Verdict.OPEN):
        said.append(of_several("not shown", [*found], _open(reference, found)))
    if found := _with(compared, Verdict.TOO_FEW):
        said.append(of_several("no verdict", [*found], f"too few seeds for a verdict; {_means(reference, found)}."))
    if found := _with(compared, Verdict.NO_SPREAD):
        text = (
            f"every seed gives the same difference, so there is no interval and no verdict; {_means(reference, found)}."
        )
        said.append(of_several("no verdict", [*found], text))
    if alone := [name for name, each in compared.items() if each.difference.n == 0]:
        said.append(of_several("no verdict", alone, f"no finished seed is shared with {reference}."))
    return said


def _with(compared: Mapping[str, Comparison], verdict: Verdict) -> dict[str, Comparison]:
    return {name: each for name, each in compared.items() if each.verdict is verdict and each.difference.n}


def _decided(reference: str, comparison: Comparison) -> str:
    """The rest of a sentence that begins with what is compared."""
    difference, seeds = comparison.difference, count(comparison.difference.n, "seed")
    interval = f"{PERCENT_95} interval {bounds(difference, 100)}"
    by = f"{number(abs(difference.mean) * 100)} points"
    which = comparison.verdict.value
    return f"is {which} than {reference} by {by} ({interval}, {p_value(comparison.adjusted_p)}, {seeds})."


def _open(reference: str, found: Mapping[str, Comparison]) -> str:
    """How large differences that are not shown may be."""
    limits = resolution([*found.values()])
    assert limits is not None, "an open comparison was tested"
    near = [name for name, each in found.items() if each.difference.low > 0 or each.difference.high < 0]
    within = f"{number(-limits.loss * 100)} to {number(limits.gain * 100, signed=True)} points"
    text = (
        f"no difference from {reference} is shown by {count(limits.seeds, 'seed')}; what there may be lies within "
        f"{within} ({PERCENT_95} for all at once)."
    )
    return f"{text} Of {listing(near)} the interval leaves out zero, the corrected test does not." if near else text


def _means(reference: str, found: Mapping[str, Comparison]) -> str:
    """`means differ from reset soft by −0.40 to +1.20 points over 2 seeds`."""
    means = sorted(each.difference.mean * 100 for each in found.values())
    ends = [number(value, signed=True) for value in dict.fromkeys((means[0], means[-1]))]
    seeds = max(each.difference.n for each in found.values())
    return f"means differ from {reference} by {' to '.join(ends)} points over {count(seeds, 'seed')}"
