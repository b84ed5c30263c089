"""Checkpoint files: what is saved comes back, what is damaged or another's is not used, trouble stops no training."""

from __future__ import annotations

import errno
import json
import logging
import os
import resource
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from spike_ssm.harness.system.root import ROOT, source_files
from spike_ssm.harness.training import checkpoint
from spike_ssm.harness.training.checkpoint import Checkpoints, State, code_fingerprint
from spike_ssm.results.errors import UnreadableError

RUN = "0123456789ab"


def state_of(number: float, size: int = 3) -> State:
    return State({"weights": torch.full((2, size), number), "step": torch.tensor(number)}, {"number": number})


def number_in(folder: Path) -> float | None:
    """The state that a new process would go on from."""
    state = Checkpoints(folder, RUN).latest()
    if state is None:
        return None
    number = state.values["number"]
    assert torch.equal(state.tensors["weights"], torch.full_like(state.tensors["weights"], number))
    return float(number)


def saved(folder: Path, *numbers: float) -> list[Path]:
    """The files of these states, oldest first."""
    checkpoints = Checkpoints(folder, RUN)
    for number in numbers:
        checkpoints.save(state_of(number))
    return sorted(folder.iterdir())


# --- what is saved comes back

dtypes = st.sampled_from([torch.float32, torch.float64, torch.int64, torch.bool, torch.bfloat16, torch.complex64])
shapes = st.lists(st.integers(0, 4), max_size=3)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.text("abc._", min_size=1), st.tuples(dtypes, shapes), max_size=4), values)
def test_tensors_and_values_come_back_bit_for_bit(
    kinds: dict[str, tuple[torch.dtype, list[int]]], value: object
) -> None:
    tensors = {name: torch.randn(shape).to(dtype) for name, (dtype, shape) in kinds.items()}
    with tempfile.TemporaryDirectory() as folder:
        Checkpoints(Path(folder), RUN).save(State(tensors, {"value": value}))
        state = Checkpoints(Path(folder), RUN).latest()
    assert state is not None
    assert state.values == {"value": value}
    assert set(state.tensors) == set(tensors)
    for name, tensor in tensors.items():
        assert state.tensors[name].dtype == tensor.dtype
        assert torch.equal(state.tensors[name], tensor)


def test_infinities_nans_and_the_last_bit_of_a_number_come_back(tmp_path: Path) -> None:
    numbers = [float("inf"), float("nan"), 0.1 + 0.2, 5e-324]
    Checkpoints(tmp_path, RUN).save(State({"x": torch.tensor(numbers)}, {"x": numbers}))
    state = Checkpoints(tmp_path, RUN).latest()
    assert state is not None
    assert repr(state.values["x"]) == repr(numbers)
    torch.testing.assert_close(state.tensors["x"], torch.tensor(numbers), rtol=0, atol=0, equal_nan=True)


def test_tensors_that_share_memory_or_are_not_contiguous_can_be_saved(tmp_path: Path) -> None:
    one = torch.arange(6.0).reshape(2, 3)
    Checkpoints(tmp_path, RUN).save(State({"one": one, "same": one, "turned": one.T}, {}))
    state = Checkpoints(tmp_path, RUN).latest()
    assert state is not None
    assert torch.equal(state.tensors["same"], one)
    assert torch.equal(state.tensors["turned"], one.T)


def test_a_loaded_state_does_not_depend_on_its_file(tmp_path: Path) -> None:
    saved(tmp_path, 1.0)
    state = Checkpoints(tmp_path, RUN).latest()
    assert state is not None
    Checkpoints(tmp_path, RUN).remove()
    state.tensors["weights"] += 1
    assert float(state.tensors["weights"].sum()) == 12


# --- which files there are


def test_without_a_folder_there_is_no_state_and_nothing_to_complain_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert number_in(tmp_path / "missing") is None
    assert not caplog.records


def test_the_newest_is_taken_and_the_last_two_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "run", RUN)
    for number in range(12):
        checkpoints.save(state_of(number))
        assert number_in(tmp_path / "run") == number
        assert len(list((tmp_path / "run").iterdir())) == min(number + 1, 2)


def test_a_process_that_goes_on_keeps_the_checkpoint_that_it_started_from(tmp_path: Path) -> None:
    _, second = saved(tmp_path, 1, 2)
    checkpoints = Checkpoints(tmp_path, RUN)
    checkpoints.latest()
    checkpoints.save(state_of(3))
    assert second in tmp_path.iterdir()
    assert len(list(tmp_path.iterdir())) == 2


def test_what_a_killed_process_left_half_written_is_not_read_and_disappears(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    (tmp_path / ".00000002.safetensors.f00").write_bytes(b"half")
    assert number_in(tmp_path) == 1
    assert len(saved(tmp_path, 2)) == 1


def test_once_the_result_is_stored_nothing_remains(tmp_path: Path) -> None:
    saved(tmp_path / "run", 1, 2)
    for _ in range(2):  # the second time there is nothing to remove
        Checkpoints(tmp_path / "run", RUN).remove()
        assert not (tmp_path / "run").exists()


def test_a_checkpoint_is_an_ordinary_safetensors_file_with_json_beside_the_tensors(tmp_path: Path) -> None:
    (path,) = saved(tmp_path, 1)
    with safe_open(path, "pt") as file:
        owner, content = json.loads(file.metadata()["state"])
        assert set(file.keys()) == {"weights", "step"}
    seconds = owner.pop("seconds")
    assert owner == {"format": checkpoint.FORMAT, "run": RUN, "code": code_fingerprint()}
    assert seconds > 0
    assert content == {"number": 1}


# --- the time that a run has taken


def test_a_runs_time_goes_on_from_its_checkpoint_and_leaves_out_what_was_between_and_what_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(checkpoint, "time", SimpleNamespace(perf_counter=lambda: clock.now))

    def goes_on(*, at: float) -> Checkpoints:
        clock.now = at
        checkpoints = Checkpoints(tmp_path, RUN)
        checkpoints.latest()
        return checkpoints

    first = goes_on(at=100)
    clock.now = 107
    first.save(state_of(1))
    clock.now = 109
    assert first.seconds() == 9
    second = goes_on(at=1000)  # the two seconds after the checkpoint are lost with what was done in them
    clock.now = 1004
    assert second.seconds() == 7 + 4
    second.save(state_of(2))
    assert goes_on(at=0).seconds() == 11


# --- damage


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.fault(
    "A checkpoint cannot be read now: the disk says EIO, or it is another user's and closed to others.",
    "It is waited for; where it stays so, the run fails with a sentence, and does not begin anew and remove it.",
)
def test_a_checkpoint_that_cannot_be_read_now_is_waited_for_and_stays(tmp_path: Path) -> None:
    *_, newest = saved(tmp_path, 1, 2)
    away = newest.rename(tmp_path / "away")
    newest.mkdir()  # reading it is an error of the system
    with pytest.raises(UnreadableError, match="does not begin anew while it is there"):
        Checkpoints(tmp_path, RUN, patience_s=0).latest()

    def mend() -> None:
        newest.rmdir()
        away.rename(newest)

    threading.Timer(0.3, mend).start()
    assert number_in(tmp_path) == 2


@pytest.mark.fault(
    "A checkpoint is truncated.",
    "The one before it is used, with a warning that names the file.",
)
@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_named_and_the_one_before_it_taken(
    tmp_path: Path, share: float, caplog: pytest.LogCaptureFixture
) -> None:
    _, newest = saved(tmp_path, 1, 2)
    os.truncate(newest, int(share * newest.stat().st_size))
    assert number_in(tmp_path) == 1
    (warning,) = warnings_of(caplog)
    assert f"{newest} is not used: it is damaged" in warning


@pytest.mark.fault(
    "A bit of a checkpoint flips.",
    "It is found by its checksum.",
)
def test_any_flipped_bit_is_found(tmp_path: Path) -> None:
    _, newest = saved(tmp_path, 1, 2)
    whole = newest.read_bytes()

    @settings(deadline=None)
    @given(st.integers(0, len(whole) - 1), st.integers(0, 7))
    def flip(place: int, bit: int) -> None:
        content = bytearray(whole)
        content[place] ^= 1 << bit
        newest.write_bytes(content)
        assert number_in(tmp_path) == 1

    flip()


@pytest.mark.fault(
    "All checkpoints of a run are damaged.",
    "The training starts again and says so.",
)
def test_when_all_are_damaged_training_starts_again_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = saved(tmp_path, 1, 2)
    for path in files:
        path.write_bytes(path.read_bytes()[:-1])
    assert number_in(tmp_path) is None
    newest, before, end = warnings_of(caplog)
    assert str(files[1]) in newest
    assert str(files[0]) in before
    assert "training starts again" in end


def test_a_damaged_file_does_not_outlive_the_next_checkpoint(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _, newest = saved(tmp_path, 1, 2)
    os.truncate(newest, 10)
    checkpoints = Checkpoints(tmp_path, RUN)
    checkpoints.latest()
    checkpoints.save(state_of(3))
    caplog.clear()
    assert number_in(tmp_path) == 3
    assert not caplog.records
    assert newest not in tmp_path.iterdir()


# --- others' checkpoints


def test_a_checkpoint_of_another_run_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Checkpoints(tmp_path, "ba9876543210").save(state_of(1))
    assert number_in(tmp_path) is None
    assert warnings_of(caplog)[0].endswith("is not used: it is of another run.")


def test_a_checkpoint_of_other_code_or_of_another_format_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path, 1)
    monkeypatch.setattr(checkpoint, "FORMAT", checkpoint.FORMAT + 1)
    monkeypatch.setattr(checkpoint, "code_fingerprint", lambda: "another")
    assert number_in(tmp_path) is None
    assert warnings_of(caplog)[0].endswith("is not used: it is of another format and code.")


def test_the_code_that_counts_is_that_of_the_networks_with_frozen_weights_the_tasks_and_the_training() -> None:
    counted = {str(path.relative_to(ROOT)) for path in source_files(*checkpoint.SOURCES)}
    assert counted >= {
        "models/network.py",
        "models/neurons/sdn.safetensors",
        "harness/data/splits.py",
        "harness/system/seeds.py",
        "harness/training/trainer.py",
    }
    assert not counted & {"harness/launch/launcher.py", "harness/launch/display.py"}


# --- where nothing can be written


@contextmanager
def nearly_full_disk(folder: Path) -> Iterator[None]:
    """At least 20 KB but less than 200 KB can be written to `folder`: a file system of its own, or a limit on files."""
    with ExitStack() as stack:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], capture_output=True)
        if mounted.returncode == 0:
            stack.callback(subprocess.run, ["umount", folder], check=True)
        else:
            before = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, before[1]))
            stack.callback(resource.setrlimit, resource.RLIMIT_FSIZE, before)
        yield


@pytest.mark.fault(
    "The disk is full when a checkpoint is written.",
    "The training goes on with one warning; the earlier checkpoint stays whole.",
)
def test_a_full_disk_is_complained_of_once_and_leaves_the_earlier_checkpoint_and_nothing_half_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with nearly_full_disk(tmp_path):
        checkpoints = Checkpoints(tmp_path, RUN)
        checkpoints.save(state_of(1, size=1_000))
        for _ in range(3):
            checkpoints.save(state_of(2, size=25_000))
        (warning,) = warnings_of(caplog)
        assert f"No checkpoint can be written to {tmp_path} (" in warning
        assert any(os.strerror(code) in warning for code in (errno.ENOSPC, errno.EFBIG))
        assert len(list(tmp_path.iterdir())) == 1
        assert number_in(tmp_path) == 1
        checkpoints.save(state_of(3, size=100))
        assert number_in(tmp_path) == 3, "once there is room again"


def test_a_folder_that_cannot_be_made_is_complained_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    checkpoints = Checkpoints(tmp_path / "file" / "run", RUN)
    for _ in range(2):
        checkpoints.save(state_of(1))
    assert len(warnings_of(caplog)) == 1
    assert number_in(tmp_path / "file" / "run") is None
