"""ListOps from files written as Long Range Arena released them."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest

from spike_ssm.harness.data.splits import Split
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.data.tasks.listops import SYMBOLS, ListOps, ListOpsSettings
from spike_ssm.results.errors import UserError

HEADER = "Source\tTarget\r\n"
FEW = {
    "train": HEADER + "( ( ( [MAX 3 ) 4 ) ] )\t4\r\n( ( ( [SM 9 ) ( ( ( [MED 1 ) 8 ) ] ) ) ] )\t3\r\n",
    "val": HEADER + "( ( ( [MIN 3 ) 4 ) ] )\t3\r\n",
    "test": HEADER + "( ( ( [MAX 0 ) 5 ) ] )\t5\r\n7\t7\r\n",
}


def write(folder: Path, contents: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / f"basic_{name}.tsv").write_bytes(content.encode())


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    return tmp_path / "files"


def prepare(files: Path) -> Dataset:
    return ListOps(ListOpsSettings(released=True)).prepare(files.parent / "cache", files)


def texts(split: Split) -> list[str]:
    """The sequences as people write them."""
    return [" ".join(SYMBOLS[token] for token in sequence) for sequence in split.sequences[0]]


@pytest.mark.parametrize("folder", ["lra_release/lra_release/listops-1000", "listops-1000", "listops"])
def test_the_files_are_read_without_parentheses_and_divided_as_they_are(folder: str, files: Path) -> None:
    write(files / folder, FEW)
    data = prepare(files)
    assert texts(data.train) == ["[MAX 3 4 ] <eos>", "[SM 9 [MED 1 8 ] ] <eos>"]
    assert texts(data.validation) == ["[MIN 3 4 ] <eos>"]
    assert texts(data.test) == ["[MAX 0 5 ] <eos>", "7 <eos>"]
    assert [split.labels.tolist() for split in (data.train, data.validation, data.test)] == [[4, 3], [3], [5, 7]]
    assert data.train.sequences[0][0].dtype == data.train.labels.dtype == np.uint8
    assert data.facts.symbols == list(SYMBOLS)
    assert data.facts.classes == 10


def test_the_releases_archive_is_unpacked(files: Path) -> None:
    write(files / "elsewhere" / "lra_release" / "listops-1000", FEW)
    with tarfile.open(files / "lra_release.gz", "w:gz") as archive:
        archive.add(files / "elsewhere" / "lra_release", "lra_release/lra_release")
    assert len(prepare(files).train) == 2


def test_another_number_of_examples_than_published_is_noted(files: Path) -> None:
    write(files / "listops", FEW)
    assert list(prepare(files).facts.notes) == [
        "This copy has 2 train examples where the published one has 96,000.",
        "This copy has 1 validation examples where the published one has 2,000.",
        "This copy has 2 test examples where the published one has 2,000.",
    ]


def test_what_was_generated_and_what_was_released_lie_apart(files: Path) -> None:
    folders = {ListOps(ListOpsSettings(released=released)).folder(files) for released in (False, True)}
    assert len(folders) == 2


@pytest.mark.parametrize("name", ["train", "val", "test"])
@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (
            "( ( [AVG 3 ) ] )\t4\r\n",
            r"line 3: the symbol '\[AVG' is none of ListOps', which are 0 1 .* \[SM \]: get the",
        ),
        ("<pad>\t4\r\n", r"line 3: the symbol '<pad>' is none of ListOps'"),
        ("( ( [MAX 3 ) ] )\t12\r\n", r"line 3: the label is '12'"),
        ("( ( [MAX 3 ) ] )\t3", r"line 3: the last line does not end"),
    ],
)
def test_a_bad_row_is_a_sentence_and_nothing_is_left_behind(name: str, row: str, sentence: str, files: Path) -> None:
    good = HEADER + "7\t7\r\n"
    write(files / "listops", {**dict.fromkeys(FEW, good), name: good + row})
    with pytest.raises(UserError, match=rf"basic_{name}\.tsv, {sentence}"):
        prepare(files)
    assert not list((files.parent / "cache").rglob("*.arrow"))


@pytest.mark.fault(
    "A released ListOps file has a label that is not the value of its expression, or what is no expression.",
    "One sentence that names the file and the line; nothing is prepared.",
)
@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("( ( ( [MAX 3 ) 4 ) ] )\t3", "the label is 3, but the value of the expression is 4"),
        ("( ( ( [SM 9 ) ( ( ( [MED 1 ) 8 ) ] ) ) ] )\t4", "the label is 4, but the value of the expression is 3"),
        ("\t0", "the expression is empty, or its brackets"),
        ("( )\t0", "the expression is empty, or its brackets"),
        ("( [MAX ] )\t0", "the expression is empty, or its brackets"),
        ("( [MAX 3 )\t3", "the expression is empty, or its brackets"),
        ("[MAX 3 ] ]\t3", "the expression is empty, or its brackets"),
        ("] 3\t3", "the expression is empty, or its brackets"),
        ("3 4\t3", "the expression is empty, or its brackets"),
        ("( ( [MAX 3 ] )\t3", "the expression is empty, or its brackets"),
    ],
    ids=["maximum", "nested", "empty", "parentheses", "no argument", "open", "closed twice", "closed", "two", "uneven"],
)
def test_every_expression_is_evaluated(row: str, sentence: str, files: Path) -> None:
    write(files / "listops", {**FEW, "val": f"{HEADER}7\t7\r\n{row}\r\n7\t7\r\n"})
    with pytest.raises(UserError, match=rf"basic_val\.tsv, line 3: {sentence}.*: get the file again from .*\.$"):
        prepare(files)
    assert not list((files.parent / "cache").rglob("*.arrow"))


def test_a_missing_file_is_a_sentence_that_says_where_it_was_looked_for(files: Path) -> None:
    write(files / "listops", {"train": FEW["train"], "test": FEW["test"]})
    with pytest.raises(UserError, match=r"^ListOps' basic_val\.tsv is missing: .*listops-1000.*Long Range Arena"):
        prepare(files)


@pytest.mark.parametrize(("setting", "value"), [("min_length", 10), ("train", 100), ("data_seed", 1)])
def test_a_setting_of_the_generator_that_would_have_no_effect_is_refused(setting: str, value: int) -> None:
    with pytest.raises(UserError, match=rf"^task\.{setting}={value} has no effect on LRA's files, .* leave it at \d+"):
        ListOpsSettings(**{setting: value}, released=True)  # type: ignore[arg-type]
