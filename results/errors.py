"""The one exception whose message is meant for people instead of a traceback, and how commands end by it."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable


class UserError(Exception):
    """Error that the user can mend. The message says what was wrong, where, what is allowed and what to do."""


class UnreadableError(UserError):
    """Error that a file cannot be read now, or not by this code. Nothing tells whether its content is right."""


class UnpreparedError(UserError):
    """A fault of the surroundings of a run, not of the run: it has no result, and the next attempt begins it anew."""


def sentence(error: Exception) -> str:
    """The sentence that a run's result keeps of the error that ended it."""
    text = str(error).strip() or "no message"
    return text if isinstance(error, UserError | ValueError) else f"{type(error).__name__}: {text}"


def exit_status(command: Callable[[], int], stopped: str = "Stopped.") -> int:
    """The exit status that `command` returns; 1 where it raises `UserError` or lacks a right, 130 where Ctrl-C ends it.

    The error's message, or the sentence `stopped`, is then printed as a line on standard error. Characters that the
    terminal's encoding lacks are printed as their numbers.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        return command()
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except PermissionError as error:
        print(
            f"Error: {error.filename} may not be read or written by you ({error.strerror}). Ask its owner for the "
            "right, or name another folder.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print(stopped, file=sys.stderr)
        return 130
