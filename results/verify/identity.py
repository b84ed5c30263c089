"""Is a row the run that it says it is? Its id, its configuration, its status and when it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, get_args

from spike_ssm.results.names import quoted
from spike_ssm.results.schema import OF_A_FAILURE, SCHEMA_VERSION, Status
from spike_ssm.results.verify.plain import read_object

_GROUPS = ("task", "neuron", "model", "optim")
"""Groups of settings that every configuration has; the first two have a name."""


def id_of(config: str) -> str:
    """The id of the run with this column `config`: twelve hexadecimal digits of its SHA-256."""
    return hashlib.sha256(config.encode()).hexdigest()[:12]


def strange_identity(row: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the row's id, configuration, status and origin, in words that follow "run ID: "."""
    config = read_object(row["config"])
    if not _is_canonical(row["config"], config):
        yield "its configuration is no JSON as a run stores it"
    elif row["id"] != id_of(row["config"]):
        yield f"its id is not that of its configuration, {id_of(row['config'])}"
    yield from _strange_settings(row, config)
    version = row["schema_version"]
    if version is None or not 1 <= version <= SCHEMA_VERSION:
        yield f"its schema_version is {version}, and there are 1 to {SCHEMA_VERSION}"
    yield from _strange_status(row)
    if not _is_canonical(row["environment"], read_object(row["environment"])):
        yield "its environment is no JSON object as a run stores it"
    if not _is_moment(row["started_at"]):
        yield f"its started_at is {quoted(row['started_at'])}, and must be a moment with its time zone"


def _is_canonical(text: object, content: Mapping[str, Any]) -> bool:
    """Whether a text is how a run writes this object: so no key is there twice, of which one would be read alone."""
    return bool(content) and text == json.dumps(content, sort_keys=True)


def _strange_settings(row: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    """What the configuration lacks that every run has, and where the columns do not say the same."""
    if not config:
        return
    for group in _GROUPS:
        if not isinstance(config.get(group), dict):
            yield f"its configuration has no settings of its {group}"
            return
    said = {"task": config["task"].get("name"), "neuron": config["neuron"].get("name"), "scale": config.get("scale")}
    for name, value in said.items():
        if not isinstance(value, str):
            yield f"its configuration names no {name}"
        elif row[name] != value:
            yield f"its {name} is {quoted(row[name])}, but {quoted(value)} in its configuration"
    seed = config.get("seed")
    if type(seed) is not int:
        yield "its configuration names no seed"
    elif row["seed"] != seed:
        yield f"its seed is {quoted(row['seed'])}, but {quoted(seed)} in its configuration"


def _strange_status(row: Mapping[str, Any]) -> Iterator[str]:
    if row["status"] not in get_args(Status):
        yield f"its status is {quoted(row['status'])}, and there are {', '.join(get_args(Status))}"
    elif row["status"] == "done":
        yield from (f"it is done and has the column {name}, of failures" for name in OF_A_FAILURE if row[name])
    elif not row["error"]:
        yield f"it is {row['status']} without an error"


def _is_moment(text: object) -> bool:
    try:
        return isinstance(text, str) and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
