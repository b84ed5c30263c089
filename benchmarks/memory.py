"""Peak memory of one forward and backward pass, beyond what nobody can do without.

`python -m benchmarks.memory SOLVER BATCH CHANNELS LENGTH` prints, in sizes of the input, the peak of the resident set
less input, incoming gradient, output and returned gradients. It runs in a process of its own, because a peak cannot
be measured twice, and without the settings that make a process keep freed memory.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil

from benchmarks.cases import Case, Pass, both, spikingjelly_both
from spike_ssm.harness.system.environment import KEEP_MEMORY, compute_with


def beyond_input_and_output(candidate: str, case: Case) -> float:
    """Peak memory in sizes of the input, measured in a new process; `candidate` is a solver or `spikingjelly`."""
    words = [candidate, *(str(size) for size in (case.batch, case.channels, case.length))]
    environment = {name: value for name, value in os.environ.items() if name not in KEEP_MEMORY}
    command = [sys.executable, "-m", "benchmarks.memory", *words]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return float(done.stdout)


def _pass(candidate: str, case: Case) -> Pass:
    return spikingjelly_both(case) if candidate == "spikingjelly" else both(case, candidate)


def _peak_bytes() -> int:
    """Peak of the resident set, bytes, from Linux's own count: `getrusage` would give a parent's peak to its child."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


def main() -> None:
    """Measure in this process, and print the peak in sizes of the input."""
    candidate, *sizes = sys.argv[1:]
    compute_with(2)
    _pass(candidate, Case(2, 2, 64))()  # compiles, starts threads
    batch, channels, length = (int(size) for size in sizes)
    case = Case(batch, channels, length)
    run = _pass(candidate, case)
    case.grad  # noqa: B018 - made now, to be counted as given
    before = psutil.Process().memory_info().rss
    returned = run()
    size = case.x.element_size() * case.x.numel()
    assert isinstance(returned, tuple)
    spikes_and_gradients = size + sum(grad.element_size() * grad.numel() for grad in returned)
    print((_peak_bytes() - before - spikes_and_gradients) / size)


if __name__ == "__main__":
    main()
