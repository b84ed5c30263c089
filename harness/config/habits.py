"""Words of Hydra and of other command lines, each answered with the word that does the same here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from spike_ssm.results.errors import UserError

_SHOWN = "show=config prints the composed settings of a run, dry_run=true the runs of a sweep"
_SWEEPS = "a sweep runs all its combinations by itself, so leave {word} out: +sweep=NAME, and axes such as seed=0,1"
_FOLDERS = "paths.results=FOLDER and paths.reports=FOLDER say where files go"
_COMPLETED = "docs/running.md says how words are completed with the tab key"

_OPTIONS = {
    **dict.fromkeys(("--cfg", "-c", "--info", "-i", "--resolve", "--package", "-p", "--run", "-r"), _SHOWN),
    **dict.fromkeys(("--multirun", "-m"), _SWEEPS),
    **dict.fromkeys(("--config-path", "-cp"), "--config-dir FOLDER adds your files, such as FOLDER/sweep/NAME.yaml"),
    **dict.fromkeys(("--config-name", "-cn"), "a sweep is named with +sweep=NAME, one run with task=NAME, neuron=NAME"),
    **dict.fromkeys(("--shell-completion", "-sc"), _COMPLETED),
    "--hydra-help": "--help lists what can be given",
    "--experimental-rerun": "the same command again goes on where it was stopped",
}
"""Options of Hydra -> what stands for them."""

_KEYS = {
    "hydra/launcher": "launcher=local, slurm or debug chooses who executes the runs",
    "hydra.launcher": "launcher.memory_gb, launcher.partition and so on say what each run gets",
    "hydra/sweeper": "a sweep runs all its combinations by itself, and python -m harness.tune tunes",
    "hydra.sweeper": "a sweep runs all its combinations by itself, and python -m harness.tune tunes",
    "hydra.sweep": _FOLDERS,
    "hydra.run": _FOLDERS,
    "hydra.job": "results/runs/logs keeps what each run printed",
    "hydra": "Hydra only composes here, so its own settings have no effect",
}
"""Keys of Hydra, or what they begin with -> what stands for them."""

NAMING = ("experiment", "sweeps", "config")
"""Keys with which templates name what is called a sweep here; somebody's sweep may have an axis of that name."""


def refuse_habit(word: str, flags: Mapping[str, str]) -> None:
    """Raise `UserError`, with the right word, for one of another command line; flags: ours, and how one is typed."""
    key, equals, value = word.partition("=")
    if word.startswith("-"):
        name = key.lstrip("-").replace("-", "_")
        typed = f"{name}={value}" if value else flags.get(name, f"{name}=VALUE")
        said = _OPTIONS.get(key, f"words of a command have no dashes, such as {typed}; --help lists them")
        raise UserError(f"The option {key} is not known: {said.format(word=key)}.")
    key = key.lstrip("+~")
    for known, said in _KEYS.items():
        if key == known or key.startswith((f"{known}.", f"{known}/")):
            raise UserError(f"{key} is not known: {said}.")
    if word.startswith("+") and key in NAMING:
        raise not_the_name(key, value)
    if equals or not key:
        return
    if word.startswith("+"):
        raise UserError(f"{word} lacks its value: write {word}=NAME, with an equals sign and no spaces.")
    if key in flags:
        raise UserError(f"{word} lacks its value: write {flags[key]}.")
    if "." in word and Path(word).exists():
        raise UserError(f"{word!r} is a file, no key=value. Where the shell put it in place of a *, quote the word.")
    if re.fullmatch(r"\w[\w.-]*", word):
        raise UserError(f"{word!r} is no key=value: write +sweep={word} for a sweep, {word}=VALUE for a setting.")


def not_the_name(key: str, value: str) -> UserError:
    """The sentence for a word of `NAMING`."""
    return UserError(f"{key} is not known: a sweep is named with +sweep={value or 'NAME'}.")
