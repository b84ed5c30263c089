"""How the CPU's kernels are compiled and run: by numba, kept on disk, on as many threads as torch has.

numba's cache watches the file of the function that it keeps and no other; here it watches all files that kernels take
functions and constants from.

The threads are Python's, and kernels let go of Python's lock: numba's own parallel loops are compiled several times
over, which takes longer than all the rest, and count threads apart from torch.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from numba import njit
from numba.core.caching import FunctionCache

_MODELS = Path(__file__).resolve().parents[1]

kernel: Any = partial(njit, error_model="numpy")  # Python's would check every division


def fingerprint(models: Path = _MODELS) -> str:
    """A hash of all sources that kernels are made of: those in `ops` and `ssm` below `models`."""
    sources = sorted([*models.glob("ops/**/*.py"), *models.glob("ssm/**/*.py")])
    return hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()


_SOURCES = fingerprint()


class _WatchingCache(FunctionCache):
    """numba's cache of one function, whose entries are of one state of all kernels' sources."""

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        return (*super()._index_key(sig, codegen), _SOURCES)  # type: ignore[no-untyped-call]


class Threaded:
    """A kernel of many groups that are independent, `function(*arguments, first, end)`, compiled and kept on disk."""

    def __init__(self, function: Callable[..., None]) -> None:
        self._compiled = kernel(function, nogil=True, cache=True)
        self._compiled._cache = _WatchingCache(function)  # type: ignore[no-untyped-call]

    def __call__(self, groups: int, least: int, *arguments: Any) -> None:
        """Compute all groups, at least `least` of them on each thread that takes part."""
        threads = max(1, min(torch.get_num_threads(), groups // max(1, least)))
        ends = [groups * part // threads for part in range(threads + 1)]
        others = [
            _pool(threads - 1, os.getpid()).submit(partial(self._compiled, *arguments, first, end))
            for first, end in pairwise(ends[1:])
        ]
        self._compiled(*arguments, 0, ends[1])
        for other in others:
            other.result()


@functools.lru_cache(maxsize=1)
def _pool(threads: int, _process: int) -> ThreadPoolExecutor:
    """Threads that wait for work; a process that was forked has its own."""
    return ThreadPoolExecutor(threads, "kernels")
