"""The process that writes a sweep's page while its runs go on, beside them and after them in the queue for processors.

It ends when it is told to, and when the sweep that started it is gone.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from spike_ssm.harness.system.signals import stop_with
from spike_ssm.results.errors import exit_status
from spike_ssm.results.process import Process

NICENESS = 5


def main(arguments: Sequence[str]) -> int:
    """The exit status; arguments: the sweep's process as a token, its name, the folders of results and reports."""
    token, name, results, out = arguments
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # what is half written is cleared away
    os.nice(NICENESS)
    if (sweep := Process.from_token(token)) is not None:
        stop_with(sweep)
    from spike_ssm.reports.pages.sweep import follow_report  # plotting libraries, once nobody waits for them
    from spike_ssm.reports.render.files import FORMATS

    def write() -> int:
        follow_report(name, Path(results), Path(out), FORMATS, lambda *_: None)
        return 0

    return exit_status(write)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
