"""Data of a user's own: what is in a file or folder is learned from, and what is wrong with it is said by its line."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.data import find_task
from spike_ssm.harness.data.own.reader import content_digest
from spike_ssm.harness.data.own.tasks import CsvSeries, CsvSeriesSettings, CsvTexts, CsvTextsSettings
from spike_ssm.harness.data.readers import common
from spike_ssm.harness.data.task import Dataset
from spike_ssm.results.errors import UserError

TEXTS = [[f"{word} number {number}", word] for number in range(20) for word in ("good", "bad")]


def write(path: Path, rows: Sequence[Sequence[object]], head: Sequence[str] = ("text", "label")) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    return path


def prepared(tmp_path: Path, name: str, path: Path, **settings: object) -> Dataset:
    task, its_settings = find_task(name)
    return task(its_settings(path=str(path), **settings)).prepare(tmp_path / "cache", tmp_path / "unused")  # type: ignore[call-arg]


def test_texts_of_a_csv_are_divided_with_every_class_alike(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", [*TEXTS, ['has, a "comma"\nand a line', "good"]])
    data = prepared(tmp_path, "csv_texts", path)
    assert data.facts.labels == ["bad", "good"]
    assert [len(split) for split in (data.train, data.validation, data.test)] == [33, 4, 4]
    assert data.baselines.shortcut_accuracy == 1.0
    assert data.baselines.majority_accuracy == 0.5
    assert '"' in (data.facts.symbols or [])


def test_a_column_says_the_split(tmp_path: Path) -> None:
    splits = ["train"] * 30 + ["validation"] * 4 + ["test"] * 6
    rows = [[*row, split] for row, split in zip(TEXTS, splits, strict=True)]
    data = prepared(tmp_path, "csv_texts", write(tmp_path / "a.csv", rows, ("text", "label", "part")), split="part")
    assert [len(split) for split in (data.train, data.validation, data.test)] == [30, 4, 6]


SERIES = [[f"f{each % 2}", *(10 + 3 * np.sin(np.arange(6) * (1 + each % 2) + each)).round(3)] for each in range(40)]
STEPS = ("label", *(f"t{step}" for step in range(6)))


def test_series_are_kept_in_units_of_the_training_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", SERIES, STEPS)
    data = prepared(tmp_path, "csv_series", path)
    assert data.facts.numbers is not None
    mean, deviation = data.facts.numbers
    task = CsvSeries(CsvSeriesSettings(path=str(path)))
    ((encoded,),) = (list(each) for each in task.encode([SERIES[0][1:]], data.facts))
    expected = (np.array(SERIES[0][1:], float) - mean) / deviation
    assert np.allclose(encoded / 1000, expected, atol=5e-4)
    assert any(
        np.array_equal(encoded, each)
        for split in (data.train, data.validation, data.test)
        for each in split.sequences[0]
    )
    few = prepared(tmp_path, "csv_series", path, columns=["t3", "t1"])
    assert set(few.train.lengths) == {2}


def test_a_folder_of_texts_and_one_of_images(tmp_path: Path) -> None:
    for word in ("good", "bad"):
        (tmp_path / "texts" / word).mkdir(parents=True)
        (tmp_path / "images" / word).mkdir(parents=True)
        for number in range(10):
            (tmp_path / "texts" / word / f"{number}.txt").write_text(f"{word} {number}")
            colour = (number, 200 if word == "good" else 20, 0)
            Image.new("RGB", (9, 7), colour).save(
                tmp_path / "images" / word / f"{number}.{'png' if number % 2 else 'jpg'}"
            )
    texts = prepared(tmp_path, "folder_texts", tmp_path / "texts")
    assert (len(texts.train), texts.facts.labels) == (16, ["bad", "good"])
    images = prepared(tmp_path, "folder_images", tmp_path / "images", side=8)
    assert set(images.train.lengths) == {64}
    assert images.baselines.rules["nearest mean"] == 1.0
    (tmp_path / "images" / "bad" / "0.jpg").write_text("no image")
    with pytest.raises(UserError, match=r"0\.jpg is damaged .it is no PNG or JPEG image"):
        prepared(tmp_path, "folder_images", tmp_path / "images", side=8)
    (tmp_path / "texts" / "train").mkdir()
    (tmp_path / "texts" / "train" / "a.txt").write_text("a")
    with pytest.raises(UserError, match="has a folder train, so it must have exactly train, validation, test"):
        prepared(tmp_path, "folder_texts", tmp_path / "texts")


WRONG: dict[str, tuple[Sequence[Sequence[object]], Sequence[str], str]] = {
    "missing label": (
        [*TEXTS[:5], ["text", ""]],
        ("text", "label"),
        "line 7: the label is missing: fill in the column",
    ),
    "ragged": (
        [*TEXTS[:3], ["text"]],
        ("text", "label"),
        "line 5: it has 1 fields, where the first line names 2 columns",
    ),
    "one class": ([["text", "good"]] * 9, ("text", "label"), "has one label, 'good': a task needs .* two classes"),
    "too few": (TEXTS[:4], ("text", "label"), "has too few examples, 4: the validation split would have none"),
    "no label": (
        TEXTS,
        ("text", "kind"),
        "has no column 'label'; its first line names text, kind: choose with task.label",
    ),
    "no text": (TEXTS, ("review", "label"), "has no column 'text'; .* choose with task.text"),
    "twice": (TEXTS, ("label", "label"), "has 2 columns 'label'"),
    "empty text": ([*TEXTS, [" ", "good"]], ("text", "label"), "line 42: the text is empty"),
    "nothing": ([], ("text", "label"), "has no example"),
    "many classes": ([["text", number] for number in range(300)], ("text", "label"), "has 300 different labels"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_csv_is_said(tmp_path: Path, case: str) -> None:
    rows, head, why = WRONG[case]
    with pytest.raises(UserError, match=why):
        prepared(tmp_path, "csv_texts", write(tmp_path / "a.csv", rows, head))


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (["f0", "", 1, 2, 3, 4, 5], "line 42: t0 is '' where a finite number is expected"),
        (["f0", 0, 1, 2, "three", 4, 5], "line 42: t3 is 'three' where a finite number"),
        (["f0", 0, 1, "nan", 3, 4, 5], "line 42: t2 is 'nan' where a finite number"),
    ],
)
def test_what_is_no_number_is_said(tmp_path: Path, row: list[object], why: str) -> None:
    with pytest.raises(UserError, match=why):
        prepared(tmp_path, "csv_series", write(tmp_path / "a.csv", [*SERIES, row], STEPS))


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"gone\.csv cannot be read"):
        prepared(tmp_path, "csv_texts", tmp_path / "gone.csv")
    (tmp_path / "a.csv").write_bytes(b"text,label\n\xff,good\n")
    with pytest.raises(UserError, match="is not UTF-8"):
        prepared(tmp_path, "csv_texts", tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text('text,label\n"never ended,good\n')
    with pytest.raises(UserError, match="it is no CSV"):
        prepared(tmp_path, "csv_texts", tmp_path / "b.csv")
    monkeypatch.setattr(common, "LARGEST_FILE", 10)
    with pytest.raises(UserError, match="no plain file of up to 10 bytes"):
        prepared(tmp_path, "csv_texts", write(tmp_path / "c.csv", TEXTS))


def test_a_run_is_known_by_the_content_and_not_by_the_place(tmp_path: Path, composer: Composer) -> None:
    def run_id(path: Path) -> str:
        return composer.settings({"task": "csv_texts", "task.path": str(path)}).run_id()

    first, same = write(tmp_path / "a.csv", TEXTS), write(tmp_path / "b.csv", TEXTS)
    assert run_id(first) == run_id(same)
    before = run_id(first)
    write(first, [*TEXTS, ["another", "good"]])
    assert run_id(first) != before
    with pytest.raises(UserError, match=r"task=csv_texts reads data of yours: name the file or folder with task\.path"):
        composer.settings({"task": "csv_texts"}).run_id()


def test_data_that_change_between_planning_and_training_are_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", TEXTS)
    task = CsvTexts(CsvTextsSettings(path=str(path)))
    assert task.settings.source == content_digest(path)
    write(path, TEXTS[:-2])
    with pytest.raises(UserError, match="was changed since the run was planned: start the sweep again"):
        task.prepare(tmp_path / "cache", tmp_path)
