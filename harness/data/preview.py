"""Previews of a prepared task: its splits, classes, baselines and examples, as text and as a picture."""

from __future__ import annotations

import math
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from itertools import islice, zip_longest
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from rich.console import RenderableType
from rich.table import Column, Table

from spike_ssm.harness.data.splits import Integers, Split
from spike_ssm.harness.data.task import Dataset, Task

SPLIT_NAMES = {"train": "training", "validation": "validation", "test": "test"}

WIDTH = 110
"""Characters per line of an example."""

FEW_CLASSES = 4
"""Largest number of classes whose images are drawn large: what tells few classes apart tends to be small."""

COMMON_WORDS = 10
"""Number of words listed for a task whose next word is predicted."""


def describe(task: Task, data: Dataset) -> Iterator[RenderableType]:
    """Source, notes, splits, classes, baselines and some examples, for a console without markup."""
    yield f"Source: {task.source}"
    yield from (f"Note: {note}" for note in data.facts.notes)
    yield _splits(data)
    yield _words(data) if data.kind == "language" else _classes(data)
    yield from _baselines(task, data)
    if data.facts.symbols is not None:
        yield from laid_out_examples(task, data, examples=3, lines=4)


def _table(title: str, first: str, *numbers: str) -> Table:
    """A table in which all columns but the first are numbers."""
    return Table(first, *(Column(number, justify="right") for number in numbers), title=title)


def _splits(data: Dataset) -> Table:
    title = "tokens of the longer text of each pair" if data.kind == "pairs" else "tokens"
    table = _table(title, "split", "examples", "shortest", "median", "longest", "all")
    for attribute, name in SPLIT_NAMES.items():
        lengths = getattr(data, attribute).lengths
        shown = (len(lengths), lengths.min(), np.median(lengths), lengths.max(), lengths.sum())
        table.add_row(name, *(f"{number:,.0f}" for number in shown))
    return table


def _classes(data: Dataset) -> Table:
    table = _table("share of each class, %", "class", *SPLIT_NAMES.values())
    counts = [np.bincount(split.labels, minlength=data.facts.classes) for split in _all_splits(data)]
    for number in range(data.facts.classes):
        name = data.facts.labels[number] if data.facts.labels else str(number)
        table.add_row(name, *(f"{100 * count[number] / count.sum():.1f}" for count in counts))
    return table


def _words(data: Dataset) -> Table:
    """Shares of the commonest words; the title has the number of all words."""
    symbols = data.facts.symbols
    assert symbols is not None
    table = _table(f"share of the commonest of {len(symbols):,} words, %", "word", *SPLIT_NAMES.values())
    counts = [_token_counts(split, len(symbols)) for split in _all_splits(data)]
    for token in np.argsort(-counts[0], kind="stable")[:COMMON_WORDS]:
        table.add_row(symbols[token], *(f"{100 * count[token] / count.sum():.1f}" for count in counts))
    return table


def _all_splits(data: Dataset) -> list[Split]:
    return [getattr(data, split) for split in SPLIT_NAMES]


def _token_counts(split: Split, vocabulary: int) -> npt.NDArray[np.int64]:
    parts = (np.bincount(part.values, minlength=vocabulary) for part in split.sequences[0].parts)
    return np.sum([np.zeros(vocabulary, np.int64), *parts], axis=0)  # type: ignore[no-any-return]


def _baselines(task: Task, data: Dataset) -> Iterator[str]:
    found = data.baselines
    perplexity = "" if found.shortcut_perplexity is None else f", perplexity {found.shortcut_perplexity:,.1f}"
    answer = "word" if data.kind == "language" else "class"
    yield f"Shortcut: {100 * found.shortcut_accuracy:.1f} % right{perplexity}. {task.shortcut()}"
    for name, accuracy in list(found.rules.items())[1:]:
        yield f"Weaker rule, {name}: {100 * accuracy:.1f} % right."
    yield f"Commonest {answer}: {100 * found.majority_accuracy:.1f} % right."


# --- examples as text


def decode(task: Task, data: Dataset, sequence: Integers) -> str:
    """A sequence's tokens, or numbers, as readable text; characters that cannot be printed are dots."""
    if data.facts.symbols is None:
        return " ".join(map(str, sequence.tolist()))
    text = task.separator.join(data.facts.symbols[token] for token in sequence.tolist())
    return "".join(character if character.isprintable() else "·" for character in text)


def laid_out_examples(task: Task, data: Dataset, examples: int, lines: int) -> list[str]:
    """Lines that show `examples` training examples, of each class in turn, the two texts of a pair side by side.

    At most `lines` lines are shown of each text.
    """
    split = data.train
    shown: list[str] = []
    for example in _of_each_class(data, examples):
        head = "Window" if data.kind == "language" else f"Class {split.labels[example]}"
        shown += ["", f"{head}, {split.lengths[example]:,} tokens"]
        columns = [sequences[example] for sequences in split.sequences]
        width = (WIDTH - 3 * (len(columns) - 1)) // len(columns)
        wrapped = [_wrapped(decode(task, data, column), width, lines) for column in columns]
        for row in zip_longest(*wrapped, fillvalue=""):
            shown.append("  " + " │ ".join(text.ljust(width) for text in row).rstrip())
    return shown


def _of_each_class(data: Dataset, count: int) -> list[int]:
    """The first training example of each class, then the second, until there are `count`; windows as they come."""
    if data.kind == "language":
        return list(range(min(count, len(data.train))))
    classes = (np.flatnonzero(data.train.labels == label)[:count] for label in range(data.facts.classes))
    in_turn = (example for rank in zip_longest(*classes) for example in rank if example is not None)
    return [int(example) for example in islice(in_turn, count)]


def _wrapped(text: str, width: int, lines: int) -> list[str]:
    return textwrap.wrap(text, width, max_lines=lines, placeholder=" …", break_on_hyphens=False)


# --- examples as a picture


def draw(task: Task, data: Dataset, title: str) -> Figure:
    """Examples of the training split: images in one row per class, anything else as text."""
    with mpl.rc_context({"font.family": "DejaVu Sans", "text.parse_math": False}):
        return _images(data, title) if task.picture else _text(laid_out_examples(task, data, 4, 16), title)


def _images(data: Dataset, title: str) -> Figure:
    """Square images; black is 0, white 255."""
    few = data.facts.classes <= FEW_CLASSES
    columns, inches = (5, 2.4) if few else (10, 0.9)
    figure = Figure(figsize=(columns * inches + 0.5, data.facts.classes * inches + 0.5), layout="constrained")
    figure.suptitle(title, fontsize=9)
    grid = figure.subplots(data.facts.classes, columns, squeeze=False)
    for label, row in enumerate(grid):
        row[0].set_ylabel(f"class {label}")
        examples = np.flatnonzero(data.train.labels == label)[:columns]
        for axes in row:
            axes.set(xticks=[], yticks=[])
        for axes, example in zip(row, examples.tolist(), strict=False):
            image = data.train.sequences[0][example]
            axes.imshow(image.reshape(math.isqrt(len(image)), -1), cmap="gray", vmin=0, vmax=255)
    return figure


def _text(lines: Sequence[str], title: str) -> Figure:
    figure = Figure(figsize=(9.5, 0.14 * len(lines) + 0.6), facecolor="white")
    top = 1 - 0.2 / figure.get_figheight()
    figure.text(0.02, top, title, fontsize=9, va="top")
    figure.text(0.02, top, "\n".join(["", *lines]), fontsize=7.5, va="top", family="DejaVu Sans Mono", linespacing=1.3)
    return figure


def save_picture(figure: Figure, path: Path) -> None:
    """Write a PNG, and the folders on the way to it. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # such a sign is drawn as a box
        figure.savefig(path, dpi=150)
