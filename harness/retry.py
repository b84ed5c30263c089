"""`python -m harness.retry SWEEP [key=value ...]`: run the failed runs of a sweep again, from their checkpoints."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from spike_ssm.harness import sweep
from spike_ssm.harness.cli import repeated_words
from spike_ssm.results.errors import exit_status


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's exit status, as that of harness.sweep."""
    return exit_status(lambda: sweep.main(repeated_words("harness.retry", __doc__ or "", "retry=true", arguments)))


if __name__ == "__main__":
    sys.exit(main())
