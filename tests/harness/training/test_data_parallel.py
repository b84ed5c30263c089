"""Two processes that train one run together: as one process would, and with one end."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from spike_ssm.harness.config.command_line import parse_command_line
from spike_ssm.harness.config.compose import Composer, settings_to_json
from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.system.root import ROOT
from spike_ssm.harness.training.data_parallel import ALONE
from spike_ssm.harness.training.fit import run_training
from tests.harness.conftest import TINY, Place
from tests.harness.run.test_resume import PENALTY, VARIANTS, dataset
from tests.harness.training.train_together import EXAMPLES, after_first_step

BATCH = ("model.norm=batch", *PENALTY)
CASES: dict[str, tuple[str, tuple[str, ...], tuple[str, int, int] | None]] = {
    "classification": ("classification", ("optim.length_pool=2", "model.initial_firing_rate=0.1", *BATCH), None),
    "dense": ("classification", ("neuron=gelu", "model.norm=batch"), None),
    "language": ("language", VARIANTS["language"][1], None),
    "ends early": ("classification", ("neuron=gelu", "stop_if=at_chance@1"), None),
    "pairs": ("pairs", BATCH, None),
    "random": ("classification", ("neuron=pspike", "model.dropout=0.2", *BATCH), None),
    "random again": ("classification", ("neuron=pspike", "model.dropout=0.2", *BATCH), None),
    "stopped": ("classification", ("neuron=pspike", "model.dropout=0.2", *BATCH), ("SIGUSR2", 1, 4)),
}
"""Kind of task, settings, and what happens to a process after a step: kind, rank, step."""
SAME = ("classification", "dense", "ends early", "language", "pairs")
"""What nothing is drawn for, so that one process and two agree."""

Outcome = dict[str, Any]


def settings_of(composer: Composer, words: tuple[str, ...]) -> Settings:
    more = ("model.layers=2", "optim.epochs=2", "optim.batch_size=8", "optim.lr=0.02", "device=cpu")
    return composer.settings(parse_command_line([*TINY, *more, *words]).overrides)


def in_processes(
    folder: Path, composer: Composer, cases: Mapping[str, tuple[str, tuple[str, ...], Any]], count: int = 2
) -> dict[str, list[Outcome]]:
    """The outcome of each case in each process."""
    for name, (kind, words, accident) in cases.items():
        text = settings_to_json(settings_of(composer, words))
        (folder / f"{name}.json").write_text(json.dumps({"kind": kind, "settings": text, "accident": accident}))
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(Path(__file__).with_name("train_together.py")), str(folder)]
    processes = [
        subprocess.Popen(
            command,
            env={**os.environ, **place, "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    try:
        errors = [process.communicate(timeout=240)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    found_of = {name: [folder / f"{name}.{rank}.pt" for rank in range(count)] for name in cases}
    return {
        name: [torch.load(path, weights_only=False) if path.exists() else {"said": errors} for path in paths]
        for name, paths in found_of.items()
    }


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory, composer: Composer) -> dict[str, list[Outcome]]:
    """Of all cases, in two processes."""
    found = in_processes(tmp_path_factory.mktemp("together"), composer, CASES)
    assert {name: [each["said"] for each in both] for name, both in found.items()} == {
        name: [None, None] for name in CASES
    }
    return found


def without_clock(run: Outcome) -> Outcome:
    kept = {name: value for name, value in run.items() if not name.endswith(("_per_s", "_per_step", "_mib"))}
    return {**kept, "epochs": [{**row, "seconds": 0.0} for row in kept["epochs"]]}


@pytest.mark.slow
@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize("name", SAME)
def test_the_first_step_of_two_processes_is_that_of_one(
    name: str, outcomes: dict[str, list[Outcome]], composer: Composer
) -> None:
    """Gradients, batch norm's running statistics, and what calibration had set before."""
    kind, words, _ = CASES[name]
    expected = after_first_step(settings_of(composer, words), dataset(kind, EXAMPLES), ALONE)
    found = outcomes[name][0]["first"]
    assert set(found) == set(expected)
    for tensor, value in expected.items():
        torch.testing.assert_close(
            found[tensor], value, rtol=1e-3, atol=1e-6, msg=lambda text, at=tensor: f"{at}: {text}"
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CASES))
def test_after_a_step_all_processes_hold_the_same(name: str, outcomes: dict[str, list[Outcome]]) -> None:
    for one, other in pairwise(each["first"] for each in outcomes[name]):
        assert [tensor for tensor in one if not torch.equal(one[tensor], other[tensor])] == []


@pytest.mark.slow
@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize("name", SAME)
def test_a_training_of_two_processes_learns_what_one_learns(
    name: str, outcomes: dict[str, list[Outcome]], composer: Composer
) -> None:
    """With a last batch too small to be shared, a validation that is divided, and a test by the first process."""
    kind, words, _ = CASES[name]
    expected = run_training(settings_of(composer, words), dataset(kind, EXAMPLES))
    leader, other = (each["run"] for each in outcomes[name])
    assert other == {}
    for found, row in zip(leader["epochs"], expected["epochs"], strict=True):
        for column in {column for column, value in row.items() if value is not None} - {"seconds"}:
            assert found[column] == pytest.approx(row[column], rel=1e-3), column
    assert leader["best_epoch"] == expected["best_epoch"]
    assert leader["test_accuracy"] == expected["test_accuracy"]


@pytest.mark.slow
def test_what_is_drawn_is_drawn_again(outcomes: dict[str, list[Outcome]]) -> None:
    once, again = (without_clock(outcomes[name][0]["run"]) for name in ("random", "random again"))
    assert once == again


@pytest.mark.fault(
    "One of the processes that train a run together is asked to stop.",
    "All of them stop; the run resumes, and its result is bit for bit that of an uninterrupted one.",
)
@pytest.mark.slow
def test_when_one_process_is_asked_to_stop_all_stop_and_resume(outcomes: dict[str, list[Outcome]]) -> None:
    whole, resumed = (without_clock(outcomes[name][0]["run"]) for name in ("random", "stopped"))
    assert resumed == whole


@pytest.mark.fault(
    "One of the processes that train a run together fails.",
    "All of them end, and the result says which one failed, and of what.",
)
@pytest.mark.slow
def test_when_one_process_fails_all_end_and_say_why(tmp_path: Path, composer: Composer) -> None:
    case = ("classification", (), ("error", 1, 2))
    said = [each["said"] for each in in_processes(tmp_path, composer, {"failing": case})["failing"]]
    assert [text.partition(" Lower optim.lr")[0] for text in said] == [
        "In process 1 of 2: Training diverged in epoch 1, step 3: The sky has fallen.",
        "Training diverged in epoch 1, step 3: The sky has fallen.",
    ]


def follower_of(sweep: subprocess.Popen[str]) -> psutil.Process | None:
    """The process that trains along, once it is there."""
    for process in psutil.Process(sweep.pid).children(recursive=True):
        with suppress(psutil.Error):
            if process.environ().get("SUBMITIT_LOCAL_GLOBALID") == "1":
                return process
    return None


def seconds_until(condition: Callable[[], object]) -> float:
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < 120
        time.sleep(0.05)
    return time.monotonic() - started


@pytest.mark.fault(
    "One of the processes that train a run together is killed with -9.",
    "The others end, the result says so, the checkpoint is kept, and a retry goes on from it.",
)
@pytest.mark.slow
def test_a_run_that_lost_one_of_its_processes_is_retried_from_its_checkpoint(place: Place) -> None:
    place.sweep_file("one", grid={"neuron.leak": [0.5]}, base={"launcher": "local"})
    words = ("launcher.processes=2", "launcher.workers=1", "launcher.checkpoint_minutes=0", "optim.epochs=20")
    sweep = place.start(*words, name="one")
    seconds_until(lambda: list(place.results.glob("checkpoints/*/*.safetensors")))
    follower = follower_of(sweep)
    assert follower is not None
    follower.kill()
    out, errors = sweep.communicate(timeout=120)
    (row,) = place.rows().values()
    assert row["status"] == "failed", (out, errors)
    assert "process 0 lost another one" in row["error"]
    assert list(place.results.glob("checkpoints/*/*.safetensors"))
    outcome = place.sweep(*words, "retry=true", name="one")
    (row,) = place.rows().values()
    assert (row["status"], json.loads(row["environment"])["processes"]) == ("done", 2), outcome.err
    assert len(row["epochs"]) == 20
