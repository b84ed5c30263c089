"""`python -m harness.retry SWEEP [key=value ...]`: run again what failed or was stopped, from its checkpoints.

Runs that were never begun are left alone, and counted; the sweep's own command runs them too.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from spike_ssm.harness import sweep
from spike_ssm.harness.cli import repeated_words
from spike_ssm.results.errors import exit_status


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's exit status, as that of harness.sweep."""
    return exit_status(lambda: sweep.main(repeated_words("harness.retry", __doc__ or "", "retry=only", arguments)))


if __name__ == "__main__":
    sys.exit(main())
