"""The one exception whose message is meant for the user instead of a traceback, and what others are called."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend. The message says what was wrong, where, what is allowed and what to do."""


def sentence(error: Exception) -> str:
    """What a run's result says of the error that ended it."""
    text = str(error).strip() or "no message"
    return text if isinstance(error, UserError | ValueError) else f"{type(error).__name__}: {text}"
