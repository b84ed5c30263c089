"""One of several processes that train together, for test_data_parallel.py to start.

`python train_together.py FOLDER`, with torchrun's variables set, trains what each file NAME.json there describes, in
the order of their names, and leaves NAME.RANK.pt there: the outcome, and the trainer's tensors after the first step.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from spike_ssm.harness.config.compose import settings_from_json
from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.run.process_group import ProcessGroup, assemble
from spike_ssm.harness.system.signals import Interrupted, interruptible
from spike_ssm.harness.training.checkpoint import Checkpoints
from spike_ssm.harness.training.data_parallel import Processes
from spike_ssm.harness.training.fit import Hooks, run_training
from spike_ssm.harness.training.trainer import Trainer
from spike_ssm.results.errors import sentence
from tests.harness.run.test_resume import dataset

EXAMPLES = 17  # with batches of 8: two that can be shared, and one that cannot


def after_first_step(settings: Settings, data: Dataset, processes: Processes) -> dict[str, torch.Tensor]:
    """The trainer's tensors: weights, running statistics, and a tenth of the gradients as the optimiser's moments."""

    def stop() -> None:
        raise StopIteration

    trainer = Trainer(settings, data, lambda _: None, None, processes)
    with suppress(StopIteration):
        trainer.epoch(stop)
    return {name: tensor.clone() for name, tensor in trainer.state().tensors.items()}


class Accident:
    """What happens to one of the processes after some step."""

    def __init__(self, kind: str, rank: int, step: int) -> None:
        self.kind, self.rank, self.step = kind, rank, step

    def happen(self, rank: int) -> None:
        self.step -= 1
        if self.step or rank != self.rank:
            return
        if self.kind == "error":
            raise ValueError("The sky has fallen.")
        os.kill(os.getpid(), signal.Signals[self.kind])


def train(settings: Settings, data: Dataset, group: ProcessGroup, folder: Path, accident: Accident) -> dict[str, Any]:
    checkpoints = Checkpoints(folder, settings.run_id()) if group.leads else None
    with interruptible():
        return run_training(
            settings,
            data,
            Hooks(lambda _: accident.happen(group.rank)),
            checkpoints=checkpoints,
            every_s=0,
            together=group.together(),
        )


def outcome(case: dict[str, Any], group: ProcessGroup, folder: Path) -> dict[str, Any]:
    settings, data = settings_from_json(case["settings"]), dataset(case["kind"], EXAMPLES)
    meet = (lambda: group.call("")) if group.leads else group.called
    try:
        if case["accident"] is not None:
            meet()
            with suppress(Interrupted):
                train(settings, data, group, folder, Accident(*case["accident"]))
                return {"said": "nothing happened"}
        meet()
        with group.together() as processes:
            first = after_first_step(settings, data, processes)
        meet()
        return {"first": first, "run": train(settings, data, group, folder, Accident("none", 0, 0)), "said": None}
    except Exception as error:
        return {"said": sentence(error)}


def main() -> None:
    torch.set_num_threads(1)
    folder, group = Path(sys.argv[1]), assemble()
    for path in sorted(folder.glob("*.json")):
        found = outcome(json.loads(path.read_text()), group, folder / path.stem)
        torch.save(found, folder / f"{path.stem}.{group.rank}.pt")


if __name__ == "__main__":
    main()
