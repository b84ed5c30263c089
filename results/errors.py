"""The one exception whose message is meant for people instead of a traceback, and how commands end by it."""

from __future__ import annotations

import sys
from collections.abc import Callable


class UserError(Exception):
    """Error that the user can mend. The message says what was wrong, where, what is allowed and what to do."""


class UnreadableError(UserError):
    """Error that a file cannot be read now, or not by this code. Nothing tells whether its content is right."""


def sentence(error: Exception) -> str:
    """The sentence that a run's result keeps of the error that ended it."""
    text = str(error).strip() or "no message"
    return text if isinstance(error, UserError | ValueError) else f"{type(error).__name__}: {text}"


def exit_status(command: Callable[[], int], stopped: str = "Stopped.") -> int:
    """The exit status that `command` returns; 1 where it raises `UserError`, 130 where Ctrl-C ends it.

    The error's message, or the sentence `stopped`, is then printed as a line on standard error.
    """
    try:
        return command()
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(stopped, file=sys.stderr)
        return 130
