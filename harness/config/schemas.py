"""The schemas of tasks, measurements and neurons: what `task=NAME` and `neuron=NAME` may name."""

from __future__ import annotations

import json
from dataclasses import asdict

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from spike_ssm.harness.config.settings import SCALES, LauncherSettings, Settings
from spike_ssm.harness.data import TASKS
from spike_ssm.harness.measurements import MEASUREMENTS
from spike_ssm.models.neurons import NEURONS

TASK_SETTINGS: dict[str, type] = {name: each for name, (_, each) in (*TASKS.items(), *MEASUREMENTS.items())}
"""What `task=NAME` may name -> its settings: a task to train on, or a measurement."""


RESOURCE_SETS = frozenset((*SCALES, *(f"{task}_{scale}" for task in TASK_SETTINGS for scale in SCALES)))


def register_schemas() -> None:
    """Make the dataclasses known to Hydra, under the names that the YAML files' defaults lists use."""
    store = ConfigStore.instance()
    store.store(name="settings", node=Settings)
    for name, task_settings in TASK_SETTINGS.items():
        store.store(group="task", name=f"{name}_settings", node=task_settings)
    for name, (_, neuron_settings) in NEURONS.items():
        store.store(group="neuron", name=f"{name}_settings", node=neuron_settings)


def settings_to_json(settings: Settings) -> str:
    """`settings` as JSON, to be sent to a worker."""
    return json.dumps(asdict(settings))


def settings_from_json(text: str) -> Settings:
    """The inverse of `settings_to_json`."""
    content = json.loads(text)
    schema = OmegaConf.structured(Settings)
    schema.task = TASK_SETTINGS[content["task"]["name"]]
    schema.neuron = NEURONS[content["neuron"]["name"]][1]
    settings: Settings = OmegaConf.to_object(OmegaConf.merge(schema, content))  # type: ignore[assignment]
    return settings


def check_resources(launcher: LauncherSettings) -> None:
    """Raise ValueError where `launcher.resources` names no SCALE or TASK_SCALE that exists."""
    for name in launcher.resources:
        if name not in RESOURCE_SETS:
            raise ValueError(
                f"launcher.resources.{name} does not exist; name a SCALE or a TASK_SCALE, with one of the scales "
                f"{', '.join(SCALES)} and one of the tasks {', '.join(TASK_SETTINGS)}."
            )
