"""Several processes that train one network together: each computes a part of every batch.

All of them hold the same weights and draw the same batches, and they add up their gradients, so that each step is the
one that a single process would make with the whole batch, up to rounding; only what is drawn at random for an example
(dropout, stochastic spikes) comes from other numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed
from torch import nn

from spike_ssm.harness.data.splits import Batch
from spike_ssm.harness.system.signals import SIGNALS, Interrupted, received
from spike_ssm.models.distributed import shared_batch

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """The processes of torch.distributed's default group, and which of them this one is; one alone needs no group."""

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that keeps checkpoints, tests and stores the result."""
        return self.rank == 0

    @property
    def stream(self) -> tuple[int, ...]:
        """What tells this process's random numbers from those of the others."""
        return (self.rank,) if self.count > 1 else ()

    @contextmanager
    def sharing(self, batch: Batch) -> Iterator[tuple[Batch, float]]:
        """This process's part of `batch`, and its weight: so weighted, the parts' means add up to that of the batch.

        A batch with fewer examples than there are processes is not divided: each computes all of it.
        """
        if len(batch.examples) < self.count or self.count == 1:
            yield batch, 1 / self.count
        else:
            part = batch.part(self.rank, self.count)
            with shared_batch():
                yield part, part.targets / max(batch.targets, 1)

    def sum(self, *values: float) -> list[float]:
        """Each value summed over the processes."""
        if self.count == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64)
        torch.distributed.all_reduce(total)
        return total.tolist()

    def gather(self, pieces: list[T]) -> list[T]:
        """The pieces of all processes, those of the first one first."""
        if self.count == 1:
            return pieces
        gathered: list[list[T]] = [[] for _ in range(self.count)]
        torch.distributed.all_gather_object(gathered, pieces)
        return [piece for some in gathered for piece in some]

    def from_first(self, value: T) -> T:
        """What the first process has."""
        if self.count == 1:
            return value
        values = [value]
        torch.distributed.broadcast_object_list(values, src=0)
        return values[0]

    def stop_together(self) -> None:
        """Raise `Interrupted` in all processes when one of them has been asked to stop."""
        asked = received()
        for number, processes in zip(SIGNALS, self.sum(*(float(asked == number) for number in SIGNALS)), strict=True):
            if processes:
                raise Interrupted(number)

    @torch.no_grad()
    def take_weights_of_first(self, network: nn.Module) -> None:
        """Give all processes the parameters and buffers of the first one."""
        if self.count > 1:
            for tensor in (*network.parameters(), *network.buffers()):
                torch.distributed.broadcast(tensor, src=0)

    @torch.no_grad()
    def add_up_gradients(self, network: nn.Module) -> None:
        """Replace every gradient by its sum over the processes; one that no process has stays None."""
        if self.count == 1:
            return
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        known = self.sum(*(float(parameter.grad is not None) for parameter in parameters))
        wanted = [parameter for parameter, processes in zip(parameters, known, strict=True) if processes]
        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in wanted]
        total = torch.cat([gradient.reshape(-1) for gradient in gradients])
        torch.distributed.all_reduce(total)
        for parameter, piece in zip(wanted, total.split([each.numel() for each in wanted]), strict=True):
            parameter.grad = piece.view_as(parameter)


ALONE = Processes()

BY_ITSELF: AbstractContextManager[Processes] = nullcontext(ALONE)
"""What a single process trains in."""
