"""Python functions on torch's own threads."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

_Body = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def compute_together(threads: int, compute: Callable[[int, int], None]) -> None:
    """Call `compute(part, parts)` for each of the parts at the same time, as many as there are threads, 2 or more.

    Raises the first error that one of them raised.
    """
    errors: list[BaseException] = []

    def guarded(part: int, parts: int) -> None:
        try:
            compute(part, parts)
        except BaseException as error:  # which must not leave a callback
            errors.append(error)

    if (openmp := _openmp()) is not None:
        body = _Body(lambda _: guarded(openmp.omp_get_thread_num(), openmp.omp_get_num_threads()))
        openmp.GOMP_parallel(body, None, threads, 0)
    else:
        others = [_pool(threads - 1, os.getpid()).submit(guarded, part, threads) for part in range(1, threads)]
        guarded(0, threads)
        for other in others:
            other.result()
    if errors:
        raise errors[0]


@functools.cache
def _openmp() -> Any | None:
    """GNU's OpenMP as torch brings it on Linux, whose threads are torch's; None where it brings none."""
    found = sorted(Path(torch.__file__).parent.glob("lib/libgomp*.so*"))
    return ctypes.CDLL(str(found[0])) if found else None


@functools.lru_cache(maxsize=1)
def _pool(threads: int, _process: int) -> ThreadPoolExecutor:
    """Threads that wait for work; a process that was forked has its own."""
    return ThreadPoolExecutor(threads, "kernels")
