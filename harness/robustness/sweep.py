"""Sweeps that train nothing: they name another one, `of`, and evaluate the runs that it trained."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.errors import UserError

if TYPE_CHECKING:
    from harness.sweep_file import Sweep

KEYS = {"title": str, "question": str, "of": str, "base": dict}
"""What the file of such a sweep holds, and of which type."""

NOT_OF_TRAINING = ("+sweep", "of", "robustness", "dry_run", "show", "wait", "retry", "collect")
"""Settings that are not also said to the sweep that trains."""


def evaluating(name: str, content: Mapping[str, Any], of: str | None, load: Callable[[str], Sweep]) -> Sweep:
    """The runs of the sweep that `of` names, or the content where it is None, with the content's settings too.

    load: gives a sweep by its name. Raises `UserError`, naming the file.
    """
    if set(content) != set(KEYS) or not all(isinstance(content[key], kind) for key, kind in KEYS.items()):
        raise UserError(
            f"sweep/{name}.yaml names with `of` the sweep whose runs it evaluates and takes axes and seeds from there: "
            f"it must hold the texts title, question and of and the mapping base, but it holds {dict(content)}."
        )
    trained = load(of or content["of"])
    if trained.of is not None:
        raise UserError(f"of={trained.name} trains no runs; name a sweep that does, such as {trained.of}.")
    return replace(
        trained,
        name=name if trained.name == content["of"] else f"{name}_{trained.name}",
        title=f"{content['title']}: {trained.title}",
        question=content["question"],
        base={**trained.base, **content["base"]},
        of=trained.name,
    )


def training_command(program: str, words: Sequence[str]) -> str:
    """For a shell: `python -m` `program`, which trains what the same command with all of these words evaluates."""
    kept = [word for word in words if word.split("=")[0].split(".")[0] not in NOT_OF_TRAINING]
    return f"python -m {program} {shlex.join(kept)}".strip()
