"""Hydra's part: group choices to a typed configuration, and values set by name.

Hydra composes once per distinct choice of groups (70 to 110 ms), for all composers where no folder of the user's has
groups. A value is then checked and given its type once, and put into the dataclasses, which check themselves. Only
where others refer to the value (`${optim.lr}`) are values set on a copy of the configuration each time (20 ms), loaded
from a pickle, which is five times as fast as `copy.deepcopy`.
Hydra's own messages recommend `+key`, which would let an unknown key in, so keys are checked here.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from spike_ssm.harness.config.documents import SWEEPS, Documents, check_references, config_folders
from spike_ssm.harness.config.groups import GROUPS, no_setup, unknown_setting
from spike_ssm.harness.config.mistakes import of_composition, of_value
from spike_ssm.harness.config.settings import SCALES, LauncherSettings, Settings
from spike_ssm.harness.data import TASKS, find_task
from spike_ssm.harness.measurements import MEASUREMENTS
from spike_ssm.models.named import is_dotted
from spike_ssm.models.neurons import NEURONS, find_neuron
from spike_ssm.results.errors import UserError
from spike_ssm.results.names import instead, texts_in

TASK_SETTINGS: dict[str, type] = {name: each for name, (_, each) in (*TASKS.items(), *MEASUREMENTS.items())}
"""What `task=NAME` may name -> its settings: a task to train on, or a measurement."""

_REFERRED = re.compile(r"\$\{(?:oc\.select:)?(\w[\w.]*)(?:,[^{}]*)?\}")
"""A reference to one key."""

_Composed = dict[tuple[tuple[str, str], ...], "Composition"]
"""Choices of groups -> what they make."""

_PACKAGED: _Composed = {}
"""What is composed of the packaged files alone, which stay as they are while a process runs."""

RESOURCE_SETS = frozenset((*SCALES, *(f"{task}_{scale}" for task in TASK_SETTINGS for scale in SCALES)))


class Composer(Documents):
    """Composes run configurations from the packaged sweeps/ and a folder of the user's.

    A sweep file of the user's comes before a packaged one of the same name; in the groups, new names join.
    """

    def __init__(self, config_dir: Path | None = None) -> None:
        super().__init__(config_folders(config_dir))
        self.config_dir = config_dir and config_dir.absolute()
        register_schemas()
        composed = (*GROUPS, "setup")
        adds_groups = any((folder / group).exists() for folder in self._folders[:-1] for group in composed)
        self._composed: _Composed = {} if adds_groups else _PACKAGED

    def settings(self, overrides: Mapping[str, Any]) -> Settings:
        """The settings with these group choices and values, validated. Raises `UserError`."""
        choices = {key: value for key, value in overrides.items() if key in GROUPS}
        values = {key: value for key, value in overrides.items() if key not in choices}
        return self._compose(choices).settings(values)

    def _compose(self, choices: Mapping[str, Any]) -> Composition:
        """What these groups make, before any value is set."""
        key = tuple(sorted((group, str(choice)) for group, choice in choices.items()))
        if key not in self._composed:
            for group, choice in key:
                if choice not in self.options(group):
                    given = "null" if choice == "None" else choice
                    raise UserError(f"{group}={given} does not exist; {instead(given, self.options(group))}")
            self._check_setup(choices)
            words = [f"{group}={choice}" for group, choice in key]
            folders = [str(folder).replace("'", "\\'") for folder in self._folders[:-1]]
            search = ",".join(f"'file://{folder}'" for folder in folders)
            GlobalHydra.instance().clear()
            with initialize_config_dir(str(SWEEPS), version_base="1.3"):
                try:
                    composed = compose("run", overrides=[*words, f"hydra.searchpath=[{search}]"])
                except HydraException as error:
                    raise UserError(f"The configuration cannot be composed: {of_composition(error)}") from error
            self._give_types(composed)
            self._check_protocol(choices, composed)
            check_references(f"The configuration of {', '.join(words)}", OmegaConf.to_container(composed))
            OmegaConf.set_struct(composed, True)
            self._composed[key] = Composition(composed)
        return self._composed[key]

    def _check_setup(self, choices: Mapping[str, Any]) -> None:
        """Raise `UserError` where the task has no file with what it needs at this scale."""
        task, scale = choices.get("task"), choices.get("scale", "laptop")
        if task is not None and task not in self.options(f"setup/{scale}"):
            raise no_setup(task, scale, [each for each in SCALES if task in self.options(f"setup/{each}")])

    def _give_types(self, composed: DictConfig) -> None:
        """Give a neuron or task that names a class of the user's the types of its settings. Raises `UserError`."""
        for group, find in (("neuron", find_neuron), ("task", find_task)):
            chosen = composed[group]
            if OmegaConf.get_type(chosen) is not dict:  # a packaged one, whose file begins with its schema
                continue
            name = str(chosen.get("name", ""))
            if not is_dotted(name):
                raise UserError(
                    f"A file of yours for {group}= must name a class by its dotted path, such as `name: my_module."
                    f"My{group.capitalize()}`, or begin with a packaged one's schema, `defaults: [NAME_settings]`."
                )
            try:
                _, settings = find(name)
                composed[group] = OmegaConf.merge(OmegaConf.structured(settings), chosen)
            except (ValueError, OmegaConfBaseException) as error:
                raise UserError(" ".join(str(error).split("\n")[0].split())) from error

    def _check_protocol(self, choices: Mapping[str, Any], composed: DictConfig) -> None:
        """Raise `UserError` where the protocol has settings for some tasks, but none for this one at this scale."""
        name, task = choices.get("protocol"), choices.get("task", composed.task.name)
        tasks = self.options(f"protocol/{name}")
        if tasks and (task not in tasks or composed.scale.name != "paper"):
            raise UserError(
                f"protocol={name} has no settings for task={task} at scale={composed.scale.name}; it has settings at "
                f"scale=paper for task={','.join(tasks)}. Choose among these, or protocol=ours, which is for all."
            )


class Composition:
    """A configuration composed of groups, on which values are set by name."""

    def __init__(self, config: DictConfig) -> None:
        self._resources = _resources(config)
        self._content = pickle.dumps(config)
        self._plain = _plain(config)
        self._referred = _referred(config)
        self._typed: dict[tuple[str, str], Any] = {}
        self._scratch: dict[str, DictConfig] = {}

    def settings(self, values: Mapping[str, Any]) -> Settings:
        """The settings with these values, by name, validated. Raises `UserError`."""
        values = {**self._resources, **values}
        if self._plain is None or self._is_referred(values):
            config: DictConfig = pickle.loads(self._content)
            for key, value in values.items():
                set_value(config, key, value)
            return validated(config)
        try:
            typed = [(key.split("."), self._value(key, value)) for key, value in values.items()]
            settings: Settings = _with(self._plain, typed)
            check_resources(settings.launcher)
        except ValueError as error:
            raise UserError(str(error).splitlines()[0]) from error
        return settings

    def _is_referred(self, keys: Iterable[str]) -> bool:
        """Whether a value elsewhere refers to one of `keys`, or to something above or below it."""
        places = [f"{key}." for key in keys]
        return any(one.startswith(place) or place.startswith(one) for one in self._referred for place in places)

    def _value(self, key: str, value: Any) -> Any:
        """`value` as the type that `key` has. Raises `UserError`."""
        known = key, repr(value)
        if known not in self._typed:
            if isinstance(value, list | Mapping) or key not in self._scratch:  # containers may join what is there
                self._scratch[key] = pickle.loads(self._content)
            set_value(self._scratch[key], key, value)
            typed = OmegaConf.select(self._scratch[key], key)
            self._typed[known] = OmegaConf.to_object(typed) if OmegaConf.is_config(typed) else typed
        return self._typed[known]


def _plain(config: DictConfig) -> Settings | None:
    """`config` as dataclasses; None where it is valid only together with values to come."""
    try:
        return validated(config)
    except UserError:
        return None


def _referred(config: DictConfig) -> tuple[str, ...]:
    """Beginnings of the keys, with a dot behind each, to which values of `config` refer, as `dt_lr: ${optim.lr}` does.

    Where one refers to another in any but this plain way, that is every key.
    """
    keys: list[str] = []
    for text in texts_in(OmegaConf.to_container(config)):
        found = _REFERRED.findall(text)
        keys += [f"{key}." for key in found] if len(found) == text.count("${") else [""]
    return tuple(keys)


def _with(node: Any, changes: Sequence[tuple[Sequence[str], Any]]) -> Any:
    """A dataclass or dict with values put at the paths below it; dataclasses are made anew, and check themselves."""
    below: dict[str, list[tuple[Sequence[str], Any]]] = {}
    for (first, *rest), value in changes:
        below.setdefault(first, []).append((rest, value))
    values = {}
    for name, inner in below.items():
        inside = node.get(name) if isinstance(node, dict) else getattr(node, name)
        later = inner
        for number, (path, value) in enumerate(inner):
            if not path:  # all of it, to which what comes later is added
                inside, later = value, inner[number + 1 :]
        values[name] = _with(inside, later) if later else inside
    return {**node, **values} if isinstance(node, dict) else replace(node, **values)


def _resources(config: DictConfig) -> dict[str, Any]:
    """What the launcher gives runs of this task at this scale, as settings."""
    resources, scale = config.launcher.resources, config.scale.name
    needs = {**resources.get(scale, {}), **resources.get(f"{config.task.name}_{scale}", {})}
    return {f"launcher.{label}": need for label, need in needs.items()}


def set_value(config: DictConfig, key: str, value: Any) -> None:
    """Set `key` (dotted) to `value`. Raises `UserError` for an unknown key or a value of the wrong type."""
    if "${" in str(value):
        raise UserError(f"{key}={value}: a value cannot refer to others or to the environment; write it out.")
    *parents, leaf = key.split(".")
    if leaf == "name" and len(parents) == 1:
        raise UserError(f"{key} cannot be set; pick another {parents[0]} with {parents[0]}=NAME.")
    node: Any = config
    for depth, part in enumerate([*parents, leaf]):
        if depth == len(parents) and _is_open(node):
            break
        if not isinstance(node, DictConfig) or part not in node:
            raise unknown_setting(key, OmegaConf.to_container(config, resolve=False))
        node = node._get_node(part) if part == leaf and depth == len(parents) else node[part]
    else:
        _check_group(key, node, value)
    try:
        OmegaConf.update(config, key, value, merge=False, force_add=_is_open(node))
    except OmegaConfBaseException as error:
        said = of_value(error)
        reason = f"it {said}" if said else str(error).splitlines()[0].rstrip(".")
        raise UserError(f"{key}={'null' if value is None else value} is not allowed: {reason}.") from error


def _is_open(node: Any) -> bool:
    """Whether the keys of this node are for the user to name: it is a mapping of texts, as `launcher.extra` is."""
    return isinstance(node, DictConfig) and node._metadata.element_type is str


def _check_group(key: str, node: Any, value: Any) -> None:
    """Raise `UserError` where `key` is that of several settings, and `value` is not all of them."""
    if _is_open(node):
        if not isinstance(value, Mapping):
            raise UserError(f"{key}={value} must be a mapping, as {key}='{{KEY: VALUE}}', or {key}.KEY=VALUE for one.")
    elif isinstance(node, DictConfig):
        below = ", ".join(f"{key}.{name!s}" for name in node) or f"{key}.NAME.KEY"
        raise UserError(f"{key} is a group of settings; set one of {below}.")


def validated(config: DictConfig) -> Settings:
    """The dataclass of `config`; its own checks run here. Raises `UserError`."""
    try:
        settings: Settings = OmegaConf.to_object(config)  # type: ignore[assignment]
        check_resources(settings.launcher)
    except OmegaConfBaseException as error:
        raise UserError(f"The configuration cannot be composed: {of_composition(error)}") from error
    except ValueError as error:
        raise UserError(str(error).splitlines()[0]) from error
    return settings


def register_schemas() -> None:
    """Make the dataclasses known to Hydra, under the names that the YAML files' defaults lists use."""
    store = ConfigStore.instance()
    store.store(name="settings", node=Settings)
    for name, task_settings in TASK_SETTINGS.items():
        store.store(group="task", name=f"{name}_settings", node=task_settings)
    for name, (_, neuron_settings) in NEURONS.items():
        store.store(group="neuron", name=f"{name}_settings", node=neuron_settings)


def settings_to_yaml(settings: Settings) -> str:
    """`settings` as YAML, to be read by people."""
    return OmegaConf.to_yaml(OmegaConf.create(asdict(settings)))


def settings_to_json(settings: Settings) -> str:
    """`settings` as JSON, to be sent to a worker."""
    return json.dumps(asdict(settings))


def settings_from_json(text: str) -> Settings:
    """The inverse of `settings_to_json`. Raises `UserError` where `text` holds no settings that a run may have."""
    try:
        content = json.loads(text)
        schema = OmegaConf.structured(Settings)
        task, neuron = content["task"]["name"], content["neuron"]["name"]
        schema.task = TASK_SETTINGS[task] if task in TASK_SETTINGS else find_task(task)[1]
        schema.neuron = find_neuron(neuron)[1]
        merged = OmegaConf.merge(schema, content)
    except (ValueError, TypeError, KeyError, OmegaConfBaseException) as error:
        raise UserError(f"These are no settings of a run: {str(error).partition(chr(10))[0]}.") from error
    assert isinstance(merged, DictConfig)
    return validated(merged)


def check_resources(launcher: LauncherSettings) -> None:
    """Raise ValueError where `launcher.resources` names no SCALE or TASK_SCALE that exists."""
    for name in launcher.resources:
        if name not in RESOURCE_SETS:
            raise ValueError(
                f"launcher.resources.{name} does not exist; name a SCALE or a TASK_SCALE, with one of the scales "
                f"{', '.join(SCALES)} and one of the tasks {', '.join(TASK_SETTINGS)}."
            )
