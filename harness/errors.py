"""The one exception whose message is meant for the user instead of a traceback."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend. The message says what was wrong, where, what is allowed and what to do."""
