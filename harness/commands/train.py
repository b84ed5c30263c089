"""The work of harness.train: one run, in this process, or in the processes that torchrun started together."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from spike_ssm.harness.config.command_line import FLAGS, CommandLine, parse_command_line
from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.launch.display import Display
from spike_ssm.harness.launch.launcher import launch
from spike_ssm.harness.robustness.trained import require_trained
from spike_ssm.harness.run.compute import train_along
from spike_ssm.harness.run.execute import execute
from spike_ssm.harness.run.job import Execution, Job
from spike_ssm.harness.run.process_group import assemble
from spike_ssm.harness.run.worker import work
from spike_ssm.harness.state.survey import look
from spike_ssm.harness.system.signals import Interrupted
from spike_ssm.results.errors import UserError
from spike_ssm.results.schema import run_label
from spike_ssm.results.store import discard_failure, prepare_folder


def run(words: Sequence[str]) -> int:
    """The exit status of the run that `words` describe: 1 when it failed. Raises `UserError`."""
    try:
        return _train(parse_command_line(words))
    except Interrupted as error:
        print(f"{error} The same command goes on from the checkpoint.", file=sys.stderr)
        return 128 + error.signal


def _train(command: CommandLine) -> int:
    if command.sweep is not None:
        raise UserError("harness.train runs one configuration; use python -m harness.sweep for a sweep.")
    command.refuse("harness.train", [flag for flag in FLAGS if flag != "retry"], takes="settings and retry")
    settings = Composer().settings({**command.overrides, "launcher": "debug"})
    results = prepare_folder(Path(settings.paths.results))
    job = Job(settings.run_id(), settings, results, machine_shared=False)
    group = assemble()
    if not group.leads:
        train_along([job], group)
        return int(group.broken)
    label = run_label(settings.task.name, settings.neuron.name, settings.seed)
    if settings.robustness is not None:
        training = shlex.join(["python", "-m", "harness.train", *command.lasting("robustness")])
        require_trained(results, {settings.trained().run_id(): label}, training)
    if command.flags.retry:
        discard_failure(results, job.run_id)
    execution = Execution(work, lambda job, watch: execute(job, "debug", watch, group))
    with Display({job.run_id: label}, workers=1) as display:
        launch([job], "train", display, execution)
    group.dismiss()
    print(job.files.result)
    return 0 if look(results, job.run_id).status == "done" else 1
