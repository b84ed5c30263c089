"""Of two processes at one run, which only a fault can bring about, the one that lost the lease leaves nothing more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.launch.launcher import launch
from spike_ssm.harness.run.execute import execute
from spike_ssm.harness.run.job import Job
from spike_ssm.harness.run.worker import EXECUTION
from spike_ssm.harness.state.lease import Holder, LostLease
from spike_ssm.harness.training.weights import keep_weights
from spike_ssm.models.network import Network
from spike_ssm.results.errors import UserError
from spike_ssm.results.process import Process

ELSEWHERE = Process("another-host", "another-boot", "1", 1234, "5678")


@pytest.fixture
def job(tiny: Callable[..., Settings], cache: Path, tmp_path: Path) -> Job:
    """A run that leaves a checkpoint after every step."""
    settings = tiny(f"paths.cache={cache}", "optim.epochs=40", "launcher=debug", "launcher.checkpoint_minutes=0")
    (tmp_path / "runs").mkdir()
    return Job(settings.run_id(), settings, tmp_path / "runs", machine_shared=False)


@contextmanager
def in_forward(number: int, act: Callable[[], None]) -> Iterator[None]:
    """Inside, `act` is called in the network's forward of that number."""
    forwards = 0

    def count(module: nn.Module, *_: object) -> None:
        nonlocal forwards
        if isinstance(module, Network):
            forwards += 1
            if forwards == number:
                act()

    handle = register_module_forward_hook(count)
    try:
        yield
    finally:
        handle.remove()


def left(results: Path) -> dict[Path, bytes]:
    """All that a run leaves for others, by name."""
    paths = [path for path in results.rglob("*") if path.is_file() and "logs" not in path.parts]
    return {path: path.read_bytes() for path in paths if path.suffix != ".beat"}


@pytest.mark.fault(
    "A run is taken over from a holder that lives, in the middle of its training.",
    "It stops, and leaves no checkpoint, progress, weights or result beside the other's.",
)
def test_a_run_that_was_taken_over_stops_and_leaves_nothing_more(job: Job) -> None:
    at_robbery: dict[Path, bytes] = {}

    def rob() -> None:
        assert list(job.files.checkpoints.iterdir())
        job.files.lease.write_bytes(replace(Holder.current(), process=ELSEWHERE).to_json())
        at_robbery.update(left(job.results))

    with in_forward(10, rob):
        assert not execute(job, "me")
    assert at_robbery
    assert left(job.results) == at_robbery


@pytest.mark.fault(
    "The results folder is moved while a run of it is computed.",
    "The run stops, the command says so in a sentence, and no other folder appears in its place.",
)
def test_a_run_whose_results_folder_was_moved_stops_and_says_so(job: Job) -> None:
    def move() -> None:
        job.results.rename(job.results.with_name("moved"))

    with in_forward(10, move), pytest.raises(UserError, match=r"runs was moved or removed .* paths\.results=FOLDER"):
        launch([job], "mini", lambda _: None, EXECUTION)
    assert not job.results.exists()


def test_weights_are_kept_by_the_holder_only(tmp_path: Path) -> None:
    def lost() -> None:
        raise LostLease

    with pytest.raises(LostLease):
        keep_weights(tmp_path, "a", {"weight": torch.zeros(1)}, guard=lost)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
