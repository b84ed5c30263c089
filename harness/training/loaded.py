"""A finished run as an object: its network with the tested weights, its settings, its row, and answers to inputs."""

from __future__ import annotations

import json
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from spike_ssm.harness.config.compose import settings_from_json
from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.data import find_task
from spike_ssm.harness.data.facts import Facts
from spike_ssm.harness.data.splits import Batch, Split, batches
from spike_ssm.harness.data.task import Task
from spike_ssm.harness.state.run_files import RunFiles
from spike_ssm.harness.system.seeds import seed_torch
from spike_ssm.harness.training.checkpoint import State, code_fingerprint
from spike_ssm.harness.training.weights import OF_THE_MACHINE, read_kept
from spike_ssm.models.network import Inputs, Network, build_network
from spike_ssm.results.errors import UserError
from spike_ssm.results.files import may_exist
from spike_ssm.results.frames import rows_of
from spike_ssm.results.names import instead
from spike_ssm.results.packed import unpack
from spike_ssm.results.reading import read_outcome
from spike_ssm.results.schema import PlannedRun
from spike_ssm.results.store import RESULTS, read_manifest, read_manifests, results_folder

if TYPE_CHECKING:
    import pandas as pd

NAMED = 12
"""Runs that a sentence lists, at most."""

_ID = re.compile("[0-9a-f]{12}")
_SLASH = re.compile(r"\s*/\s*")


@dataclass(frozen=True)
class LoadedRun:
    """A finished run: its id, its network with the tested weights in evaluation mode, and what it was trained with.

    facts: the number of classes, the symbols of tokens and, where they have names, those of the classes. rows: its
    result, a frame of one row with the columns of `spike_ssm.results.load`, with predictions and traces.
    """

    run_id: str
    settings: Settings
    network: Network
    facts: Facts
    rows: pd.DataFrame

    @property
    def config(self) -> dict[str, Any]:
        """The settings that the run was trained with, as nested dicts of plain values."""
        return {name: each for name, each in asdict(self.settings).items() if name not in OF_THE_MACHINE}

    @property
    def task(self) -> Task:
        """The task that it was trained on; its `prepare` gives the data."""
        return find_task(self.settings.task.name)[0](self.settings.task)

    def thresholds(self) -> list[Tensor]:
        """The trained thresholds [H] of each layer, in units of potential, the layer next to the encoder first.

        Raises `UserError` for a neuron that has none.
        """
        found = [neuron.threshold for neuron in self.network.neurons]
        if any(each is None for each in found):
            raise UserError(f"The neuron {self.settings.neuron.name} of run {self.run_id} has no threshold.")
        return [each().detach().clone() for each in found if each is not None]

    def predict(self, inputs: Any, *, probabilities: bool = False) -> npt.NDArray[Any]:
        """The most probable class of each example, int64 [n]; with `probabilities` those of all classes, [n, classes].

        inputs: one example (n is then 1) or a list of n, as the task has them: a text, two of a pair, or an array of
        tokens or grey levels; arrays [n, L] of n sequences or [n, height, width] of n images; or the task's own
        `Batch` or `Split`. Unknown characters are `<unk>`, texts are cut to the task's max_length. What a stochastic
        neuron draws is the same in every call. Raises `UserError` for what the task cannot have, and for a language
        model.
        """
        if self.settings.task.kind == "language":
            raise UserError(
                f"Run {self.run_id} is a language model, which gives no class: call its .network, whose .words gives "
                "the probabilities of the next word."
            )
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            scores = [self._scores(number, batch) for number, batch in enumerate(self._batches(inputs))]
        found = torch.cat(scores).softmax(-1)
        return found.numpy() if probabilities else found.argmax(-1).numpy()

    def _scores(self, number: int, batch: Batch) -> Tensor:
        seed_torch(self.settings.seed, "evaluation", 0, number)
        return self.network(batch.inputs, batch.lengths).float()  # type: ignore[no-any-return]

    def _batches(self, inputs: Any) -> Iterator[Batch]:
        if isinstance(inputs, Batch):
            yield inputs
            return
        split = inputs if isinstance(inputs, Split) else self._split(inputs)
        yield from batches(split, self.settings.optim.batch_size)

    def _split(self, inputs: Any) -> Split:
        task = self.task
        examples = _as_examples(inputs, pairs=self.settings.task.kind == "pairs", picture=task.picture)
        if not len(examples):
            raise UserError("There is no example to predict: give one, or a list of them.")
        sequences = task.encode(examples, self.facts)
        return Split(sequences, np.zeros(len(examples), np.int64), scaling=task.scaling)


def _as_examples(inputs: Any, *, pairs: bool, picture: bool) -> Sequence[Any]:
    """One example as a list of one; several as they are."""
    if isinstance(inputs, str):
        return [inputs]
    if isinstance(inputs, Tensor | np.ndarray):
        array = np.asarray(inputs)
        is_image = picture and array.ndim == 2 and array.shape[0] == array.shape[1]
        return [array] if array.ndim == 1 or is_image else list(array)
    listed = list(inputs)
    is_pair = pairs and len(listed) == 2 and all(isinstance(text, str) for text in listed)
    is_numbers = bool(listed) and all(isinstance(each, int | float) for each in listed)
    return [tuple(listed)] if is_pair else [np.array(listed)] if is_numbers else listed


def load_run(name: str, results: str | Path = RESULTS) -> LoadedRun:
    """The finished run called `name`, from the results folder `results`, or from a file packed with `--weights`.

    name: its id, or SWEEP/VARIANT/SEED, or SWEEP/TASK/VARIANT/SEED where the sweep has several tasks. The weights carry
    what builds the network; nothing that is read is executed. Raises `UserError`: no such run, not finished, or without
    weights that can be used.
    """
    place = results_folder(str(results))
    if not place.is_file():
        return _loaded(name, place, place)
    with tempfile.TemporaryDirectory(prefix="spike-ssm-") as folder:
        unpack(place, Path(folder))
        return _loaded(name, Path(folder), place)


def _loaded(name: str, folder: Path, place: Path) -> LoadedRun:
    """The run of the results folder, which stands for the file `place` where that is another."""
    run_id = _found(name, folder, place)
    files = RunFiles(folder, run_id)
    outcome = read_outcome(files.result) if may_exist(files.result) else None
    if outcome is None or outcome.status != "done":
        how = "has no result yet" if outcome is None else f"is {outcome.status}: {outcome.error}"
        raise UserError(f"The run {name} {how} in {place}; there is no network to load. Run its sweep first.")
    if not may_exist(files.weights):
        if folder != place:
            raise UserError(f"The run {name} has no weights in {place}: ask for a file that was packed with --weights.")
        raise UserError(
            f"The run {name} left no weights in {folder}: it was run with keep_weights=false, is a language model's or "
            f"no training, or was unpacked from a file without weights. Remove {files.result} and run its sweep again "
            "with keep_weights=true, or ask for a file that was packed with --weights."
        )
    state, code = _weights(name, run_id, folder, place)
    if "settings" not in state.values:
        raise UserError(
            f"The weights {files.weights} are from before weights carried their settings: remove {files.result} and "
            "run the sweep again."
        )
    if code != code_fingerprint():
        warnings.warn(
            f"The weights of {name} were trained by code {code}, and this is {code_fingerprint()}: compare its "
            "predictions with the stored accuracy before you rely on them.",
            stacklevel=2,
        )
    settings, facts = _of_weights(files.weights, state.values)
    rows = rows_of(folder, [run_id], predictions=True, traces=True)
    network = _network(settings, facts, rows["convolution"].iloc[0])
    try:
        network.load_state_dict(state.tensors)
    except RuntimeError as error:
        raise UserError(
            f"The weights {files.weights} do not fit the network of their settings in this code "
            f"({' '.join(str(error).split())[:200]}): go back to the code that trained them, {code}."
        ) from error
    return LoadedRun(run_id, settings, network.eval(), facts, rows)


def _weights(name: str, run_id: str, folder: Path, place: Path) -> tuple[State, str]:
    """What `read_kept` gives."""
    try:
        return read_kept(folder, run_id)
    except UserError as error:
        if folder == place:
            raise
        raise UserError(f"The weights of {name} in {place} are damaged: ask for the file again.") from error


def _of_weights(path: Path, values: Mapping[str, Any]) -> tuple[Settings, Facts]:
    try:
        parts = [values["settings"][group]["name"] for group in ("neuron", "task")]
        facts = Facts(**values["facts"])
    except (KeyError, TypeError) as error:
        raise UserError(f"The weights {path} do not say what network they are of ({error!r}).") from error
    for name in parts:
        module = str(name).rpartition(".")[0]
        if module and module not in sys.modules:
            raise UserError(
                f"The weights {path} are of {name}, which is not part of this package. A file has no code executed "
                f"when it is loaded: import {module} first, if you trust that."
            )
    return settings_from_json(json.dumps(values["settings"])), facts


def _network(settings: Settings, facts: Facts, convolution: str | None) -> Network:
    """The network, its SSM computed as in training where that is known, for the same rounding."""
    inputs = Inputs(None if facts.symbols is None else len(facts.symbols))
    network = build_network(settings.task.kind, inputs, facts.classes, settings.model, settings.neuron)
    if convolution:
        network.convolution = convolution
    return network


def _found(name: str, folder: Path, place: Path) -> str:
    """The id of the run that `name` says. Raises `UserError`, which calls the folder `place`."""
    if _ID.fullmatch(name):
        return name
    wanted = _SLASH.sub("/", name.strip())
    sweep = wanted.partition("/")[0]
    packed = folder != place
    if wanted.count("/") < 2 or (packed and sweep not in _sweeps(folder)):
        raise UserError(f"{name!r} names no run. {_what_there_is(sweep, folder, place)}")
    names = {run.id: _names(sweep, run) for run in read_manifest(folder, sweep).runs}
    found = [run_id for run_id, its_names in names.items() if wanted in its_names]
    if len(found) == 1:
        return found[0]
    there = [names[run_id][-1] for run_id in found or names]
    listed = [*there[:NAMED], *([f"and {len(there) - NAMED} more"] if len(there) > NAMED else [])]
    if found:
        raise UserError(f"{name!r} may be any of {', '.join(listed)}.")
    every = [each for its_names in names.values() for each in its_names]
    raise UserError(f"{name!r} is none of the sweep's runs; {instead(wanted, every, 'there are', listed)}")


def _names(sweep: str, run: PlannedRun) -> list[str]:
    """What the run may be called, the longest name last."""
    short = _SLASH.sub("/", f"{run.variant}/{run.seed}")
    task = run.axes.get("task")
    return [f"{sweep}/{short}", *([f"{sweep}/{task}/{short}"] if task else [])]


def _sweeps(folder: Path) -> list[str]:
    return [manifest.name for manifest in read_manifests(folder)[0]]


def _what_there_is(sweep: str, folder: Path, place: Path) -> str:
    known = _sweeps(folder)
    there = instead(sweep, known, "there are the sweeps") if known else "there is no sweep."
    return f"Give its id, of twelve hexadecimal digits, or SWEEP/VARIANT/SEED. In {place}: {there}"
