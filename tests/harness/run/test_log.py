"""The log of a run, and a run without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from spike_ssm.harness.run.log import own_log


def test_a_run_whose_log_cannot_be_written_prints_where_its_worker_does(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "a.log"
    with own_log(path):
        print("Said.")
    assert capfd.readouterr().out == "Said.\n"
    assert caplog.messages == [f"The log {path} cannot be written (File exists): the run goes on without."]


@pytest.mark.fault(
    "Somebody who may write to the results folder puts a link in the place of a run's log.",
    "The file that it leads to is not touched; the run goes on without a log.",
)
def test_a_log_is_not_written_through_a_link(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "profile").write_text("mine")
    (tmp_path / "run.log").symlink_to(tmp_path / "profile")
    with own_log(tmp_path / "run.log"):
        print("Said.")
    assert capfd.readouterr().out == "Said.\n"
    assert (tmp_path / "profile").read_text() == "mine"
