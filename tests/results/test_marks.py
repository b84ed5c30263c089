"""Marks beside a pack: read back as they were written, and never where they contradict themselves or are a link."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from spike_ssm.results.errors import UserError
from spike_ssm.results.verify.marks import IDENTICAL, NOT_REPEATED, WITHIN, Mark, marks_path, read_marks, write_mark

SAME = Mark("hash", IDENTICAL, 1.0, 0.0, 0.0, 0.5, 0.5, "EPYC", "0", "2026-11-30T00:00:00+00:00")
NEAR = replace(SAME, verdict=WITHIN, distance=0.75, differing=0.25, accuracy=0.5025)
OTHER = replace(SAME, verdict=NOT_REPEATED, distance=None, differing=None, accuracy=0.9)


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return tmp_path / "theirs.parquet"


def test_marks_are_read_as_they_were_written(pack: Path) -> None:
    assert read_marks(pack) == {}
    for place, mark in enumerate((SAME, NEAR, OTHER)):
        write_mark(pack, f"run{place}", mark)
    assert read_marks(pack) == {"run0": SAME, "run1": NEAR, "run2": OTHER}


@pytest.mark.parametrize(
    ("mark", "changes", "said"),
    [
        (SAME, {"accuracy": 0.9}, "further apart than its distance"),
        (SAME, {"differing": 0.5}, "does not follow from its numbers"),
        (SAME, {"distance": None}, "does not follow from its numbers"),
        (NEAR, {"verdict": IDENTICAL}, "does not follow from its numbers"),
        (NEAR, {"tolerance": 0.5}, "does not follow from its numbers"),
        (NEAR, {"tolerance": float("nan")}, "a tolerance or a distance that cannot be"),
        (NEAR, {"tolerance": float("inf")}, "a tolerance or a distance that cannot be"),
        (NEAR, {"distance": float("nan")}, "a tolerance or a distance that cannot be"),
        (NEAR, {"stored_accuracy": 1.5}, "a share that is none"),
        (NEAR, {"verdict": "great"}, "must be identical or within tolerance or not repeated"),
    ],
)
def test_a_mark_that_contradicts_itself_is_refused(pack: Path, mark: Mark, changes: dict[str, Any], said: str) -> None:
    content = {"version": 1, "runs": {"run": {**asdict(mark), **changes}}}
    marks_path(pack).write_text(json.dumps(content))
    with pytest.raises(UserError, match=said):
        read_marks(pack)


def test_nothing_is_read_through_a_link(pack: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text(json.dumps({"password": "x"}))
    for target in ("secret.json", "none.json"):
        marks_path(pack).unlink(missing_ok=True)
        marks_path(pack).symlink_to(tmp_path / target)
        with pytest.raises(UserError, match="must be a file of its own, no link") as error:
            read_marks(pack)
        assert "password" not in str(error.value)


def test_a_run_of_a_mark_has_a_plain_name(pack: Path) -> None:
    marks_path(pack).write_text(json.dumps({"runs": {"a\nb": asdict(SAME)}}))
    with pytest.raises(UserError, match=r"theirs.repeated.json: The run 'a\\nb' cannot be"):
        read_marks(pack)
