"""The user's private folder, from which workers are started: nobody else can put anything there."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from spike_ssm.harness.system.private import private_folder
from spike_ssm.results.errors import UserError


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPIKE_SSM_PRIVATE", str(tmp_path / "private"))
    return tmp_path / "private"


def test_it_is_made_for_the_user_alone(place: Path) -> None:
    before = os.umask(0)
    try:
        folder = private_folder("jobs")
    finally:
        os.umask(before)
    assert folder == place / "jobs"
    for each in (place, folder):
        assert stat.S_IMODE(each.stat().st_mode) == 0o700
        assert each.stat().st_uid == os.geteuid()
    assert private_folder("jobs") == folder


def test_it_lies_in_the_home_unless_told_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SPIKE_SSM_PRIVATE", "XDG_STATE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert private_folder("jobs").is_relative_to(tmp_path)


def open_to_the_group(place: Path) -> None:
    place.mkdir()
    place.chmod(0o770)


def open_to_all(place: Path) -> None:
    (place / "jobs").mkdir(parents=True)
    (place / "jobs").chmod(0o707)


def a_link(place: Path) -> None:
    (place.parent / "elsewhere").mkdir(mode=0o700)
    place.symlink_to(place.parent / "elsewhere")


def a_file(place: Path) -> None:
    place.touch()


def in_an_open_folder(place: Path) -> None:
    place.parent.chmod(0o777)


def of_somebody_else(place: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    place.mkdir(mode=0o700)
    os.chown(place, 4711, -1)


@pytest.mark.fault(
    "Somebody else could write to the private folder that jobs are started from, or has put a link there.",
    "Nothing is started, and a sentence says what is wrong with the folder and how to name another.",
)
@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        pytest.param(open_to_the_group, "Others can write to the private folder", id="group"),
        pytest.param(open_to_all, "Others can write to the private folder", id="all"),
        pytest.param(a_link, "is a link or a file", id="link"),
        pytest.param(a_file, "cannot be used", id="file"),
        pytest.param(in_an_open_folder, "Everybody can replace what is in", id="parent"),
        pytest.param(of_somebody_else, "belongs to the user with the number 4711", id="owner"),
    ],
)
def test_one_that_others_can_write_to_is_refused(place: Path, spoil: Callable[[Path], None], sentence: str) -> None:
    spoil(place)
    with pytest.raises(UserError, match=rf"^.*{sentence}.* SPIKE_SSM_PRIVATE=FOLDER\.$"):
        private_folder("jobs")


@pytest.mark.parametrize("path", ["/proc/none", "/tmp/%j", "/tmp/a\nb"])
def test_one_that_cannot_be_is_a_sentence(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKE_SSM_PRIVATE", path)
    with pytest.raises(UserError, match=r"^The private folder .* SPIKE_SSM_PRIVATE=FOLDER\.$"):
        private_folder("jobs")
