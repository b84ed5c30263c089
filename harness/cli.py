"""What the commands that execute many runs have in common: how they read their words, and how they end."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.system.signals import Interrupted
from spike_ssm.results.errors import UserError


def run_command(
    program: str,
    description: str | None,
    arguments: Sequence[str] | None,
    run: Callable[[Composer, list[str], list[str]], int],
) -> int:
    """`run` with a composer, the words less options, and all words. Returns the command's exit status.

    Errors for people are printed and give 1. SIGTERM, with which harness.cancel asks, ends it in good order like
    Ctrl-C, with 130.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(
        program, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config-dir", type=Path, help="a folder of yours with files like sweep/NAME.yaml")
    parser.add_argument("settings", nargs="*", metavar="key=value")
    options, unknown = parser.parse_known_args(words)
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        return run(Composer(options.config_dir), [*unknown, *options.settings], words)
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, Interrupted):
        print("Stopped; jobs on SLURM go on. The same command goes on from here.", file=sys.stderr)
        return 130
