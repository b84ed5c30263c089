"""Time and memory that training takes."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psutil
import torch


@dataclass
class Stretch:
    """What a stretch of steps took."""

    steps: int = 0
    examples: int = 0
    tokens: int = 0
    seconds: float = 0.0


class Stopwatch:
    """Time, examples and tokens of a stretch of steps, added to `stretch`. The first `warmup` steps are left out."""

    def __init__(self, device: torch.device, warmup: int = 0, stretch: Stretch | None = None) -> None:
        self.stretch = stretch or Stretch()
        self._device = device
        self._warmup = warmup
        self._started = 0.0

    def start(self) -> None:
        """A step begins."""
        self._wait()
        self._started = time.perf_counter()

    def stop(self, examples: int, tokens: int) -> None:
        """The step is over; it held so many examples and real tokens."""
        self._wait()
        if self._warmup > 0:
            self._warmup -= 1
            return
        self.stretch.seconds += time.perf_counter() - self._started
        self.stretch.steps += 1
        self.stretch.examples += examples
        self.stretch.tokens += tokens

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def rates(self) -> dict[str, float | None]:
        """`samples_per_s`, `tokens_per_s` and `ms_per_step`; nulls when every step was warm-up."""
        taken = self.stretch
        if not taken.seconds:
            return dict.fromkeys(("samples_per_s", "tokens_per_s", "ms_per_step"))
        return {
            "samples_per_s": taken.examples / taken.seconds,
            "tokens_per_s": taken.tokens / taken.seconds,
            "ms_per_step": 1e3 * taken.seconds / taken.steps,
        }


def memory_mib(device: torch.device) -> float:
    """Memory in use now on the CPU (resident set), the peak so far on a GPU (allocator), MiB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return float(psutil.Process().memory_info().rss) / 2**20
