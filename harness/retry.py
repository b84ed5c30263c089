"""`python -m harness.retry SWEEP [key=value ...]`: run the failed runs of a sweep again, from their checkpoints."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from spike_ssm.harness.repeat import repeat


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit status, as harness.sweep does."""
    return repeat("harness.retry", __doc__ or "", "retry=true", arguments)


if __name__ == "__main__":
    sys.exit(main())
