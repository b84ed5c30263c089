"""What `reports.statistics.controls` found, as findings in words and as the table of the tests behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spike_ssm.reports.findings.accuracy import Findings, Statement
from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.text import ABSENT, PERCENT_95, bare_p_value, bounds, count, number, plus_minus
from spike_ssm.reports.statistics.controls import FEWER, MARGIN, MORE, NONE, UNDECIDED, WORSE, Advantage, Judged
from spike_ssm.reports.statistics.seeds import Comparison
from spike_ssm.reports.tables.accuracy import Heading, Row, Table

_POINT = f"{MARGIN * 100:g} point"
_SAME_RATE = "what the neuron without the effect reaches at the same firing rate"


def control_findings(judged: Sequence[Judged], of: str) -> Findings | None:
    """The verdicts in words; None where the task has none of the effects."""
    if not judged:
        return None
    lead = (
        f"Each variant is compared, at its own firing rate, with {_SAME_RATE} (interpolated), and then with its "
        f"controls. Within ± {_POINT} counts as the same."
    )
    statements = tuple(Statement(each.verdict, (each.effect.variant,), _sentence(each)) for each in judged)
    return Findings(f"{of[:1].upper()}{of[1:]} itself, or something plainer?", lead, statements)


def _sentence(judged: Judged) -> str:
    """The rest of a sentence that begins with the variant."""
    advantage = judged.advantage
    measured = f"{_points(advantage.comparison)} beyond {_SAME_RATE}"
    match judged.verdict:
        case verdict if verdict == UNDECIDED:
            return f"allows no verdict: {judged.reason}."
        case verdict if verdict in (FEWER, MORE):
            word = "less" if verdict == FEWER else "more"
            assert judged.rate is not None
            rate = f"{number(abs(judged.rate.difference.mean) * 100)} points"
            return f"fires {word} ({rate}), and its accuracy is within ± {_POINT} of {_SAME_RATE}."
        case verdict if verdict == NONE:
            return f"is within ± {_POINT} of {_SAME_RATE}, and no other rate is shown."
        case verdict if verdict == WORSE:
            return f"is less accurate than {_SAME_RATE}: {_points(advantage.comparison)}."
        case verdict if verdict.startswith("explained"):
            return f"has {measured}, and so has the control, within ± {_POINT}."
    return f"has {measured}, and more than each control ({', '.join(judged.beyond)})."


def _points(comparison: Comparison) -> str:
    seeds = count(comparison.difference.n, "seed")
    interval = f"{PERCENT_95} interval {bounds(comparison.difference, 100)}"
    return f"{number(comparison.difference.mean * 100, signed=True)} points ({interval}, {seeds})"


def control_table(judged: Sequence[Judged], looks: Mapping[str, Look]) -> Table | None:
    """Every test that a verdict follows from; None without effects."""
    if not judged:
        return None
    texts = (
        "compared with",
        "at rate, %",
        "difference, points",
        "95 % interval",
        "p, Holm",
        f"p within ± {_POINT}, Holm",
    )
    rows = []
    for each in judged:
        look = looks.get(each.effect.variant)
        rows.append(Row(each.effect.variant, ("without the effect", *_cells(each.advantage)), look))
        rows += [
            Row(each.effect.variant, (f"the same of {control}", *_cells(advantage)), look)
            for control, advantage in each.beyond.items()
        ]
    notes = (
        "Without the effect: accuracy minus that on the line between the variants without it, at the variant's own "
        "rate. The same of a control: that difference minus the control's, each at its own rate. Paired by seed.",
        "p: t-test against 0, two-sided. p within: two one-sided t-tests (TOST) that the difference is smaller than "
        f"{_POINT} either way. Each kind is corrected over the effects of this task (Holm).",
        "Lines between distant points of a bent curve lie too low, which favours the variant: add points between.",
    )
    return Table("Controls", "Variant", tuple(map(Heading, texts)), tuple(rows), notes)


def _cells(advantage: Advantage) -> list[str]:
    at, comparison = advantage.at, advantage.comparison
    if at.problem:
        return [at.problem, *[ABSENT] * 4]
    difference = comparison.difference
    return [
        plus_minus(at.rate.mean * 100, at.rate.half * 100),
        number(difference.mean * 100, signed=True),
        bounds(difference, 100),
        bare_p_value(comparison.adjusted_p),
        bare_p_value(advantage.equal_p),
    ]
