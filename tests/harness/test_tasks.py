"""`python -m harness.tasks`: the list of tasks, preparing one, and what is shown of one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image as PillowImage
from rich.console import Console

from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.config.settings import SCALES
from spike_ssm.harness.data import TASKS
from spike_ssm.harness.data.cache import Preparation
from spike_ssm.harness.data.facts import Baselines, Facts
from spike_ssm.harness.data.preview import decode, describe, draw, laid_out_examples, save_picture
from spike_ssm.harness.data.rules import Rule
from spike_ssm.harness.data.settings import Kind, TaskSettings
from spike_ssm.harness.data.splits import SPLITS, Flat, Sequences, Split
from spike_ssm.harness.data.task import Dataset, Task
from spike_ssm.harness.data.tasks.retrieval import BbcOrderPairsSettings, BbcPairsSettings
from spike_ssm.harness.system.root import ROOT
from spike_ssm.harness.tasks import Chosen, at_scale, longest, main

TINY = ("task.min_length=3", "task.max_length=12", "task.train=64", "task.validation=32", "task.test=30")

TASKS_PAGE = ROOT / "docs" / "tasks.md"


@pytest.fixture
def words(tmp_path: Path) -> tuple[str, ...]:
    """Settings of a tiny ListOps in a fresh cache."""
    return (*TINY, f"paths.cache={tmp_path / 'cache'}", f"paths.reports={tmp_path / 'html'}")


# --- list


@pytest.mark.slow
def test_every_task_is_listed_with_its_kind_lengths_and_source_and_where_its_data_are_prepared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def rows() -> dict[str, list[str]]:
        """The first line of each."""
        assert main(["list", f"paths.cache={tmp_path}"]) == 0
        lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│ ")]
        cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines]
        return {name: rest for name, *rest in cells if name}

    before = rows()
    assert list(before) == list(TASKS)
    for name, (task, settings) in TASKS.items():
        _, kind, _, _, prepared, source = before[name]
        assert (kind, prepared) == (settings.kind, "")
        assert task.source.startswith(source)
    assert before["listops"][2:4] == ["60", "2,000"]
    main(["prepare", "listops", f"paths.cache={tmp_path}"])
    capsys.readouterr()
    assert {name: cells[4] for name, cells in rows().items() if cells[4]} == {"listops": "laptop"}


def test_the_list_takes_less_than_two_seconds_of_a_processor(tmp_path: Path) -> None:
    """So it loads neither torch nor numba nor Hydra's composition."""
    code = (
        "import sys, time; from spike_ssm.harness.tasks import main; "
        f"status = main(['list', 'paths.cache={tmp_path}']); "
        "print(status, time.process_time(), *sorted({'torch', 'numba', 'pandas', 'datasets'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    status, seconds, *loaded = done.stdout.splitlines()[-1].split()
    assert (status, loaded) == ("0", [])
    assert float(seconds) < 2


def test_a_setting_that_would_not_change_the_list_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "task.max_length=100"]) == 1
    assert capsys.readouterr().err.startswith("Error: task.max_length has no effect on the list of tasks;")


@pytest.mark.slow
def test_every_task_says_how_long_its_sequences_are_at_every_scale() -> None:
    composer = Composer()
    for name in TASKS:
        scales = [scale for scale in SCALES if name in composer.options(f"setup/{scale}")]
        composed = [Chosen.of(name, [f"scale={scale}"], composer).settings.task for scale in scales]
        assert [at_scale(name, scale) for scale in scales] == composed
        lengths = [longest(settings) for settings in composed]
        assert lengths == sorted(lengths), scales
        assert lengths[0] >= 50


def test_the_documentation_has_a_section_on_every_task() -> None:
    headings = re.findall("^## (.*)$", TASKS_PAGE.read_text(), re.MULTILINE)
    assert set(TASKS) == set(re.findall("`([a-z0-9_]+)`", " ".join(headings)))


@pytest.mark.slow
def test_the_sizes_of_the_documentation_are_those_of_paper_scale_or_by_default() -> None:
    page, composer = TASKS_PAGE.read_text(), Composer()
    section = page[page.index("## Sizes") :].split("\n## ")[0]
    stated = {name: cells.split(" | ") for name, cells in re.findall(r"^\| `(\w+)` \| (.*) \|$", section, re.MULTILINE)}
    assert list(stated) == list(TASKS)
    for name, (_, by_default) in TASKS.items():
        published = name in composer.options("setup/paper")
        task = Chosen.of(name, ["scale=paper"], composer).settings.task if published else by_default()
        wanted = [getattr(task, split, None) for split in SPLITS]
        assert stated[name] == ["all" if size is None else f"{size:,}" for size in wanted] + [f"{longest(task):,}"]


def test_a_passage_of_a_pair_has_its_end_token_beside_its_characters() -> None:
    assert longest(BbcPairsSettings(length=64)) == longest(BbcOrderPairsSettings(length=64)) == 65


# --- prepare


def test_a_task_is_prepared_and_the_last_line_says_what_is_there(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prepare", "listops", *words]) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("listops at laptop scale: 64 training, 32 validation, 30 test examples, ")
    assert ", prepared in " in said
    assert Path(said.rpartition(": ")[2]).parent == tmp_path / "cache" / "listops"


def test_a_prepared_task_is_opened_and_the_line_says_so(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    main(["prepare", "listops", *words])
    capsys.readouterr()
    assert main(["prepare", "listops", *words]) == 0
    assert "prepared earlier" in capsys.readouterr().out


def test_settings_choose_what_is_prepared() -> None:
    settings = Chosen.of("listops", ["scale=gpu", "task.max_length=700"]).settings
    assert (settings.task.min_length, settings.task.max_length, settings.scale.name) == (500, 700, "gpu")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["prepare", "nothing"], "Error: There is no task 'nothing'; choose one of listops, text, "),
        (["show", "speed"], "Error: There is no task 'speed'; choose one of listops"),
        (
            ["prepare", "mnist_digits", "scale=paper"],
            "The task mnist_digits has no scale=paper; choose laptop or work",
        ),
        (
            ["prepare", "listops", "scale=huge"],
            "Error: scale=huge does not exist; choose one of gpu, ",
        ),
        (["prepare", "listops", "task.length=3"], "Error: task.length is not a setting; did you mean task.max_length"),
        (["prepare", "listops", "task.train=-1"], "Error: task.train=-1 is not allowed"),
        (["prepare", "listops", "+sweep=speed"], "use python -m harness.sweep for a sweep."),
        (["list", "paths.cash=x"], "Error: paths.cash has no effect on the list of tasks; paths.cache=FOLDER"),
    ],
)
def test_a_wish_that_cannot_be_met_ends_in_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    said = capsys.readouterr()
    assert sentence in said.err
    assert len(said.err.splitlines()) == 1


def test_a_cache_that_cannot_be_written_ends_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert main(["prepare", "listops", *TINY, f"paths.cache={tmp_path / 'file'}"]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("Error: The prepared data cannot be written to ")


@pytest.mark.parametrize("arguments", [["--help"], ["list", "--help"], ["prepare", "--help"], ["show", "--help"]])
def test_help_is_given(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    assert "usage: harness.tasks" in capsys.readouterr().out


# --- show


def test_showing_a_task_prepares_it_and_writes_a_picture(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", "listops", *words]) == 0
    said = capsys.readouterr().out
    assert "Shortcut: " in said
    assert TASKS["listops"][0].shortcut() in said
    path = Path(said.splitlines()[-1].removeprefix("Examples are drawn in "))
    assert path.is_relative_to(tmp_path / "html")
    assert PillowImage.open(path).size[0] > 1000


def test_a_picture_that_cannot_be_written_ends_in_one_sentence(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "html").write_text("not a folder")
    assert main(["show", "listops", *words]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert "name another folder with paths.reports=FOLDER" in said


class Toy(Task):
    """Data made by hand."""

    rules: ClassVar = (Rule("first token", "The first token.", lambda _, test, __: test.labels),)
    source: ClassVar[str] = "Made up (no rights reserved)."

    def build(self, preparation: Preparation, files: Path) -> Facts:
        raise NotImplementedError

    def baselines(self, train: Split, test: Split, facts: Facts) -> Baselines:
        raise NotImplementedError


class ToyPictures(Toy):
    picture: ClassVar[bool] = True


class ToyTexts(Toy):
    separator: ClassVar[str] = ""


def sequences(rows: list[list[int]]) -> Sequences:
    return Sequences(Flat(np.array([*chain(*rows)], np.uint8), np.cumsum([0, *map(len, rows)])))


def dataset(columns: list[list[list[int]]], labels: list[int], facts: Facts, kind: Kind = "classification") -> Dataset:
    split = Split(tuple(map(sequences, columns)), np.array(labels), predicts_next=kind == "language")
    perplexity = 12.5 if kind == "language" else None
    return Dataset(split, split, split, kind, facts, Baselines(0.5, {"rule": 0.625, "weaker": 0.55}, perplexity))


def shown(task: Task, data: Dataset) -> str:
    console = Console(width=120, markup=False)
    with console.capture() as captured:
        for part in describe(task, data):
            console.print(part)
    return captured.get()


LETTERS = ["<pad>", "<unk>", "<eos>", *"abc$[]\n"]


def tokens(text: str) -> list[int]:
    return [LETTERS.index(character) for character in text]


def test_sizes_lengths_classes_and_baselines_are_those_of_the_data() -> None:
    data = dataset(
        [[[3], [3, 4, 4], [3, 3, 3, 3, 3, 3, 3, 3], [4]]], [0, 1, 1, 1], Facts(2, LETTERS, ("Half is lost.",))
    )
    said = shown(Toy(TaskSettings("toy")), data)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in said.splitlines() if line.startswith("│")]
    assert ["training", "4", "1", "2", "8", "13"] in rows
    assert ["0", "25.0", "25.0", "25.0"] in rows
    assert ["1", "75.0", "75.0", "75.0"] in rows
    for sentence in (
        "Source: Made up (no rights reserved).",
        "Note: Half is lost.",
        "Shortcut: 62.5 % right. The first token.",
        "Commonest class: 50.0 % right.",
    ):
        assert sentence in said.splitlines()


def test_of_a_text_the_commonest_words_are_shown_and_the_perplexity() -> None:
    words = Facts(5, ["<pad>", "<unk>", "<eos>", "the", "[whale]"])
    said = shown(Toy(TaskSettings("toy")), dataset([[[3, 4, 3], [3, 2, 1, 4]]], [0, 0], words, "language"))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in said.splitlines() if line.startswith("│")]
    assert rows.index(["the", "42.9", "42.9", "42.9"]) < rows.index(["[whale]", "28.6", "28.6", "28.6"])
    assert "Shortcut: 62.5 % right, perplexity 12.5. The first token." in said
    assert "  the [whale] the" in said


def test_examples_are_of_each_class_in_turn_and_decoded() -> None:
    data = dataset([[tokens("aab"), tokens("ab"), tokens("b"), tokens("c$[]c")]], [1, 1, 1, 0], Facts(2, LETTERS))
    assert laid_out_examples(ToyTexts(TaskSettings("toy")), data, examples=3, lines=4) == [
        *("", "Class 0, 5 tokens", "  c$[]c"),
        *("", "Class 1, 3 tokens", "  aab"),
        *("", "Class 1, 2 tokens", "  ab"),
    ]


def test_the_texts_of_a_pair_stand_side_by_side() -> None:
    data = dataset([[tokens("a" * 60)], [tokens("b")]], [0], Facts(1, LETTERS), "pairs")
    lines = laid_out_examples(ToyTexts(TaskSettings("toy")), data, examples=1, lines=4)
    assert lines[1:] == ["Class 0, 60 tokens", f"  {'a' * 53} │ b", f"  {'a' * 7:53} │"]


def test_a_long_text_is_cut_where_lines_end() -> None:
    data = dataset([[tokens("ab") * 500]], [0], Facts(1, LETTERS))
    lines = laid_out_examples(Toy(TaskSettings("toy")), data, examples=1, lines=2)
    assert len(lines) == 4
    assert lines[-1].endswith("…")


def test_signs_that_cannot_be_printed_are_dots() -> None:
    data = dataset([[[3]]], [0], Facts(1, LETTERS))
    assert decode(ToyTexts(TaskSettings("toy")), data, np.array(tokens("a\nb"))) == "a·b"


def test_images_are_drawn_as_they_are_in_the_row_of_their_class() -> None:
    """So that a person sees what the network gets."""
    images = np.random.default_rng(0).integers(0, 256, (6, 5, 5))
    labels = [1, 0, 1, 0, 1, 1]
    data = dataset([images.reshape(6, 25).tolist()], labels, Facts(2))
    figure = draw(ToyPictures(TaskSettings("toy")), data, "A title")
    drawn: dict[str, list[Any]] = {"class 0": [], "class 1": []}
    row = ""
    for axes in figure.axes:
        row = axes.get_ylabel() or row  # the first of a row names it
        drawn[row] += [image.get_array().tolist() for image in axes.images]
    for label in (0, 1):
        assert drawn[f"class {label}"] == [
            image.tolist() for image, of in zip(images, labels, strict=True) if of == label
        ]
    assert figure.get_suptitle() == "A title"


def test_a_text_is_drawn_with_every_sign_as_it_is(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    """A dollar starts no formula, and a sign that the font lacks is a box without a warning."""
    facts = Facts(1, [*LETTERS, "\u4e2d"])
    data = dataset([[[*tokens("$a[]b$"), len(LETTERS)]]], [0], facts)
    figure = draw(ToyTexts(TaskSettings("toy")), data, "A title")
    save_picture(figure, tmp_path / "picture.png")
    title, text = (each.get_text() for each in figure.texts)
    assert title == "A title"
    assert "  $a[]b$\u4e2d" in text.splitlines()
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]
