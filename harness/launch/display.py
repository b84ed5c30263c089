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

from spike_ssm.harness.state.learned import as_it_runs
from spike_ssm.harness.state.survey import RunState


class Display:
    """A context manager; call it with the state of every run, as often as you like.

    labels: run id -> what people call the run; workers: how many run at once, for the time left. learned: the id of a
    finished run -> where it stands, in words.
    """

    def __init__(
        self,
        labels: dict[str, str],
        workers: int,
        console: Console | None = None,
        learned: Callable[[str], str] = lambda _: "",
    ) -> None:
        self._labels = labels
        self._workers = workers
        self._learned = learned
        self._standings: dict[str, str] = {}
        self._console = console or Console()
        self._live = Live(console=self._console, transient=True) if self._console.is_terminal else None
        self._shown: dict[str, str] = dict.fromkeys(labels, "waiting")
        self._begun: dict[str, float] = {}
        self._durations: list[float] = []

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
                self._note_time(run_id, state, now)
                if state.status != "queued":
                    self._console.print(self._event(run_id, state, states), highlight=False, soft_wrap=True)
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

    def _note_time(self, run_id: str, state: RunState, now: float) -> None:
        if state.status == "running":
            self._begun[run_id] = now
        elif run_id in self._begun:
            self._durations.append(now - self._begun.pop(run_id))

    def _event(self, run_id: str, state: RunState, states: dict[str, RunState]) -> Text:
        finished = sum(other.is_finished for other in states.values())
        head = f"[{finished}/{len(states)}] {self._labels[run_id]}"
        if state.status == "done":
            found = [state.measure, self._learned(run_id)]
            measure = "".join(f" {words}," for words in found if words)
            return Text(f"{head}: done,{measure} {self._time_left(states)}", "green")
        if state.has_failed:
            return Text(f"{head}: {state.status}. {state.error}", "red")
        if state.status == "unknown":
            return Text(f"{head}: unknown. {state.error}", "yellow")
        return Text(f"{head}: {state.status}", "dim")

    def _time_left(self, states: dict[str, RunState]) -> str:
        """From the mean duration of finished runs, or from how far running ones have come."""
        now = time.monotonic()
        shares = {i: s.progress["done"] for i, s in states.items() if s.progress and s.progress["done"] > 0}
        estimates = self._durations or [
            (now - self._begun[run_id]) / share for run_id, share in shares.items() if run_id in self._begun
        ]
        if not estimates:
            return "time left not known yet"
        left = sum(1 - shares.get(i, 0.0) for i, s in states.items() if not s.is_finished)
        seconds = left * sum(estimates) / len(estimates) / self._workers
        return f"about {seconds / 60:.0f} min left" if seconds >= 90 else f"about {seconds:.0f} s left"

    def _table(self, states: dict[str, RunState]) -> Group:
        count: Counter[str] = Counter("failed" if state.has_failed else state.status for state in states.values())
        table = Table("run", "epoch", "loss", "validation accuracy", "standing", "progress", box=None, pad_edge=False)
        for run_id, state in states.items():
            if state.progress:
                p = state.progress
                accuracy = "" if p["validation_accuracy"] is None else f"{p['validation_accuracy']:.1%}"
                loss = f"{p['loss']:.3f}" if p["epoch"] else ""
                epoch = f"{p['epoch']}/{p['epochs']}" if p["epochs"] else ""  # a measurement has none
                bar = ProgressBar(total=1.0, completed=p["done"], width=24)
                table.add_row(self._labels[run_id], epoch, loss, accuracy, p.get("standing") or "", bar)
        summary = (
            f"{count['done']} done, {count['running']} running, {count.total() - _settled(count)} waiting, "
            f"{count['failed']} failed; {self._time_left(states)}"
        )
        return Group(table, Text(summary, "bold"))


def _settled(count: Counter[str]) -> int:
    return count["done"] + count["running"] + count["failed"]
