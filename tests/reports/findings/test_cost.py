"""What a sweep took, beside what had been estimated."""

from __future__ import annotations

import json

import pandas as pd

from spike_ssm.reports.findings.cost import cost_sentences
from spike_ssm.results.costs.estimate import Estimates, Start


def runs(*seconds: float, **environment: object) -> pd.DataFrame:
    """Finished runs a, b, ... of these durations, one after the other, on two threads unless told otherwise."""
    begins = pd.Timestamp("2026-01-01T10:00:00Z") + pd.to_timedelta(pd.Series([0.0, *seconds]).cumsum(), unit="s")
    document = json.dumps({"device": "cpu", "threads": 2, "processes": 1, **environment})
    rows = [
        {"id": chr(97 + place), "duration_s": each, "started_at": str(begins[place]), "environment": document}
        for place, each in enumerate(seconds)
    ]
    return pd.DataFrame(rows, columns=["id", "duration_s", "started_at", "environment"])


def test_the_error_is_of_the_estimate_in_what_was_taken() -> None:
    estimates = Estimates([Start(2200.0, {"a": 900.0, "b": 1800.0})])
    assert cost_sentences(runs(1800.0, 1800.0), estimates) == (
        "The 2 finished runs took 2.00 core hours. "
        "When they were started, 1.50 core hours were estimated: 25\N{NO-BREAK SPACE}% too little. "
        "All were done after 1 h 00 min; 36 min 40 s were estimated: 39\N{NO-BREAK SPACE}% too little."
    )


def test_runs_without_an_estimate_are_not_compared() -> None:
    said = cost_sentences(runs(1800.0, 3600.0), Estimates([Start(1800.0, {"a": 1800.0, "z": 5.0})]))
    assert said == (
        "The 2 finished runs took 3.00 core hours. "
        "When they were started, 1.00 core hours were estimated for 1 of them, which took 1.00 core hours: "
        "as much as they took."
    )


def test_without_estimates_only_what_was_taken_is_said_and_without_runs_nothing() -> None:
    assert cost_sentences(runs(1800.0), Estimates()) == "The 1 finished run took 1.00 core hours."
    assert cost_sentences(runs(), Estimates()) is None


def test_a_gpu_is_counted_instead_of_the_cores_beside_it() -> None:
    said = cost_sentences(runs(3600.0, device="NVIDIA H200", processes=2), Estimates())
    assert said == "The 1 finished run took 2.00 GPU hours."
    odd = runs(3600.0, threads="many", processes=-1)
    assert cost_sentences(odd, Estimates()) == "The 1 finished run took 1.00 core hours."
