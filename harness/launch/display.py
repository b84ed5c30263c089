"""What a waiting user sees: a live table in a terminal, a line per event elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from spike_ssm.harness.launch.partial_page import PartialPage
from spike_ssm.harness.launch.time_left import TimeLeft
from spike_ssm.harness.state.learned import as_it_runs
from spike_ssm.harness.state.survey import RunState


class Display:
    """A context manager; call it with the state of every run, as often as you like.

    labels: run id -> what people call the run. page: of the sweep, which is told of the states too. learned: the id of
    a finished run -> where it stands, in words.
    """

    def __init__(
        self,
        labels: dict[str, str],
        time_left: TimeLeft,
        page: PartialPage | None = None,
        console: Console | None = None,
        learned: Callable[[str], str] = lambda _: "",
    ) -> None:
        self._labels = labels
        self._time_left = time_left
        self._page = page
        self._learned = learned
        self._standings: dict[str, str] = {}
        self._console = console or Console()
        self._live = Live(console=self._console, transient=True) if self._console.is_terminal else None
        self._shown: dict[str, str] = dict.fromkeys(labels, "waiting")

    def __enter__(self) -> Display:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def __call__(self, states: dict[str, RunState]) -> None:
        """Show `states`: new events as lines, and in a terminal the table of running runs."""
        now = time.monotonic()
        for run_id, state in states.items():
            if state.status != self._shown[run_id]:
                self._shown[run_id] = state.status
                self._time_left.note(run_id, state, now)
                if state.status != "queued":
                    self._console.print(self._event(run_id, state, states), highlight=False, soft_wrap=True)
        if self._page:
            self._page(states)
            for line in self._page.trouble():
                self._console.print(Text(line, "yellow"), highlight=False, soft_wrap=True)
        if self._live:
            self._live.update(self._table(states))
        else:
            self._say_standings(states)

    def _say_standings(self, states: dict[str, RunState]) -> None:
        """A line wherever a running run stands elsewhere than before: it takes off, passes the shortcut, diverges."""
        for run_id, state in states.items():
            stands = state.progress and state.progress.get("standing")
            if state.progress and stands and stands != self._standings.get(run_id):
                self._standings[run_id] = stands
                line = Text(f"{self._labels[run_id]}: {as_it_runs(state.progress)}", "dim")
                self._console.print(line, highlight=False, soft_wrap=True)

    def _event(self, run_id: str, state: RunState, states: dict[str, RunState]) -> Text:
        finished = sum(other.is_finished for other in states.values())
        head = f"[{finished}/{len(states)}] {self._labels[run_id]}"
        if state.status == "done":
            left = self._time_left.words(states, time.monotonic())
            words = ("done", state.measure, self._learned(run_id), left)
            return Text(f"{head}: {', '.join(filter(None, words))}", "green")
        if state.has_failed:
            return Text(f"{head}: {state.status}. {state.error}", "red")
        if state.status == "unknown":
            return Text(f"{head}: unknown. {state.error}", "yellow")
        return Text(f"{head}: {state.status}", "dim")

    def _table(self, states: dict[str, RunState]) -> Group:
        count: Counter[str] = Counter("failed" if state.has_failed else state.status for state in states.values())
        table = Table("run", "epoch", "loss", "validation accuracy", "standing", "progress", box=None, pad_edge=False)
        for run_id, state in states.items():
            if state.status == "running" and not state.progress:
                table.add_row(self._labels[run_id])
            elif state.progress:
                p = state.progress
                accuracy = "" if p["validation_accuracy"] is None else f"{p['validation_accuracy']:.1%}"
                loss = f"{p['loss']:.3f}" if p["epoch"] else ""
                epoch = f"{p['epoch']}/{p['epochs']}" if p["epochs"] else ""  # a measurement has none
                bar = ProgressBar(total=1.0, completed=p["done"], width=24)
                table.add_row(self._labels[run_id], epoch, loss, accuracy, p.get("standing") or "", bar)
        waiting = count.total() - sum(count[state] for state in ("done", "running", "preempted", "failed"))
        preempted = f", {count['preempted']} preempted" if count["preempted"] else ""
        summary = (
            f"{count['done']} done, {count['running']} running, {waiting} waiting{preempted}, {count['failed']} failed"
            f"; {self._time_left.words(states, time.monotonic()) or 'all have ended'}"
        )
        page = [Text(self._page.line, "dim", overflow="fold")] if self._page else []
        return Group(table, Text(summary, "bold"), *page)
