"""A tiny sweep with a file of one's own, examples/config/sweep/leaks.yaml: four runs and a page.

python examples/run_a_sweep.py                                  results and page in the working directory
python examples/run_a_sweep.py paths.results=FOLDER seed=0,1    settings as on any command line

It does what `python -m harness.sweep --config-dir examples/config +sweep=leaks` does.
"""

from __future__ import annotations

import sys
from pathlib import Path

from spike_ssm.harness.sweep import main

if __name__ == "__main__":
    config = Path(__file__).resolve().parent / "config"
    sys.exit(main(["--config-dir", str(config), "+sweep=leaks", *sys.argv[1:]]))
