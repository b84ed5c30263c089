"""What a training needs to go on where it stopped, in files that a reader can trust."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from spike_ssm.harness.system.root import fingerprint
from spike_ssm.results.errors import UnreadableError
from spike_ssm.results.files import PATIENCE_S, Guard, make_lowest_folders, patiently, unguarded, written

FORMAT = 3
"""Counts up when the content of a checkpoint changes its meaning."""

KEPT = 2
"""Checkpoints that are kept: should the newest be damaged, there is the one before."""

SOURCES = (
    "models/**/*.py",
    "models/**/*.safetensors",
    "harness/data/**/*.py",
    *(
        f"harness/training/{name}.py"
        for name in ("evaluation", "fit", "schedule", "testing", "trainer", "trainer_state")
    ),
    "harness/system/seeds.py",
)
"""The code, and the frozen networks that come with it, that decide what a run's numbers are."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class State:
    """Tensors by name, and everything else as JSON values: numbers, strings, lists and dicts by name."""

    tensors: dict[str, Tensor]
    values: dict[str, Any]


class DamageError(Exception):
    """A file is not what was written."""


@functools.cache
def code_fingerprint() -> str:
    """Twelve hexadecimal digits, a hash of the files named by `SOURCES`, whether committed or not."""
    return fingerprint(*SOURCES)


class Checkpoints:
    """The checkpoints of one run, in a folder of their own; one process at a time may write there, as `guard` sees to.

    A file is in the safetensors format and has in its metadata the values, as JSON, and a checksum of everything. It is
    for the same run and code only. Trouble with writing never stops the training: it is logged, in one sentence a file.

    It also keeps the run's time, which begins when this object is made and goes on from what `latest` finds.
    """

    def __init__(self, folder: Path, run_id: str, guard: Guard = unguarded, patience_s: float = PATIENCE_S) -> None:
        self.folder = folder
        self._patience_s = patience_s
        self.guard = guard
        self._owner = {"format": FORMAT, "run": run_id, "code": code_fingerprint()}
        self._good: list[Path] = []  # oldest first
        self._complained = False
        self._seconds_before = 0.0
        self._started = time.perf_counter()

    def seconds(self) -> float:
        """Time that the run has taken, s: in this process, and in others up to the checkpoint that it goes on from."""
        return self._seconds_before + time.perf_counter() - self._started

    def save(self, state: State) -> None:
        """Write `state` under a temporary name, move it, and remove all but the newest good checkpoints.

        Where it cannot be written (a full disk, say), earlier checkpoints stay and the first such failure is logged.
        Raises `LostLease`, and leaves all as it is, where the run has become another's.
        """
        try:
            self.guard()
            make_lowest_folders(self.folder, levels=2)
            path = self.folder / f"{self._next_number():08d}.safetensors"
            write_state(path, {**self._owner, "seconds": self.seconds()}, state, self.guard)
            self._good = [*self._good, path][-KEPT:]
            for other in set(self.folder.glob("*.safetensors*")) - set(self._good):
                other.unlink(missing_ok=True)
        except OSError as error:
            if not self._complained:
                _log.warning(
                    "No checkpoint can be written to %s (%s): training goes on without, and would resume from "
                    "an earlier one or start again.",
                    self.folder,
                    error.strerror or error,
                )
            self._complained = True

    def latest(self) -> State | None:
        """The newest state that is whole and of the same run and code; None where there is none.

        Raises `UnreadableError` where a file could not be read for `patience_s` seconds.
        """
        paths = self._paths()
        for path in reversed(paths):
            try:
                self._await_readable(path)
                owner, state = read_state(path)
            except DamageError as error:
                _log.warning("The checkpoint %s is not used: it is damaged (%s).", path, error)
                continue
            differing = [name for name, value in self._owner.items() if owner.get(name) != value]
            if not differing:
                self._good = [path]
                self._seconds_before = owner["seconds"]
                return state
            _log.warning("The checkpoint %s is not used: it is of another %s.", path, " and ".join(differing))
        if paths:
            _log.warning("No checkpoint in %s can be used: training starts again.", self.folder)
        return None

    def _await_readable(self, path: Path) -> None:
        """Raise `UnreadableError` where the file stays closed: a training that began anew would remove it."""
        try:
            patiently(lambda: path.open("rb").close(), f"The checkpoint {path} cannot be read", self._patience_s)
        except OSError as error:
            raise UnreadableError(
                f"The checkpoint {path} cannot be read ({error.strerror}), and the run does not begin anew while it is "
                "there. Make it readable, or remove it, then run the sweep again with retry=true."
            ) from error

    def newest(self) -> Path | None:
        """The file of the newest good checkpoint that was read or written here; None where there is none."""
        return self._good[-1] if self._good else None

    def remove(self) -> None:
        """Remove the folder, once the result is stored."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _paths(self) -> list[Path]:
        """Oldest first."""
        return sorted(self.folder.glob("*.safetensors"))

    def _next_number(self) -> int:
        return max((int(path.stem) for path in self._paths() if path.stem.isdecimal()), default=0) + 1


def write_state(path: Path, owner: Mapping[str, Any], state: State, guard: Guard = unguarded) -> None:
    """Write `state` and whose it is, with a checksum; `path` is whole or not there. Raises `OSError`, or as `guard`."""
    with written(path, _serialised(owner, state)) as temporary:
        guard()  # writing takes long
        temporary.replace(path)


def _serialised(owner: Mapping[str, Any], state: State) -> bytes:
    # Cloned, because safetensors refuses tensors that share memory.
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.tensors.items()}
    text = json.dumps([owner, state.values])
    return save(tensors, {"state": text, "sha256": _checksum(tensors, text)})


def _checksum(tensors: Mapping[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\0{name} {tensor.dtype} {list(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def read_state(path: Path) -> tuple[dict[str, Any], State]:
    """Whose state it is, and the state. Raises `DamageError`."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            # Cloned, because they are maps of the file, which will be removed.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (not a dict)
        text, expected = metadata["state"], metadata["sha256"]
    except (SafetensorError, OSError, KeyError, TypeError) as error:
        raise DamageError(str(error)) from error
    if _checksum(tensors, text) != expected:
        raise DamageError("its checksum is wrong")
    owner, values = json.loads(text)
    return owner, State(tensors, values)
