"""Is a row the run that it says it is? Its id, its configuration, and texts that say nothing but what they are for."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, get_args

from spike_ssm.results.names import has_control_characters, texts_in
from spike_ssm.results.schema import SCHEMA_VERSION, Status

OF_A_FAILURE = ("error", "traceback", "log_tail")
"""Columns that only a failed run has; they quote the machine that it failed on."""

_TEXTS = ("config", "environment", "code_version", "code_warning", "started_at", "tested_weights", "data_notes")
_LINK = re.compile(r"\w://")
_PLACE = re.compile(r"(?:^|[\s'\"=:(,])(?:~|/[\w.+-]+|[A-Za-z]:)[/\\][\w.+-]+")
_LONGEST = 20_000
_SHOWN = 60


def id_of(config: str) -> str:
    """The id of the run with this column `config`: twelve hexadecimal digits of its SHA-256."""
    return hashlib.sha256(config.encode()).hexdigest()[:12]


def config_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration in a row; empty where it holds none."""
    try:
        found = json.loads(row["config"])
    except (TypeError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def strange_identity(row: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the row's id, configuration, status and texts, in words that follow "run ID: "."""
    config = config_of(row)
    if not config or row["config"] != json.dumps(config, sort_keys=True):
        yield "its configuration is no JSON as a run stores it"
    elif row["id"] != id_of(row["config"]):
        yield f"its id is not that of its configuration, {id_of(row['config'])}"
    for name, found in _said_twice(config).items():
        if config and row[name] != found:
            yield f"its {name} is {_quoted(row[name])}, but {_quoted(found)} in its configuration"
    version = row["schema_version"]
    if version is None or not 1 <= version <= SCHEMA_VERSION:
        yield f"its schema_version is {version}, and there are 1 to {SCHEMA_VERSION}"
    yield from _strange_status(row)
    yield from _strange_texts(row)


def _said_twice(config: Mapping[str, Any]) -> dict[str, Any]:
    """Columns that the configuration holds too, with their values there."""
    named = {name: config.get(name) for name in ("task", "neuron")}
    groups = {name: each.get("name") if isinstance(each, dict) else None for name, each in named.items()}
    return {**groups, "scale": config.get("scale"), "seed": config.get("seed")}


def _strange_status(row: Mapping[str, Any]) -> Iterator[str]:
    if row["status"] not in get_args(Status):
        yield f"its status is {_quoted(row['status'])}, and there are {', '.join(get_args(Status))}"
    elif row["status"] == "done":
        yield from (f"it is done and has the column {name}, of failures" for name in OF_A_FAILURE if row[name])
    elif not row["error"]:
        yield f"it is {row['status']} without an error"


def _strange_texts(row: Mapping[str, Any]) -> Iterator[str]:
    for name in _TEXTS:
        texts = [text for text in texts_in([row[name]]) if text]
        if any(has_control_characters(text) or len(text) > _LONGEST for text in texts):
            yield f"its {name} is too long, or holds what a terminal obeys"
        for kind, pattern in (("a link", _LINK), ("a place on a machine", _PLACE)):
            found = next((match for text in texts if (match := pattern.search(text))), None)
            if found:
                yield f"its {name} holds {kind}: {_quoted(found.string[found.start() :].strip())}"
    if not isinstance(_json(row["environment"]), dict):
        yield "its environment is no JSON object"
    if not _is_moment(row["started_at"]):
        yield f"its started_at is {_quoted(row['started_at'])}, and must be a moment with its time zone"


def _json(text: object) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None


def _is_moment(text: object) -> bool:
    try:
        return isinstance(text, str) and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _quoted(value: object) -> str:
    return repr(value if not isinstance(value, str) else value[:_SHOWN])
