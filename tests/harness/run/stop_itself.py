"""A run that is stopped by a signal, for test_resume.py to start in processes of its own.

`python stop_itself.py SETTINGS FOLDER CACHE SIGNAL STEP` trains on ListOps with checkpoints in FOLDER, one after every
step, and sends itself SIGNAL, by its name, when it has done STEP steps.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch

from spike_ssm.harness.config.compose import settings_from_json
from spike_ssm.harness.data.tasks.listops import ListOps
from spike_ssm.harness.system.signals import interruptible
from spike_ssm.harness.training.checkpoint import Checkpoints
from spike_ssm.harness.training.fit import Hooks, run_training
from spike_ssm.harness.training.trainer import Progress


def main() -> None:
    settings, folder, cache, number, last = settings_from_json(sys.argv[1]), *sys.argv[2:6]
    torch.set_num_threads(1)
    data = ListOps(settings.task).prepare(Path(cache), Path(cache))
    steps = 0

    def stop(progress: Progress) -> None:
        nonlocal steps
        steps += 1
        if steps == int(last):
            os.kill(os.getpid(), signal.Signals[number])

    with interruptible():
        run_training(settings, data, Hooks(stop), checkpoints=Checkpoints(Path(folder), settings.run_id()), every_s=0)


if __name__ == "__main__":
    main()
