"""What commands have in common: how they read their words, and how they end."""

from __future__ import annotations

import argparse
import errno
import importlib
import io
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from spike_ssm.harness.system.signals import Interrupted, stoppable
from spike_ssm.results.errors import UserError, exit_status


def run_command(
    program: str,
    description: str | None,
    arguments: Sequence[str] | None,
    *,
    named: bool = False,
) -> int:
    """The exit status of the work of `program`, which is given a composer and the command line.

    Errors for people are printed and give 1; for its end by a signal see `in_good_order`. named: words that are no
    key=value are names.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)

    def command() -> int:
        from spike_ssm.harness.config.command_line import flags_of, parse_command_line
        from spike_ssm.harness.config.completion import answer_shell, completer
        from spike_ssm.harness.config.documents import Documents, config_folders
        from spike_ssm.harness.config.keys import check_words

        lines = "".join(f"\n  {line}" for line in flags_of(program).values())
        parser = argparse.ArgumentParser(
            program,
            description=description,
            epilog=f"besides settings it takes:{lines}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        parser.add_argument("--config-dir", type=Path, help="a folder of yours with files like sweep/NAME.yaml")
        words_given = parser.add_argument("settings", nargs="*", metavar="key=value", help="settings and flags")
        answer_shell(parser, words_given, completer(program, "study" if named else None))
        options, unknown = parser.parse_known_args(words)
        names = [word for word in options.settings if named and "=" not in word]
        settings = [word for word in options.settings if word not in names]
        command = parse_command_line([*unknown, *settings])
        if program == "harness.train" and command.sweep is not None:
            raise UserError("harness.train runs one configuration; use python -m harness.sweep for a sweep.")
        check_words(Documents(config_folders(options.config_dir)), command)
        rest = tuple(word for word in words if word not in names)
        run = work_of(program)
        from spike_ssm.harness.config.compose import Composer  # imports torch, as the work does

        return run(Composer(options.config_dir), replace(command, words=rest, names=tuple(names)))

    return in_good_order(command, "The same command goes on from here; jobs on SLURM go on by themselves.")


def in_good_order(command: Callable[[], int], afterwards: str) -> int:
    """The exit status of `command`, or 128 + N where signal N stopped it: its sentence, and `afterwards`, are printed.

    The signals are Ctrl-C, the end of its terminal, and SIGTERM, with which harness.cancel asks. A terminal or a pipe
    that is gone is written to in vain, without an error.
    """

    def until_asked() -> int:
        try:
            with stoppable():
                return command()
        except Interrupted as error:
            print(f"{error} {afterwards}", file=sys.stderr)
            return 128 + error.signal

    with _lasting_output():
        return exit_status(until_asked, f"Stopped at once. {afterwards}")


class _Outlasting(io.FileIO):
    """A file descriptor that takes all that is written once its other side is gone."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in (errno.EIO, errno.EPIPE):
                raise
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return len(bytes(data))


@contextmanager
def _lasting_output() -> Iterator[None]:
    """Inside, standard output and error outlast their readers; what else was put in their places stays."""
    before = sys.stdout, sys.stderr
    if (sys.stdout, sys.stderr) != (sys.__stdout__, sys.__stderr__):
        yield
        return
    sys.stdout, sys.stderr = _lasting(before[0]), _lasting(before[1])
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = before


def _lasting(stream: TextIO) -> TextIO:
    stream.flush()
    written = io.BufferedWriter(_Outlasting(stream.fileno(), "w", closefd=False))
    return io.TextIOWrapper(written, stream.encoding, stream.errors, line_buffering=bool(stream.line_buffering))


def work_of(program: str) -> Callable[..., int]:
    """What the command `program` does; imported only now, so that --help and words that are refused need no torch."""
    run: Callable[..., int] = importlib.import_module(program.replace("harness.", f"{__package__}.commands.", 1)).run
    return run


def repeated_words(program: str, description: str, word: str, arguments: Sequence[str] | None) -> list[str]:
    """The words that run the sweep named by the arguments as it was run, with `word` and further settings added.

    Raises `UserError` when there is no such sweep.
    """
    from spike_ssm.harness.config.command_line import key_of, words_to_repeat
    from spike_ssm.harness.state.named import named_or_only
    from spike_ssm.results.store import RESULTS, results_folder

    parser = argparse.ArgumentParser(program, description=description)
    parser.add_argument("sweep", nargs="?", help="its name; the only one without")
    parser.add_argument("--results", type=results_folder, default=str(RESULTS), help="the results folder (%(default)s)")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="e.g. wait=false launcher.memory_gb=64")
    options = parser.parse_intermixed_args(arguments)
    unnamed = options.sweep is not None and "=" in options.sweep
    settings = [options.sweep, *options.settings] if unnamed else options.settings
    manifest = named_or_only(options.results, None if unnamed else options.sweep)
    words = words_to_repeat(manifest.asked) if manifest.asked else manifest.words
    place = next((each.removeprefix("paths.results=") for each in words if each.startswith("paths.results=")), RESULTS)
    added = [*settings, f"planned={manifest.name}", word]
    if Path(place).expanduser().absolute() != options.results:  # moved, or this is another working directory
        added.append(f"paths.results={options.results}")
    changed = {key_of(each) for each in added}
    repeated = [*(each for each in words if key_of(each) not in changed), *added]
    print(f"Repeats: {shlex.join(['python', '-m', 'harness.sweep', *repeated])}")
    return repeated
