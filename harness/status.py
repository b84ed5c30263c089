"""`python -m harness.status SWEEP`: how the runs of a sweep stand, from any terminal, while it runs and afterwards.

    python -m harness.status                        all sweeps, a line each
    python -m harness.status ablation_refractory    one sweep: counts, what runs, what failed and why
    python -m harness.status NAME --all             every run
    python -m harness.retry NAME                    failed and stopped runs again, alone
    python -m harness.cancel NAME                   end its jobs; runs keep their checkpoints
    python -m harness.collect NAME                  record what has ended and render the report

retry, cancel and collect take the only sweep there is where none is named. The states come from files in the results
folder and from SLURM, so nothing is lost with a terminal.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from spike_ssm.harness.state.decided import next_and_decided
from spike_ssm.harness.state.learned import as_it_runs, of_finished
from spike_ssm.harness.state.survey import STATES, RunState, Survey
from spike_ssm.results.errors import exit_status
from spike_ssm.results.schema import Manifest, run_label
from spike_ssm.results.store import RESULTS, read_manifest, read_manifests, results_folder


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's exit status: 1 when a run has failed or cannot be told of, or there is no such sweep."""
    parser = argparse.ArgumentParser(
        "harness.status", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sweep", nargs="?", help="its name; all sweeps without")
    parser.add_argument("--results", type=results_folder, default=str(RESULTS), help="the results folder (%(default)s)")
    parser.add_argument("--all", action="store_true", help="list every run, not only those that run or failed")
    options = parser.parse_args(arguments)

    def show() -> int:
        if options.sweep is None:
            return _show_all(options.results)
        return _show(read_manifest(options.results, options.sweep), options.results, options.all)

    return exit_status(show)


def _show_all(results: Path) -> int:
    manifests, errors = read_manifests(results)
    if not manifests and not errors:
        print(f"No sweep has been run in {results}.")
    failed = bool(errors)
    for manifest in manifests:
        states = Survey(results, [run.id for run in manifest.runs]).states()
        failed |= any(state.has_failed or state.is_unreadable for state in states.values())
        print(f"{manifest.name} ({manifest.scale}): {counts(states)}")
    for error in errors:
        print(f"Error: {error}", file=sys.stderr)
    return 1 if failed else 0


def _show(manifest: Manifest, results: Path, every: bool) -> int:
    states = Survey(results, [run.id for run in manifest.runs]).states()
    for run in manifest.runs:
        state = states[run.id]
        if every or state.begun or state.status in ("running", "preempted", "unknown") or state.has_failed:
            label = run_label(run.axes.get("task"), run.variant, run.seed)
            learned = of_finished(results, run.id) if state.status == "done" else ""
            print(f"{run.id}  {label}: {_line(state, learned)}")
    _, decided = next_and_decided(results, manifest)
    left = {run_id: state for run_id, state in states.items() if run_id not in decided}
    not_run = f", {len(decided)} not run: decided" if decided else ""
    print(f"{manifest.title} ({manifest.scale}): {counts(left)}{not_run}")
    return 1 if any(state.has_failed or state.is_unreadable for state in states.values()) else 0


def counts(states: dict[str, RunState]) -> str:
    """How many runs are in which state, in words."""
    count: Counter[str] = Counter(state.status for state in states.values())
    stopped = sum(state.begun for state in states.values())
    words = {state: f"{count[state]} {state}" for state in STATES if count[state]}
    if stopped:
        words["waiting"] += f" ({stopped} of them stopped)"
    return f"{len(states)} runs: {', '.join(words.values())}"


def _line(state: RunState, learned: str) -> str:
    words: list[str] = [state.status]
    if state.begun:
        words.append("stopped, goes on from its checkpoint")
    if state.progress:
        words.append(f"{state.progress['done']:.0%} of the training")
        learned = as_it_runs(state.progress)
    words += [text for text in (state.measure, learned, state.error) if text]
    return ", ".join(words)


if __name__ == "__main__":
    sys.exit(main())
