"""One thread count for torch and numba."""

from __future__ import annotations

import numba
import torch

import spike_ssm.models  # noqa: F401 (which finds a place for numba's kernels)


def share_threads_with_numba() -> int:
    """Let numba's parallel kernels use as many threads as torch does; returns how many. Call it before each kernel.

    The two count apart; worse, when numba starts its threads it sets OpenMP's count, which is torch's too: a process
    limited to one thread would from then on run torch on all cores.
    """
    threads = torch.get_num_threads()
    shared: int = min(threads, numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    numba.set_num_threads(shared)
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    return shared
