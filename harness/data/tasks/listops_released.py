"""ListOps as Long Range Arena released it: `basic_{train,val,test}.tsv`, every expression of which is evaluated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from spike_ssm.harness.data.cache import Preparation
from spike_ssm.harness.data.readers import places
from spike_ssm.harness.data.readers.common import copy_notes, wrong_line
from spike_ssm.harness.data.readers.tsv import ListOpsRow, read_listops
from spike_ssm.harness.data.splits import Flat, Integers, Shard
from spike_ssm.harness.data.tasks.listops_rules import EOS, SYMBOLS
from spike_ssm.results.errors import UserError

FILES = {"train": "basic_train.tsv", "validation": "basic_val.tsv", "test": "basic_test.tsv"}
SIZES = {"train": 96_000, "validation": 2_000, "test": 2_000}

TOKEN_OF = {symbol: token for token, symbol in enumerate(SYMBOLS) if not symbol.startswith("<")}

NO_EXPRESSION = "the expression is empty, or its brackets or parentheses do not match"

PARENTHESES = str.maketrans("", "", "()")
"""Translation that deletes the parentheses round every application, as LRA's and S4's readers do."""


def write_released(
    preparation: Preparation, paths: Mapping[str, Path], evaluate: Callable[[Integers, Integers], Integers]
) -> tuple[str, ...]:
    """Write the three splits, each sequence ending with `<eos>`, and return notes on this copy.

    paths: by split, the files of `FILES`; evaluate: from tokens and offsets, what each sequence stands for, -1 where it
    is no expression. Raises `UserError`: a file is damaged, holds another symbol, what is no expression, or a label
    that is not its value.
    """
    shards = {split: _read(path) for split, path in paths.items()}
    for split, path in paths.items():
        _check(path, shards[split], evaluate)
    notes = []
    for split, shard in shards.items():
        preparation.write(split, 0, lambda shard=shard: shard)  # type: ignore[misc]
        notes += copy_notes(len(shard.labels), SIZES[split], f"{split} examples")
    return tuple(notes)


def _check(path: Path, shard: Shard, evaluate: Callable[[Integers, Integers], Integers]) -> None:
    """Raise `UserError` for the first row whose label is not what its expression stands for."""
    (sequences,) = shard.sequences
    values = evaluate(*sequences)
    for row in np.flatnonzero(values != shard.labels)[:1].tolist():
        value, label = int(values[row]), int(shard.labels[row])
        problem = f"the label is {label}, but the value of the expression is {value}"
        raise _wrong(path, row + 2, NO_EXPRESSION if value < 0 else problem)  # the header is line 1


def _read(path: Path) -> Shard:
    tokens, offsets, labels = bytearray(), [0], bytearray()
    for row in read_listops(path):
        tokens += bytes(_tokens(path, row))
        tokens.append(EOS)
        offsets.append(len(tokens))
        labels.append(row.target)
    return Shard((Flat(np.frombuffer(tokens, np.uint8), np.array(offsets, np.int64)),), np.frombuffer(labels, np.uint8))


def _tokens(path: Path, row: ListOpsRow) -> list[int]:
    if row.source.count("(") != row.source.count(")"):
        raise _wrong(path, row.line, NO_EXPRESSION)
    symbols = row.source.translate(PARENTHESES).split()
    try:
        return [TOKEN_OF[symbol] for symbol in symbols]
    except KeyError as error:
        problem = f"the symbol {error.args[0][:40]!r} is none of ListOps', which are {' '.join(TOKEN_OF)}"
        raise _wrong(path, row.line, problem) from error


def _wrong(path: Path, line: int, problem: str) -> UserError:
    return wrong_line(f"{path}, line {line}", problem, places.LRA_SOURCE)
