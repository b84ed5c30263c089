"""A page while runs go on: partial until the last, of unchanged tasks nothing is read or drawn again."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spike_ssm.reports.__main__ import main
from spike_ssm.reports.pages import follow as module
from spike_ssm.reports.pages.follow import SECONDS_BETWEEN_PAGES, SHARE, Follower, follow, pause_after
from spike_ssm.reports.pages.sweep import Kept, build_report
from tests.reports.conftest import failed

NAME = "ablation_refractory"
TASKS, VARIANTS = ("listops", "images"), ("none", "fixed")
PLANNED = len(TASKS) * len(VARIANTS) * 3


def text(page: Path) -> str:
    return " ".join(re.sub("<style.*?</style>|<script.*?</script>|<[^>]*>", " ", page.read_text(), flags=re.S).split())


@dataclass(frozen=True)
class Coming:
    """A sweep whose results come: they lie in another folder until then, and are what they are."""

    results: Path
    later: Path

    def come(self, task: str, *seeds: int) -> None:
        """These results are there now."""
        for path in sorted(self.later.glob(f"{task[:3]}-*.parquet")):
            if int(path.stem[-1]) in seeds:
                path.rename(self.results / "rows" / path.name)


@pytest.fixture
def coming(sweep: Callable[..., Path], tmp_path: Path) -> Coming:
    """A sweep of twelve runs without a result; one has failed."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        return failed(row, "Bad luck.") if row["id"] == "ima-fixed-2" else row

    results = sweep(tasks=TASKS, variants=VARIANTS, change=change)
    later = (results / "rows").rename(tmp_path / "later")
    (results / "rows").mkdir()
    return Coming(results, later)


def test_a_page_is_partial_until_the_last_result_and_then_what_it_always_was(coming: Coming, tmp_path: Path) -> None:
    kept, out = Kept(), tmp_path / "html"
    follower = Follower(
        NAME, coming.results, lambda partial: build_report(NAME, coming.results, out, ("html", "md"), partial, kept)
    )

    def page() -> str:
        news = follower.news()
        assert news is not None
        found = text(follower.write(news, "12:00:00 UTC"))
        assert follower.news() is None, "until there is another result"
        return found

    coming.come("listops", 0)
    assert "Partial: 2 of 12 runs finished. Written at 12:00:00 UTC" in page()
    assert kept.worked_out == list(TASKS)
    assert "location.reload" in (out / f"{NAME}.html").read_text()
    assert "**Partial: 2 of 12 runs finished; written at 12:00:00 UTC.**" in (out / f"{NAME}.md").read_text()

    coming.come("images", 0)
    assert "Partial: 4 of 12 runs" in page()
    assert kept.worked_out == ["images"], "nothing of the other task is read or drawn anew"
    coming.come("listops", 1, 2)
    assert "Partial: 8 of 12 runs" in page()
    assert kept.worked_out == ["listops"]

    coming.come("images", 1, 2)
    assert "Partial" not in page()
    assert kept.worked_out == ["images"]
    build_report(NAME, coming.results, tmp_path / "at once", ("html", "md"))
    for name in (f"{NAME}.html", f"{NAME}.md"):
        assert (out / name).read_text() == (tmp_path / "at once" / name).read_text(), "the same, element by element"


def test_a_task_that_gets_its_first_result_late_makes_no_two_figures_of_one_name(
    coming: Coming, tmp_path: Path
) -> None:
    kept = Kept()
    for task in reversed(TASKS):
        coming.come(task, 0)
        page = build_report(NAME, coming.results, tmp_path, ("html",), "12:00:00 UTC", kept)
        assert kept.worked_out == list(TASKS), "the place of the other one on the page has changed"
        ids = re.findall(r' id="([^"]+)"', page.read_text())
        assert len(ids) == len(set(ids))


def test_following_ends_with_the_last_result_and_outlasts_a_page_that_cannot_be_written(
    coming: Coming, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("SECONDS_BETWEEN_LOOKS", "SECONDS_BETWEEN_PAGES"):
        monkeypatch.setattr(module, name, 0.0)
    asked = list[str]()
    coming.come("listops", 0, 1, 2)

    def write(partial: str) -> Path:
        asked.append(partial)
        coming.come("images", len(asked) - 1)  # results come while the page is written
        if len(asked) <= 2:
            raise KeyError("no such column")
        return tmp_path / "page.html"

    told = list[int]()
    assert (
        follow(Follower(NAME, coming.results, write), lambda news: told.append(len(news.ended)))
        == tmp_path / "page.html"
    )
    assert [bool(partial) for partial in asked] == [True, True, True, False]
    assert told == [10, PLANNED]
    assert capsys.readouterr().err == "The page could not be written. KeyError: 'no such column'\n"


@given(seconds=st.floats(0, 1e4))
def test_pages_take_a_small_share_of_the_time(seconds: float) -> None:
    pause = pause_after(seconds)
    assert pause >= SECONDS_BETWEEN_PAGES
    assert seconds <= SHARE * (seconds + pause) * (1 + 1e-9)


def test_the_command_follows_a_sweep_and_ends_when_it_is_whole(coming: Coming, tmp_path: Path, capsys: Any) -> None:
    for task in TASKS:
        coming.come(task, 0, 1, 2)
    assert main([NAME, "--follow", "--results", str(coming.results), "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Report: {tmp_path / NAME}.html, written anew as results come."
    assert lines[1] == "12 of 12 runs have a result; drawn anew: listops, images."
    assert lines[2:] == [f"{tmp_path / NAME}.html"]
    assert "Partial" not in text(Path(lines[-1]))


@pytest.mark.parametrize("words", [[], ["paper"], ["compare", "a", "b"]])
def test_only_a_sweep_can_be_followed(words: list[str], tmp_path: Path, capsys: Any) -> None:
    assert main([*words, "--follow", "--results", str(tmp_path)]) == 1
    assert capsys.readouterr().err == ("Error: --follow takes the name of a sweep: python -m reports NAME --follow.\n")
