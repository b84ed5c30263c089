"""`python -m benchmarks.finishing FOLDER ID...`: results of runs that end at one moment, written by one process.

Says `ready`, waits for a line, and writes. It is one of several, so it imports no more than it needs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from spike_ssm.results.store import write_run

EPOCHS = 40
TEST_EXAMPLES = 500


def finished_row(run_id: str) -> dict[str, Any]:
    """A done run's row with the history and predictions of a small run."""
    names = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate", "seconds")
    return {
        "id": run_id,
        "status": "done",
        "test_accuracy": 0.5,
        "epochs": [{"epoch": epoch, **dict.fromkeys(names, 1 / epoch)} for epoch in range(1, EPOCHS + 1)],
        "predictions": [{"example": i, "label": 0, "prediction": i % 2, "score": 0.5} for i in range(TEST_EXAMPLES)],
    }


def main() -> None:
    """Say `ready`, wait for a line, and write the results."""
    folder, *run_ids = sys.argv[1:]
    rows = [finished_row(run_id) for run_id in run_ids]
    print("ready", flush=True)
    sys.stdin.readline()
    for row in rows:
        write_run(Path(folder), row)


if __name__ == "__main__":
    main()
