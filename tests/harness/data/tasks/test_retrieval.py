"""AAN from files written as released, and the stand-ins from the real BBC articles."""

from __future__ import annotations

import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spike_ssm.harness.data.splits import Split, batches
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.data.tasks.bbc_corpus import Article, read_articles
from spike_ssm.harness.data.tasks.retrieval import (
    BbcOrderPairs,
    BbcOrderPairsSettings,
    BbcPairs,
    BbcPairsSettings,
    Retrieval,
    RetrievalSettings,
    draw_pairs,
)
from spike_ssm.results.errors import UserError

FEW = {
    "train": "1.0\tP05-1\tW04-2\tabba\tab\r\n0.0\tP05-1\tX\tcab £\t\r\n",
    "eval": "0\tA\tB\tbad\ta\n",
    "test": "1\tA\tB\t\"ab\tb'b\n0\tC\tD\tb\ta\n",
}


def write(folder: Path, contents: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / f"new_aan_pairs.{name}.tsv").write_bytes(content.encode())


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    return tmp_path / "files"


def prepare(files: Path, **settings: int) -> Dataset:
    return Retrieval(RetrievalSettings(**settings)).prepare(files.parent / "cache", files)


def tokens(split: Split) -> list[tuple[list[int], list[int]]]:
    first, second = split.sequences
    return [(a.tolist(), b.tolist()) for a, b in zip(first, second, strict=True)]


def texts(data: Dataset, split: Split) -> list[tuple[str, str]]:
    """What people read: the characters before the end token."""
    symbols = data.facts.symbols
    assert symbols is not None
    return [("".join(symbols[t] for t in a[:-1]), "".join(symbols[t] for t in b[:-1])) for a, b in tokens(split)]


# --- AAN


@pytest.mark.parametrize("folder", ["lra_release/lra_release/tsv_data", "tsv_data", "aan"])
def test_papers_become_characters_and_an_end_token_from_every_layout(folder: str, files: Path) -> None:
    write(files / folder, FEW)
    data = prepare(files)
    assert data.facts.symbols == ["<pad>", "<unk>", "<eos>", "a", "b", " ", "c", "£"]
    assert tokens(data.train) == [([3, 4, 4, 3, 2], [3, 4, 2]), ([6, 3, 4, 5, 7, 2], [2])]
    assert tokens(data.validation) == [([4, 3, 1, 2], [3, 2])]
    assert tokens(data.test) == [([1, 3, 4, 2], [4, 1, 4, 2]), ([4, 2], [3, 2])]
    assert [split.labels.tolist() for split in (data.train, data.validation, data.test)] == [[1, 0], [0], [1, 0]]
    assert (data.facts.classes, data.kind) == (2, "pairs")
    assert list(data.facts.notes) == ["This copy has 2 training pairs where the published one has 147,086."]


def test_the_releases_archive_is_unpacked(files: Path) -> None:
    write(files / "elsewhere" / "lra_release" / "tsv_data", FEW)
    with tarfile.open(files / "lra_release.gz", "w:gz") as archive:
        archive.add(files / "elsewhere" / "lra_release", "lra_release/lra_release")
    assert len(prepare(files).test) == 2


def test_a_network_gets_the_first_of_each_pair_and_then_the_second_of_each(files: Path) -> None:
    write(files / "aan", FEW)
    (batch,) = batches(prepare(files).train, 2)
    assert batch.inputs.tolist() == [[3, 4, 4, 3, 2, 0], [6, 3, 4, 5, 7, 2], [3, 4, 2, 0, 0, 0], [2, 0, 0, 0, 0, 0]]
    assert batch.labels.tolist() == [1, 0]


def test_a_long_paper_loses_its_end_but_not_the_end_token(files: Path) -> None:
    write(files / "aan", FEW)
    data = prepare(files, max_length=4)
    assert texts(data, data.train) == [("abb", "ab"), ("cab", "")]
    assert all(sequence[-1] == 2 for pair in tokens(data.train) for sequence in pair)
    assert data.facts.symbols == ["<pad>", "<unk>", "<eos>", "b", "a", "c"], "what is cut off is not counted"


def test_characters_rare_in_training_are_unknown_however_common_elsewhere(files: Path) -> None:
    write(files / "aan", {**FEW, "test": "1\tA\tB\tccc\tbab\n"})
    assert tokens(prepare(files, min_freq=2).test) == [([1, 1, 1, 2], [4, 3, 4, 2])]


def test_more_pairs_than_one_file_of_the_cache_holds_stay_in_order(files: Path) -> None:
    rows = [f"{number % 2}\t{number}\tX\t{number}\t{-number}\n" for number in range(5_000)]
    write(files / "aan", {**FEW, "train": "".join(rows)})
    data = prepare(files)
    assert len(list((files.parent / "cache").rglob("train-*.arrow"))) == 2
    assert texts(data, data.train) == [(str(number), str(-number)) for number in range(5_000)]
    assert data.train.labels.tolist() == [number % 2 for number in range(5_000)]


def test_fewer_pairs_are_the_first_of_the_file_and_are_noted(files: Path) -> None:
    rows = [f"0\t{number}\tX\t{number}\t\n" for number in range(9)]
    write(files / "aan", {**FEW, "train": "".join(rows)})
    data = prepare(files, train=4, test=2)
    assert [text for text, _ in texts(data, data.train)] == ["0", "1", "2", "3"]
    assert list(data.facts.notes) == ["Only the first 4 train pairs are used.", "Only the first 2 test pairs are used."]


def test_the_shortcut_is_what_the_words_in_common_tell(files: Path) -> None:
    alike, different = "1\tA\tB\tThe same words!\twords, the SAME\n", "0\tA\tB\tthe same\tother words\n"
    write(files / "aan", {"train": (alike + different) * 20 + alike, "eval": alike, "test": alike + different * 2})
    baselines = prepare(files).baselines
    assert baselines.shortcut_accuracy == 1
    assert baselines.majority_accuracy == 1 / 3


# --- AAN that cannot be used ends in a sentence


def test_a_missing_file_is_a_sentence_that_says_where_it_was_looked_for(files: Path) -> None:
    write(files / "aan", {"train": FEW["train"], "test": FEW["test"]})
    with pytest.raises(UserError, match=r"^Retrieval's new_aan_pairs\.eval\.tsv is missing: .*tsv_data.* Long Range"):
        prepare(files)


@pytest.mark.parametrize("name", ["train", "eval", "test"])
@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("1\tP05-1\tW04-2\n", r"line 3: .*this is the release of the ids alone"),
        ("2\tA\tB\ta\tb\n", r"line 3: the label is '2' where one of 0, 1, 0\.0, 1\.0 is expected"),
        ("1\tA\tB\ta", r"line 3: the number of tab-separated|line 3: the last line does not end"),
    ],
)
def test_a_bad_row_in_any_file_is_a_sentence_and_nothing_is_left_behind(
    name: str, row: str, sentence: str, files: Path
) -> None:
    good = "1\tA\tB\ta\tb\n0\tA\tB\ta\tb\n"
    write(files / "aan", {**dict.fromkeys(("train", "eval", "test"), good), name: good + row})
    with pytest.raises(UserError, match=rf"new_aan_pairs\.{name}\.tsv, {sentence}"):
        prepare(files)
    assert not list((files.parent / "cache").rglob("*.arrow"))


@pytest.mark.parametrize(("setting", "value"), [("max_length", 1), ("min_freq", 0), ("train", 0), ("test", -1)])
def test_a_setting_out_of_range_is_a_sentence(setting: str, value: int) -> None:
    with pytest.raises(UserError, match=rf"^task\.{setting}={value} is not allowed: .*\.$"):
        RetrievalSettings(**{setting: value})


# --- BBC news: on the same topic?


ARTICLES = [
    Article(topic, " ".join(f"w{topic}x{number}x{word}" for word in range(40)))
    for topic in range(5)
    for number in range(4)
]


def source(text: str) -> tuple[int, int]:
    """Topic and article of a passage of `ARTICLES`."""
    topic, number, _ = text.split()[0][1:].split("x")
    return int(topic), int(number)


@given(st.integers(2, 200), st.integers(0, 99))
def test_pairs_are_of_two_articles_and_one_in_two_is_on_one_topic(count: int, seed: int) -> None:
    pairs = draw_pairs(ARTICLES, 60, count, seed)
    assert len(pairs) == count
    for (first, second), label in pairs:
        assert source(first) != source(second)
        assert label == (source(first)[0] == source(second)[0])
    assert abs(sum(label for _, label in pairs) - count / 2) <= 0.5


def test_neither_passage_alone_tells_whether_the_topic_is_the_same() -> None:
    pairs = draw_pairs(ARTICLES, 60, 20_000, 0)
    for place in (0, 1):
        topics = np.array([source(texts[place])[0] for texts, _ in pairs])
        labels = np.array([label for _, label in pairs])
        for topic in range(5):
            assert abs(labels[topics == topic].mean() - 0.5) < 0.04


def test_no_article_is_in_pairs_of_two_splits(tmp_path: Path) -> None:
    data = BbcPairs(BbcPairsSettings(length=64, train=3000, validation=500, test=500)).prepare(tmp_path, tmp_path)
    train, validation, test = (
        {text for pair in texts(data, split) for text in pair} for split in (data.train, data.validation, data.test)
    )
    assert not train & validation
    assert not train & test
    assert not validation & test


def test_passages_longer_than_articles_are_a_sentence() -> None:
    with pytest.raises(UserError, match=r"^task\.length=5000 is not allowed: too few articles are so long"):
        draw_pairs(ARTICLES, 5000, 10, 0)


# --- BBC news: which one is as written?


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("order")
    settings = BbcOrderPairsSettings(length=128, min_freq=1, train=500, validation=100, test=300)
    return BbcOrderPairs(settings).prepare(folder, folder)


def test_of_two_passages_of_the_same_words_the_label_names_the_one_that_stands_in_an_article(order: Dataset) -> None:
    whole = "\n".join(" ".join(article.text.split()) for article in read_articles())
    for (first, second), label in zip(texts(order, order.train), order.train.labels, strict=True):
        assert Counter(first.split()) == Counter(second.split())
        assert (first in whole, second in whole) == (bool(label), not label)


def test_the_words_in_common_do_not_tell_which_is_as_written_but_which_follows_which_does(order: Dataset) -> None:
    rules = order.baselines.rules
    assert rules["words in common"] == order.baselines.majority_accuracy
    assert rules["word pairs"] == order.baselines.shortcut_accuracy > 0.8


def test_no_passage_is_in_pairs_of_two_splits(order: Dataset) -> None:
    train, validation, test = (
        {text for pair in texts(order, split) for text in pair} for split in (order.train, order.validation, order.test)
    )
    assert not train & validation
    assert not train & test
    assert not validation & test
