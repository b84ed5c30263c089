"""torch and numba share one thread count; a numba kernel must not change torch's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_a_process_limited_to_one_thread_stays_at_one_after_a_task_is_generated() -> None:
    script = (
        "import torch; torch.set_num_threads(1)\n"
        "from spike_ssm.harness.data.tasks.listops import ListOpsSettings\n"
        "from spike_ssm.harness.data.tasks.listops_examples import generate\n"
        "generate(ListOpsSettings(train=2, validation=1, test=1, min_length=3, max_length=20))\n"
        "import numba; print(torch.get_num_threads(), numba.get_num_threads())"
    )
    shown = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    assert shown.stdout.split() == ["1", "1"]
