"""Is an effect what it is called, or something plainer? A sweep's controls, and the words that follow from them.

A neuron that fires less may lose or gain accuracy by that alone, and a refractory current may do what a larger reset
does. So each variant with the effect is compared at its own firing rate with a curve of variants without it, raised
thresholds for instance (`reports.statistics.matched`): its *advantage*. The advantage of each control is taken away
from it, at the control's own rate. Both are paired by seed. What is then said:

- only fewer (more) spikes: no advantage within `MARGIN`, and another firing rate is shown;
- no effect: no advantage within `MARGIN`, and no other rate is shown;
- the effect itself: an advantage is shown, not known to be within `MARGIN`, and more of it than each control's;
- explained by a control: such an advantage is shown, and the control has the same, within `MARGIN`;
- worse at its rate: a disadvantage is shown, larger than `MARGIN` or not known to be smaller;
- undecided: everything else, and whatever the curve's placebo speaks against (`AtRate.doubt`).

"Shown" is a paired t-test over seeds, "within" two one-sided ones (TOST, Schuirmann 1987), each kind corrected over all
effects of a task (Holm). The words are ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from spike_ssm.reports.statistics.matched import AtRate, Curve, Measured, at_matched_rate
from spike_ssm.reports.statistics.seeds import (
    CONFIDENCE,
    MARGIN,
    VERDICT_SEEDS,
    Comparison,
    Key,
    Verdict,
    above,
    against,
    compare,
    holm,
    t_interval,
)

if TYPE_CHECKING:
    from spike_ssm.results.schema import Controls, Effect

WORSE, NONE, UNDECIDED = "worse at its rate", "no effect", "undecided"
FEWER, MORE = "only fewer spikes", "only more spikes"
EXPLAINED = "explained by {}"
ITSELF = "{} itself"


@dataclass(frozen=True)
class Advantage:
    """Accuracy beyond that of the curve at the same rate; or beyond that, beyond a control's advantage."""

    at: AtRate
    comparison: Comparison
    equal_p: float  # Holm, of the test that it lies within `MARGIN`; NaN without a test

    @property
    def is_shown(self) -> bool:
        """Whether it lies above 0 and no placebo speaks against it."""
        return self.comparison.verdict is Verdict.HIGHER and not self.doubt

    @property
    def is_within_margin(self) -> bool:
        """Whether it is shown to be less than `MARGIN` either way and no placebo speaks against it."""
        return self.equal_p < 1 - CONFIDENCE and not self.at.doubt(2 * MARGIN)

    @property
    def doubt(self) -> str:
        """Why a difference as large as this one is no finding; empty where nothing speaks against it."""
        return self.at.doubt(self.comparison.difference.mean)


@dataclass(frozen=True)
class Judged:
    """An effect on one task, with all that its verdict follows from."""

    effect: Effect
    rate: Comparison | None  # firing rate minus the reference's
    advantage: Advantage
    beyond: Mapping[str, Advantage]  # control -> advantage minus the control's
    verdict: str
    reason: str  # why it is undecided; else empty


def control_names(controls: Controls) -> set[str]:
    """The variants that are there to be compared with: what might do the same, and the reference at other rates."""
    effects = controls.effects
    return {name for each in effects for name in (*each.controls, *each.rates)} - {each.reference for each in effects}


def judge(runs: pd.DataFrame, controls: Controls) -> list[Judged]:
    """Every effect of the sweep on the task of the finished `runs` (`variant`, `seed`, accuracy and rate)."""
    effects = [effect for effect in controls.effects if effect.variant in set(runs["variant"])]
    measured = Measured.of(runs)
    alone = {
        (effect.variant, variant): _advantage(measured, effect, variant)
        for effect in effects
        for variant in (effect.variant, *effect.controls)
    }
    own = {effect.variant: alone[effect.variant, effect.variant] for effect in effects}
    advantages = _tested(own)
    beyond = _tested(
        {
            (effect.variant, control): _minus(own[effect.variant], alone[effect.variant, control])
            for effect in effects
            for control in effect.controls
        }
    )
    return [
        _judged(
            controls.of,
            effect,
            _rate(measured.rates, effects, effect),
            advantages[effect.variant],
            {control: beyond[effect.variant, control] for control in effect.controls},
        )
        for effect in effects
    ]


def _advantage(measured: Measured, effect: Effect, variant: str) -> AtRate:
    """Variants of the curve that have finished runs on this task; the reference must be among them."""
    there = set(measured.rates)
    curve = Curve("the curve without the effect", tuple(rate for rate in effect.rates if rate in there))
    if effect.reference not in curve.variants or len(curve.variants) < 2:
        problem = "no curve of accuracy against firing rate was run here"
        return AtRate(variant, curve.name, t_interval([]), pd.Series(dtype=float), problem)
    return at_matched_rate(measured, Curve(variant, (variant,)), curve)


def _minus(ours: AtRate, control: AtRate) -> AtRate:
    """The advantage of one beyond that of the other, seed by seed."""
    problem = ours.problem or (f"{control.curve}: {control.problem}" if control.problem else "")
    difference = pd.Series(dtype=float) if problem else (ours.difference - control.difference).dropna()
    placebos = tuple(dict.fromkeys((*ours.placebos, *control.placebos)))
    return AtRate(ours.curve, control.curve, ours.rate, difference, problem, placebos, ours.untested)


def _rate(rates: pd.DataFrame, effects: Sequence[Effect], effect: Effect) -> Comparison | None:
    """Corrected over the effects that have the same reference."""
    family = [each.variant for each in effects if each.reference == effect.reference]
    if effect.reference not in rates:
        return None
    return against(rates[[effect.reference, *family]], effect.reference)[effect.variant]


def _tested(found: Mapping[Key, AtRate]) -> dict[Key, Advantage]:
    """The comparisons with tests against 0, and for a place within the margin, each corrected over all of `found`."""
    compared = compare({key: at.difference for key, at in found.items()})
    equal = holm([equivalence(at.difference, MARGIN) for at in found.values()])
    return {key: Advantage(at, compared[key], p) for (key, at), p in zip(found.items(), equal, strict=True)}


def equivalence(differences: Sequence[float] | pd.Series[float], margin: float) -> float:
    """p of two one-sided t-tests that the mean lies within (-margin, margin); NaN below three values or no spread."""
    values = np.asarray(differences, dtype=float)[np.newaxis]
    return float(np.maximum(above(values, -margin), above(-values, -margin))[0])  # NaN of either


def _judged(
    of: str, effect: Effect, rate: Comparison | None, advantage: Advantage, beyond: Mapping[str, Advantage]
) -> Judged:
    verdict, reason = _verdict(of, effect, rate, advantage, beyond)
    return Judged(effect, rate, advantage, beyond, verdict, reason)


def _verdict(
    of: str, effect: Effect, rate: Comparison | None, advantage: Advantage, beyond: Mapping[str, Advantage]
) -> tuple[str, str]:
    """What may be said, and why not more where that is undecided."""
    if advantage.at.problem:
        return UNDECIDED, advantage.at.problem
    if advantage.comparison.difference.n < VERDICT_SEEDS:
        return UNDECIDED, f"fewer than {VERDICT_SEEDS} seeds"
    if advantage.is_within_margin:  # also where it is shown to lie above 0: so little is no effect for people
        if rate is not None and rate.verdict.decided:
            return (FEWER if rate.verdict is Verdict.LOWER else MORE), ""
        return NONE, ""
    if advantage.is_shown:
        return _explanation(of, effect, beyond)
    if advantage.comparison.verdict is Verdict.LOWER and not advantage.doubt:
        return WORSE, ""
    if advantage.equal_p < 1 - CONFIDENCE:
        return UNDECIDED, f"its accuracy is that of the curve, but {advantage.at.doubt(2 * MARGIN)}"
    if advantage.comparison.verdict.decided:
        return UNDECIDED, f"a difference is found, but {advantage.doubt}"
    return UNDECIDED, "at its rate, neither a difference nor equality within the margin is shown"


def _explanation(of: str, effect: Effect, beyond: Mapping[str, Advantage]) -> tuple[str, str]:
    """The verdict on a shown advantage."""
    same = [control for control, advantage in beyond.items() if advantage.is_within_margin]
    if same:
        return EXPLAINED.format(" and ".join(same)), ""
    if effect.missing:
        return UNDECIDED, f"an advantage is shown, but {', '.join(effect.missing)} was not run"
    if not beyond:
        return UNDECIDED, "an advantage is shown, but the sweep has no controls to tell what gives it"
    open_ones = [control for control, advantage in beyond.items() if not advantage.is_shown]
    if not open_ones:
        return ITSELF.format(of), ""
    whys = [f"{control} ({beyond[control].at.problem or 'not told apart'})" for control in open_ones]
    return UNDECIDED, f"an advantage is shown, but these may explain it: {', '.join(whys)}"


POINT = f"{MARGIN * 100:g} point"
