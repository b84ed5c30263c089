"""Numbers as CSV that a spreadsheet shows and does not execute."""

from __future__ import annotations

import re

import pandas as pd

_FORMULA = re.compile(r"\s*[=+@\uff1d\uff0b\uff20\N{FULLWIDTH HYPHEN-MINUS}-]")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|[-+]?(inf|nan)", re.IGNORECASE | re.ASCII)


def csv(frame: pd.DataFrame) -> str:
    """The frame as CSV, in full precision; texts on one line.

    A text that a spreadsheet would take for a formula, as it begins with `=`, `+`, `-` or `@` and is no number, gets an
    apostrophe before it.
    """
    return frame.rename(columns=_harmless).map(_harmless).to_csv(index=False)


def _harmless(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = " ".join(value.split())
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
