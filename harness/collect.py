"""`python -m harness.collect SWEEP`: record the runs that ended without a word, and render the report of the rest."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from spike_ssm.harness.repeat import repeat


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit status, as harness.sweep does."""
    return repeat("harness.collect", __doc__ or "", "collect=true", arguments)


if __name__ == "__main__":
    sys.exit(main())
