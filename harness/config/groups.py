"""Groups of settings, and the sentences for a key or a label that there is not, with the one that was meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from spike_ssm.harness.config.command_line import FLAGS
from spike_ssm.results.errors import UserError
from spike_ssm.results.names import instead

GROUPS = ("task", "neuron", "model", "optim", "scale", "protocol", "launcher", "robustness")
"""Configuration groups: `task=listops` picks sweeps/task/listops.yaml."""


def off_axis(name: str, label: str, labels: Iterable[str]) -> UserError:
    """The sentence for a label that the axis `name` does not have."""
    return UserError(f"{name}={label} is not on this sweep's axis; {instead(label, labels)}")


def no_setup(task: str, scale: str, scales: Sequence[str]) -> UserError:
    """The sentence for a task without a file of what it needs at `scale`; scales: those at which it has one."""
    write = f"write setup/{scale}/{task}.yaml beside task/{task}.yaml"
    if scales:
        write = f"Choose one of these, or write setup/{scale}/{task}.yaml in a folder of yours (--config-dir FOLDER)"
    has = f"; it has them at {', '.join(scales)}. " if scales else ": "
    return UserError(
        f"task={task} has no setup at scale={scale}{has}{write}, with `# @package _global_` in its first line, and "
        "sizes such as `model: {layers: 2}`, or nothing."
    )


def unknown_setting(key: str, content: Any) -> UserError:
    """The sentence for a key that the configuration `content`, as plain containers, does not have."""
    node = content
    above: list[str] = []
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            break
        node, above = node[part], [*above, part]
    among = f"{'.'.join(above) or 'a run'} has" + ("" if isinstance(node, Mapping) else " no settings below it")
    listed = node if isinstance(node, Mapping) else ()
    return UserError(f"{key} is not a setting; {instead(key, [*_dotted(content), *GROUPS, *FLAGS], among, listed)}")


def _dotted(content: Any, above: str = "") -> Iterator[str]:
    """The keys within a mapping, those of a mapping in it after a dot."""
    for key, value in content.items() if isinstance(content, Mapping) else ():
        yield f"{above}{key}"
        yield from _dotted(value, f"{above}{key}.")
