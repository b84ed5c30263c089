"""Writers that are killed, disks that are full, folders that are read-only: a result is whole or not there."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spike_ssm.results.files import private_name, remove_leftovers
from spike_ssm.results.process import Process
from spike_ssm.results.store import prepare_folder, read_run, read_status, run_path, write_run

CODE = "import os, sys, resource, signal\nfrom pathlib import Path\nfrom results.store import *\n"

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
    with python(WRITER, tmp_path) as server:
        for number in range(100):
            print(number, file=server.stdin, flush=True)
            writer = int(server.stdout.readline())
            time.sleep(moments.uniform(0.0, 0.12))
            os.kill(writer, 9)
            assert server.stdout.readline() == "gone\n"
            leftovers += any(name.endswith(".tmp") for name in names(tmp_path))
            prepare_folder(tmp_path)
            assert all(name.endswith(".parquet") for name in names(tmp_path))
            for name in names(tmp_path):
                assert len(read_run(tmp_path / name)["config"]) == 2_000_000
                (tmp_path / name).unlink()
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
    write_run(Path(sys.argv[1]), {"id": "a", "status": "done", "config": os.urandom(20_000).hex()})
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
    assert names(tmp_path) == {"a.parquet"}
    assert read_status(tmp_path, "a") == ("failed", "Once.")


READ_ONLY = """
if os.getuid() == 0:  # whom no permission stops
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
folder = Path(sys.argv[1])
for write in (lambda: write_run(folder, {"id": "a", "status": "done"}), lambda: prepare_folder(folder)):
    try:
        write()
    except UserError as error:
        print(error)
"""


@pytest.mark.fault(
    "The results folder is read-only.",
    "One sentence before anything begins.",
)
def test_a_read_only_folder_is_a_sentence(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:2]):  # another user must be able to pass
        folder.chmod(0o755)
    tmp_path.chmod(0o555)
    told, _ = python(READ_ONLY, tmp_path).communicate()
    tmp_path.chmod(0o755)
    publishing, preparing = told.splitlines()
    assert f"{run_path(tmp_path, 'a')} cannot be written (Permission denied)" in publishing
    assert f"{tmp_path} cannot be written to (Permission denied)" in preparing
    assert names(tmp_path) == set()


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
    assert len(names(tmp_path)) == 10 + 4 * 10
    assert {read_run(tmp_path / name)["status"] for name in names(tmp_path)} == {"done"}
