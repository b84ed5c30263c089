"""The work of harness.study: the steps of a registered study, one after the other."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from spike_ssm.harness.commands import sweep, tune
from spike_ssm.harness.config.command_line import CommandLine, flags_of
from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.plan.grid import expand
from spike_ssm.harness.plan.study_file import Study
from spike_ssm.harness.plan.sweep_file import named_sweep
from spike_ssm.harness.plan.trials import plan
from spike_ssm.results.errors import UserError

FREE = ("scale", "launcher", "paths", "device", "tracker", *flags_of("harness.study"))
"""Settings, and groups of them, that may be set: where and at which registered scale a study is executed."""


def run(composer: Composer, command: CommandLine) -> int:
    """The exit status; errors are raised, see `harness.cli`."""
    if len(command.names) != 1:
        known = ", ".join(composer.options("study"))
        raise UserError(f"Name one study: python -m harness.study NAME, with NAME one of {known}.")
    (name,) = command.names
    study = Study.read(composer, name)
    _check_registered(name, command)
    return _steps(composer, study, command)


def _check_registered(name: str, command: CommandLine) -> None:
    """Raise `UserError` for a setting that would make it another study."""
    for key, value in [*command.overrides.items(), *((flag, getattr(command.flags, flag)) for flag in command.given)]:
        if key.split(".")[0] not in FREE:
            raise UserError(
                f"{key}={value} would make it another study than the registered one; {', '.join(FREE)} can be set. "
                f"For another study, copy study/{name}.yaml and the sweep it names."
            )


def _steps(composer: Composer, study: Study, command: CommandLine) -> int:
    """The exit status of the study's steps, one after the other; the first that fails ends it."""

    def step(what: str, program: Callable[[Composer, CommandLine], int], *first: str) -> int:
        its_command = command.after(*first)
        print(
            f"\n{what}: python -m {program.__module__.replace(__package__, 'harness')} {shlex.join(its_command.words)}"
        )
        return program(composer, its_command)

    tuning, running = (f"+sweep={study.sweep}", f"budget={study.budget}"), command.after(f"+sweep={study.sweep}")
    plan(composer, command.after(*tuning))  # raises where the tuning cannot be
    runs = len(expand(composer, running, named_sweep(composer, running)).runs)
    print(f"{study.title} Asked:")
    for question in study.questions:
        print(f"  {question}")
    status = step("1. Tuning", tune.run, *tuning)
    if command.flags.dry_run:
        afterwards = ", and their robustness" if study.robustness else ""
        print(f"\n2. Then {runs} runs with the chosen settings{afterwards}.")
        return status
    status = step("2. Running", sweep.run, f"+sweep={study.sweep}", "tuned=true")
    if status or not study.robustness:
        return status
    return step("3. Robustness", sweep.run, "+sweep=robustness", f"of={study.sweep}", "tuned=true")
