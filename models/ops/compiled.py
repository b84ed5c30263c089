"""How the CPU's kernels are compiled and run: by numba, kept on disk, on as many threads as torch has.

numba's cache watches the file of the function that it keeps and no other; here it watches all files that kernels take
functions and constants from.

Kernels let go of Python's lock and run on torch's threads. numba's own parallel loops are compiled several times over,
which takes longer than all the rest; and threads of another library would have to share the cores with torch's, which
spin for a while after each operator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numba import njit
from numba.core.caching import FunctionCache
from torch import Tensor

from spike_ssm.models.ops.threads import compute_together

WORTH = 16_384
"""Numbers of an input for which it is worth to start a thread."""

_MODELS = Path(__file__).resolve().parents[1]
_FOLDERS = ("ops", "ssm", "mixing")

kernel: Any = partial(njit, error_model="numpy")  # Python's would check every division
reduction: Any = partial(kernel, fastmath={"reassoc"})
"""A kernel whose sums may be taken in the order that suits a processor's vectors: in single precision, too, as exact as
a sum of as many shorter ones."""


def fingerprint(models: Path = _MODELS) -> str:
    """A hash of all sources that kernels are made of: those in `_FOLDERS` below `models`."""
    sources = sorted(source for folder in _FOLDERS for source in models.glob(f"{folder}/**/*.py"))
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

        def compute(part: int, parts: int) -> None:
            self._compiled(*arguments, groups * part // parts, groups * (part + 1) // parts)

        if threads == 1:
            compute(0, 1)
        else:
            compute_together(threads, compute)


def groups_of(x: Tensor, rows: int) -> tuple[int, int]:
    """Groups of so many rows of x [B, H, L], and how many one thread has to have to be worth starting."""
    return -(-x.shape[0] * x.shape[1] // rows), -(-WORTH // (rows * x.shape[2]))


def array_of(values: Tensor) -> np.ndarray:
    """Values in the order of their indices as numpy has them; the same memory, if they lie in it like that."""
    return np.ascontiguousarray(values.numpy(force=True))


def parts_of(numbers: Tensor) -> np.ndarray:
    """Numbers [...] as `array_of` has them, but [..., 2] if complex, real and imaginary parts, and otherwise [..., 1].

    So a kernel is compiled once for both.
    """
    array = array_of(numbers)
    return array.view(array.real.dtype).reshape(*array.shape, 1 + numbers.is_complex())
