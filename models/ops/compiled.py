"""How the CPU's kernels are compiled: by numba, once for a machine and the kernels' sources, and kept on disk.

numba's cache watches the file of the function that it keeps and no other; here it watches all files that kernels take
functions and constants from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache

_MODELS = Path(__file__).resolve().parents[1]


def fingerprint(models: Path = _MODELS) -> str:
    """A hash of all sources that kernels are made of: those in `ops` and `ssm` below `models`."""
    sources = sorted([*models.glob("ops/**/*.py"), *models.glob("ssm/**/*.py")])
    return hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()


_SOURCES = fingerprint()

kernel: Any = partial(njit, error_model="numpy")  # Python's would check every division


class _WatchingCache(FunctionCache):
    """numba's cache of one function, whose entries are of one state of all kernels' sources."""

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        return (*super()._index_key(sig, codegen), _SOURCES)  # type: ignore[no-untyped-call]


def parallel_kernel(function: Callable[..., Any]) -> Any:
    """The function, compiled to run on several threads, and kept on disk."""
    compiled: Any = njit(parallel=True, cache=True, error_model="numpy")(function)
    compiled._cache = _WatchingCache(function)  # type: ignore[no-untyped-call]
    return compiled
