"""`python -m harness.study NAME`: a registered study in one command: tune, run, evaluate robustness, report.

    python -m harness.study neurons                                 at the laptop scale
    python -m harness.study neurons scale=gpu launcher=slurm        the same study where the machines are
    python -m harness.study neurons dry_run=true                    what would be run

What is asked, run and counted as an answer stands in sweeps/study/NAME.yaml and the sweep it names, before anything
runs: nothing that decides an outcome can be set on the command line. The same command goes on where it was stopped.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from harness import sweep, tune
from harness.command import run_command
from harness.compose import Composer, parse_command_line
from harness.errors import UserError
from harness.grid import expand
from harness.sweep_file import load_sweep

FREE = ("scale", "launcher", "paths", "device", "tracker", "retry", "dry_run")
"""Settings, and groups of them, that may be set: where and at which registered scale a study is executed."""


@dataclass(frozen=True)
class Study:
    """What a file sweeps/study/NAME.yaml holds: `budget` trials for each variant of `sweep`, then `seeds` runs."""

    title: str
    sweep: str
    budget: int
    robustness: bool
    questions: list[str]
    answers: str  # what will count as one

    @staticmethod
    def read(composer: Composer, name: str) -> Study:
        """Raises `UserError`, naming the file and what it must hold."""
        content = composer.load("study", name)
        kinds = {"title": str, "sweep": str, "budget": int, "robustness": bool, "questions": list, "answers": str}
        wrong = [key for key, kind in kinds.items() if not isinstance(content.get(key), kind)]
        unknown = sorted(set(content) - {each.name for each in fields(Study)})
        if wrong or unknown:
            what = f"its {wrong[0]} must be a {kinds[wrong[0]].__name__}" if wrong else f"{unknown[0]} is not known"
            raise UserError(f"The study file study/{name}.yaml must hold {', '.join(kinds)}: {what}.")
        return Study(**content)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit status: 0 when all of the study is done, else 1."""
    return run_command("harness.study", __doc__, arguments, _run)


def _run(composer: Composer, settings: list[str], words: list[str]) -> int:
    names = [word for word in settings if "=" not in word and not word.startswith("-")]
    known = ", ".join(composer.options("study"))
    if len(names) != 1:
        raise UserError(f"Name one study: python -m harness.study NAME, with NAME one of {known}.")
    study = Study.read(composer, names[0])
    _check_registered(names[0], [word for word in settings if word not in names])
    shared = [word for word in words if word != names[0]]
    return _steps(composer, study, shared)


def _check_registered(name: str, settings: list[str]) -> None:
    """Raise `UserError` for a setting that would make it another study."""
    for key, value in parse_command_line(settings).overrides.items():
        if key.split(".")[0] not in FREE:
            raise UserError(
                f"{key}={value} would make it another study than the registered one; {', '.join(FREE)} can be set. "
                f"For another study, copy study/{name}.yaml and the sweep it names."
            )


def _steps(composer: Composer, study: Study, shared: list[str]) -> int:
    tuning = [f"+sweep={study.sweep}", f"budget={study.budget}", *shared]
    running = [f"+sweep={study.sweep}", "tuned=true", *shared]
    evaluating = ["+sweep=robustness", f"of={study.sweep}", "tuned=true", *shared]
    runs = _count(composer, study, shared)
    print(f"{study.title} Asked:")
    for question in study.questions:
        print(f"  {question}")
    print(f"\n1. Tuning: python -m harness.tune {' '.join(tuning)}")
    status = tune.main(tuning)
    if parse_command_line([word for word in shared if "=" in word]).overrides.get("dry_run"):
        print(
            f"\n2. Then {runs} runs with the chosen settings" + (", and their robustness." if study.robustness else ".")
        )
        return status
    if status == 130:
        return status
    print(f"\n2. Running: python -m harness.sweep {' '.join(running)}")
    status = sweep.main(running)
    if status or not study.robustness:
        return status
    print(f"\n3. Robustness: python -m harness.sweep {' '.join(evaluating)}")
    return sweep.main(evaluating)


def _count(composer: Composer, study: Study, shared: list[str]) -> int:
    """How many runs the sweep has. Raises `UserError` where it cannot be."""
    command: Any = parse_command_line([f"+sweep={study.sweep}", *(word for word in shared if "=" in word)])
    scale = str(command.overrides.get("scale", "laptop"))
    return len(expand(composer, command, load_sweep(composer, study.sweep, scale)).runs)


if __name__ == "__main__":
    sys.exit(main())
