"""`python -m harness.collect SWEEP`: record the runs that ended without a word, and render the report of the rest."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from spike_ssm.harness import sweep
from spike_ssm.harness.cli import repeated_words
from spike_ssm.results.errors import exit_status


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's exit status, as that of harness.sweep."""
    return exit_status(lambda: sweep.main(repeated_words("harness.collect", __doc__ or "", "collect=true", arguments)))


if __name__ == "__main__":
    sys.exit(main())
