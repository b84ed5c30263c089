"""The words that each benchmark takes: apart from its work, so that --help needs no torch."""

from __future__ import annotations

import argparse
import ast
import sys
from pathlib import Path
from typing import Any

_ROUNDS = ("--rounds", {"type": int, "help": "of which medians are taken (%(default)s)"})
_THREADS = ("--threads", {"type": int, "default": 2, "help": "of the CPU (%(default)s)"})
_SAVE = ("--save", {"action": "store_true", "help": "write results/measured/"})
_PEAK = ("--peak-of", {"metavar": "CANDIDATE", "help": "print the peak memory of a step, MiB, and nothing else"})
_SETTINGS = ("settings", {"nargs": "*", "metavar": "key=value", "help": "such as paths.data=FOLDER"})

_WORDS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "convolution": [(_ROUNDS[0], {**_ROUNDS[1], "default": 7}), _SAVE],
    "data": [_SAVE, _SETTINGS],
    "harness": [_SAVE],
    "network": [(_ROUNDS[0], {**_ROUNDS[1], "default": 5}), _THREADS, _SAVE, _PEAK],
    "neuron": [(_ROUNDS[0], {**_ROUNDS[1], "default": 7}), _THREADS, _SAVE],
    "profile": [("--save", {"action": "store_true", "help": "draw docs/step_profile.svg"})],
    "reports": [_SAVE],
}
"""Benchmark -> its words; one that another starts in a process of its own has none for people."""


def parser(name: str) -> argparse.ArgumentParser:
    """Parser of the words of `python -m benchmarks.NAME`; the help begins as its file does."""
    text = ast.get_docstring(ast.parse(Path(__file__).with_name(f"{name}.py").read_text())) or ""
    made = argparse.ArgumentParser(f"benchmarks.{name}", description=text)
    for word, how in _WORDS.get(name, []):
        made.add_argument(word, **how)
    return made


def answer_help() -> None:
    """Print the help and end, where this process is `python -m benchmarks.NAME --help`; otherwise nothing happens."""
    started = [word for word in sys.orig_argv if word.startswith("benchmarks.")]
    if sys.argv[0] == "-m" and started and {"-h", "--help"} & set(sys.argv):
        parser(started[0].removeprefix("benchmarks.")).print_help()
        sys.exit()
