"""The place of this code: a checkout, or the folder that pip installed it into."""

from __future__ import annotations

import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds harness/, models/, reports/, results/ and sweeps/: a checkout, or the installed package."""

SEARCH_PATH = ROOT / "src" if (ROOT / "src" / "spike_ssm").is_dir() else ROOT.parent
"""The folder from which `import spike_ssm` takes this very code."""


def source_files(*patterns: str) -> list[Path]:
    """Files below `ROOT` that match one of the glob `patterns`, sorted.

    Raises `FileNotFoundError` for a pattern that matches nothing: a fingerprint of no files would fit any code.
    """
    found: set[Path] = set()
    for pattern in patterns:
        matching = set(ROOT.glob(pattern))
        if not matching:
            raise FileNotFoundError(
                f"No file in {ROOT} matches {pattern}: a source was moved or left out of a package."
            )
        found |= matching
    return sorted(found)


def fingerprint(*patterns: str) -> str:
    """Twelve hexadecimal digits, a hash of paths and content of `source_files`, whether committed or not."""
    digest = hashlib.sha256()
    for path in source_files(*patterns):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]
