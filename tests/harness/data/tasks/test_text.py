"""IMDb from files written as its site and as the hub have them, and the stand-ins from the real BBC articles."""

from __future__ import annotations

import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spike_ssm.harness.data.rules import words_of
from spike_ssm.harness.data.splits import SPECIAL, Split, batches
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.data.tasks.text import Text, TextSettings
from spike_ssm.harness.data.vocabulary import encode_characters, vocabulary
from spike_ssm.results.errors import UserError

PLAIN = {"min_freq": 1, "validation_from": "test"}
"""Settings with which every training review is trained on and every character known."""

Reviews = dict[str, list[tuple[str, int]]]
"""Text and label of each review of the sets train and test."""

FEW: Reviews = {
    "train": [("abba", 0), ("ab", 0), ("cab £", 1), ("", 1)],
    "test": [("bad", 0), ("abc", 1)],
}


def write_folder(files: Path, reviews: Reviews) -> Path:
    """`aclImdb`, as its archive unpacks: one review a file, named by number and rating."""
    folder = files / "aclImdb"
    for split, texts in reviews.items():
        for number, (text, label) in enumerate(texts):
            path = folder / split / ("neg", "pos")[label] / f"{number}_{(3, 8)[label]}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
    return folder


def write_archive(files: Path, reviews: Reviews) -> None:
    folder = write_folder(files / "elsewhere", reviews)
    with tarfile.open(files / "aclImdb_v1.tar.gz", "w:gz") as archive:
        archive.add(folder, "aclImdb")


def write_parquet(files: Path, reviews: Reviews) -> None:
    """The hub's layout: a row a review."""
    folder = files / "imdb" / "plain_text"
    folder.mkdir(parents=True)
    for split, texts in reviews.items():
        table = pa.table({"text": [text for text, _ in texts], "label": [label for _, label in texts]})
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")


def many(train: int, test: int) -> Reviews:
    """Reviews that all differ, labels in turn."""
    return {
        "train": [(f"train {number}", number % 2) for number in range(train)],
        "test": [(f"test {number}", number % 2) for number in range(test)],
    }


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of files; the hub's library keeps its own copies beside it."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hub")
    (tmp_path / "files").mkdir()
    return tmp_path / "files"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's libraries as on a machine without a network."""
    import datasets
    import huggingface_hub

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def prepare(files: Path, **settings: object) -> Dataset:
    return Text(TextSettings(**settings)).prepare(files.parent / "cache", files)  # type: ignore[arg-type]


def tokens(split: Split) -> list[list[int]]:
    return [sequence.tolist() for sequence in split.sequences[0]]


def texts(data: Dataset, split: Split) -> list[str]:
    """What people read: the characters before the end token."""
    symbols = data.facts.symbols
    assert symbols is not None
    return ["".join(symbols[token] for token in sequence[:-1]) for sequence in tokens(split)]


# --- what a network sees


@pytest.mark.parametrize("write", [write_folder, write_archive, write_parquet])
def test_reviews_become_characters_and_an_end_token_from_every_layout(
    write: Callable[[Path, Reviews], object], files: Path
) -> None:
    write(files, FEW)
    data = prepare(files, **PLAIN)
    assert data.facts.symbols == ["<pad>", "<unk>", "<eos>", "a", "b", " ", "c", "£"]
    assert tokens(data.train) == [[3, 4, 4, 3, 2], [3, 4, 2], [6, 3, 4, 5, 7, 2], [2]]
    assert tokens(data.test) == [[4, 3, 1, 2], [3, 4, 6, 2]]
    assert data.train.labels.tolist() == [0, 0, 1, 1]
    assert data.test.labels.tolist() == [0, 1]
    assert (data.facts.classes, data.kind, data.train.sequences[0][0].dtype) == (2, "classification", np.uint8)


def test_a_network_gets_them_padded_with_zeros(files: Path) -> None:
    write_folder(files, FEW)
    (batch,) = batches(prepare(files, **PLAIN).test, 2)
    assert batch.inputs.tolist() == [[4, 3, 1, 2], [3, 4, 6, 2]]
    (batch,) = batches(prepare(files, **PLAIN).train, 4)
    assert batch.inputs[1].tolist() == [3, 4, 2, 0, 0, 0]
    assert batch.lengths.tolist() == [5, 3, 6, 1]


def test_a_long_review_loses_its_end_but_not_the_end_token(files: Path) -> None:
    write_folder(files, FEW)
    data = prepare(files, **PLAIN, max_length=4)
    assert texts(data, data.train) == ["abb", "ab", "cab", ""]
    assert all(sequence[-1] == 2 for sequence in tokens(data.train))
    assert " " not in (data.facts.symbols or []), "what is cut off is not counted"


def test_bytes_are_those_of_utf_8(files: Path) -> None:
    write_folder(files, FEW)
    data = prepare(files, **PLAIN, level="bytes")
    assert [text.encode("latin-1") for text in texts(data, data.train)] == [text.encode() for text, _ in FEW["train"]]


def test_the_vocabulary_is_of_training_alone_and_of_what_is_common_there(files: Path) -> None:
    rare = {"train": [("aab", 0), ("ab", 1)], "test": [("abz", 0), ("z", 1)] * 20}
    write_folder(files, rare)
    assert prepare(files, min_freq=3, validation_from="test").facts.symbols == [*SPECIAL, "a"]
    assert tokens(prepare(files, min_freq=2, validation_from="test").test)[0] == [3, 4, 1, 2]


def test_a_held_out_review_adds_nothing_to_the_vocabulary(files: Path) -> None:
    letters = [(chr(ord("a") + number), number % 2) for number in range(20)]
    write_folder(files, {"train": letters, "test": letters})
    data = prepare(files, min_freq=1)
    assert sorted(data.facts.symbols or [])[3:] == sorted(texts(data, data.train))
    assert tokens(data.validation) == [[1, 2]] * 2


@given(st.lists(st.text(max_size=20), min_size=1), st.integers(1, 3), st.integers(2, 12))
def test_every_text_comes_back_up_to_its_cut_and_its_unknown_characters(
    originals: list[str], min_freq: int, max_length: int
) -> None:
    counts = Counter("".join(originals))
    symbols = vocabulary(counts, min_freq)
    values, offsets = encode_characters(originals, symbols, max_length)
    for original, start, end in zip(originals, offsets[:-1], offsets[1:], strict=True):
        kept = [character if counts[character] >= min_freq else "<unk>" for character in original[: max_length - 1]]
        assert [symbols[token] for token in values[start:end]] == [*kept, "<eos>"]


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 5)), st.integers(1, 5))
def test_a_vocabulary_goes_by_frequency_then_by_code_point(counts: dict[str, int], min_freq: int) -> None:
    symbols = vocabulary(counts, min_freq)[len(SPECIAL) :]
    assert sorted(symbols) == sorted(word for word, count in counts.items() if count >= min_freq)
    assert symbols == sorted(symbols, key=lambda word: (-counts[word], word))


# --- the splits


def test_validation_is_held_out_of_training_and_never_of_the_test(files: Path) -> None:
    reviews = {split: [(f"a{split} {number}", number % 2) for number in range(200)] for split in ("train", "test")}
    write_folder(files, reviews)
    data = prepare(files, min_freq=1, validation_share=0.25)
    train, validation, test = (texts(data, split) for split in (data.train, data.validation, data.test))
    assert (len(train), len(validation), len(test)) == (150, 50, 200)
    assert sorted(train + validation) == sorted(text for text, _ in reviews["train"])
    assert not {text for text in test if text.startswith("atrain")}


def test_another_seed_holds_out_other_reviews(files: Path) -> None:
    write_folder(files, many(200, 2))
    first, again, other = (prepare(files, min_freq=1, split_seed=seed) for seed in (1, 1, 2))
    assert texts(first, first.validation) == texts(again, again.validation)
    assert set(texts(first, first.validation)) != set(texts(other, other.validation))


def test_validation_can_be_the_test_split_as_in_the_reference_codes_and_a_note_says_so(files: Path) -> None:
    write_folder(files, many(20, 10))
    data = prepare(files, **PLAIN)
    assert len(data.train) == 20
    assert tokens(data.validation) == tokens(data.test)
    assert any("Validation is the test split" in note for note in data.facts.notes)


def test_fewer_reviews_are_a_part_of_the_same_splits_and_are_noted(files: Path) -> None:
    write_folder(files, many(200, 30))
    whole, few = prepare(files, min_freq=1), prepare(files, min_freq=1, train=50, validation=5, test=7)
    for name, size in (("train", 50), ("validation", 5), ("test", 7)):
        chosen = texts(few, getattr(few, name))
        assert len(set(chosen)) == size
        assert set(chosen) <= set(texts(whole, getattr(whole, name)))
    assert list(few.facts.notes) == [
        "This copy has 200 training and 30 test reviews, not 25,000 of each.",
        "Of the 180 train examples, 50 drawn at random are used.",
        "Of the 20 validation examples, 5 drawn at random are used.",
        "Of the 30 test examples, 7 drawn at random are used.",
    ]


def test_the_shortcut_is_what_the_words_tell_whatever_their_order(files: Path) -> None:
    reviews = [("Dull, so dull", 0), ("a great film", 1)]
    write_folder(files, {"train": reviews * 10, "test": [("film great!", 1), ("so DULL", 0), ("dull ugly great", 0)]})
    baselines = prepare(files, **PLAIN).baselines
    assert baselines.shortcut_accuracy == 1
    assert baselines.majority_accuracy == 2 / 3


def test_words_are_read_in_lower_case_from_the_tokens() -> None:
    symbols = vocabulary(Counter("It's é, NO!"), 1)
    (values, _) = encode_characters(["NO! It's\x00é"], symbols, 99)
    assert words_of(symbols)(values) == ["no", "it", "s", "é"]


# --- what cannot be used ends in a sentence


def test_without_files_and_hub_the_sentence_says_what_was_looked_for_and_what_to_do(files: Path, offline: None) -> None:
    with pytest.raises(UserError) as caught:
        prepare(files)
    sentence = str(caught.value)
    assert sentence.startswith(f"IMDb is missing: (1) {files} holds none of aclImdb/train, ")
    assert " (2) stanfordnlp/imdb cannot be loaded from the Hugging Face hub (" in sentence
    assert sentence.endswith(" (3) With task=bbc_order scale=laptop nothing has to be downloaded.")


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_damaged_review_is_a_sentence_and_nothing_is_left_behind(split: str, files: Path) -> None:
    folder = write_folder(files, many(20, 10))
    (folder / split / "pos" / "99_9.txt").write_bytes(b"caf\xe9")
    with pytest.raises(UserError, match=rf"{split}/pos/99_9\.txt: byte 4 \(0xe9\) is not UTF-8.*\.$"):
        prepare(files)
    assert not list((files.parent / "cache").rglob("*.arrow"))


def test_a_half_copied_folder_is_a_sentence(files: Path) -> None:
    folder = write_folder(files, {"train": many(20, 0)["train"]})
    with pytest.raises(UserError, match=rf"^{folder / 'test' / 'neg'} cannot be read .*Large Movie Review.*\.$"):
        prepare(files)


def test_more_reviews_than_there_are_is_a_sentence(files: Path) -> None:
    write_folder(files, many(20, 10))
    with pytest.raises(UserError, match=r"^task\.train=19 is not allowed: there are 18 such examples; null is all\.$"):
        prepare(files, train=19)


def test_a_split_left_empty_is_a_sentence(files: Path) -> None:
    write_folder(files, many(4, 2))
    with pytest.raises(UserError, match=r"^The validation split would have no example: .*\.$"):
        prepare(files, validation_share=0.1)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *(("level", "words"), ("max_length", 1), ("min_freq", 0), ("validation_from", "train")),
        *(("validation_share", 0.0), ("split_seed", -1), ("train", 0), ("test", -1)),
    ],
)
def test_a_setting_out_of_range_is_a_sentence(setting: str, value: object) -> None:
    with pytest.raises(UserError, match=rf"^task\.{setting}={value} is not allowed: .*\.$"):
        TextSettings(**{setting: value})  # type: ignore[arg-type]


def test_where_validation_is_the_test_split_it_has_its_size() -> None:
    with pytest.raises(UserError, match=r"^task\.validation=5 and task\.test=None must be equal .*\.$"):
        TextSettings(validation_from="test", validation=5)
