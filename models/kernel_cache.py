"""A place for compiled kernels when neither this package's folder nor the user's home can be written to.

numba keeps them beside their sources, else in the user's cache folder, and fails where it can write to neither.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import platformdirs

SOURCES = Path(__file__).resolve().parent / "ops"


def keep_kernels() -> None:
    """Name numba a temporary folder of the user's own where it has no other; processes started from here share it."""
    if "NUMBA_CACHE_DIR" in os.environ:
        return
    if not any(map(_is_writable, (SOURCES / "__pycache__", Path(platformdirs.user_cache_dir("numba"))))):
        folder = os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(prefix="spike-ssm-kernels-")
        if "numba" in sys.modules:  # which has read its environment
            sys.modules["numba"].config.CACHE_DIR = folder


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True
