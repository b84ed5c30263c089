"""Repeating the command of a sweep from its manifest, with another word: what retry and collect do."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from spike_ssm.harness import sweep
from spike_ssm.results.errors import UserError
from spike_ssm.results.store import RESULTS, read_manifest


def repeat(program: str, description: str, word: str, arguments: Sequence[str] | None) -> int:
    """Run the sweep named by the arguments as it was run, with `word` and further settings added."""
    parser = argparse.ArgumentParser(program, description=description)
    parser.add_argument("sweep")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the results folder (%(default)s)")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="e.g. wait=false launcher.memory_gb=64")
    options = parser.parse_intermixed_args(arguments)
    results = options.results.expanduser().absolute()
    try:
        manifest = read_manifest(results, options.sweep)
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    words = shlex.split(manifest.command)[3:]  # python -m harness.sweep
    added = [*options.settings, word]
    folder = next((each.removeprefix("paths.results=") for each in words if each.startswith("paths.results=")), RESULTS)
    if Path(folder).expanduser().absolute() != results:  # the folder was moved, or this is another working directory
        added.append(f"paths.results={results}")
    changed = {each.split("=")[0] for each in added}
    return sweep.main([*(each for each in words if each.split("=")[0] not in changed), *added])
