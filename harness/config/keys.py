"""What can be typed as key=value, read from YAML files: the classes behind it load torch, which takes seconds.

So a mistyped word is answered at once, and the tab key completes words.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

from spike_ssm.harness.config.command_line import FLAGS, CommandLine
from spike_ssm.harness.config.documents import Documents
from spike_ssm.harness.config.groups import GROUPS, off_axis
from spike_ssm.harness.config.habits import NAMING, not_the_name
from spike_ssm.harness.data import TASKS
from spike_ssm.results.errors import UserError
from spike_ssm.results.names import instead

_PLAIN = ("seed", "device", "tracker", "test", "keep_weights", "stop_if")
_PATHS = ("paths.results", "paths.reports", "paths.cache", "paths.data")


def known_keys(documents: Documents) -> list[str]:
    """Keys of settings such as `seed` and `neuron.leak`, of every neuron, task and so on, whichever is chosen."""
    dotted = {f"task.{each.name}" for _, settings in TASKS.values() for each in fields(settings)}
    for group in (each for each in GROUPS if each != "protocol"):
        for name in documents.options(group):
            dotted |= {f"{group}.{key}" for key in documents.plain(group, name)}
    for name in documents.options("setup/laptop"):
        for part, keys in documents.plain("setup/laptop", name).items():
            dotted |= {f"{part}.{key}" for key in keys} if isinstance(keys, Mapping) else set()
    groups = tuple(f"{group}." for group in GROUPS)
    known = {key for key in dotted if key.startswith(groups) and not key.endswith((".name", ".defaults"))}
    return [*_PLAIN, *_PATHS, *sorted(known)]


def labels_of(documents: Documents, sweep: str, of: str | None = None) -> dict[str, list[str] | None]:
    """The axes of a sweep file, at whatever scale, with the labels of each; None where any value may stand on it.

    of: as on the command line, of a sweep that evaluates another's runs. Raises `UserError`.
    """
    content = documents.load("sweep", sweep)
    if "of" in content:
        content = documents.load("sweep", of or str(content["of"]))
    scales = content.get("scales")
    parts = [content, *(scales.values() if isinstance(scales, Mapping) else [])]
    grids = [part.get("grid") for part in parts if isinstance(part, Mapping)]
    axes: dict[str, list[str] | None] = {}
    for name, values in (pair for grid in grids if isinstance(grid, Mapping) for pair in grid.items()):
        labels = list(map(str, values)) if isinstance(values, Mapping) else None
        axes[str(name)] = None if labels is None else list(dict.fromkeys([*(axes.get(str(name)) or []), *labels]))
    return axes


def check_words(documents: Documents, command: CommandLine) -> None:
    """Raise `UserError` for the name of a sweep, a group's value, a label or a key that is mistyped for certain.

    What may be right is left to those who compose the configuration: they know the neurons and tasks of users.
    """
    of = None if command.flags.of is None else str(command.flags.of)
    axes = {} if command.sweep is None else labels_of(documents, command.sweep, of)
    of_settings = [key for key in command.overrides if key not in axes and key not in GROUPS]
    known = [*known_keys(documents), *GROUPS, *FLAGS, *axes] if of_settings else []  # they stand in many files
    for key, value in command.overrides.items():
        values = value if isinstance(value, list) else [value]
        typed = command.texts.get(key, [])
        if key in axes and (labels := axes[key]) is not None:
            texts = typed if len(typed) == len(values) else [str(each) for each in values]
            for text, each in zip(texts, values, strict=True):
                if text not in labels and str(each) not in labels:
                    raise off_axis(key, text, labels)
        elif key in GROUPS:
            for each in values:
                _check_choice(documents, key, each)
        elif key not in axes:
            _check_key(documents, key, value, known)


def _check_choice(documents: Documents, group: str, value: Any) -> None:
    options = documents.options(group)
    if isinstance(value, str) and value not in options and not set(value) & set(".:") and value != "all":
        raise UserError(f"{group}={value} does not exist; {instead(value, options)}")


def _check_key(documents: Documents, key: str, value: Any, known: Collection[str]) -> None:
    if any(key == each or key.startswith(f"{each}.") for each in known if each not in GROUPS):
        return
    if key in NAMING:
        raise not_the_name(key, str(value))
    end = instead(key, known)
    is_of_users = documents.has_users and key.startswith(("neuron.", "task."))
    if end.startswith("did you mean") and not is_of_users:
        raise UserError(f"{key} is not a setting; {end}")
