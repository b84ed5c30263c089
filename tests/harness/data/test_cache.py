"""Prepared data: made once whatever happens, mapped afterwards, and never half-written or damaged unnoticed."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spike_ssm.harness.data.cache import Preparation, Prepared, Shard, prepared
from spike_ssm.harness.data.splits import SPLITS, Flat
from spike_ssm.harness.system.root import ROOT
from spike_ssm.results.errors import UserError
from tests.harness.data.prepare_together import prepare

Rows = list[list[int]]


def flat(rows: Rows, dtype: type[np.integer] = np.uint8) -> Flat:
    return Flat(np.array([*chain(*rows)], dtype), np.cumsum([0, *map(len, rows)]))


def shard(*columns: Rows, dtype: type[np.integer] = np.uint8) -> Shard:
    """Examples whose sequences are the rows, of each column one, labelled with the length of the first."""
    return Shard(tuple(flat(rows, dtype) for rows in columns), np.array(list(map(len, columns[0])), np.int64))


def build(preparation: Preparation) -> dict[str, Any]:
    """Two training shards, one of validation and one of test."""
    preparation.write("train", 0, lambda: shard([[1, 2], [3]]))
    preparation.write("train", 1, lambda: shard([[4, 5, 6]]))
    preparation.write("validation", 0, lambda: shard([[7]]))
    preparation.write("test", 0, lambda: shard([[], [8, 9]]))
    return {"symbols": ["a", "b"]}


def fail_if_built(preparation: Preparation) -> dict[str, Any]:
    pytest.fail("It was built although it was there.")


def contents(found: Prepared) -> dict[str, tuple[Any, ...]]:
    """Plain lists: of each split its sequences and labels."""
    return {
        split: (*([row.tolist() for row in column] for column in columns), found.labels[split].tolist())
        for split, columns in found.sequences.items()
    }


WHOLE = {
    "train": ([[1, 2], [3], [4, 5, 6]], [2, 1, 3]),
    "validation": ([[7]], [1]),
    "test": ([[], [8, 9]], [0, 2]),
}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- prepared once, opened afterwards


def test_what_was_written_is_read(tmp_path: Path) -> None:
    found = prepared(tmp_path / "made" / "on demand" / "set", build)
    assert contents(found) == WHOLE
    assert found.facts == {"symbols": ["a", "b"]}


def test_a_data_set_is_built_once_and_then_opened(tmp_path: Path) -> None:
    prepared(tmp_path / "set", build)
    before = {name: (tmp_path / "set" / name).stat().st_mtime_ns for name in names(tmp_path / "set")}
    assert contents(prepared(tmp_path / "set", fail_if_built)) == WHOLE
    assert before == {name: (tmp_path / "set" / name).stat().st_mtime_ns for name in names(tmp_path / "set")}
    assert names(tmp_path) == ["set", "set.lock"]


def test_a_data_set_is_opened_where_no_lock_can_be_had(tmp_path: Path) -> None:
    """Such as in a folder that is not ours."""
    prepared(tmp_path / "set", build)
    (tmp_path / "set.lock").unlink()
    (tmp_path / "set.lock").mkdir()
    assert contents(prepared(tmp_path / "set", fail_if_built)) == WHOLE


def test_a_copy_elsewhere_is_opened_although_its_files_are_newer(tmp_path: Path) -> None:
    prepared(tmp_path / "set", build)
    (tmp_path / "copy").mkdir()
    for path in (tmp_path / "set").iterdir():
        (tmp_path / "copy" / path.name).write_bytes(path.read_bytes())
        os.utime(tmp_path / "copy" / path.name, ns=(1, 1))
    assert contents(prepared(tmp_path / "copy", fail_if_built)) == WHOLE


def test_values_are_mapped_and_not_read_into_memory(tmp_path: Path) -> None:
    (sequences,) = prepared(tmp_path / "set", build).sequences["train"]
    for values, _ in sequences.parts:
        assert not values.flags.owndata
        assert not values.flags.writeable


def test_the_files_are_what_the_datasets_library_opens(tmp_path: Path) -> None:
    from datasets import Dataset  # seconds, which processes that import this module have no need of

    prepared(tmp_path / "set", build)
    rows = [row for number in (0, 1) for row in Dataset.from_file(str(tmp_path / "set" / f"train-0000{number}.arrow"))]
    assert [row["sequence_0"] for row in rows] == WHOLE["train"][0]
    assert [row["label"] for row in rows] == WHOLE["train"][1]


# --- shards


@st.composite
def cut_into_shards(draw: st.DrawFn) -> tuple[list[tuple[Rows, ...]], int]:
    """Columns of rows, cut at the same random places into shards; and how many columns there are."""
    columns = draw(st.integers(1, 2))
    row = st.lists(st.integers(0, 255), max_size=5)
    examples = draw(st.lists(st.tuples(*[row] * columns), max_size=12))
    cuts = draw(st.lists(st.integers(0, len(examples)), max_size=4))
    edges = [0, *sorted(cuts), len(examples)]
    return [tuple([list(x[c]) for x in examples[a:b]] for c in range(columns)) for a, b in pairwise(edges)], columns


@settings(deadline=None)  # every example is synced to the disk, which may be busy
@given(cut=cut_into_shards(), dtype=st.sampled_from([np.uint8, np.uint16, np.int32]))
def test_several_shards_read_as_one_wherever_they_are_cut(
    cut: tuple[list[tuple[Rows, ...]], int], dtype: type[np.integer]
) -> None:
    shards, columns = cut

    def build(preparation: Preparation) -> dict[str, Any]:
        for number, part in enumerate(shards):
            preparation.write("train", number, lambda part=part: shard(*part, dtype=dtype))
        return {}

    with tempfile.TemporaryDirectory() as folder:
        found = prepared(Path(folder) / "set", build)
        sequences, labels = found.sequences["train"], found.labels["train"]
        assert len(sequences) == columns
        for column, read in enumerate(sequences):
            rows = [row for part in shards for row in part[column]]
            assert len(read) == len(labels) == len(rows)
            assert [row.tolist() for row in read] == [read[i].tolist() for i in range(len(rows))] == rows
            assert read.lengths.tolist() == list(map(len, rows))
            assert all(values.dtype == dtype for values, _ in read.parts)
        assert labels.tolist() == [len(row) for part in shards for row in part[0]]


def test_shards_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    def build(preparation: Preparation) -> dict[str, Any]:
        for number in reversed(range(12)):
            preparation.write("train", number, lambda number=number: shard([[number]]))
        return {}

    (sequences,) = prepared(tmp_path / "set", build).sequences["train"]
    assert [int(row[0]) for row in sequences] == list(range(12))


def test_a_split_without_examples_is_empty_and_has_no_length(tmp_path: Path) -> None:
    from datasets import Dataset  # seconds, which processes that import this module have no need of

    def build(preparation: Preparation) -> dict[str, Any]:
        preparation.write("train", 0, lambda: shard([[1]]))
        preparation.write("test", 0, lambda: shard([]))
        return {}

    found = prepared(tmp_path / "set", build)
    (test,) = found.sequences["test"]
    assert len(test) == len(test.lengths) == len(found.labels["test"]) == 0
    assert list(test) == []
    assert found.sequences["validation"] == ()
    assert len(Dataset.from_file(str(tmp_path / "set" / "test-00000.arrow"))) == 0


# --- several processes, and interruptions


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a process that prepares the data set of prepare_together.py; what is left of them ends with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(folder: Path, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(Path(__file__).with_name("prepare_together.py")), str(folder), *words]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        started.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def notes(folder: Path) -> list[str]:
    """What the processes noted of `folder`'s builds and shards; see prepare_together.py."""
    path = folder.parent / "noted"
    return [word for word in path.read_text().split() if word != "wanted"] if path.exists() else []


def kill_when(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while not condition() and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()


def opened_by(process: subprocess.Popen[str]) -> str:
    """What it says of the data set when it has opened it."""
    assert process.stdout is not None
    said = process.stdout.read().strip()
    assert process.wait() == 0
    return said


EVERY_SHARD = [f"shard-{number}" for number in range(4)]
FILES_ELSEWHERE = ["checked.json", "facts.json", "sha256.json", *(f"train-0000{number}.arrow" for number in range(4))]
TOKENS_ELSEWHERE = b"".join(bytes([token]) * 2**22 for token in (1, 2, 3, 4))
WHOLE_ELSEWHERE = f"{hashlib.sha256(TOKENS_ELSEWHERE).hexdigest()} [0, 0, 1, 10, 2, 20, 3, 30] {{'shards': 4}}"
"""What prepare_together.py prepares."""


@pytest.mark.slow
def test_of_two_processes_that_want_a_data_set_at_once_one_builds_it_and_both_have_it(
    tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    other = start(tmp_path / "set", "--companions", "2")
    assert prepare(tmp_path / "set", companions=2) == WHOLE_ELSEWHERE
    assert opened_by(other) == WHOLE_ELSEWHERE
    assert notes(tmp_path / "set") == ["build", *EVERY_SHARD]
    assert names(tmp_path) == ["noted", "set", "set.lock"]


@pytest.mark.slow
def test_a_killed_preparation_leaves_no_data_set_and_the_next_goes_on_with_the_shard_it_was_at(
    tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    folder = tmp_path / "set"
    kill_when(lambda: "shard-2" in notes(folder), start(folder, "--stop-in", "2"))
    assert not folder.exists()
    assert prepare(folder) == WHOLE_ELSEWHERE
    assert notes(folder) == ["build", *EVERY_SHARD[:3], "build", *EVERY_SHARD[2:]]
    assert names(tmp_path) == ["noted", "set", "set.lock"]


@pytest.mark.slow
def test_a_preparation_killed_while_it_writes_is_as_if_it_had_not_been(
    tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    folder, partial = tmp_path / "set", tmp_path / "set.partial"
    for shard in (0, 3):
        written = partial / f"train-{shard:05d}.tmp"
        kill_when(lambda written=written: written.exists(), start(folder))
        assert not folder.exists() or names(folder) == FILES_ELSEWHERE
    assert prepare(folder) == WHOLE_ELSEWHERE
    assert names(folder) == FILES_ELSEWHERE


def test_a_shard_that_was_being_written_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "set.partial").mkdir()
    (tmp_path / "set.partial" / "train-00000.tmp").write_bytes(b"half of a sh")
    (tmp_path / "set.partial" / "train-00007.tmp").write_bytes(b"of a shard that is no more")
    assert contents(prepared(tmp_path / "set", build)) == WHOLE
    assert not list((tmp_path / "set").glob("*.tmp"))


def test_a_build_that_fails_leaves_nothing_and_the_next_begins_anew(tmp_path: Path) -> None:
    def fails(preparation: Preparation) -> dict[str, Any]:
        preparation.write("train", 0, lambda: shard([[66]]))
        raise UserError("Line 3 is wrong.")

    with pytest.raises(UserError, match=r"^Line 3 is wrong\.$"):
        prepared(tmp_path / "set", fails)
    assert names(tmp_path) == ["set.lock"]
    assert contents(prepared(tmp_path / "set", build)) == WHOLE


# --- damage


def change_a_byte(path: Path, place: int = 20) -> None:
    damaged = bytearray(path.read_bytes())
    damaged[place] ^= 0x04
    path.write_bytes(damaged)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "changed": change_a_byte,
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "emptied": lambda path: path.write_bytes(b""),
    "missing": Path.unlink,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["train-00000.arrow", "train-00001.arrow", "facts.json", "sha256.json"])
def test_a_damaged_file_is_noticed_and_the_data_set_made_anew(
    damage: str, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "set"
    prepared(folder, build)
    DAMAGES[damage](folder / name)
    with caplog.at_level(logging.WARNING):
        assert contents(prepared(folder, build)) == WHOLE
    (message,) = caplog.messages
    assert message.startswith(f"The prepared data in {folder} are damaged (")
    assert contents(prepared(folder, fail_if_built)) == WHOLE
    assert names(tmp_path) == ["set", "set.lock"]


@pytest.mark.parametrize("name", ["train-00000.arrow", "facts.json", "sha256.json"])
def test_any_changed_byte_is_noticed(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    prepared(tmp_path / "set", build)
    for place in range(0, (tmp_path / "set" / name).stat().st_size, 11):
        caplog.clear()
        change_a_byte(tmp_path / "set" / name, place)
        found = prepared(tmp_path / "set", build)
        assert (contents(found), found.facts) == (WHOLE, {"symbols": ["a", "b"]})
        assert "are damaged" in caplog.text


def test_a_file_that_does_not_belong_to_the_data_set_is_damage(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prepared(tmp_path / "set", build)
    (tmp_path / "set" / "train-00002.arrow").write_bytes((tmp_path / "set" / "train-00001.arrow").read_bytes())
    assert contents(prepared(tmp_path / "set", build)) == WHOLE
    assert "train-00002.arrow" in caplog.text


def test_what_a_process_has_mapped_stays_readable_when_it_is_made_anew(tmp_path: Path) -> None:
    found = prepared(tmp_path / "set", build)
    change_a_byte(tmp_path / "set" / "facts.json")
    prepared(tmp_path / "set", build)
    assert contents(found) == WHOLE


# --- folders and disks that take nothing


def test_a_folder_that_cannot_be_written_to_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match=r"^The prepared data cannot be written to .*: .* paths\.cache=FOLDER\.$"):
        prepared(tmp_path / "file" / "set", build)


def test_a_disk_that_takes_no_more_is_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    def build(preparation: Preparation) -> dict[str, Any]:
        for number, split in enumerate(SPLITS):
            preparation.write(split, 0, lambda size=1000 * 100**number: shard([[1] * size]))
        return {}

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))  # bytes a file may have
    try:
        with pytest.raises(UserError, match=r"^The prepared data cannot be written to \S+ \(.+\): free .*\.$"):
            prepared(tmp_path / "set", build)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names(tmp_path) == ["set.lock"]
    prepared(tmp_path / "set", build)
    assert names(tmp_path) == ["set", "set.lock"]


# --- a folder that several users share

AS_NOBODY = """
import json, os, sys
from pathlib import Path
from spike_ssm.results.errors import UserError
from tests.harness.data.test_cache import build, contents, prepared
if os.getuid() == 0:  # whom no permission stops
    os.setgroups([])
    os.setgid(int(sys.argv[2]))
    os.setuid(65534)
os.umask(0o022)
try:
    print(json.dumps(contents(prepared(Path(sys.argv[1]), build))))
except UserError as error:
    print(error)
"""


@pytest.fixture
def as_nobody() -> Callable[[Path, int], str]:
    """What a process of another user, who is in this group, says when it opens or prepares a data set."""

    def said(folder: Path, group: int) -> str:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
        command = [sys.executable, "-c", AS_NOBODY, str(folder), str(group)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    return said


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@needs_root
@pytest.mark.slow
@pytest.mark.fault(
    "Two users share a cache whose folder their group may write to, and both have a umask of 022.",
    "Each opens what the other has prepared, and prepares anew what is damaged.",
)
def test_a_group_shares_a_cache(open_folder: Path, as_nobody: Callable[[Path, int], str]) -> None:
    group = 4242
    cache = open_folder / "cache"
    cache.mkdir()
    os.chown(cache, -1, group)
    cache.chmod(0o2770)
    before = os.umask(0o022)
    try:
        prepared(cache / "task" / "mine", build)
    finally:
        os.umask(before)
    whole = json.dumps(WHOLE)
    assert as_nobody(cache / "task" / "mine", group) == whole
    assert as_nobody(cache / "task" / "theirs", group) == whole
    change_a_byte(cache / "task" / "mine" / "train-00000.arrow")
    assert as_nobody(cache / "task" / "mine", group) == whole
    assert all(path.stat().st_gid == group and path.stat().st_mode & 0o060 for path in cache.rglob("*"))


@needs_root
@pytest.mark.slow
@pytest.mark.fault(
    "Prepared data, or the folder they are in, belong to somebody who does not share them.",
    "One sentence that names the file and says what to do.",
)
def test_data_that_are_not_shared_are_a_sentence(open_folder: Path, as_nobody: Callable[[Path, int], str]) -> None:
    folder = open_folder / "task" / "set"
    prepared(folder, build)
    assert as_nobody(folder, 65534) == json.dumps(WHOLE), "who may read need not write"
    for path, mode in ((folder / "facts.json", 0o600), (folder, 0o700), (folder.parent, 0o700)):
        path.chmod(mode)
        said = as_nobody(folder, 65534)
        assert said.startswith(f"The prepared data in {folder.parent} may not be read or written ({folder}/"), said
        assert said.endswith("or name another folder with paths.cache=FOLDER.")


def test_what_others_may_not_write_to_stays_so(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir(mode=0o755)
    prepared(tmp_path / "cache" / "task" / "set", build)
    assert not any(path.stat().st_mode & 0o022 for path in (tmp_path / "cache").rglob("*"))


@pytest.mark.fault(
    "A prepared file is replaced by another with a checksum to match.",
    "It is read as numbers alone; what is none is prepared anew, with a warning.",
)
@pytest.mark.parametrize("content", ["no arrow", "texts", "no label"])
def test_contents_that_cannot_be_examples_are_prepared_anew(
    content: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "set"
    prepared(folder, build)
    tables = {
        "texts": pa.table({"sequence_0": [["a"]], "label": ["b"]}),
        "no label": pa.table({"sequence_0": [[1]]}),
    }
    path = folder / "test-00000.arrow"
    path.write_bytes(b"\xff\xff\xff\xff\x10\x00\x00\x00" + bytes(100))
    if content in tables:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, tables[content].schema) as stream:
            stream.write_table(tables[content])
    digests = json.loads((folder / "sha256.json").read_text())
    digests[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "sha256.json").write_text(json.dumps(digests))
    assert contents(prepared(folder, build)) == WHOLE
    assert "are damaged" in caplog.text
