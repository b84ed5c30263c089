"""`python -m harness.study NAME`: a registered study in one command: tune, run, evaluate robustness, report.

    python -m harness.study neurons                                 at the laptop scale
    python -m harness.study neurons scale=gpu launcher=slurm        the same study where the machines are
    python -m harness.study neurons dry_run=true                    what would be run

What is asked, run and counted as an answer stands in sweeps/study/NAME.yaml and the sweep it names, before anything
runs: nothing that decides an outcome can be set on the command line. The same command goes on where it was stopped.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence

from spike_ssm.harness import sweep, tune
from spike_ssm.harness.cli import run_command
from spike_ssm.harness.config.command_line import CommandLine, parse_command_line
from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.plan.grid import expand
from spike_ssm.harness.plan.study_file import Study
from spike_ssm.harness.plan.sweep_file import named_sweep
from spike_ssm.harness.plan.trials import plan
from spike_ssm.results.errors import UserError

FREE = ("scale", "launcher", "paths", "device", "tracker", "retry", "dry_run")
"""Settings, and groups of them, that may be set: where and at which registered scale a study is executed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit status: 0 when all of the study is done, else 1."""
    return run_command("harness.study", __doc__, arguments, _run)


def _run(composer: Composer, settings: list[str], words: list[str]) -> int:
    names = [word for word in settings if "=" not in word and not word.startswith("-")]
    if len(names) != 1:
        known = ", ".join(composer.options("study"))
        raise UserError(f"Name one study: python -m harness.study NAME, with NAME one of {known}.")
    study = Study.read(composer, names[0])
    settings = [word for word in settings if word != names[0]]
    _check_registered(names[0], settings)
    return _steps(composer, study, settings, [word for word in words if word != names[0]])


def _check_registered(name: str, settings: list[str]) -> None:
    """Raise `UserError` for a setting that would make it another study."""
    for key, value in parse_command_line(settings).overrides.items():
        if key.split(".")[0] not in FREE:
            raise UserError(
                f"{key}={value} would make it another study than the registered one; {', '.join(FREE)} can be set. "
                f"For another study, copy study/{name}.yaml and the sweep it names."
            )


def _steps(composer: Composer, study: Study, settings: list[str], words: list[str]) -> int:
    """One after the other; settings: the words less options."""

    def step(what: str, program: Callable[[Composer, list[str], list[str]], int], *first: str) -> int:
        print(f"\n{what}: python -m {program.__module__} {shlex.join([*first, *words])}")
        return program(composer, [*first, *settings], [*first, *words])

    runs = _count(composer, study, settings)
    print(f"{study.title} Asked:")
    for question in study.questions:
        print(f"  {question}")
    status = step("1. Tuning", tune.run, f"+sweep={study.sweep}", f"budget={study.budget}")
    if parse_command_line(settings).overrides.get("dry_run"):
        afterwards = ", and their robustness" if study.robustness else ""
        print(f"\n2. Then {runs} runs with the chosen settings{afterwards}.")
        return status
    status = step("2. Running", sweep.run, f"+sweep={study.sweep}", "tuned=true")
    if status or not study.robustness:
        return status
    return step("3. Robustness", sweep.run, "+sweep=robustness", f"of={study.sweep}", "tuned=true")


def _count(composer: Composer, study: Study, settings: list[str]) -> int:
    """How many runs the sweep has. Raises `UserError` where it, or its tuning, cannot be."""
    command = CommandLine(study.sweep, parse_command_line(settings).overrides)
    plan(composer, CommandLine(study.sweep, {**command.overrides, "budget": study.budget}))
    return len(expand(composer, command, named_sweep(composer, command)).runs)


if __name__ == "__main__":
    sys.exit(main())
