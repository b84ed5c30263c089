"""Command-line words: which sweep, which settings, and what the command is to do this time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, QuotedString
from hydra.errors import HydraException

from spike_ssm.results.errors import UserError


@dataclass(frozen=True)
class Flags:
    """Words that are no settings of a run, and no part of its id.

    The first five say what to do this time; the others, what the sweep or the tuning is, and `harness.plan` checks
    their values.
    """

    wait: bool = True  # for the runs to finish; false: submit them and return
    dry_run: bool = False  # print the runs, start none
    show: str | None = None  # `config`: print the resolved configuration of a run
    retry: bool = False  # run failed runs again
    collect: bool = False  # start nothing: record what has ended and render the report
    of: Any = None  # the sweep whose trained networks are evaluated
    tuned: Any = None  # with the settings that a tuning chose: true, or its file
    budget: Any = None  # trials per variant of a tuning
    sampler: Any = None  # of a tuning's points

    def __post_init__(self) -> None:
        """Raise `UserError` where a value is not allowed."""
        for name in ("wait", "dry_run", "retry", "collect"):
            if not isinstance(getattr(self, name), bool):
                raise UserError(f"{name}={getattr(self, name)} is not allowed: it must be true or false.")
        if self.show not in (None, "config"):
            raise UserError(f"show {self.show!r} does not exist; choose one of config.")


FLAGS = tuple(each.name for each in fields(Flags))
THIS_TIME = FLAGS[:5]
"""Flags that a repetition of the command does without."""


@dataclass(frozen=True)
class CommandLine:
    """What the user asked for: the sweep, values by key in the order given (a list is several values), and flags."""

    sweep: str | None
    overrides: dict[str, Any] = field(default_factory=dict)
    flags: Flags = Flags()
    given: tuple[str, ...] = ()  # flags that were named
    words: tuple[str, ...] = field(default=(), compare=False)  # all of it, options too, less the names
    names: tuple[str, ...] = ()  # words that are no key=value, of a command that takes names

    def after(self, *words: str) -> CommandLine:
        """The command line of `words` and then this one's, which win."""
        first = parse_command_line(words)
        given = {name: getattr(each.flags, name) for each in (first, self) for name in each.given}
        overrides = {**first.overrides, **self.overrides}
        return CommandLine(first.sweep, overrides, Flags(**given), tuple(given), (*words, *self.words))

    def lasting(self, *without: str) -> list[str]:
        """The words that say what the sweep is, less flags of `THIS_TIME`, and less keys or groups in `without`."""
        left_out = (*THIS_TIME, *without)
        return [word for word in self.words if not {key_of(word), key_of(word).split(".")[0]} & set(left_out)]

    def refuse(self, program: str, keys: Sequence[str], takes: str) -> None:
        """Raise `UserError` where one of these keys was named; takes: what `program` takes, in words."""
        if refused := [key for key in keys if key in (*self.given, *self.overrides)]:
            raise UserError(f"{program} takes no {refused[0]}; it takes {takes}.")


def key_of(word: str) -> str:
    """The key of the word `key=value`."""
    return word.split("=")[0]


def parse_command_line(words: Sequence[str]) -> CommandLine:
    """The command line of words such as `+sweep=ablation_refractory`, `task=listops`, `seed=0,1`, `dry_run=true`.

    Raises `UserError` for anything else.
    """
    for word in words:
        if word.startswith("-"):
            raise UserError(
                f"The option {word} is not known. A sweep runs all its combinations by itself, so there is no -m; "
                "settings are given as key=value. --help lists what can be given."
            )
    sweep, values = None, {}
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
            values[key] = _value(override)
    flags = {key: values.pop(key) for key in FLAGS if key in values}
    return CommandLine(sweep, values, Flags(**flags), tuple(flags), tuple(words))


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
    if override.package is not None:
        raise UserError(f"{word!r} places a group elsewhere, which no setting needs. Leave out the part from @ on.")
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
