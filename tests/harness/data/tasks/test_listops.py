"""ListOps, against an evaluator and a generator written independently of it, in plain recursive Python."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numba
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare, ks_2samp

from spike_ssm.harness.data.splits import Flat, Sequences, Shard, Split
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.data.tasks import listops_examples
from spike_ssm.harness.data.tasks.listops import SYMBOLS, ListOps, ListOpsSettings
from spike_ssm.harness.data.tasks.listops_examples import generate
from spike_ssm.results.errors import UserError

OPERATORS = ("[MIN", "[MAX", "[MED", "[SM")

Node = int | tuple[str, list["Node"]]
"""A digit, or an operator and its arguments."""


def settings_of(lengths: tuple[int, int], sizes: tuple[int, int, int], **others: int) -> ListOpsSettings:
    (low, high), (train, validation, test) = lengths, sizes
    return ListOpsSettings(min_length=low, max_length=high, train=train, validation=validation, test=test, **others)


def prepare(wish: ListOpsSettings, cache: Path) -> Dataset:
    return ListOps(wish).prepare(cache, cache / "files")


def flat(found: Split | Shard) -> Flat:
    """Tokens and offsets; one file holds a whole split here."""
    (column,) = found.sequences
    return column.parts[0] if isinstance(column, Sequences) else column


def texts(found: Split | Shard) -> list[str]:
    """The sequences as people write them."""
    tokens, offsets = flat(found)
    symbols = np.array(SYMBOLS)[tokens].tolist()
    return [" ".join(symbols[a:b]) for a, b in pairwise(offsets.tolist())]


def parse(text: str) -> Node:
    def node() -> Node:
        symbol = next(symbols)
        if symbol.isdigit():
            return int(symbol)
        assert symbol in OPERATORS
        arguments: list[Node] = []
        while ahead[0] != "]":
            arguments.append(node())
        next(symbols)
        return symbol, arguments

    ahead = text.split()

    def consume() -> Iterator[str]:
        while ahead:
            yield ahead.pop(0)

    symbols = consume()
    root = node()
    assert next(symbols) == "<eos>"
    assert not ahead
    return root


def value(node: Node) -> int:
    if isinstance(node, int):
        return node
    operator, arguments = node
    values = [value(argument) for argument in arguments]
    match operator:
        case "[MIN":
            return min(values)
        case "[MAX":
            return max(values)
        case "[MED":
            return int(np.median(values))
        case _:
            return sum(values) % 10


def operators(node: Node, depth: int = 1) -> Iterator[tuple[str, int, int]]:
    """Name, number of arguments and depth of every operator."""
    if not isinstance(node, int):
        yield node[0], len(node[1]), depth
        for argument in node[1]:
            yield from operators(argument, depth + 1)


class TooLongError(Exception):
    pass


def published_tree(rng: random.Random, room: list[int], depth: int = 1) -> Node:
    """A tree by the procedure published with LRA; `room` counts down the tokens it may still have."""
    if room[0] < 0:
        raise TooLongError
    if depth == 10 or rng.random() > 0.25:
        room[0] -= 1
        return rng.randrange(10)
    room[0] -= 2
    count = rng.randint(2, 10)
    return rng.choice(OPERATORS), [published_tree(rng, room, depth + 1) for _ in range(count)]


def length(node: Node) -> int:
    return 1 if isinstance(node, int) else 2 + sum(map(length, node[1]))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Fewer examples than LRA's, at its lengths."""
    return prepare(settings_of((500, 2000), (8_000, 1_000, 4_000)), tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return prepare(settings_of((20, 100), (8_000, 1_000, 8_000)), tmp_path_factory.mktemp("cache"))


# --- what a sequence is


def test_a_label_is_what_the_sequence_evaluates_to_at_published_lengths(published: Dataset) -> None:
    for text, label in zip(texts(published.validation)[:300], published.validation.labels, strict=False):
        assert value(parse(text)) == label, text


def test_a_label_is_what_the_sequence_evaluates_to_at_short_lengths(short: Dataset) -> None:
    for text, label in zip(texts(short.train), short.train.labels, strict=True):
        assert value(parse(text)) == label, text


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    max_depth=st.integers(2, 12),
    max_arguments=st.integers(2, 12),
    min_length=st.integers(0, 30),
    span=st.integers(2, 200),
    data_seed=st.integers(0, 2**63 - 1),
)
def test_every_setting_is_kept_to(
    max_depth: int, max_arguments: int, min_length: int, span: int, data_seed: int
) -> None:
    wish = ListOpsSettings("listops", min_length, min_length + span, max_depth, max_arguments, 20, 5, 5, data_seed)
    try:
        found = generate(wish)
    except UserError:  # hypothesis asked for lengths that hardly a tree has
        return
    sequences = texts(found)
    assert len(set(sequences)) == 30
    for text, label in zip(sequences, found.labels, strict=True):
        tree = parse(text)
        assert value(tree) == label
        assert min_length < length(tree) < min_length + span
        for _, arguments, depth in operators(tree):
            assert 2 <= arguments <= max_arguments
            assert depth < max_depth


def test_a_network_needs_18_token_ids_and_10_classes(published: Dataset) -> None:
    assert published.vocabulary == len(SYMBOLS) == 18
    assert SYMBOLS[:3] == ("<pad>", "<unk>", "<eos>")
    assert published.facts.classes == 10
    assert set(np.unique(flat(published.train).values)) == set(range(2, 18)), "padding and unknown never occur"


def test_a_sequence_ends_with_its_only_end_token(short: Dataset) -> None:
    tokens, offsets = flat(short.train)
    end = SYMBOLS.index("<eos>")
    assert (tokens[offsets[1:] - 1] == end).all()
    assert (tokens == end).sum() == len(short.train)


# --- the published procedure


def test_published_lengths_are_501_to_1999_with_a_median_of_about_955(published: Dataset) -> None:
    lengths = published.train.lengths - 1
    assert lengths.min() == 501
    assert lengths.max() == 1999
    assert np.median(lengths) == pytest.approx(955, abs=20)
    assert lengths.max() + 1 <= 2048


def test_operators_and_digits_are_uniform(published: Dataset) -> None:
    """Exactly so: which lengths are kept does not depend on them."""
    counts = np.bincount(flat(published.train).values, minlength=len(SYMBOLS))
    assert chisquare(counts[[SYMBOLS.index(name) for name in OPERATORS]]).pvalue > 0.001
    assert chisquare(counts[[SYMBOLS.index(name) for name in "0123456789"]]).pvalue > 0.001


def test_the_number_of_arguments_is_uniform() -> None:
    """Seen where no length is favoured: one operator of 4 to 10 arguments (fewer would often repeat)."""
    found = generate(settings_of((5, 13), (2_000, 1, 1), max_depth=2))
    arguments = Counter((np.diff(flat(found).offsets) - 3).tolist())
    assert sorted(arguments) == list(range(4, 11))
    assert chisquare(list(arguments.values())).pvalue > 0.001


def test_operators_nest_nine_deep(published: Dataset) -> None:
    deepest = max(depth for text in texts(published.test)[:300] for _, _, depth in operators(parse(text)))
    assert deepest == 9


def test_answers_0_and_9_make_up_17_percent_each(published: Dataset) -> None:
    shares = np.bincount(published.train.labels, minlength=10) / len(published.train)
    assert shares[[0, 9]] == pytest.approx(0.17, abs=0.01)
    assert shares[1:9].max() < 0.11


def test_trees_are_distributed_as_the_published_generators(short: Dataset) -> None:
    rng = random.Random(0)
    trees: dict[str, Node] = {}
    while len(trees) < 6_000:
        with suppress(TooLongError):
            tree = published_tree(rng, [100])
            if 20 < length(tree) < 100:
                trees.setdefault(str(tree), tree)
    theirs, ours = list(trees.values()), [parse(text) for text in texts(short.train)]

    def agree(of_theirs: list[int], of_ours: list[int]) -> bool:
        seen = sorted({*of_theirs, *of_ours})
        table = np.array([[Counter(sample)[key] for key in seen] for sample in (of_theirs, of_ours)])
        return bool(chi2_contingency(table[:, table.sum(axis=0) >= 20]).pvalue > 0.001)

    assert ks_2samp([length(tree) for tree in theirs], [length(tree) for tree in ours]).pvalue > 0.001
    assert agree([value(tree) for tree in theirs], [value(tree) for tree in ours])
    assert agree([len(tree[1]) for tree in theirs], [len(tree[1]) for tree in ours])
    depths = [[max(depth for _, _, depth in operators(tree)) for tree in trees] for trees in (theirs, ours)]
    assert agree(*depths)


# --- splits


def test_the_splits_have_the_sizes_asked_for_and_share_no_example() -> None:
    """At lengths so short that most candidates are repeats."""
    found = generate(settings_of((3, 7), (2_000, 300, 300)))
    assert len(found.labels) == len(set(texts(found))) == 2_600


def test_train_comes_first_then_validation_then_test(tmp_path: Path) -> None:
    wish = settings_of((20, 60), (50, 20, 10))
    data, found = prepare(wish, tmp_path), generate(wish)
    assert [len(data.train), len(data.validation), len(data.test)] == [50, 20, 10]
    assert texts(data.train) + texts(data.validation) + texts(data.test) == texts(found)
    assert [*data.train.labels, *data.validation.labels, *data.test.labels] == [*found.labels]


def test_another_seed_gives_other_examples() -> None:
    zero, one = (set(texts(generate(settings_of((20, 60), (500, 1, 1), data_seed=s)))) for s in (0, 1))
    assert len(zero & one) < 5


# --- the same bytes everywhere


@pytest.mark.parametrize("threads", [1, 2])
def test_the_bytes_are_those_of_every_other_machine_with_any_number_of_threads(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = generate(settings_of((500, 2000), (200, 50, 50)))
        assert numba.get_num_threads() == min(threads, numba.config.NUMBA_NUM_THREADS)
    finally:
        torch.set_num_threads(before)
    tokens, offsets = flat(found)
    assert tokens.dtype == found.labels.dtype == np.uint8
    digest = hashlib.sha256(tokens.tobytes() + offsets.astype("<i8").tobytes() + found.labels.tobytes())
    assert digest.hexdigest() == "485f2fb7b99e08ea82e3e158c97f933ec0dddbb50b50b7421cbf14950c84389a"


# --- the cache


SMALL = settings_of((20, 60), (30, 10, 10))


def test_a_data_set_is_opened_as_it_was_prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare(SMALL, tmp_path)
    monkeypatch.setattr(listops_examples, "generate", lambda _: pytest.fail("generated again"))
    again = prepare(SMALL, tmp_path)
    assert texts(again.test) == texts(first.test)
    assert (again.facts, again.baselines) == (first.facts, first.baselines)


@pytest.mark.parametrize(
    "other", [{"data_seed": 1}, {"max_depth": 9}, {"max_arguments": 9}, {"max_length": 61}, {"test": 11}]
)
def test_other_settings_have_a_folder_of_their_own(tmp_path: Path, other: dict[str, int]) -> None:
    prepare(SMALL, tmp_path)
    prepare(ListOpsSettings(**{**vars(SMALL), **other}), tmp_path)
    assert len([path for path in (tmp_path / "listops").iterdir() if path.is_dir()]) == 2


# --- what can be had without reading


def test_the_root_operator_alone_gives_36_percent_at_published_lengths(published: Dataset) -> None:
    """Within three standard deviations of 4,000 answers. Over 800,000 it is 36.2 %."""
    assert published.baselines.rules["outermost operator"] == pytest.approx(0.362, abs=0.023)


def test_the_root_operator_alone_gives_34_percent_at_20_to_100(short: Dataset) -> None:
    """Within three standard deviations of 8,000 answers."""
    assert short.baselines.rules["outermost operator"] == pytest.approx(0.34, abs=0.016)


def test_the_root_operator_of_its_own_digits_gives_48_percent_at_published_lengths(published: Dataset) -> None:
    """Within three standard deviations of 4,000 answers."""
    assert published.baselines.shortcut_accuracy == pytest.approx(0.48, abs=0.024)


def test_the_commonest_answer_gives_17_percent(published: Dataset) -> None:
    assert published.baselines.majority_accuracy == pytest.approx(0.17, abs=0.018)


def test_baselines_are_fitted_on_train_and_scored_on_test(short: Dataset) -> None:
    votes: dict[str, Counter[int]] = {}
    for text, label in zip(texts(short.train), short.train.labels.tolist(), strict=True):
        votes.setdefault(text.split()[0], Counter())[label] += 1
    answers = short.test.labels.tolist()
    guesses = [votes[text.split()[0]].most_common(1)[0][0] for text in texts(short.test)]
    found = short.baselines.rules["outermost operator"]
    assert found == np.mean([g == a for g, a in zip(guesses, answers, strict=True)])
    commonest = Counter(short.train.labels.tolist()).most_common(1)[0][0]
    assert short.baselines.majority_accuracy == np.mean([commonest == answer for answer in answers])


def test_a_lone_digit_is_its_own_shortcut_and_one_never_seen_gets_the_commonest_answer(
    tmp_path: Path,
) -> None:
    data = prepare(settings_of((0, 2), (7, 1, 2)), tmp_path)
    assert sorted(texts(data.train) + texts(data.validation) + texts(data.test)) == [
        f"{digit} <eos>" for digit in range(10)
    ]
    assert data.baselines.shortcut_accuracy == data.baselines.majority_accuracy == 0


# --- wishes that cannot be met


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"min_length": -1}, r"task\.min_length=-1 is not allowed: it must be from 0 to 100000"),
        ({"max_length": 501}, r"task\.max_length=501 .* at least 502 for task\.min_length=500"),
        ({"max_length": 400}, "both bounds are exclusive"),
        ({"max_depth": 1}, r"task\.max_depth=1 .* from 2 to 100"),
        ({"max_arguments": 1}, r"task\.max_arguments=1 .* from 2 to 100"),
        ({"train": 0}, r"task\.train=0 .* from 1 to"),
        ({"validation": 0}, r"task\.validation=0 .* from 1 to"),
        ({"test": -5}, r"task\.test=-5 .* from 1 to"),
        ({"data_seed": -1}, r"task\.data_seed=-1 .* from 0 to"),
    ],
)
def test_a_bad_setting_is_refused_with_what_is_allowed(wrong: dict[str, int], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        ListOpsSettings(**wrong)


def test_lengths_with_too_few_different_sequences_end_in_a_sentence(tmp_path: Path) -> None:
    """Only 4 x 10 x 10 sequences have four tokens, and none has three."""
    with pytest.raises(UserError, match=r"Only 400 of 5002 different ListOps examples .* widen the range"):
        prepare(settings_of((2, 5), (5_000, 1, 1)), tmp_path)
    assert not [path for path in (tmp_path / "listops").iterdir() if path.is_dir()]
