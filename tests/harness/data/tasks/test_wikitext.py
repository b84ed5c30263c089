"""Windows of text, WikiText-103 from files written as released and as on the hub, and the two stand-ins."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spike_ssm.harness.data.splits import Split, batches
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.data.tasks import wikitext
from spike_ssm.harness.data.tasks.wikitext import (
    BbcWords,
    BbcWordsSettings,
    BrownSettings,
    Wikitext103,
    Wikitext103Settings,
    windows,
)
from spike_ssm.models.network import IGNORED
from spike_ssm.results.errors import UserError

TEXTS = {
    "train": " \n = Title = \n The <unk> @-@ lobster . The end \n",
    "valid": " \n The lobster slept . \n",
    "test": " \n = The = \n lobster the \n",
}
"""The files: a blank before the first word of a line and behind the last."""

SYMBOLS = ["<pad>", "<unk>", "<eos>", "=", "The", ".", "@-@", "Title", "end", "lobster"]
TRAIN = [2, 3, 7, 3, 2, 4, 1, 6, 9, 5, 4, 8, 2]
VALIDATION = [2, 4, 9, 1, 5, 2]
TEST = [2, 3, 4, 3, 2, 9, 1, 2]
"""The words as tokens."""

PARTIAL = [
    "This copy has 13 train words where the published one has 103,227,021.",
    "This copy has 6 validation words where the published one has 217,646.",
    "This copy has 8 test words where the published one has 245,569.",
]
"""Notes on these texts."""


def write_tokens(files: Path) -> None:
    folder = files / "wikitext-103"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / f"wiki.{name}.tokens").write_text(text)


def write_s4(files: Path) -> None:
    """The names of S4's reference code."""
    (files / "wt103").mkdir()
    for name, text in TEXTS.items():
        (files / "wt103" / f"{name}.txt").write_text(text)


def write_archive(files: Path) -> None:
    with zipfile.ZipFile(files / "wikitext-103-v1.zip", "w") as archive:
        for name, text in TEXTS.items():
            archive.writestr(f"wikitext-103/wiki.{name}.tokens", text)


def write_parquet(files: Path) -> None:
    """The hub's layout: a row a line, of which a blank one is empty."""
    folder = files / "wikitext-103" / "wikitext-103-v1"
    folder.mkdir(parents=True)
    for split, name in (("train", "train"), ("validation", "valid"), ("test", "test")):
        rows = [line if line.strip() else "" for line in TEXTS[name].splitlines(keepends=True)]
        pq.write_table(pa.table({"text": rows}), folder / f"{split}-00000-of-00001.parquet")


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


def prepare(files: Path, **settings: int) -> Dataset:
    return Wikitext103(Wikitext103Settings(**settings)).prepare(files.parent / "cache", files)


def targets(split: Split, batch_size: int = 3) -> list[int]:
    """What is to be predicted, in the order of the text."""
    return [
        int(label) for batch in batches(split, batch_size) for row in batch.labels for label in row if label != IGNORED
    ]


def seen_before(split: Split) -> list[list[int]]:
    """Of each target the words of its window before it."""
    found = []
    for window, context_only in zip(split.sequences[0], split.labels.tolist(), strict=True):
        found += [window[:place].tolist() for place in range(1 + context_only, len(window))]
    return found


# --- windows


@given(st.integers(1, 300), st.integers(1, 40), st.data())
def test_every_word_is_a_target_exactly_once_and_in_order(count: int, context: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, context))
    starts, ends, context_only = windows(count, context, stride)
    found = [
        place
        for start, end, left_out in zip(starts, ends, context_only, strict=True)
        for place in range(start + 1 + left_out, end + 1)
    ]
    assert found == list(range(1, count + 1))


@given(st.integers(1, 300), st.integers(1, 40), st.data())
def test_windows_are_as_long_as_asked_for_and_leave_targets_their_context(
    count: int, context: int, data: st.DataObject
) -> None:
    stride = data.draw(st.integers(1, context))
    starts, ends, context_only = windows(count, context, stride)
    assert (ends - starts)[:-1].tolist() == [context] * (len(starts) - 1)
    assert 1 <= ends[-1] - starts[-1] <= context
    assert context_only.tolist() == [0] + [context - stride] * (len(starts) - 1)
    assert (starts + context_only < ends).all(), "no window without a target"


@pytest.mark.parametrize(("context", "stride"), [(1, 1), (3, 3), (4, 1), (5, 2), (6, 6), (100, 7)])
def test_the_loop_is_asked_for_every_word_once(context: int, stride: int, files: Path) -> None:
    write_tokens(files)
    data = prepare(files, context=context, stride=stride)
    assert targets(data.train) == TRAIN
    assert targets(data.validation) == VALIDATION
    assert targets(data.test) == TEST


def test_training_windows_follow_one_another_whatever_the_stride(files: Path) -> None:
    write_tokens(files)
    data = prepare(files, context=4, stride=1)
    assert [window.tolist() for window in data.train.sequences[0]] == [
        [2, 2, 3, 7, 3],
        [3, 2, 4, 1, 6],
        [6, 9, 5, 4, 8],
        [8, 2],
    ]
    assert data.train.labels.tolist() == [0, 0, 0, 0]


def test_a_shorter_stride_shows_every_test_word_more_of_what_comes_before(files: Path) -> None:
    write_tokens(files)
    text = [2, *TEST]
    for place, before in enumerate(seen_before(prepare(files, context=4, stride=1).test), 1):
        assert before == text[max(place - 4, 0) : place]


def test_a_text_in_several_files_of_the_cache_is_the_same(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tokens(files)
    monkeypatch.setattr(wikitext, "SHARD", 10)
    data = prepare(files, context=4, stride=3)
    assert len(list((files.parent / "cache").rglob("train-*.arrow"))) == 2
    assert (targets(data.train), targets(data.test)) == (TRAIN, TEST)


# --- WikiText-103


@pytest.mark.parametrize("write", [write_tokens, write_s4, write_archive, write_parquet])
def test_words_and_the_ends_of_lines_become_tokens_from_every_layout(
    write: Callable[[Path], None], files: Path
) -> None:
    write(files)
    data = prepare(files, context=8192)
    assert data.facts.symbols == SYMBOLS
    (train,), (validation,), (test,) = (split.sequences[0] for split in (data.train, data.validation, data.test))
    assert train.tolist() == [2, *TRAIN], "an end of line stands before the first word, so that it is a target too"
    assert validation.tolist() == [2, *VALIDATION]
    assert test.tolist() == [2, *TEST]
    assert (data.facts.classes, data.kind, list(data.facts.notes)) == (len(SYMBOLS), "language", PARTIAL)


def test_tokens_are_stored_in_the_fewest_bytes_and_as_int32_from_65537_on(files: Path) -> None:
    write_tokens(files)
    assert prepare(files).train.sequences[0][0].dtype == np.uint8
    for words, expected in ((300, np.uint16), (65_533, np.uint16), (65_534, np.int32)):
        many = " ".join(f"w{number}" for number in range(words))
        (files / "wikitext-103" / "wiki.train.tokens").write_text(f"{many} \n")
        data = prepare(files, context=words)
        assert (data.vocabulary, data.train.sequences[0][0].dtype) == (words + 3, expected)


def test_rare_words_are_unknown_and_a_note_says_what_that_does(files: Path) -> None:
    write_tokens(files)
    data = prepare(files, min_freq=2)
    assert data.facts.symbols == ["<pad>", "<unk>", "<eos>", "=", "The"]
    assert targets(data.test) == [2, 3, 4, 3, 2, 1, 1, 2]
    assert list(data.facts.notes) == [
        *PARTIAL,
        "The 5 of 9 words seen fewer than 2 times in training are <unk>: "
        "a perplexity cannot be compared with one on all words.",
    ]


def test_fewer_words_are_the_first_of_the_text_and_the_vocabulary_is_theirs(files: Path) -> None:
    write_tokens(files)
    data = prepare(files, train=4, test=3)
    assert data.facts.symbols == ["<pad>", "<unk>", "<eos>", "=", "Title"]
    assert (targets(data.train), targets(data.test)) == ([2, 3, 4, 3], [2, 3, 1])
    assert list(data.facts.notes) == [
        "Only the first 4 words of the train split are used.",
        PARTIAL[1],
        "Only the first 3 words of the test split are used.",
    ]


def test_the_rules_are_what_followed_two_words_one_and_none_in_training(files: Path) -> None:
    write_tokens(files)
    baselines = prepare(files, context=3, stride=2).baselines
    assert list(baselines.rules) == ["trigram", "bigram", "unigram"]
    assert baselines.rules["unigram"] == baselines.majority_accuracy == np.mean(np.array(TEST) == 2)


# --- stand-ins


def test_bbc_words_are_of_whole_articles_and_no_paragraph_is_in_two_splits(tmp_path: Path) -> None:
    data = BbcWords(BbcWordsSettings(context=256, min_freq=1)).prepare(tmp_path, tmp_path)
    train, validation, test = (long_lines(data, split) for split in (data.train, data.validation, data.test))
    assert len(train) > 1_000
    assert not train & validation
    assert not train & test
    assert not validation & test


def long_lines(data: Dataset, split: Split) -> set[tuple[str, ...]]:
    """Those of at least 40 words, which are neither headlines nor stock phrases."""
    symbols = data.facts.symbols
    assert symbols is not None
    lines: list[list[str]] = [[]]
    for token in targets(split, 64):
        lines[-1].append(symbols[token])
        if symbols[token] == "<eos>":
            lines.append([])
    return {tuple(line) for line in lines if len(line) >= 40}


# --- what cannot be used ends in a sentence


def test_without_files_and_hub_the_sentence_says_what_was_looked_for_and_what_to_do(files: Path, offline: None) -> None:
    with pytest.raises(UserError) as caught:
        prepare(files)
    sentence = str(caught.value)
    assert sentence.startswith(
        f"WikiText-103's train is missing: (1) {files} holds none of wikitext-103/wiki.train.tokens"
    )
    assert " (2) Salesforce/wikitext cannot be loaded from the Hugging Face hub (" in sentence


@pytest.mark.parametrize("name", ["train", "valid", "test"])
def test_a_damaged_file_is_a_sentence_and_nothing_is_left_behind(name: str, files: Path) -> None:
    write_tokens(files)
    with (files / "wikitext-103" / f"wiki.{name}.tokens").open("ab") as file:
        file.write(b" caf\xe9 \n")
    with pytest.raises(UserError, match=rf"wiki\.{name}\.tokens, line \d: byte 5 \(0xe9\) is not UTF-8.*\.$"):
        prepare(files)
    assert not list((files.parent / "cache").rglob("*.arrow"))


def test_an_empty_file_is_a_sentence(files: Path) -> None:
    write_tokens(files)
    (files / "wikitext-103" / "wiki.valid.tokens").write_text("")
    with pytest.raises(UserError, match=r"wiki\.valid\.tokens is empty: delete it and get it again\.$"):
        prepare(files)


@pytest.mark.parametrize(
    ("setting", "value"), [("context", 0), ("stride", 0), ("stride", 513), ("train", 0), ("min_freq", 0)]
)
def test_a_setting_out_of_range_is_a_sentence(setting: str, value: int) -> None:
    for settings in (Wikitext103Settings, BbcWordsSettings, BrownSettings):
        with pytest.raises(UserError, match=rf"^task\.{setting}={value} is not allowed: .*\.$"):
            settings(**{setting: value})
