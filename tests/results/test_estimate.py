"""The file of what runs were expected to take."""

from __future__ import annotations

from pathlib import Path

import pytest

from spike_ssm.results.costs.estimate import Estimates, Start, add_estimate, estimates_path, read_estimates
from spike_ssm.results.errors import UserError


def test_starts_are_kept_in_their_order_and_the_last_one_of_a_run_counts(tmp_path: Path) -> None:
    first, second = Start(60.0, {"a": 20.0, "b": 30.0}), Start(40.0, {"b": 35.0, "c": 10.0})
    add_estimate(tmp_path, "mini", first)
    assert read_estimates(tmp_path, "mini") == Estimates([first])
    add_estimate(tmp_path, "mini", second)
    found = read_estimates(tmp_path, "mini")
    assert found.starts == [Start(60.0, {"a": 20.0}), second]
    assert found.runs == {"a": 20.0, "b": 35.0, "c": 10.0}


def test_a_start_of_which_no_run_is_left_is_forgotten(tmp_path: Path) -> None:
    for seconds in (20.0, 25.0):
        add_estimate(tmp_path, "mini", Start(seconds, {"a": seconds}))
    assert read_estimates(tmp_path, "mini").starts == [Start(25.0, {"a": 25.0})]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"starts": 1}',
        b'{"starts": [{"wall_s": NaN, "runs": {}}]}',
        b'{"starts": [{"wall_s": 1, "runs": {"a": -1}}]}',
    ],
)
def test_what_is_no_such_file_is_no_estimate(tmp_path: Path, content: bytes) -> None:
    path = estimates_path(tmp_path, "mini")
    path.parent.mkdir()
    path.write_bytes(content)
    assert read_estimates(tmp_path, "mini") == Estimates()


def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"The plan '\.\./x' cannot be"):
        read_estimates(tmp_path, "../x")
