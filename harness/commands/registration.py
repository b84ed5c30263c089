"""The registration of a study: its runs are written down before they run, and it is held to them afterwards."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from spike_ssm.harness.config.command_line import CommandLine
from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.launch.batch import Batch
from spike_ssm.harness.launch.estimate import estimate, say
from spike_ssm.harness.plan.grid import GridRun, expand
from spike_ssm.harness.plan.study_file import Registered, Study, read_registration, write_registration
from spike_ssm.harness.plan.sweep_file import named_sweep
from spike_ssm.harness.plan.trials import Trial, plan
from spike_ssm.results.errors import UserError


@dataclass(frozen=True)
class Planned:
    """What is known of a sweep of a study before anything runs: the trials of its tuning, and its runs untuned."""

    sweep: str
    trials: list[Trial]
    runs: list[GridRun]

    @staticmethod
    def of(composer: Composer, command: CommandLine, study: Study, sweep: str) -> Planned:
        """What is known of `sweep`. Raises `UserError`, e.g. where it cannot be tuned."""
        tuning, running = command.after(f"+sweep={sweep}", f"budget={study.budget}"), command.after(f"+sweep={sweep}")
        trials = plan(composer, tuning).trials if study.budget else []
        return Planned(sweep, trials, expand(composer, running, named_sweep(composer, running)).runs)

    @property
    def labels(self) -> dict[str, str]:
        """Id -> what people call it, of the trials and then of the runs."""
        trials = {trial.run.plan.id: trial.label for trial in self.trials}
        return {**trials, **{run.plan.id: run.label for run in self.runs}}


@dataclass(frozen=True)
class Registration:
    """What is registered of the study `name`, by sweep, and how it is registered."""

    composer: Composer
    name: str
    study: Study
    sweeps: dict[str, Registered]

    @staticmethod
    def of(composer: Composer, name: str, study: Study) -> Registration:
        """The registration of `study` as its file has it. Raises `UserError`."""
        return Registration(composer, name, study, read_registration(composer, name))

    @property
    def scale(self) -> str | None:
        """The only scale that the study is for; None: any."""
        return self.study.scale or next((registered.scale for registered in self.sweeps.values()), None)

    def check(self, planned: Sequence[Planned]) -> None:
        """Raise `UserError` where the study must be registered and is not."""
        self._check_same(planned)
        for each in planned if self.scale else ():
            if each.sweep not in self.sweeps:
                folder = self.composer.config_dir
                words = [self.name, *(["--config-dir", str(folder)] if folder else []), "register=true"]
                raise UserError(
                    f"The study {self.name} is one that is registered, and its sweep {each.sweep} is not: register its "
                    f"{len(each.labels)} runs before they run, python -m harness.study {shlex.join(words)}."
                )

    def register(self, planned: Sequence[Planned], command: CommandLine) -> None:
        """Add the sweeps that are not registered yet, and say so. Raises `UserError` where others have changed."""
        self._check_same(planned)
        new = [each for each in planned if each.sweep not in self.sweeps]
        added: dict[str, Registered] = {}
        for each in new:
            print(f"{each.sweep}: {len(each.labels)} runs to register.")
            scale, hours = each.runs[0].settings.scale.name, _core_hours(each, command)
            date = datetime.now(UTC).date().isoformat()
            added[each.sweep] = Registered(scale, date, len(each.labels), each.labels, hours)
        if not new:
            print(f"Nothing is left to register: {', '.join(self.sweeps)} stay as they were registered.")
        elif not command.flags.dry_run:
            print(write_registration(self.composer, self.name, {**self.sweeps, **added}))

    def _check_same(self, planned: Sequence[Planned]) -> None:
        """Raise `UserError` where what is planned is not what was registered."""
        now: Mapping[str, Mapping[str, str]] = {each.sweep: each.labels for each in planned}
        for sweep, registered in self.sweeps.items():
            runs = now.get(sweep, {})
            if difference := registered.difference(runs):
                raise UserError(
                    f"The study {self.name} was registered with {registered.count} runs of {sweep}, which has "
                    f"{len(runs)} now: {difference}; put sweep/{sweep}.yaml and what it uses back, or register "
                    "another study under another name."
                )


def _core_hours(planned: Planned, command: CommandLine) -> float | None:
    """What all of it is expected to take; None where that is not wanted or not known."""
    runs = {run.plan.id: run for run in (*(trial.run for trial in planned.trials), *planned.runs)}
    batch = Batch(planned.sweep, list(runs.values()), replace(command.flags, dry_run=True))
    found = estimate(batch.jobs_of(batch.ids), batch.ids, batch.flags)
    say(found)
    return round(found.cost.core.point / 3600, 2) if found and not found.cost.unknown else None
