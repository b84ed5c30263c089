"""What the tab key completes, by the library argcomplete: keys, values of groups, sweeps, labels, flags.

A shell that was told so (docs/running.md) calls the command with the line that is typed. Nothing here loads torch.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from spike_ssm.harness.config.command_line import flags_of
from spike_ssm.harness.config.documents import Documents, config_folders
from spike_ssm.harness.config.groups import GROUPS
from spike_ssm.harness.config.keys import known_keys, labels_of
from spike_ssm.results.errors import UserError


def answer_shell(parser: argparse.ArgumentParser, words: argparse.Action, complete: Callable[..., list[str]]) -> None:
    """Completions of the argument `words` are printed for a shell that asks for them, which ends the command."""
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        words.completer = complete  # type: ignore[attr-defined]
        argcomplete.autocomplete(parser, always_complete_options=False)


def completer(program: str, names: str | None = None) -> Callable[..., list[str]]:
    """What argcomplete asks for the words that may follow; names: the group that words without = are names of."""

    def complete(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
        folder: Path | None = parsed_args.config_dir
        documents = Documents(config_folders(folder if folder and folder.is_dir() else None))
        return completions(documents, program, prefix, parsed_args.settings or [], names)

    return complete


def completions(
    documents: Documents, program: str, prefix: str, before: Iterable[str], names: str | None = None
) -> list[str]:
    """The words that begin with `prefix`, of those that `program` takes after the words `before`."""
    given = dict(word.split("=", 1) for word in before if "=" in word)
    try:
        axes = labels_of(documents, given["+sweep"], given.get("of")) if "+sweep" in given else {}
    except UserError:  # a name that is not whole, or wrong, which is said when the command runs
        axes = {}
    key, equals, typed = prefix.partition("=")
    if equals:
        listed, comma, _ = typed.rpartition(",")
        found = [f"{key}={listed}{comma}{value}" for value in _values(documents, key, axes)]
    else:
        takes_sweep = program in ("harness.sweep", "harness.tune") and "+sweep" not in given
        keys = [key for key in (*axes, *GROUPS, *known_keys(documents)) if key not in given]
        found = [*(["+sweep="] if takes_sweep else []), *(f"{key}=" for key in keys)]
        found += documents.options(names) if names else []
    forms = (line.split()[0] for line in flags_of(program).values())  # dry_run=true, of=SWEEP
    found += [form if form.islower() else f"{form.partition('=')[0]}=" for form in forms]
    return list(dict.fromkeys(word for word in found if word.startswith(prefix) and word != prefix))


def _values(documents: Documents, key: str, axes: dict[str, list[str] | None]) -> list[str]:
    if labels := axes.get(key):
        return labels
    group = "sweep" if key in ("+sweep", "of") else key
    return documents.options(group) if group in (*GROUPS, "sweep") else []
