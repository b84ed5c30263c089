"""What goes wrong with result files, for people."""


class ResultError(Exception):
    """A result file, manifest or results folder cannot be used; the message says which and what to do."""
