"""What controls leave of an effect, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from spike_ssm.reports.findings.differences import differences_from
from spike_ssm.reports.render.statements import Findings, Statement, of_several
from spike_ssm.reports.render.text import PERCENT_95, bounds, count, listing, number
from spike_ssm.reports.statistics.controls import FEWER, MORE, NONE, POINT, UNDECIDED, WORSE, Judged
from spike_ssm.reports.statistics.one_setting import Beside
from spike_ssm.reports.statistics.seeds import Comparison

_SAME_RATE = "what the neuron without the effect reaches at the same firing rate"


def control_findings(judged: Sequence[Judged], of: str) -> Findings | None:
    """The verdicts in words; None where the task has none of the effects."""
    if not judged:
        return None
    lead = (
        f"Each variant is compared, at its own firing rate, with {_SAME_RATE} (interpolated), and then with its "
        f"controls. Within ± {POINT} counts as the same."
    )
    statements = [
        Statement(each.verdict, (each.effect.variant,), _sentence(each)) for each in judged if each.verdict != UNDECIDED
    ]
    reasons: dict[str, list[str]] = {}
    for each in judged:
        if each.verdict == UNDECIDED:
            reasons.setdefault(each.reason, []).append(each.effect.variant)
    statements += [of_several(UNDECIDED, variants, f"{reason}.") for reason, variants in reasons.items()]
    return Findings(f"{of[:1].upper()}{of[1:]} itself, or something plainer?", lead, tuple(statements))


def one_setting_findings(found: Sequence[Beside]) -> Findings | None:
    """How accurate effects are beside plainer variants with their number; None where no two share one."""
    by_other: dict[str, dict[str, Comparison]] = {}
    for each in found:
        by_other.setdefault(each.other, {})[each.effect] = each.accuracy
    statements = [said for other, compared in by_other.items() for said in differences_from(other, compared)]
    lead = (
        "Variants whose names end with the same number, as of a penalty on the firing rate, compared as they are: "
        "accuracies, paired by seed and corrected together. The table behind them has the firing rates."
    )
    return Findings("Effects under one setting", lead, tuple(statements)) if statements else None


def verdicts_in_words(judged: Sequence[Judged], of: str) -> list[Statement]:
    """One statement with the verdict on each effect; none where the task has none of them."""
    by_verdict: dict[str, list[str]] = {}
    for each in judged:
        by_verdict.setdefault(each.verdict, []).append(each.effect.variant)
    said = "; ".join(f"{verdict} for {listing(variants)}" for verdict, variants in by_verdict.items())
    return [Statement(of, (), f"At the same firing rate: {said}.")] if said else []


def _sentence(judged: Judged) -> str:
    """The rest of a sentence that begins with a variant that is not undecided."""
    advantage = judged.advantage
    measured = f"{_points(advantage.comparison)} beyond {_SAME_RATE}"
    match judged.verdict:
        case verdict if verdict in (FEWER, MORE):
            word = "less" if verdict == FEWER else "more"
            assert judged.rate is not None
            rate = f"{number(abs(judged.rate.difference.mean) * 100)} points"
            return f"fires {word} ({rate}), and its accuracy is within ± {POINT} of {_SAME_RATE}."
        case verdict if verdict == NONE:
            return f"is within ± {POINT} of {_SAME_RATE}, and no other rate is shown."
        case verdict if verdict == WORSE:
            return f"is less accurate than {_SAME_RATE}: {_points(advantage.comparison)}."
        case verdict if verdict.startswith("explained"):
            return f"has {measured}, and so has the control, within ± {POINT}."
    return f"has {measured}, and more than each control ({', '.join(judged.beyond)})."


def _points(comparison: Comparison) -> str:
    seeds = count(comparison.difference.n, "seed")
    interval = f"{PERCENT_95} interval {bounds(comparison.difference, 100)}"
    return f"{number(comparison.difference.mean * 100, signed=True)} points ({interval}, {seeds})"
