"""Writes results/protocols.json, from which reports know the protocols.

    python -m tests.harness.config.write_protocols

Protocol -> task -> every setting of task, model and optim that a run at the paper scale has, as sweeps/ gives them.
"""

from __future__ import annotations

import json
from typing import Any

from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.system.root import ROOT
from spike_ssm.reports.loading.sweep import flatten

FILE = ROOT / "results" / "protocols.json"


def composed(composer: Composer) -> dict[str, dict[str, dict[str, Any]]]:
    """What the file is to hold."""
    everywhere = composer.options("setup/paper")
    names = {name: composer.options(f"protocol/{name}") or everywhere for name in composer.options("protocol")}
    return {name: {task: settings_of(composer, name, task) for task in tasks} for name, tasks in names.items()}


def settings_of(composer: Composer, protocol: str, task: str) -> dict[str, Any]:
    """Dotted settings of a run, those of its neuron left out."""
    found = composer.settings({"scale": "paper", "protocol": protocol, "task": task}).identity()
    return flatten({part: found[part] for part in ("task", "model", "optim")})


def text_of(protocols: dict[str, dict[str, dict[str, Any]]]) -> str:
    """The file's text: a task a line."""
    blocks = [
        f" {json.dumps(name)}: {{\n"
        + ",\n".join(f"  {json.dumps(task)}: {json.dumps(settings)}" for task, settings in tasks.items())
        + "\n }"
        for name, tasks in protocols.items()
    ]
    return "{\n" + ",\n".join(blocks) + "\n}\n"


if __name__ == "__main__":
    FILE.write_text(text_of(composed(Composer())), encoding="utf-8")
