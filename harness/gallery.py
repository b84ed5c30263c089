"""`python -m harness.gallery`: draws docs/neurons/NAME.svg, every neuron's potential and spikes on the same input.

Every neuron has the settings of its YAML, one channel, and thresholds as they are before training.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from spike_ssm.harness.cli import work_of
from spike_ssm.harness.system.root import ROOT

FOLDER = ROOT / "docs" / "neurons"


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw every registered neuron."""
    parser = argparse.ArgumentParser("harness.gallery", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder for NAME.svg")
    options = parser.parse_args(arguments)
    work_of("harness.gallery")(options.out)


if __name__ == "__main__":
    main()
