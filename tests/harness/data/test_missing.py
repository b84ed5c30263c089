"""Data that are not here: what is said, and that the stand-in it ends with needs nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from spike_ssm.harness.config.command_line import parse_command_line
from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.data import TASKS
from spike_ssm.harness.data.readers import hub
from spike_ssm.harness.data.readers.common import MissingError

ON_REQUEST = {"listops", "pathfinder", "pathx"}
"""Tasks that are generated, and read files where they are asked to."""

IN_DEBIAN = {"foldoc", "fashion_mnist", "ps_fashion_mnist"}
"""Tasks whose files may lie where Debian puts them, so that they are not missing."""


@pytest.mark.parametrize("name", [name for name, (task, _) in TASKS.items() if task.stand_in])
def test_a_task_whose_data_are_missing_names_what_needs_no_download(
    name: str, tmp_path: Path, composer: Composer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "_asked", lambda: lambda: False)
    task, stand_in = TASKS[name][0], str(TASKS[name][0].stand_in)
    released = {"task.released": True} if name in ON_REQUEST else {}
    wanted = composer.settings({"task": name, "scale": "gpu", **released}).task
    if name not in IN_DEBIAN:
        with pytest.raises(MissingError, match=rf"\) With {stand_in} nothing has to be downloaded\.$"):
            task(wanted).prepare(tmp_path / "cache", tmp_path / "files")
    instead = composer.settings({"task": name, "scale": "gpu", **parse_command_line(stand_in.split()).overrides}).task
    assert all(path.exists() for path in TASKS[instead.name][0](instead).sources(tmp_path / "files"))


def test_a_list_of_ways_is_numbered_and_one_way_is_not() -> None:
    assert str(MissingError("IMDb", "Put it there.")) == "IMDb is missing: Put it there."
    assert str(MissingError("IMDb", "Put it there.", "Or here.")) == "IMDb is missing: (1) Put it there. (2) Or here."
