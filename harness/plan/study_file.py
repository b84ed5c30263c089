"""Study files: what a registered study asks, runs and counts as an answer; and the runs that were registered of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from spike_ssm.harness.config.documents import Documents
from spike_ssm.harness.config.settings import SCALES
from spike_ssm.results.documents import read_document
from spike_ssm.results.errors import UserError
from spike_ssm.results.files import replace

_SHOWN = 3
"""Labels that a sentence names."""


@dataclass(frozen=True)
class Study:
    """What a file sweeps/study/NAME.yaml holds: sweeps that are tuned where there is a budget, and run in this order.

    With a `choice` all sweeps but the first may be written later, by this rule. With a `scale` the study is for that
    one alone, and its runs must be registered before they run.
    """

    title: str
    sweeps: list[str]
    questions: list[str]
    answers: str  # what will count as one
    scale: str | None = None
    budget: int | None = None  # trials for each variant on each task
    robustness: bool = False
    choice: str | None = None  # by which rule later sweeps are written
    stopping: str | None = None  # when it is over
    exclusion: str | None = None  # what becomes of runs that fail, and of those of other code

    @staticmethod
    def read(documents: Documents, name: str) -> Study:
        """The study file `name`. Raises `UserError`, naming the file and what it must hold."""
        file = f"study/{name}.yaml"
        study = read_document(Study, documents.load("study", name), file)
        if not study.sweeps or len(set(study.sweeps)) < len(study.sweeps):
            raise UserError(f"{file}: sweeps must name one sweep or more, each once, but it is {study.sweeps}.")
        if study.scale not in (None, *SCALES):
            raise UserError(f"{file}: scale must be one of {', '.join(SCALES)}, but it is {study.scale!r}.")
        if study.budget is not None and study.budget < 1:
            raise UserError(f"{file}: budget must be a whole number of trials from 1 on, but it is {study.budget}.")
        return study


@dataclass(frozen=True)
class Registered:
    """What was registered of a sweep before it ran."""

    scale: str
    date: str  # of the registration, in UTC
    count: int  # of the runs
    runs: dict[str, str]  # id -> label
    core_hours: float | None = None  # that they are expected to take

    def difference(self, runs: Mapping[str, str]) -> str:
        """How `runs`, as they are planned now, differ from the registered ones, in a few words; nothing if they do not.

        A run of another id under the same label is another one: its settings were changed.
        """
        missing = [label for run_id, label in self.runs.items() if runs.get(run_id) != label]
        new = [label for run_id, label in runs.items() if self.runs.get(run_id) != label]
        kinds = {
            ("is another", "are others"): [label for label in missing if label in new],
            ("is missing", "are missing"): [label for label in missing if label not in new],
            ("is new", "are new"): [label for label in new if label not in missing],
        }
        return "; ".join(
            f"{len(labels)} {one if len(labels) == 1 else several} ({_some(labels)})"
            for (one, several), labels in kinds.items()
            if labels
        )


def _some(labels: Sequence[str]) -> str:
    return ", ".join([*labels[:_SHOWN], *(["..."] if len(labels) > _SHOWN else [])])


def registration_path(documents: Documents, name: str) -> Path:
    """The file of what is registered of the study `name`, beside the study's. Raises `UserError`."""
    return documents.find("study", name).parent / "registered" / f"{name}.json"


def read_registration(documents: Documents, name: str) -> dict[str, Registered]:
    """What is registered of the study `name`, by sweep; nothing without a file. Raises `UserError`."""
    path = registration_path(documents, name)
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_bytes())
        found = {sweep: read_document(Registered, each, str(path), sweep) for sweep, each in content.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"The registration {path} cannot be read ({error}): put the file back as it was.") from error
    for sweep, registered in found.items():
        if registered.count != len(registered.runs):
            raise UserError(
                f"The registration {path} says {registered.count} runs of {sweep} and lists {len(registered.runs)}: "
                "put the file back as it was."
            )
    return found


def write_registration(documents: Documents, name: str, registration: Mapping[str, Registered]) -> Path:
    """Write what is registered of the study `name`, by sweep; returns the file's path. Raises `UserError`."""
    path = registration_path(documents, name)
    content = {sweep: asdict(registered) for sweep, registered in registration.items()}
    try:
        replace(path, f"{json.dumps(content, indent=1, ensure_ascii=False)}\n".encode())
    except OSError as error:
        raise UserError(
            f"The registration {path} cannot be written ({error.strerror}): make the folder writable, or copy "
            f"study/{name}.yaml and its sweeps to a folder of yours and add --config-dir FOLDER."
        ) from error
    return path
