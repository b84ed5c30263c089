"""Prepared data know which original files they are from: other files are never taken for them."""

from __future__ import annotations

import os
import pickle
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spike_ssm.harness.data.sources import GONE, identity
from spike_ssm.harness.data.task import Dataset, Task
from spike_ssm.harness.data.tasks.image import Image, ImageSettings
from spike_ssm.harness.data.tasks.listops import ListOps, ListOpsSettings
from spike_ssm.harness.data.tasks.mnist import SMnist, SMnistSettings
from spike_ssm.harness.data.tasks.text import Text, TextSettings
from spike_ssm.harness.system.root import ROOT
from spike_ssm.results.errors import UserError


def write_image(files: Path, variant: int) -> None:
    folder = files / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        images = np.full((20, 3072), 7 + variant, np.uint8)
        (folder / name).write_bytes(pickle.dumps({b"labels": [*range(10), *range(10)], b"data": images}, protocol=2))


def write_mnist(files: Path, variant: int) -> None:
    (files / "mnist").mkdir(parents=True)
    for stem in ("train", "t10k"):
        images, labels = bytes([7 + variant]) * 784 * 20, bytes([*range(10), *range(10)])
        (files / "mnist" / f"{stem}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, 20, 28, 28) + images)
        (files / "mnist" / f"{stem}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, 20) + labels)


def write_text(files: Path, variant: int) -> None:
    for split in ("train", "test"):
        for name, rating in (("neg", 1), ("pos", 10)):
            (files / "aclImdb" / split / name).mkdir(parents=True)
            for number in range(8):
                words = f"{name} {number} {'ab'[variant]}"
                (files / "aclImdb" / split / name / f"{number}_{rating}.txt").write_text(words)


def write_listops(files: Path, variant: int) -> None:
    (files / "listops").mkdir(parents=True)
    for split in ("train", "val", "test"):
        row = f"( ( ( [MAX {7 + variant} ) 4 ) ] )\t{7 + variant}\r\n"
        (files / "listops" / f"basic_{split}.tsv").write_bytes(b"Source\tTarget\r\n" + 4 * row.encode())


TASKS: dict[str, tuple[Callable[[Path, int], None], Task]] = {
    "image": (write_image, Image(ImageSettings())),
    "smnist": (write_mnist, SMnist(SMnistSettings())),
    "text": (write_text, Text(TextSettings(min_freq=1))),
    "listops": (write_listops, ListOps(ListOpsSettings(released=True))),
}


def contents(data: Dataset) -> tuple[object, ...]:
    return data.facts.symbols, [row.tolist() for row in data.test.sequences[0]]


@pytest.fixture(params=TASKS)
def write(request: pytest.FixtureRequest) -> Callable[[Path, int], None]:
    return TASKS[request.param][0]


@pytest.fixture
def task(write: Callable[[Path, int], None]) -> Task:
    return next(task for writer, task in TASKS.values() if writer is write)


@pytest.mark.fault(
    "paths.data names another folder of original files than the data were prepared from.",
    "The other files are prepared, beside the first; each folder gets the data of its own files.",
)
def test_two_folders_of_originals_are_two_data_sets(
    write: Callable[[Path, int], None], task: Task, tmp_path: Path
) -> None:
    for variant in (0, 1):
        write(tmp_path / f"files{variant}", variant)
    found = [task.prepare(tmp_path / "cache", tmp_path / f"files{variant}") for variant in (0, 1, 0)]
    assert contents(found[0]) == contents(found[2]) != contents(found[1])


@pytest.mark.fault(
    "An original file is changed in place, and keeps its size.",
    "The data are prepared anew.",
)
def test_a_changed_original_is_noticed(write: Callable[[Path, int], None], task: Task, tmp_path: Path) -> None:
    write(tmp_path / "files", 0)
    write(tmp_path / "changed", 1)
    before = task.prepare(tmp_path / "cache", tmp_path / "files")
    for path in (tmp_path / "changed").rglob("*"):
        if path.is_file():
            (tmp_path / "files" / path.relative_to(tmp_path / "changed")).write_bytes(path.read_bytes())
    assert contents(task.prepare(tmp_path / "cache", tmp_path / "files")) != contents(before)


def test_the_same_files_elsewhere_are_the_same_data_set(
    write: Callable[[Path, int], None], task: Task, tmp_path: Path
) -> None:
    write(tmp_path / "files", 0)
    task.prepare(tmp_path / "cache", tmp_path / "files")
    shutil.copytree(tmp_path / "files", tmp_path / "deep" / "copy")
    places = [task.place(tmp_path / "cache", tmp_path / each) for each in ("files", "deep/copy")]
    assert places[0] == places[1]
    assert places[0].folder.is_dir()


@pytest.mark.fault(
    "The original files are gone when prepared data are opened.",
    "The data prepared from them are used, and the report notes it.",
)
def test_gone_originals_are_noted(write: Callable[[Path, int], None], task: Task, tmp_path: Path) -> None:
    write(tmp_path / "files", 0)
    before = task.prepare(tmp_path / "cache", tmp_path / "files")
    shutil.rmtree(tmp_path / "files")
    after = task.prepare(tmp_path / "cache", tmp_path / "files")
    assert contents(after) == contents(before)
    assert [*after.facts.notes] == [*before.facts.notes, GONE]


def test_where_several_originals_were_prepared_and_all_are_gone_none_is_guessed(tmp_path: Path) -> None:
    write, task = TASKS["smnist"]
    for variant in (0, 1):
        write(tmp_path / f"files{variant}", variant)
        task.prepare(tmp_path / "cache", tmp_path / f"files{variant}")
    with pytest.raises(UserError, match=r"holds data prepared from 2 different copies .* with paths\.data=FOLDER\.$"):
        task.prepare(tmp_path / "cache", tmp_path / "nothing")


def test_data_that_earlier_code_prepared_are_prepared_once_more_or_used_with_the_note(tmp_path: Path) -> None:
    """Their folder's name does not say which files they are from."""
    write, task = TASKS["smnist"]
    write(tmp_path / "files", 0)
    task.prepare(tmp_path / "cache", tmp_path / "files")
    place = task.place(tmp_path / "cache", tmp_path / "files")
    place.folder.rename(task.folder(tmp_path / "cache"))
    assert GONE in task.prepare(tmp_path / "cache", tmp_path / "nothing").facts.notes
    assert GONE not in task.prepare(tmp_path / "cache", tmp_path / "files").facts.notes
    assert place.folder.is_dir()


def test_contents_are_read_once(tmp_path: Path) -> None:
    """Afterwards paths, sizes and times of change tell, though nobody may read the files."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a").write_text("first")
    paths, memory = [tmp_path / "files"], tmp_path / "memory"
    found = identity(paths, memory)
    (noted,) = memory.iterdir()
    noted.write_text("0123456789abcdef")
    assert identity(paths, memory) == "0123456789abcdef"
    noted.write_text("../../elsewhere")
    assert identity(paths, memory) == found, "what is not of this form was not noted by this code"
    os.utime(tmp_path / "files" / "a", ns=(1, 1))
    assert identity(paths, memory) == found


def test_names_belong_to_the_identity(tmp_path: Path) -> None:
    """Reviews are told apart by the names of their files, and images by their places."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "1_9.txt").write_text("fine")
    before = identity([tmp_path / "files"], tmp_path / "memory")
    (tmp_path / "files" / "1_9.txt").rename(tmp_path / "files" / "2_9.txt")
    assert identity([tmp_path / "files"], tmp_path / "memory") != before


AS_NOBODY = """
import os, sys
from pathlib import Path
import spike_ssm.harness.data.tasks.listops_examples  # while its libraries can be read
from spike_ssm.results.errors import UserError
from tests.harness.data.test_sources import TASKS
if os.getuid() == 0:  # whom no permission stops
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for _, task in TASKS.values():
    try:
        task.prepare(Path(sys.argv[2]), Path(sys.argv[1]))
    except UserError as error:
        print(error)
"""


@pytest.mark.slow
@pytest.mark.fault(
    "The original files, or the folder they are in, may not be read.",
    "One sentence that names what cannot be read.",
)
@pytest.mark.parametrize("closed", ["folder", "files"])
def test_originals_that_may_not_be_read_are_a_sentence(closed: str, open_folder: Path) -> None:
    files, cache = open_folder / "files", open_folder / "cache"
    for write, _ in TASKS.values():
        write(files, 0)
    cache.mkdir()
    cache.chmod(0o777)
    closing = [files] if closed == "folder" else [path for path in files.rglob("*") if path.is_file()]
    for path in closing:
        path.chmod(0)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", AS_NOBODY, str(files), str(cache)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    for path in closing:
        path.chmod(0o700)
    assert done.returncode == 0, done.stderr
    sentences = done.stdout.splitlines()
    assert len(sentences) == len(TASKS)
    assert all(f"{files}" in each and "cannot be read (Permission denied)" in each for each in sentences), sentences


def test_generated_data_have_no_original(tmp_path: Path) -> None:
    task = ListOps(ListOpsSettings(min_length=3, max_length=12, train=8, validation=4, test=4))
    folders = {task.place(tmp_path / "cache", tmp_path / files).folder for files in ("one", "other")}
    assert folders == {task.folder(tmp_path / "cache")}
