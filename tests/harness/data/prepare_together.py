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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--companions", type=int, default=1)
    parser.add_argument("--stop-in", type=int)
    options = parser.parse_args()

    def make(number: int) -> Shard:
        note(options.folder, f"shard-{number}")
        while noted(options.folder).count("wanted") < options.companions or number == options.stop_in:
            time.sleep(0.01)
        return shard(number)

    def build(preparation: Preparation) -> dict[str, Any]:
        note(options.folder, "build")
        for number in range(SHARDS):
            preparation.write("train", number, lambda number=number: make(number))
        return {"shards": SHARDS}

    note(options.folder, "wanted")
    found = prepared(options.folder, build)
    (sequences,) = found.sequences["train"]
    digest = hashlib.sha256(b"".join(sequence.tobytes() for sequence in sequences)).hexdigest()
    print(digest, found.labels["train"].tolist(), found.facts)


if __name__ == "__main__":
    main()
