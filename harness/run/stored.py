"""A stored configuration becomes settings again, so that a run of somebody else's can be computed anew."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import yaml

from spike_ssm.harness.config.compose import settings_from_json
from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.robustness.trained import BEFORE_SCANS
from spike_ssm.models.named import is_dotted
from spike_ssm.models.ssm.choice import WAYS
from spike_ssm.results.errors import UserError

_ADDED = ("revision", "source")
"""Keys that a run's identity adds to the settings of a group."""


def settings_of_row(row: Mapping[str, Any], words: Sequence[str], trusted: Collection[str] = ()) -> Settings:
    """The settings of the run in `row`, of `results.schema.RUN`, to be computed in this process.

    words: key=value, further settings that change no id. trusted: modules that may be imported for its neuron or task.
    Its SSM is computed as it was. Raises `UserError` where this code cannot compute that very run.
    """
    config = json.loads(row["config"])
    if "${" in row["config"]:
        raise UserError(f"The configuration of run {row['id']} refers to something outside itself, and is not read.")
    _check_trusted(row["id"], config, trusted)
    content = {
        name: {key: value for key, value in each.items() if key not in _ADDED} if isinstance(each, dict) else each
        for name, each in config.items()
    }
    content |= {"scale": {"name": config["scale"]}, "launcher": {"kind": "debug"}}
    way = row["convolution"] or BEFORE_SCANS
    content["model"] |= {"convolution": way} if way in WAYS else {}
    for word in words:
        _put(content, word)
    settings = settings_from_json(json.dumps(content))
    if settings.run_id() != row["id"]:
        raise UserError(
            f"The run {row['id']} cannot be repeated: with its configuration this code computes the run "
            f"{settings.run_id()}. A setting was given that changes it, or its data, or the code of its neuron or "
            f"task, are not those here; it was computed by code {row['code_version']}."
        )
    return settings


def _check_trusted(run_id: str, config: Mapping[str, Any], trusted: Collection[str]) -> None:
    """Raise `UserError` where the configuration names a class outside this package that nobody said to import."""
    for group in ("neuron", "task"):
        name = str(config.get(group, {}).get("name"))
        module = name.rpartition(".")[0]
        if is_dotted(name) and module not in trusted and module not in sys.modules:
            raise UserError(
                f"The {group} of run {run_id} is {name!r}, which is no part of this package: what a file names is not "
                f"imported by itself. Where you have that module, and trust it, add --trust {module}."
            )


def _put(content: dict[str, Any], word: str) -> None:
    """Set the setting that a word says, as `paths.data=FOLDER` does."""
    key, equals, text = word.partition("=")
    *parents, leaf = key.split(".")
    node = content
    for part in parents:
        node = node.setdefault(part, {})
        if not isinstance(node, dict):
            raise UserError(f"{word}: {part} is no group of settings.")
    if not equals or not leaf:
        raise UserError(f"{word} is no setting: write key=value, such as paths.data=FOLDER.")
    try:
        node[leaf] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{word}: {text!r} cannot be read as a value.") from error
