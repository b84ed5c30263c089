"""Trained networks that come with the package read digits: a spiking one, one with refractoriness, and a dense one.

python examples/use_pretrained_networks.py [CACHE]        CACHE: a folder for the prepared data
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from spike_ssm import load_pretrained, pretrained
from spike_ssm.harness.data.tasks.mnist_digits import MnistDigits


def main(cache: Path) -> None:
    """Print what each network of `mnist_digits` makes of 500 digits that it was not trained on."""
    for name in pretrained():
        if not name.startswith("mnist_digits/"):
            continue
        run = load_pretrained(name)
        digits = MnistDigits(replace(run.settings.task, further=0)).prepare(cache, cache).test
        right = (run.predict(digits) == digits.labels).mean()
        rate = run.rows["firing_rate"].iloc[0]
        fires = "has no spikes" if rate is None else f"fires at {rate:.1%} of the steps"
        print(f"{name:28} {right:.1%} right of {len(digits)}, {fires}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(Path(folder))
