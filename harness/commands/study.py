"""The work of harness.study: the steps of a registered study, one after the other."""

from __future__ import annotations

import itertools
import shlex
import sys
from collections.abc import Callable, Sequence

from spike_ssm.harness.commands import sweep, tune
from spike_ssm.harness.commands.registration import Planned, Registration
from spike_ssm.harness.config.command_line import CommandLine, flags_of
from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.plan.study_file import Study
from spike_ssm.harness.plan.tuned import results_of
from spike_ssm.harness.state.other_code import Code, CodeOfRuns
from spike_ssm.harness.system.provenance import code_version, sources
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
    _check_free(name, command)
    registration = Registration.of(composer, name, study)
    its_command = _at_its_scale(command.without("register"), registration)
    lacking = _still_to_be_written(composer, study)
    there = [each for each in study.sweeps if each not in lacking]
    planned = [Planned.of(composer, its_command, study, each) for each in there]
    if command.flags.register:
        registration.register(planned, its_command)
        status = 0
    else:
        registration.check(planned)
        status = _run(composer, study, planned, its_command, list(registration.sweeps))
    for each in lacking:
        print(f"{each} is still to be written, as sweep/{each}.yaml and by this rule: {study.choice}")
    return 1 if lacking and not (command.flags.register or command.flags.dry_run) else status


def _check_free(name: str, command: CommandLine) -> None:
    """Raise `UserError` for a setting that would make it another study."""
    for key, value in [*command.overrides.items(), *((flag, getattr(command.flags, flag)) for flag in command.given)]:
        if key.split(".")[0] not in FREE:
            raise UserError(
                f"{key}={value} would make it another study than the registered one; {', '.join(FREE)} can be set. "
                f"For another study, copy study/{name}.yaml and the sweeps it names."
            )


def _at_its_scale(command: CommandLine, registration: Registration) -> CommandLine:
    """The command at the study's own scale, where it has one. Raises `UserError` where another one is named."""
    scale = registration.scale
    given = command.overrides.get("scale", scale)
    if scale is not None and given != scale:
        raise UserError(
            f"scale={given} would make it another study: {registration.name} is registered for scale={scale} alone. "
            "Leave that word out."
        )
    return command if given is None or "scale" in command.overrides else command.after(f"scale={scale}")


def _still_to_be_written(composer: Composer, study: Study) -> list[str]:
    """The sweeps without a file, which is all right for those after the first that a rule is there for.

    The others are looked for later on, where it is said what is wrong with their names.
    """
    known = composer.options("sweep")
    return [name for name in study.sweeps[1:] if study.choice and name not in known]


def _run(
    composer: Composer, study: Study, planned: Sequence[Planned], command: CommandLine, registered: Sequence[str]
) -> int:
    """The exit status of the study's steps; runs of other code among those of the registered sweeps are named."""
    results = results_of(command)
    for name in registered:
        runs = CodeOfRuns.of(results, name)
        _warn(runs.warning(), runs.warning_before(Code(code_version(), sources())))
    status = _steps(composer, study, planned, command)
    for name in registered if not command.flags.dry_run else ():
        _warn(CodeOfRuns.of(results, name).warning())
    return status


def _warn(*sentences: str | None) -> None:
    for sentence in filter(None, sentences):
        print(sentence, file=sys.stderr)


def _steps(composer: Composer, study: Study, planned: Sequence[Planned], command: CommandLine) -> int:
    """The exit status of the study's steps: 0 where every run of every sweep is there, else 1.

    A variant whose tuning chose nothing runs untuned, and a sweep with runs that failed does not keep the next one from
    running; but it has not all the networks that its robustness is asked of.
    """
    numbers, dry = itertools.count(1), command.flags.dry_run

    def step(what: str, program: Callable[[Composer, CommandLine], int], *first: str) -> int:
        its_command = command.after(*first)
        module = program.__module__.replace(__package__, "harness")
        print(f"\n{next(numbers)}. {what}: python -m {module} {shlex.join(its_command.words)}")
        return program(composer, its_command)

    print(f"{study.title} Asked:")
    for question in study.questions:
        print(f"  {question}")
    tuned = ["tuned=true"] if study.budget else []
    for each in planned if study.budget else ():
        step("Tuning", tune.run, f"+sweep={each.sweep}", f"budget={study.budget}")
    if study.budget and dry:
        runs, afterwards = sum(len(each.runs) for each in planned), ", and their robustness" if study.robustness else ""
        print(f"\n{next(numbers)}. Then {runs} runs with the chosen settings{afterwards}.")
        return 0
    statuses = {each.sweep: step("Running", sweep.run, f"+sweep={each.sweep}", *tuned) for each in planned}
    if study.robustness and dry:
        print(f"\n{next(numbers)}. Then their robustness.")
    elif study.robustness:
        for name in [name for name, status in statuses.items() if status == 0]:
            statuses[name] = step("Robustness", sweep.run, "+sweep=robustness", f"of={name}", *tuned)
    return max(statuses.values())
