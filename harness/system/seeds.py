"""Separate seeded streams, so that variants with one seed see the same batches and start from the same weights."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

STREAMS = {"initialisation": 0, "order": 1, "noise": 2, "evaluation": 3, "corruption": 4}
"""Stream name -> its number. Data has a seed of its own, in the task's settings: the same for every run."""


def _generator(seed: int, stream: str, *position: int) -> np.random.Generator:
    return np.random.default_rng([seed, STREAMS[stream], *position])


def seed_torch(seed: int, stream: str, *position: int) -> None:
    """Seed torch's global generator for `stream` at `position`, such as (epoch, step)."""
    torch.manual_seed(_seed(seed, stream, *position))


def torch_generator(seed: int, stream: str, *position: int) -> torch.Generator:
    """A generator of its own on the CPU for `stream` at `position`; torch's global one is left alone."""
    return torch.Generator().manual_seed(_seed(seed, stream, *position))


def _seed(seed: int, stream: str, *position: int) -> int:
    return int(_generator(seed, stream, *position).integers(2**63 - 1))


def epoch_order(seed: int, epoch: int, examples: int) -> npt.NDArray[np.int64]:
    """The order [examples] in which epoch `epoch` visits the training examples."""
    return _generator(seed, "order", epoch).permutation(examples)
