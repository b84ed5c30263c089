"""The memory that a network's steps need, in a fresh process that makes nothing else."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

import psutil
import torch

from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.system.environment import compute_with, pick_device
from spike_ssm.harness.timing.steps import Steps, some_data

MIB = 2**20


class Peak(NamedTuple):
    """Columns of `results.timing.rows.TIMING`; None: not known."""

    peak_memory_mib: float | None
    step_memory_mib: float | None


def peaks(of: Sequence[Settings]) -> list[Peak]:
    """The peak of each run, in a fresh process, two at once where they fit; unknown from one that was ended on.

    The processes come from a server that has imported all they need, and has computed nothing.
    """
    on_gpu = pick_device(of[0].device, of[0].launcher.gpus).type == "cuda"
    at_once = 1 if on_gpu else min(2, max(1, (os.cpu_count() or 1) // of[0].launcher.threads))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(at_once, context, max_tasks_per_child=1) as pool:
        waited_for = [pool.submit(_peak, settings) for settings in of]
        try:
            return [_known(each) for each in waited_for]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _known(peak: Future[Peak]) -> Peak:
    try:
        return peak.result()
    except BrokenProcessPool:
        return Peak(None, None)


def _peak(settings: Settings) -> Peak:
    """The peak of this process, which makes steps and inferences of the run."""
    compute_with(settings.launcher.threads)
    with some_data(settings) as data:
        before = psutil.Process().memory_info().rss / MIB
        steps = Steps(settings, data)
        for _ in range(2 * steps.training.batches):
            steps.train_step()
        for _ in range(steps.inferences.batches):
            steps.inference()
    if steps.device.type == "cuda":
        most = torch.cuda.max_memory_allocated(steps.device) / MIB
        return Peak(most, most)
    whole = _most_resident()
    return Peak(whole, None if whole is None else max(whole - before, 0.0) or None)


def _most_resident() -> float | None:
    """Peak of the resident set, MiB, from Linux's own count: `getrusage` would give a parent's peak to its child."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), None)
