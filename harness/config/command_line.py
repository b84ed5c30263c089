"""Command-line words: which sweep, which settings, and what the command is to do this time."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, Quote, QuotedString
from hydra.errors import HydraException

from spike_ssm.harness.config.habits import refuse_habit
from spike_ssm.harness.config.mistakes import of_word
from spike_ssm.results.errors import UserError
from spike_ssm.results.names import check_line, check_name, instead
from spike_ssm.results.schema import Asked

TIMING_ALONE = ("only", "again")
"""Values of `timing` with which no run is executed."""


def _said(form: str, explained: str, *programs: str) -> dict[str, Any]:
    """What a field of `Flags` says of itself: how it is typed, what it does, and the commands that take it."""
    return {"form": form, "explained": explained, "programs": programs}


@dataclass(frozen=True)
class Flags:
    """Words that are no settings of a run, and no part of its id.

    The first eight say what to do this time; the others, what the sweep or the tuning is, and `harness.plan` checks
    their values.
    """

    wait: bool = field(
        default=True, metadata=_said("wait=false", "submit the runs and return; see harness.status", "sweep")
    )
    dry_run: bool = field(
        default=False,
        metadata=_said("dry_run=true", "print what would be run, start nothing", "sweep", "tune", "study", "train"),
    )
    show: str | None = field(
        default=None, metadata=_said("show=config", "print the composed settings of a run", "sweep", "train")
    )
    retry: bool | str = field(
        default=False,
        metadata=_said(
            "retry=true",
            "run failed runs again, from their checkpoints; retry=only: those and stopped ones alone",
            *("sweep", "tune", "study", "train"),
        ),
    )
    collect: bool = field(
        default=False, metadata=_said("collect=true", "start nothing, record what ended, render the report", "sweep")
    )
    estimate: bool = field(
        default=True,
        metadata=_said(
            "estimate=false", "say nothing of the cost, for which steps may be timed", "sweep", "tune", "study"
        ),
    )
    max_hours: float | None = field(
        default=None,
        metadata=_said("max_hours=H", "stop, or ask, where the runs would take longer", "sweep", "tune", "study"),
    )
    register: bool = field(
        default=False,
        metadata=_said("register=true", "write down which runs the study will have, before they run", "study"),
    )
    of: Any = field(
        default=None, metadata=_said("of=SWEEP", "whose trained networks +sweep=robustness evaluates", "sweep")
    )
    tuned: Any = field(
        default=None, metadata=_said("tuned=true", "with what harness.tune chose; tuned=FILE: a tuning's file", "sweep")
    )
    planned: Any = field(
        default=None, metadata=_said("planned=NAME", "only runs that earlier commands planned under NAME", "sweep")
    )
    sequential: bool = field(
        default=False,
        metadata=_said("sequential=true", "seeds in order, and no more of a variant once it is decided", "sweep"),
    )
    budget: Any = field(default=None, metadata=_said("budget=K", "trials for each variant on each task", "tune"))
    sampler: Any = field(
        default=None, metadata=_said("sampler=random", "uniform points; qmc, the default: a Sobol sequence", "tune")
    )
    timing: Any = field(
        default=True,
        metadata=_said(
            "timing=false", "no timing of each variant alone after the runs; only: just that; again: anew", "sweep"
        ),
    )
    timing_seconds: Any = field(
        default=1.5, metadata=_said("timing_seconds=S", "that each variant is timed on each task", "sweep")
    )

    def __post_init__(self) -> None:
        """Raise `UserError` where a value is not allowed."""
        for name in ("wait", "dry_run", "retry", "collect", "estimate", "register", "sequential"):
            if not isinstance(getattr(self, name), bool) and (name, self.retry) != ("retry", "only"):
                raise UserError(f"{name}={getattr(self, name)} is not allowed: it must be true or false.")
        _check_hours(self.max_hours, self.estimate)
        if self.planned is not None:
            check_name("plan", str(self.planned))
        if not isinstance(self.timing, bool) and self.timing not in TIMING_ALONE:
            raise UserError(
                f"timing={self.timing} is not allowed: it must be true, false, only (the runs are finished: time their "
                "variants) or again (the same, and not what was measured before)."
            )
        seconds = self.timing_seconds
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= 3600:
            raise UserError(f"timing_seconds={seconds} is not allowed: it must be a number above 0, at most 3600.")
        if self.show not in (None, "config"):
            raise UserError(f"show {self.show!r} does not exist; {instead(self.show, ['config'])}")


def _check_hours(hours: object, estimate: bool) -> None:
    """Raise `UserError` unless `max_hours` is a number of hours that an estimate can be compared with."""
    if hours is None:
        return
    if isinstance(hours, bool) or not isinstance(hours, int | float) or not 0 < hours < math.inf:
        raise UserError(f"max_hours={hours} is not allowed: it must be a number of hours above 0, such as 0.5.")
    if not estimate:
        raise UserError("max_hours needs the estimate, which estimate=false leaves out: set one of them.")


FLAGS = tuple(each.name for each in fields(Flags))
_FORMS = {each.name: str(each.metadata.get("form", f"{each.name}=true")) for each in fields(Flags)}
THIS_TIME = FLAGS[:8]
"""Flags that a repetition of the command does without."""


def flags_of(program: str) -> dict[str, str]:
    """The flags that a command such as `harness.sweep` takes -> a line of its help on each."""
    return {
        each.name: f"{_FORMS[each.name]:<18}{each.metadata.get('explained', '')}"
        for each in fields(Flags)
        if program.removeprefix("harness.") in each.metadata.get("programs", ("sweep",))
    }


@dataclass(frozen=True)
class CommandLine:
    """What the user asked for: the sweep, values by key in the order given (a list is several values), and flags."""

    sweep: str | None
    overrides: dict[str, Any] = field(default_factory=dict)
    flags: Flags = Flags()
    given: tuple[str, ...] = ()  # flags that were named
    texts: dict[str, list[str]] = field(default_factory=dict, compare=False)  # by key, values as they were typed
    words: tuple[str, ...] = field(default=(), compare=False)  # all of it, options too, less the names
    names: tuple[str, ...] = ()  # words that are no key=value, of a command that takes names

    def after(self, *words: str) -> CommandLine:
        """The command line of `words` and then this one's, which win."""
        first = parse_command_line(words)
        given = {name: getattr(each.flags, name) for each in (first, self) for name in each.given}
        overrides, texts = {**first.overrides, **self.overrides}, {**first.texts, **self.texts}
        return CommandLine(first.sweep, overrides, Flags(**given), tuple(given), texts, (*words, *self.words))

    def without(self, flag: str) -> CommandLine:
        """This command line as if `flag` had not been given."""
        given = tuple(name for name in self.given if name != flag)
        words = tuple(word for word in self.words if key_of(word) != flag)
        flags = Flags(**{name: getattr(self.flags, name) for name in given})
        return replace(self, flags=flags, given=given, words=words)

    def lasting(self, *without: str) -> list[str]:
        """The words that say what the sweep is, less flags of `THIS_TIME`, and less keys or groups in `without`."""
        left_out = (*THIS_TIME, *without)
        return [word for word in self.words if not {key_of(word), key_of(word).split(".")[0]} & set(left_out)]

    def refuse(self, program: str, takes: str, keys: Sequence[str] = ()) -> None:
        """Raise `UserError` where one of these keys, or a flag that `program` lacks, was named; takes: in words."""
        taken = flags_of(program)
        if refused := [key for key in (*self.given, *self.overrides) if key in keys or key in {*FLAGS} - {*taken}]:
            raise UserError(f"{program} takes no {refused[0]}; it takes {', '.join([takes, *taken])}.")


def key_of(word: str) -> str:
    """The key of the word `key=value`."""
    return word.split("=")[0]


def parse_command_line(words: Sequence[str]) -> CommandLine:
    """The command line of words such as `+sweep=ablation_refractory`, `task=listops`, `seed=0,1`, `dry_run=true`.

    Raises `UserError` for anything else.
    """
    for word in words:
        check_line("The word", word)
        refuse_habit(word, _FORMS)
    sweep: str | None = None
    values: dict[str, Any] = {}
    texts: dict[str, list[str]] = {}
    for word in words:
        key, _, text = word.partition("=")
        if _is_name(key, text):
            values[key] = text
            continue
        override = _parsed(word)
        key = override.key_or_group
        if "${" in text:
            raise UserError(f"{word}: a value cannot refer to others or to the environment; write it out.")
        if key == "sweep" and not override.is_delete():
            if sweep is not None:
                raise UserError(f"+sweep={sweep} and {word} name two sweeps: run one after the other.")
            sweep = text.strip("\"'")
            if "," in sweep:
                raise UserError(f"{word} names several sweeps: run one after the other.")
        elif override.is_delete() or override.is_add() or override.is_force_add():
            raise UserError(
                f"{override.input_line}: settings can be changed but not added or removed; only +sweep=NAME takes "
                f"a plus. Write {key}=VALUE."
            )
        else:
            values[key], texts[key] = _value(override), _typed(text)
    flags = {key: values.pop(key) for key in FLAGS if key in values}
    return CommandLine(sweep, values, Flags(**flags), tuple(flags), texts, tuple(words))


def words_of(values: Mapping[str, Any]) -> list[str]:
    """The words from which `parse_command_line` reads these values by key."""
    return [f"{key}={text if _is_name(key, text := str(value)) else _written(value)}" for key, value in values.items()]


def words_to_repeat(asked: Asked) -> list[str]:
    """The command line that asks for the same."""
    folder = [] if asked.config_dir is None else ["--config-dir", asked.config_dir]
    axes = [f"{name}={','.join(map(_label, values))}" for name, values in asked.axes.items()]
    given = (("of", asked.of), ("tuned", asked.tuned), ("sequential", "true" if asked.sequential else None))
    flags = {key: value for key, value in given if value is not None}
    return [*folder, f"+sweep={asked.sweep}", *axes, *words_of({**asked.overrides, **flags})]


def _label(value: Any) -> str:
    """How a label, or a value, of an axis is typed; labels are known by their text, so plain ones need no quotes."""
    is_plain = isinstance(value, str) and re.fullmatch(r"[\w.-]+", value, re.ASCII)
    return str(value) if is_plain else _written(value)


def _written(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_written, value))}]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{name}:{_written(each)}" for name, each in value.items()) + "}"
    if isinstance(value, str):
        return value if _is_read_as_it_is(value) else QuotedString(value, Quote.double).with_quotes()
    return json.dumps(value) if value is None or isinstance(value, bool) else repr(value)


def _is_read_as_it_is(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z_][\w-]*", text, re.ASCII) is not None and _value(_parsed(f"key={text}")) == text


def _is_name(key: str, text: str) -> bool:
    """Whether the word `key=text` names a file, folder or sweep, by its name as it is: any signs, and no quotes."""
    is_text = bool(text) and text[0] not in "'\"" and text not in ("null", "None", "true", "True", "false", "False")
    return is_text and (key.startswith("paths.") or key in ("of", "planned", "tuned"))


def _typed(text: str) -> list[str]:
    """The values of a word as they were typed; none where quotes, brackets or calls say what they are."""
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    return [] if set(inner) & set("'\"[]{}()\\") else [each.strip() for each in inner.split(",")]


def _parsed(word: str) -> Override:
    try:
        (override,) = OverridesParser.create().parse_overrides([word])
    except HydraException as error:
        raise UserError(of_word(word)) from error
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
