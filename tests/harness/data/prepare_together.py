"""A data set of four shards, for test_cache.py to prepare in processes of its own.

`python prepare_together.py FOLDER [--companions N] [--stop-in SHARD]` prepares it and prints what it opened. Builds and
shards are noted, as they begin, in the file `noted` beside FOLDER. The first shard waits until N processes want the
data set; shard SHARD waits to be killed.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np

from spike_ssm.harness.data.cache import Preparation, Shard, prepared
from spike_ssm.harness.data.splits import Flat

SHARDS = 4
TOKENS = 2**22  # of each shard, so that writing it takes a while


def note(folder: Path, word: str) -> None:
    with (folder.parent / "noted").open("a") as file:
        file.write(f"{word}\n")


def noted(folder: Path) -> list[str]:
    return (folder.parent / "noted").read_text().split()


def shard(number: int) -> Shard:
    tokens = np.full(TOKENS, number + 1, np.uint8)
    return Shard((Flat(tokens, np.array([0, 10, TOKENS])),), np.array([number, 10 * number], np.uint8))


def prepare(folder: Path, companions: int = 1, stop_in: int | None = None) -> str:
    """Prepare the data set in `folder`; what was opened."""

    def make(number: int) -> Shard:
        note(folder, f"shard-{number}")
        while noted(folder).count("wanted") < companions or number == stop_in:
            time.sleep(0.01)
        return shard(number)

    def build(preparation: Preparation) -> dict[str, Any]:
        note(folder, "build")
        for number in range(SHARDS):
            preparation.write("train", number, lambda number=number: make(number))
        return {"shards": SHARDS}

    note(folder, "wanted")
    found = prepared(folder, build)
    (sequences,) = found.sequences["train"]
    digest = hashlib.sha256(b"".join(sequence.tobytes() for sequence in sequences)).hexdigest()
    return f"{digest} {found.labels['train'].tolist()} {found.facts}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--companions", type=int, default=1)
    parser.add_argument("--stop-in", type=int)
    options = parser.parse_args()
    print(prepare(options.folder, options.companions, options.stop_in))


if __name__ == "__main__":
    main()
