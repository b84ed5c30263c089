"""ListOps as Long Range Arena released it: `basic_{train,val,test}.tsv`, read as they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from spike_ssm.harness.data.cache import Preparation
from spike_ssm.harness.data.readers import places
from spike_ssm.harness.data.readers.common import copy_notes, wrong_line
from spike_ssm.harness.data.readers.tsv import ListOpsRow, read_listops
from spike_ssm.harness.data.splits import Flat, Shard

FILES = {"train": "basic_train.tsv", "validation": "basic_val.tsv", "test": "basic_test.tsv"}
SIZES = {"train": 96_000, "validation": 2_000, "test": 2_000}

PARENTHESES = str.maketrans("", "", "()")
"""Translation that deletes the parentheses round every application, as LRA's and S4's readers do."""


def write_released(preparation: Preparation, paths: Mapping[str, Path], symbols: tuple[str, ...]) -> tuple[str, ...]:
    """Write the three splits, each sequence ending with `<eos>`, and return notes on this copy.

    paths: by split, the files of `FILES`; symbols: the symbol of each token. Raises `UserError`: a file is damaged,
    or holds another symbol.
    """
    token_of = {symbol: token for token, symbol in enumerate(symbols) if not symbol.startswith("<")}
    end = symbols.index("<eos>")
    shards = {split: _read(path, token_of, end) for split, path in paths.items()}
    notes = []
    for split, shard in shards.items():
        preparation.write(split, 0, lambda shard=shard: shard)  # type: ignore[misc]
        notes += copy_notes(len(shard.labels), SIZES[split], f"{split} examples")
    return tuple(notes)


def _read(path: Path, token_of: dict[str, int], end: int) -> Shard:
    tokens, offsets, labels = bytearray(), [0], bytearray()
    for row in read_listops(path):
        tokens += bytes(_tokens(path, row, token_of))
        tokens.append(end)
        offsets.append(len(tokens))
        labels.append(row.target)
    return Shard((Flat(np.frombuffer(tokens, np.uint8), np.array(offsets, np.int64)),), np.frombuffer(labels, np.uint8))


def _tokens(path: Path, row: ListOpsRow, token_of: dict[str, int]) -> list[int]:
    symbols = row.source.translate(PARENTHESES).split()
    try:
        return [token_of[symbol] for symbol in symbols]
    except KeyError as error:
        problem = f"the symbol {error.args[0][:40]!r} is none of ListOps', which are {' '.join(token_of)}"
        raise wrong_line(f"{path}, line {row.line}", problem, places.LRA_SOURCE) from error
