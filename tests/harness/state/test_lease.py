"""One run, one holder: of processes that race, that are killed, and of hosts that see each other's files only."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest

from spike_ssm.harness.state import lease as lease_module
from spike_ssm.harness.state.lease import Holder, Lease, LostLease, Watch, is_alive, read
from spike_ssm.harness.system.slurm import OwnedJob
from spike_ssm.results.errors import UserError
from spike_ssm.results.process import Process

ELSEWHERE = Process("another-host", "another-boot", "1", 1234, "5678")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.lock"


class Clock:
    """A steady clock, turned by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A process with the lease's names at hand."""
    prelude = (
        "import os, sys, time\nfrom pathlib import Path\nfrom harness.state.lease import *\npath = Path(sys.argv[1])\n"
    )
    command = [sys.executable, "-c", prelude + code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


@pytest.fixture
def killed(path: Path) -> Holder:
    """The holder of a lease whose process was killed."""
    process = start("lease = Lease.acquire(path); print(lease.held(), flush=True); time.sleep(100)", path)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    process.kill()
    process.wait()
    holder = read(path)
    assert holder is not None
    return holder


def leave(path: Path, **changes: object) -> Holder:
    """A lease that somebody wrote: this process, but for the changes."""
    holder = replace(Holder.current(), **changes)  # type: ignore[arg-type]
    path.write_bytes(holder.to_json())
    return holder


def beat(path: Path, holder: Holder, count: int) -> None:
    path.with_name(f"{path.name}.beat").write_text(f"{holder.uuid} {count}\n")


def listing(path: Path) -> set[str]:
    return {other.name for other in path.parent.iterdir()}


def test_a_lease_is_held_by_one_until_it_is_released(path: Path) -> None:
    with Lease.acquire(path) as lease:
        assert lease.held()
        assert Lease.acquire(path) is None
        assert read(path) == lease.holder
        assert lease.holder.process == Process.current()
    assert not lease.held()
    assert listing(path) == set()
    assert Lease.acquire(path) is not None


RACE = """
kept = []
for line in sys.stdin:
    lease = Lease.acquire(path.with_name(line.strip()))
    print(lease is not None, flush=True)
    kept.append(lease)
"""


def answers(processes: list[subprocess.Popen[str]], word: str) -> list[str]:
    """What all of them say to one word, given to all before any answer is awaited."""
    for process in processes:
        process.stdin.write(f"{word}\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
    return [process.stdout.readline().strip() for process in processes]  # type: ignore[union-attr]


@pytest.fixture
def racers(path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    processes = [start(RACE, path) for _ in range(6)]
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def test_of_processes_that_race_for_a_free_lease_one_wins(path: Path, racers: list[subprocess.Popen[str]]) -> None:
    for number in range(100):
        assert sorted(answers(racers, f"{number}.lock"))[-2:] == ["False", "True"]
    assert not [name for name in listing(path) if name.endswith(".tmp")]


@pytest.mark.fault(
    "The process of a run is dead, and several want to take the run over.",
    "One of them does.",
)
def test_of_processes_that_race_for_a_dead_lease_one_wins(
    path: Path, killed: Holder, racers: list[subprocess.Popen[str]]
) -> None:
    for number in range(100):
        path.with_name(f"{number}.lock").write_bytes(killed.to_json())
        assert sorted(answers(racers, f"{number}.lock"))[-2:] == ["False", "True"]
    assert not [name for name in listing(path) if name.endswith(".tmp")]


def test_the_lease_of_a_killed_process_is_taken_over(path: Path, killed: Holder) -> None:
    with Lease.acquire(path) as lease:
        assert read(path) == lease.holder != killed


def test_a_pid_that_went_to_another_process_is_not_the_holder(path: Path) -> None:
    holder = leave(path, process=replace(Process.current(), start="1"))
    assert not is_alive(path, holder)
    assert Lease.acquire(path) is not None


@pytest.mark.fault(
    "Two machines have one host name.",
    "Neither is taken for the other: a holder lives as long as it beats.",
)
def test_a_process_of_another_machine_of_this_hosts_name_is_judged_by_its_beats(path: Path) -> None:
    """It may as well be this machine before it started anew, which nothing tells from here."""
    holder = leave(path, process=replace(Process.current(), boot="another", pid=2**22 + 1))
    assert Lease.acquire(path) is None
    assert looks(path, holder, [10.0] * 50, lambda number: beat(path, holder, number // 3)) == [True] * 50
    assert looks(path, holder, [10.0] * 8) == [True] * 6 + [False] * 2


def test_pids_of_another_container_on_this_host_tell_nothing(path: Path) -> None:
    assert is_alive(path, leave(path, process=replace(Process.current(), pid_space="1", pid=2**22 + 1)))


def test_an_earlier_life_of_the_own_slurm_job_is_dead(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ARRAY_JOB_ID": "17", "ARRAY_TASK_ID": "3", "JOB_ID": "20", "RESTART_COUNT": "2"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert (Holder.current().job, Holder.current().restart) == ("17_3", 2)
    assert not is_alive(path, leave(path, process=ELSEWHERE, restart=1))
    assert is_alive(path, leave(path, process=ELSEWHERE, restart=2))
    assert is_alive(path, leave(path, process=ELSEWHERE, restart=1, job="17_4"))


@pytest.mark.parametrize("says", [True, False])
def test_slurm_knows_of_jobs_on_other_hosts(path: Path, says: bool) -> None:
    asked = []

    def slurm_alive(job: OwnedJob) -> bool:
        asked.append(job)
        return says

    holder = leave(path, process=ELSEWHERE, job="17", restart=1, user="me", cluster="alpha", name="spike-ssm")
    assert is_alive(path, holder, slurm_alive) is says
    assert asked == [OwnedJob("17", "me", "alpha", "spike-ssm")]


def looks(path: Path, holder: Holder, seconds: list[float], each: Callable[[int], None] = lambda _: None) -> list[bool]:
    """Whether the holder lives, looked at with so many seconds in between; SLURM cannot say."""
    clock = Clock()
    watch, seen = Watch(patience_s=60, polls=6, clock=clock), []
    for number, pause in enumerate(seconds):
        clock.now += pause
        each(number)
        seen.append(is_alive(path, holder, lambda _job: None, watch))
    return seen


def test_a_host_that_beats_lives_and_one_that_stopped_dies_after_the_patience(path: Path) -> None:
    holder = leave(path, process=ELSEWHERE, job="17")
    assert looks(path, holder, [10.0] * 50, lambda number: beat(path, holder, number // 3)) == [True] * 50
    assert looks(path, holder, [10.0] * 8) == [True] * 6 + [False] * 2


def test_a_pause_of_the_watcher_counts_as_one_look(path: Path) -> None:
    holder = leave(path, process=ELSEWHERE)
    assert looks(path, holder, [0.0, 5000.0, 1.0, 5000.0, 1.0]) == [True] * 5


def test_many_looks_in_a_short_time_are_no_patience(path: Path) -> None:
    holder = leave(path, process=ELSEWHERE)
    assert all(looks(path, holder, [0.01] * 500))


@pytest.mark.fault(
    "The clock jumps, or file times are wrong.",
    "No living holder is taken for dead, and no dead one for living.",
)
def test_clocks_and_file_times_tell_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = leave(path, process=ELSEWHERE)
    beat(path, holder, 0)

    def jump(number: int) -> None:
        monkeypatch.setattr(time, "time", lambda: 1e9 * (number % 3))
        for name in listing(path):
            os.utime(path.with_name(name), (1e9 * (number % 2), 1e9 * (number % 2)))

    assert looks(path, holder, [10.0] * 8, jump) == [True] * 6 + [False] * 2
    assert all(looks(path, holder, [1.0] * 50, jump))


def test_a_silent_holder_elsewhere_loses_its_lease(path: Path) -> None:
    holder, clock = leave(path, process=ELSEWHERE), Clock()
    watch = Watch(patience_s=60, polls=2, clock=clock)
    found = []
    for _ in range(3):
        found.append(Lease.acquire(path, watch=watch))
        clock.now += 30
    assert found[:2] == [None, None]
    assert found[2].held()
    assert read(path) != holder


def test_a_holder_beats(path: Path) -> None:
    with Lease.acquire(path, beat_s=0.01) as lease:
        seen = set()
        while len(seen) < 3:  # a lease that does not beat hangs here
            seen.add(path.with_name("run.lock.beat").read_text() if path.with_name("run.lock.beat").exists() else "")
        assert {text.split()[0] for text in seen if text} == {lease.holder.uuid}


@pytest.mark.fault(
    "A holder that was cut off comes back after its run was taken over.",
    "It notices before it publishes, and its result is thrown away.",
)
def test_a_robbed_holder_knows_and_releases_nothing(path: Path) -> None:
    lease = Lease.acquire(path)
    robber = leave(path)
    assert not lease.held()
    with pytest.raises(LostLease, match=f"held by process {os.getpid()} on host "):
        lease.guard()
    lease.release()
    assert read(path) == robber


def test_a_holder_whose_lease_was_removed_knows(path: Path) -> None:
    with Lease.acquire(path) as lease:
        lease.guard()
        path.unlink()
        with pytest.raises(LostLease, match="is gone, or the results folder was moved or removed"):
            lease.guard()


def test_a_taker_that_is_late_leaves_the_lease_of_the_living(
    path: Path, killed: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It saw the dead holder, but gets the claim only when another has taken the lease over."""
    first: list[Lease | None] = []

    def slow(*_: object) -> bool:
        monkeypatch.undo()
        first.append(Lease.acquire(path))
        return False

    monkeypatch.setattr(lease_module, "is_alive", slow)
    assert Lease.acquire(path) is None
    assert first[0] is not None
    assert first[0].held()
    assert listing(path) <= {"run.lock", "run.lock.beat"}


@pytest.mark.fault(
    "kill -9 in the middle of a takeover.",
    "The run is free for the next.",
)
def test_a_taker_killed_between_its_steps_leaves_the_lease_free(path: Path, killed: Holder) -> None:
    code = """
import spike_ssm.harness.state.lease as module
seen, original = [], module.read
def dying(place):
    seen.append(place)
    if seen.count(path) == 2:  # it has the claim and looks again
        os.kill(os.getpid(), 9)
    return original(place)
module.read = dying
Lease.acquire(path)
"""
    taker = start(code, path)
    assert taker.wait() == -signal.SIGKILL
    assert read(path) == killed
    assert read(path.with_name(f"run.lock.{killed.uuid}")) is not None
    with Lease.acquire(path) as lease:
        assert lease.held()
        assert not [name for name in listing(path) if name.endswith(".tmp")]


WHOLE = json.loads(Holder("x", ELSEWHERE).to_json())
WRONG = (
    {"uuid": 7},
    {"uuid": "../x"},
    {"process": None},
    {"process": [1]},
    {"job": 7},
    {"restart": "1"},
    {"host": "x"},
)
DAMAGED = [b"", b"\0" * 100, b"[]", b"null", b"7", b"[" * 100_000, b'{"uuid": "x"}', b'{"uuid": "x", "process": {}}']
DAMAGED += [json.dumps({**WHOLE, **wrong}).encode() for wrong in WRONG]


@pytest.mark.fault(
    "A lease file is damaged, or holds values of other types.",
    "Its holder lives as long as it beats; then the run is taken over.",
)
@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_lease_is_judged_by_its_silence(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert Lease.acquire(path) is None
    holder = read(path)
    assert holder.process is None
    assert looks(path, holder, [10.0] * 8) == [True] * 6 + [False] * 2


@pytest.mark.parametrize("pid", [-1, 0, 2**70], ids=["negative", "zero", "huge"])
def test_a_number_that_is_no_pid_is_no_process(path: Path, pid: int) -> None:
    assert not is_alive(path, leave(path, process=replace(Process.current(), pid=pid)))


def test_a_lease_of_an_earlier_version_is_read(path: Path) -> None:
    holder = leave(path, process=ELSEWHERE, job="17")
    said = json.loads(path.read_text())
    path.write_text(json.dumps({key: said[key] for key in ("uuid", "process", "job", "restart", "acquired")}))
    assert read(path) == replace(holder, user="")


def test_what_a_lease_says_is_read_as_it_was_written(path: Path) -> None:
    holder = leave(path, job="17_3", restart=4, cluster="alpha", name="spike-ssm")
    assert read(path) == holder
    assert set(json.loads(path.read_text())) == {f.name for f in fields(Holder)}


@pytest.mark.fault(
    "The folder of the leases cannot be written to for a moment when a worker begins a run.",
    "It is tried again for two minutes, with one warning, and the run begins.",
)
def test_a_run_is_claimed_once_its_folder_can_be_written_to(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.touch()  # no folder
    threading.Timer(0.3, folder.unlink).start()
    lease = Lease.acquire(folder / "a.lease", patience_s=30)
    assert lease is not None
    assert lease.held()
    lease.release()


def test_a_folder_that_cannot_be_written_to_is_a_sentence() -> None:
    with pytest.raises(UserError, match=r"cannot be written .* paths\.results=FOLDER"):
        Lease.acquire(Path("/proc/spike_ssm/run.lock"))  # not even root may write here


def test_a_full_disk_is_a_sentence_and_leaves_nothing(path: Path) -> None:
    limit, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limit[1]))
    try:
        with pytest.raises(UserError, match="Make room"):
            Lease.acquire(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert listing(path) == set()


def test_looking_at_leases_needs_no_heavy_library() -> None:
    code = "print(sorted({'torch', 'numba', 'datasets', 'pyarrow', 'pandas'} & set(sys.modules)))"
    assert start(code, "x").communicate()[0] == "[]\n"
