"""Writers that are killed, disks that are full, folders that are read-only: a result is whole or not there."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pyarrow.parquet import read_table

from spike_ssm.results.files import private_name, remove_leftovers
from spike_ssm.results.process import Process
from spike_ssm.results.reading import read_run, read_status, run_path
from spike_ssm.results.store import discard_failure, prepare_folder, write_run

CODE = """
import os, sys, resource, signal
from pathlib import Path
from results.reading import *
from results.store import *
"""

WRITER = """
import itertools
folder = Path(sys.argv[1])
config = os.urandom(1_000_000).hex()  # long on its way to the disk
write_run(folder, {"id": "first", "status": "done", "config": config})  # the first write loads what all others need
for line in sys.stdin:  # each line starts a writer; its pid is the answer
    writer = os.fork()
    if not writer:
        for number in itertools.count():
            path = run_path(folder, f"{line.strip()}-{number}")
            write_run(folder, {"id": path.stem, "status": "done", "config": config})
    print(writer, flush=True)
    os.waitpid(writer, 0)
    print("gone", flush=True)
print(*sorted({"torch"} & set(sys.modules)), "end", flush=True)
"""


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CODE + code, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.fault(
    "kill -9 in the middle of writing a result, a hundred times.",
    "Every result is whole or absent; what was half-written is removed by the next sweep.",
)
@pytest.mark.slow
def test_a_writer_killed_at_any_moment_leaves_whole_files_and_leftovers_that_are_removed(tmp_path: Path) -> None:
    moments, leftovers, written = random.Random(0), 0, 0
    rows = tmp_path / "rows"
    with python(WRITER, tmp_path) as server:
        for number in range(100):
            print(number, file=server.stdin, flush=True)
            writer = int(server.stdout.readline())
            time.sleep(moments.uniform(0.0, 0.12))
            os.kill(writer, 9)
            assert server.stdout.readline() == "gone\n"
            leftovers += any(name.endswith(".tmp") for name in names(rows))
            prepare_folder(tmp_path)
            assert all(name.endswith(".parquet") for name in names(rows))
            for name in names(rows):
                assert len(read_run(rows / name)["config"]) == 2_000_000
                (rows / name).unlink()
                written += 1
        assert server.communicate()[0] == "end\n"
    assert leftovers > 0
    assert written > 0


def test_temporary_files_of_the_living_and_of_other_hosts_stay(tmp_path: Path) -> None:
    mine = private_name(tmp_path / "a.parquet")
    here, other = Process.current().host, "another.host"
    kept = [mine, tmp_path / mine.name.replace(f"~{here}~", f"~{other}~")]
    start = Process.current().start
    removed = [tmp_path / mine.name.replace(f"~{start}~", "~1~"), tmp_path / mine.name.replace(start, "1")]
    foreign = [tmp_path / "notes.tmp", tmp_path / ".notes~1.tmp", tmp_path / ".a.parquet~b~c~d~e~f~g.tmp"]
    for path in [*kept, *removed, *foreign]:
        path.touch()
    remove_leftovers(tmp_path)
    assert names(tmp_path) == {path.name for path in [*kept, *foreign]}


FULL = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    write_run(Path(sys.argv[1]), {"id": "a", "status": "done", "config": os.urandom(20_000).hex()}, patience_s=0)
except UserError as error:
    print(error)
"""


@pytest.mark.fault(
    "The disk is full when a result is written.",
    "One sentence; nothing half-written stays, and what was there before is whole.",
)
@pytest.mark.parametrize("room", [0, 1, 5_000])
def test_a_full_disk_is_a_sentence_and_leaves_the_failure_that_was_there(tmp_path: Path, room: int) -> None:
    write_run(tmp_path, {"id": "a", "status": "failed", "error": "Once."})
    told, _ = python(FULL, tmp_path, room).communicate()
    assert told.startswith(f"The result file {run_path(tmp_path, 'a')} cannot be written (File too large). Make room")
    assert told.count("\n") == 1
    assert names(tmp_path / "rows") == {"a.parquet"}
    assert read_status(tmp_path, "a") == ("failed", "Once.")


READ_ONLY = """
if os.getuid() == 0:  # whom no permission stops
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
folder = Path(sys.argv[1])
for write in (lambda: write_run(folder, {"id": "a", "status": "done"}, patience_s=0), lambda: prepare_folder(folder)):
    try:
        write()
    except UserError as error:
        print(error)
"""


@pytest.mark.fault(
    "The results folder is read-only.",
    "One sentence before anything begins.",
)
def test_a_read_only_folder_is_a_sentence(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    told, _ = python(READ_ONLY, open_folder).communicate()
    open_folder.chmod(0o755)
    publishing, preparing = told.splitlines()
    assert f"{run_path(open_folder, 'a')} cannot be written (Permission denied)" in publishing
    assert f"{open_folder} cannot be written to (Permission denied)" in preparing
    assert names(open_folder) == set()


MANY = """
folder, writer = Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
for number in range(10):
    write_run(folder, {"id": f"shared-{number}", "status": "done", "error": None, "task": writer})
    write_run(folder, {"id": f"shared-{number}", "status": "failed", "error": f"The watcher of {writer}."})
    write_run(folder, {"id": f"{writer}-{number}", "status": "done"})
"""


@pytest.mark.fault(
    "Several processes finish the same runs in the same moment.",
    "One finished result a run; a failure never replaces it.",
)
@pytest.mark.slow
def test_writers_that_finish_together_leave_one_finished_result_a_run(tmp_path: Path) -> None:
    writers = [python(MANY, tmp_path, f"w{number}") for number in range(4)]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        print(file=writer.stdin, flush=True)
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    rows = tmp_path / "rows"
    assert len(names(rows)) == 10 + 4 * 10
    assert {read_run(rows / name)["status"] for name in names(rows)} == {"done"}


ANOTHER_USER = """
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
folder = Path(sys.argv[1])
for what in (lambda: read_status(folder, "a"), lambda: discard_failure(folder, "a")):
    try:
        print(what())
    except UnreadableError as error:
        print(error)
write_run(folder, {"id": "a", "status": "done"})
"""


@pytest.mark.fault(
    "A result cannot be read now: the disk says EIO, or it is another user's and closed to others.",
    "It is neither finished nor run again, and says so; retry removes nothing, and it counts when it can be read.",
)
@pytest.mark.skipif(os.getuid() != 0, reason="needs a second user")
def test_a_result_that_another_user_closed_is_never_removed(open_folder: Path) -> None:
    path = write_run(open_folder, {"id": "a", "status": "done"})
    for folder in (open_folder, path.parent):
        folder.chmod(0o777)
    path.chmod(0o600)
    before = path.read_bytes()
    told, _ = python(ANOTHER_USER, open_folder).communicate()
    looking, discarding = told.splitlines()
    assert looking == discarding
    assert looking.startswith(
        f"The result file {path} cannot be read now (Permission denied), so its run counts neither"
    )
    assert path.read_bytes() == before
    (kept,) = (open_folder / "quarantine").iterdir()  # what the other user computed meanwhile
    assert read_table(kept)["status"].to_pylist() == ["done"]


FINISHING = "for n in range(30): write_run(Path(sys.argv[1]), {'id': f'r{n}', 'status': 'done'})"


def test_a_result_that_replaces_a_failure_while_it_is_discarded_stays(tmp_path: Path) -> None:
    for number in range(30):
        write_run(tmp_path, {"id": f"r{number}", "status": "failed", "error": "Once."})
    with python(FINISHING, tmp_path) as writer:
        while writer.poll() is None:
            for number in range(30):
                discard_failure(tmp_path, f"r{number}")
    assert {read_status(tmp_path, f"r{number}")[0] for number in range(30)} == {"done"}


FULL_FOR_A_MOMENT = """
import logging
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limit = lambda soft: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))


class MakesRoom(logging.Handler):
    def emit(self, record):
        limit(resource.RLIM_INFINITY)
        print(record.getMessage())


logging.getLogger().addHandler(MakesRoom())
limit(100)
write_run(Path(sys.argv[1]), {"id": "a", "status": "done"})
"""


@pytest.mark.fault(
    "The disk is full for a moment when a result is written.",
    "It is tried again for two minutes, with one warning, and is there.",
)
def test_a_result_outlives_a_disk_that_is_full_for_a_moment(tmp_path: Path) -> None:
    told, _ = python(FULL_FOR_A_MOMENT, tmp_path).communicate()
    path = run_path(tmp_path, "a")
    assert told == f"The result file {path} cannot be written (File too large). It is tried again for 120 s.\n"
    assert read_status(tmp_path, "a") == ("done", None)
    assert names(path.parent) == {"a.parquet"}
