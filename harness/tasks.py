"""`python -m harness.tasks`: which tasks there are, preparing their data, and looking at them.

    python -m harness.tasks list                        every task, and whether its data are prepared here
    python -m harness.tasks prepare listops             prepare its data, at laptop scale
    python -m harness.tasks prepare image scale=paper paths.data=FOLDER
                                                        as published, from the original files in FOLDER
    python -m harness.tasks show listops                what the data are like, and a picture of examples

Settings are those of harness.train: key=value, such as scale=paper, task.max_length=100 or paths.cache=FOLDER.
The list takes paths.cache=FOLDER alone.
"""

from __future__ import annotations

import argparse
import inspect
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from spike_ssm.harness.config.command_line import parse_command_line
from spike_ssm.harness.config.documents import Documents
from spike_ssm.harness.data import TASKS
from spike_ssm.harness.data.settings import TaskSettings
from spike_ssm.harness.data.shared import cache_folder
from spike_ssm.harness.data.sources import prepared_copies
from spike_ssm.harness.data.suites import ALL
from spike_ssm.harness.data.task import Dataset, Task
from spike_ssm.harness.system.root import ROOT
from spike_ssm.results.errors import UserError, exit_status
from spike_ssm.results.names import instead

if TYPE_CHECKING:  # they load torch and Hydra, which the list has no need of
    from spike_ssm.harness.config.compose import Composer
    from spike_ssm.harness.config.settings import Settings

SCALES = tuple(ALL)
DOCUMENTS = Documents([ROOT / "sweeps"])

WIDTH = 120
"""Characters a line where the output is no terminal."""

PUBLISHED_LENGTHS = {"image": 1024, "smnist": 784, "psmnist": 784}
"""Task -> length of its sequences, where its settings do not say it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit status."""
    parser = argparse.ArgumentParser(
        "harness.tasks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(dest="action", required=True)
    for action, summary in (("list", "list all tasks"), ("prepare", "prepare a task"), ("show", "look at a task")):
        subparser = actions.add_parser(action, help=summary, description=summary)
        if action != "list":
            subparser.add_argument("task", help="a task's name")
        subparser.add_argument("settings", nargs="*", metavar="setting=value")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else WIDTH, markup=False, highlight=False, emoji=False)

    def act() -> int:
        if options.action == "list":
            _list(options.settings, console)
        else:
            chosen = Chosen.of(options.task, options.settings)
            data = _prepare(chosen, console)
            if options.action == "show":
                _show(chosen, data, console)
        return 0

    return exit_status(act, "Stopped. Finished parts are kept; the same command goes on from here.")


@dataclass(frozen=True)
class Chosen:
    """A task at given settings."""

    settings: Settings
    task: Task

    @staticmethod
    def of(name: str, words: Sequence[str], composer: Composer | None = None) -> Chosen:
        """The task `name` with the settings of these words. Raises `UserError`."""
        from spike_ssm.harness.config.compose import Composer

        if name not in TASKS:
            raise UserError(f"There is no task {name!r}; {instead(name, TASKS)}")
        command = parse_command_line(words)
        command.refuse("harness.tasks", takes="settings")
        if command.sweep is not None:
            raise UserError("harness.tasks prepares one task; use python -m harness.sweep for a sweep.")
        scale = command.overrides.get("scale", "laptop")
        if scale in SCALES and scale not in _scales(name):
            raise UserError(f"The task {name} has no scale={scale}; choose {' or '.join(_scales(name))}.")
        settings = (composer or Composer()).settings({**command.overrides, "task": name})
        return Chosen(settings, TASKS[name][0](settings.task))

    @property
    def folder(self) -> Path:
        """The folder of its prepared data. Raises `UserError`."""
        return self.task.place(*self.folders).folder

    @property
    def copies(self) -> list[Path]:
        """The folders of what is prepared of it, from whatever original files: these are not looked at."""
        return prepared_copies(self.task.folder(self.folders[0]))

    @property
    def folders(self) -> tuple[Path, Path]:
        """The folders of prepared data and of original files."""
        from spike_ssm.harness.config.settings import files_folder

        return cache_folder(self.settings.paths.cache), files_folder(self.settings)


def _scales(name: str) -> list[str]:
    return [scale for scale in SCALES if name in DOCUMENTS.options(f"setup/{scale}")]


def at_scale(name: str, scale: str) -> TaskSettings:
    """A task's settings at a scale: those that Hydra composes, which takes a tenth of a second for each."""
    own = {key: value for key, value in DOCUMENTS.load("task", name).items() if key != "defaults"}
    return TASKS[name][1](**{**own, **_setup(f"setup/{scale}", name)})


def _setup(group: str, name: str) -> dict[str, Any]:
    """What a setup says of the task, after the setups that it starts from, /setup/SCALE/NAME@_global_."""
    content = DOCUMENTS.load(group, name)
    found: dict[str, Any] = {}
    for default in content.get("defaults", []):
        other_group, _, other = default.strip("/").removesuffix("@_global_").rpartition("/")
        found |= _setup(other_group, other)
    return {**found, **content.get("task", {})}


def _list(words: Sequence[str], console: Console) -> None:
    """A row a task; its data are prepared at a scale if their folder is there."""
    table = Table("task", "what it asks", "kind", "length\nlaptop", "\npaper", "prepared", "source", show_lines=True)
    named = parse_command_line(words).overrides
    if others := named.keys() - {"paths.cache"}:
        raise UserError(f"{min(others)} has no effect on the list of tasks; paths.cache=FOLDER is all that it takes.")
    cache = cache_folder(named.get("paths.cache"))
    for name, (task, settings) in TASKS.items():
        at = {scale: at_scale(name, scale) for scale in _scales(name)}
        lengths = [f"{longest(at[scale]):,}" if scale in at else "" for scale in ("laptop", "paper")]
        there = ", ".join(scale for scale, each in at.items() if prepared_copies(task(each).folder(cache)))
        table.add_row(name, _asks(task), settings.kind, *lengths, there, task.source)
    console.print(table)
    console.print("Lengths are those of the longest sequences. Tasks without one at paper scale are stand-ins.")


def _asks(task: type[Task]) -> str:
    """The first sentence of its docstring."""
    return (inspect.getdoc(task) or "").split("\n")[0].partition(". ")[0].rstrip(".")


def longest(task: Any) -> int:
    """How many tokens or pixels the settings of a task allow a sequence to have."""
    for field in ("max_length", "length", "context"):
        if hasattr(task, field):
            return int(getattr(task, field))
    for field in ("side", "size"):
        if hasattr(task, field):
            return int(getattr(task, field)) ** 2
    return PUBLISHED_LENGTHS[task.name]


@dataclass(frozen=True)
class _Watch:
    """How far a preparation has come, asked anew whenever it is drawn."""

    folder: Path
    started: float

    def __rich__(self) -> str:
        files = list(self.folder.parent.glob(f"{self.folder.name}.partial/*"))
        seconds = time.monotonic() - self.started
        return f"preparing {self.folder.parent.name}: {len(files)} files, {seconds:.0f} s"


def _prepare(chosen: Chosen, console: Console) -> Dataset:
    """Prepare the data, or open them, and say so in a line."""
    from spike_ssm.harness.data.preview import SPLIT_NAMES  # it loads matplotlib, which the list has no need of

    settings, started = chosen.settings, time.monotonic()
    with console.status("looking at the original files"):
        folder = chosen.folder
        there = folder in chosen.copies
    with console.status(_Watch(folder, started)):
        data = chosen.task.prepare(*chosen.folders)
    seconds = time.monotonic() - started
    sizes = ", ".join(f"{len(getattr(data, split)):,} {name}" for split, name in SPLIT_NAMES.items())
    mebibytes = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
    how = f"opened in {seconds:.2f} s, prepared earlier" if there else f"prepared in {seconds:.1f} s"
    console.print(
        f"{settings.task.name} at {settings.scale.name} scale: {sizes} examples, {mebibytes:.1f} MiB, {how}: {folder}",
        soft_wrap=True,
    )
    return data


def _show(chosen: Chosen, data: Dataset, console: Console) -> None:
    from spike_ssm.harness.data.preview import describe, draw, save_picture

    name = chosen.settings.task.name
    for part in describe(chosen.task, data):
        console.print(part)
    path = Path(chosen.settings.paths.reports).expanduser().absolute() / "tasks" / f"{name}.png"
    try:
        save_picture(draw(chosen.task, data, f"{name}: {_asks(type(chosen.task))}"), path)
    except OSError as error:
        raise UserError(
            f"The picture {path} cannot be written ({error.strerror or error}): name another folder with "
            "paths.reports=FOLDER."
        ) from error
    console.print(f"Examples are drawn in {path}", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
