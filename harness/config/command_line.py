"""Command-line words as overrides: which sweep, and which values by key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, QuotedString
from hydra.errors import HydraException

from spike_ssm.results.errors import UserError


@dataclass(frozen=True)
class CommandLine:
    """What the user asked for: the sweep, and values by key in the order given; a list is several values."""

    sweep: str | None
    overrides: dict[str, Any] = field(default_factory=dict)


def parse_command_line(words: Sequence[str]) -> CommandLine:
    """Words such as `+sweep=ablation_refractory`, `task=listops`, `seed=0,1`, `neuron.leak=0.9`.

    Raises `UserError` for anything else.
    """
    for word in words:
        if word.startswith("-"):
            raise UserError(
                f"The option {word} is not known. A sweep runs all its combinations by itself, so there is no -m; "
                "settings are given as key=value. --help lists what can be given."
            )
    sweep, overrides = None, {}
    for word in words:
        override = _parsed(word)
        key = override.key_or_group
        if key == "sweep" and not override.is_delete():
            sweep = str(_value(override))
        elif override.is_delete() or override.is_add() or override.is_force_add():
            raise UserError(
                f"{override.input_line}: settings can be changed but not added or removed; only +sweep=NAME takes "
                f"a plus. Write {key}=VALUE."
            )
        else:
            overrides[key] = _value(override)
    return CommandLine(sweep, overrides)


def _parsed(word: str) -> Override:
    try:
        (override,) = OverridesParser.create().parse_overrides([word])
    except HydraException as error:
        raise UserError(
            f"{word!r} cannot be read. Settings are given as key=value or key=A,B, such as seed=0,1; "
            "a value with spaces or signs of its own needs quotes inside, such as 'paths.results=\"my runs\"'."
        ) from error
    if not override.key_or_group:
        raise UserError(f"{word!r} names no setting. Settings are given as key=value.")
    return override


def _value(override: Override) -> Any:
    value = override.value()
    if isinstance(value, ChoiceSweep):
        return [_plain(choice) for choice in value.list]
    if override.is_sweep_override():
        raise UserError(f"{override.input_line}: list the values instead, {override.key_or_group}=A,B.")
    return [_plain(choice) for choice in value] if isinstance(value, list) else _plain(value)


def _plain(value: Any) -> Any:
    return value.text if isinstance(value, QuotedString) else value
