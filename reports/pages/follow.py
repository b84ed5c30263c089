"""The page of a sweep whose runs go on: written anew as results come, marked as partial until every run has one."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from spike_ssm.reports.loading.decided import next_and_decided
from spike_ssm.reports.loading.sweep import stamp
from spike_ssm.results.errors import sentence
from spike_ssm.results.reading import ids_there
from spike_ssm.results.store import manifest_path, read_manifest

SECONDS_BETWEEN_LOOKS = 5.0
SECONDS_BETWEEN_PAGES = 30.0
SHARE = 0.05
"""The most of the time that pages may take while runs go on."""


def pause_after(seconds: float) -> float:
    """Seconds from the end of a page that took so many, of the processor's, to the beginning of the next."""
    return max(SECONDS_BETWEEN_PAGES, seconds * (1 / SHARE - 1))


@dataclass(frozen=True)
class News:
    """Which runs are planned and which of them have a result, finished or failed, where the page does not show it."""

    planned: frozenset[str]
    ended: frozenset[str]
    seen: object  # by which it is told whether there is anything new

    @property
    def is_whole(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.ended == self.planned


Write = Callable[[str], Path]
"""Writes the page and returns its path. Of a page to which more will come it is told the moment, in words, else ""."""


class Follower:
    """Has the page of a sweep written when there are news. Raises `UserError` when there is no such sweep."""

    def __init__(self, sweep: str, results: Path, write: Write) -> None:
        read_manifest(results, sweep)
        self._sweep, self._results, self._write = sweep, results, write
        self._shown: News | None = None

    def news(self) -> News | None:
        """What the page does not show yet, if anything. Raises `UserError`."""
        there = ids_there(self._results)
        seen = stamp(manifest_path(self._results, self._sweep)), there
        if there is None or (self._shown and seen == self._shown.seen):  # no more questions to the file system
            return None
        manifest = read_manifest(self._results, self._sweep)
        planned = frozenset(run.id for run in manifest.runs) - next_and_decided(self._results, manifest)[1]
        news = News(planned, planned & there, seen)
        is_old = self._shown and (news.planned, news.ended) == (self._shown.planned, self._shown.ended)
        return None if is_old else news

    def write(self, news: News, moment: str) -> Path:
        """Have the page written, and return its path; moment: in words."""
        page = self._write("" if news.is_whole else moment)
        self._shown = news
        return page


def follow(follower: Follower, written: Callable[[News], None]) -> Path:
    """Write the page whenever there are news, until every run has a result; returns the page's path.

    No more often than `pause_after` has it, but for the whole one. written: is told of every page. What keeps a partial
    one from being written is a line on standard error, and is tried again.
    """
    due, said = 0.0, ""
    while True:
        started, news = time.process_time(), None
        try:
            news = follower.news()
            if news and (news.is_whole or time.monotonic() >= due):
                page = follower.write(news, f"{datetime.now(UTC):%H:%M:%S} UTC")
                due = time.monotonic() + pause_after(time.process_time() - started)
                written(news)
                if news.is_whole:
                    return page
        except Exception as error:  # of results that nobody has seen together yet; the runs go on
            if news and news.is_whole:
                raise
            if (why := sentence(error)) != said:
                print(f"The page could not be written. {why}", file=sys.stderr, flush=True)
            said, due = why, time.monotonic() + pause_after(time.process_time() - started)
        time.sleep(SECONDS_BETWEEN_LOOKS)
