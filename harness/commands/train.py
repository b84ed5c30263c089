"""The work of harness.train: one run, in this process, or in the processes that torchrun started together."""

from __future__ import annotations

import shlex
from pathlib import Path

from spike_ssm.harness.config.command_line import CommandLine
from spike_ssm.harness.config.compose import Composer, settings_to_yaml
from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.launch.display import Display
from spike_ssm.harness.launch.launcher import launch
from spike_ssm.harness.launch.time_left import Kind, TimeLeft
from spike_ssm.harness.robustness.trained import require_trained
from spike_ssm.harness.run.compute import train_along
from spike_ssm.harness.run.execute import execute
from spike_ssm.harness.run.job import Execution, Job
from spike_ssm.harness.run.process_group import assemble
from spike_ssm.harness.run.worker import work
from spike_ssm.harness.state.survey import look
from spike_ssm.results.schema import run_label
from spike_ssm.results.store import discard_failure, prepare_folder, results_folder


def run(composer: Composer, command: CommandLine) -> int:
    """The exit status of the run that the words describe: 1 when it failed; errors are raised, see `harness.cli`."""
    command.refuse("harness.train", takes="settings")
    settings = composer.settings({**command.overrides, "launcher": "debug"})
    label = run_label(settings.task.name, settings.neuron.name, settings.seed)
    if command.flags.show:
        print(f"# Run {settings.run_id()}, {label}.\n{settings_to_yaml(settings)}", end="")
        return 0
    results = results_folder(settings.paths.results)
    if command.flags.dry_run:
        state = look(results, settings.run_id())
        skipped = state.recorded and not state.unprepared and not (state.has_failed and command.flags.retry)
        print(f"{settings.run_id()}  {label}  ({f'skipped, {state.status}' if skipped else 'to run'})")
        _require_trained(settings, results, command)
        return 0
    return _execute(settings, label, prepare_folder(results), command)


def _execute(settings: Settings, label: str, results: Path, command: CommandLine) -> int:
    job = Job(settings.run_id(), settings, results, machine_shared=False)
    group = assemble()
    if not group.leads:
        train_along([job], group)
        return int(group.broken)
    _require_trained(settings, results, command)
    if command.flags.retry:
        discard_failure(results, job.run_id)
    job.files.fault.unlink(missing_ok=True)
    execution = Execution(work, lambda job, watch: execute(job, "debug", watch, group))
    left = TimeLeft({job.run_id: Kind(settings.task.name, label, settings.optim.epochs)}, workers=1)
    with Display({job.run_id: label}, left) as display:
        launch([job], "train", display, execution)
    group.dismiss()
    if job.files.result.exists():
        print(job.files.result)
    return 0 if look(results, job.run_id).status == "done" else 1


def _require_trained(settings: Settings, results: Path, command: CommandLine) -> None:
    """Raise `UserError`, with the command that trains it, when the run that is to be evaluated cannot be used."""
    if settings.robustness is not None:
        trained = settings.trained().run_id()
        training = shlex.join(["python", "-m", "harness.train", *command.lasting("robustness")])
        label = run_label(settings.task.name, settings.neuron.name, settings.seed)
        require_trained(results, {trained: label}, training)
