"""How the runs of a task learned: where they stand beside chance and shortcut, and which ended early."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import get_args

import pandas as pd

from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.statements import Statement
from spike_ssm.reports.render.table import Heading, Row, Table
from spike_ssm.reports.render.text import count, listing
from spike_ssm.results.milestones import S4_BY_EPOCH, Judged, Standing

STANDINGS: tuple[str, ...] = get_args(Standing)
_STOPPED, _S4 = "stopped early", "reached S4"


def learning_table(task: str, runs: pd.DataFrame, looks: Mapping[str, Look]) -> Table | None:
    """How many `runs` of a task, finished or failed, stand where; None where that is known of none."""
    by_variant = {
        str(variant): _counts(list(group)) for variant, group in runs.groupby("variant", sort=False)["learned"]
    }
    total = sum(by_variant.values(), Counter[str]())
    columns = [name for name in (*STANDINGS, _STOPPED, _S4) if total[name]]
    if not columns:
        return None
    rows = [
        Row(variant, tuple(str(counts[name]) for name in columns), looks[variant])
        for variant, counts in by_variant.items()
    ]
    headings = tuple(Heading(name) for name in columns)
    return Table("Where runs stand after their training", "Variant", headings, tuple(rows), _notes(task, total))


def _counts(learned: Sequence[Judged]) -> Counter[str]:
    found = Counter(each.standing for each in learned if each.standing)
    return Counter[str](found) + Counter(
        {
            _STOPPED: sum(each.stopped_at is not None for each in learned),
            _S4: sum(bool(each.reached_s4) for each in learned),
        }
    )


def _notes(task: str, total: Counter[str]) -> tuple[str, ...]:
    notes = [
        "Counts of runs. By validation accuracy, beside the commonest label (chance) and the shortcut, each shown at "
        "5 %, corrected for the number of epochs; takes off: above chance, on which side of the shortcut is not shown. "
        "Perplexities are compared as they are."
    ]
    if total[_STOPPED]:
        notes.append(
            "Stopped early, as stop_if asked: such runs are tested as they were then, and are part of all means and "
            "tests, which are therefore of the training with this rule."
        )
    if total[_S4]:
        epoch, accuracy = S4_BY_EPOCH[task]
        notes.append(f"Reached S4: {accuracy:.0%} by epoch {epoch}, as S4 had on the published data (by its authors).")
    return tuple(notes)


def learning_statement(runs: pd.DataFrame) -> list[Statement]:
    """A sentence on which of the `runs`, finished or failed, are at chance, diverged or ended early, where some are.

    Means over them say little of their variant.
    """
    found = list(zip(runs["variant"], runs["learned"], strict=True))
    stopped = [each.stopped_at for _, each in found if each.stopped_at is not None]
    said = [
        f"{count(sum(names.values()), 'run')} {standing} ({_named(names)})"
        for standing in ("still at chance", "diverged")
        if (names := Counter(str(variant) for variant, each in found if each.standing == standing))
    ]
    if stopped:
        epochs = listing([str(epoch) for epoch in sorted(set(stopped))])
        said.append(f"{count(len(stopped), 'run')} stopped early, at epoch {epochs}")
    if not said:
        return []
    return [Statement("learning", (), f"{listing(said)}: read the means of these variants with care.")]


def _named(names: Counter[str]) -> str:
    most = names.most_common(3)
    more = len(names) - len(most)
    shown = [name if times == 1 else f"{times} of {name}" for name, times in most]
    return listing([*shown, f"{more} more"] if more else shown)
