"""Of two processes at one run, which only a fault can bring about, the one that lost the lease leaves nothing more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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
from spike_ssm.harness.run.log import open_log
from spike_ssm.harness.run.worker import EXECUTION
from spike_ssm.harness.state.lease import Holder, Lease, LostLease
from spike_ssm.harness.state.run_files import RunFiles
from spike_ssm.harness.state.submissions import Submission, record
from spike_ssm.harness.training.checkpoint import Checkpoints, State
from spike_ssm.harness.training.trackers import open_tracker
from spike_ssm.harness.training.weights import keep_weights
from spike_ssm.models.network import Network
from spike_ssm.results.costs.estimate import Start, add_estimate
from spike_ssm.results.errors import UserError
from spike_ssm.results.files import patiently
from spike_ssm.results.process import Process
from spike_ssm.results.schema import Manifest
from spike_ssm.results.store import write_json, write_manifest, write_run

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


WRITERS: dict[str, Callable[[Path], object]] = {
    "a checkpoint": lambda gone: Checkpoints(RunFiles(gone, "a").checkpoints, "a").save(State({}, {})),
    "weights": lambda gone: keep_weights(gone, "a", {"weight": torch.zeros(1)}),
    "a result": lambda gone: write_run(gone, {"id": "a", "status": "done"}, patience_s=0),
    "progress": lambda gone: write_json(RunFiles(gone, "a").progress, {}),
    "a log": lambda gone: open_log(RunFiles(gone, "a").log),
    "a lease": lambda gone: Lease.acquire(RunFiles(gone, "a").lease),
    "a tracker's files": lambda gone: open_tracker("tensorboard", gone, "a", {}).log({"epoch": 1}),
    "a plan": lambda gone: write_manifest(gone, Manifest("mini", "Mini", "?", "laptop", "", None, [], runs=[])),
    "an estimate": lambda gone: add_estimate(gone, "mini", Start(1.0, {})),
    "what was submitted": lambda gone: record(gone, Submission("local", "mini", {})),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_nothing_is_written_in_the_place_of_a_results_folder_that_is_gone(
    write: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patiently, "__defaults__", (0.0,))
    with suppress(OSError, UserError):  # some are survived with a warning
        write(tmp_path / "gone")
    assert not (tmp_path / "gone").exists()


def test_weights_are_kept_by_the_holder_only(tmp_path: Path) -> None:
    def lost() -> None:
        raise LostLease

    with pytest.raises(LostLease):
        keep_weights(tmp_path, "a", {"weight": torch.zeros(1)}, guard=lost)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
