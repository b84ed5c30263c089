"""torch and numba share one thread count; a numba kernel must not change torch's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_process_limited_to_one_thread_stays_at_one_after_a_fused_call() -> None:
    script = (
        "import torch; torch.set_num_threads(1)\n"
        "from spike_ssm.models.ops.refractory_lif import refractory_lif\n"
        "refractory_lif(torch.randn(2, 3, 40), 0.5, 1.0, 0.5, 0.5, solver='fused')\n"
        "import numba; print(torch.get_num_threads(), numba.get_num_threads())"
    )
    shown = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    assert shown.stdout.split() == ["1", "1"]
