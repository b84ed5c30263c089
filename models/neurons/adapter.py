"""A neuron of another library as one of ours: its module, its own surrogate gradients, in our networks and sweeps.

Known by what they have, not by name, so that neither library is needed here: SpikingJelly's modules, which have a
`step_mode` and `reset()`, and snnTorch's, which have `reset_mem()` and give (spikes, state...). Any other module must
take a sequence [L, B, H], time first, and give as much back.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from spike_ssm.models.neurons.base import Neuron, NeuronSettings
from spike_ssm.models.ops.precision import without_autocast


class State(tuple[Tensor, ...]):
    """The parts [B, H] of a neuron's state between two steps."""

    def __new__(cls, *parts: Tensor) -> State:
        """The state of these parts, given one by one as to a named tuple."""
        return super().__new__(cls, parts)


class Adapter(Neuron):
    """A neuron that another library computes; a subclass says by `build` which.

    Its state is reset before every sequence, and dropped after it. Half precision is computed in float32. It has no
    threshold that the network could set, and its potential counts as unknown.
    """

    operations: ClassVar[tuple[float, float]] = (1.0, 0.0)  # as a LIF neuron's leak; see `operations_per_step`

    def __init__(self, channels: int, settings: NeuronSettings) -> None:
        super().__init__(channels, settings)
        self.module = self.build(channels)
        if not isinstance(self.module, nn.Module):
            raise ValueError(f"{self._called}.build must give a torch module, but gave {type(self.module).__name__}.")
        kept = self.module.state_dict()
        self._unused = {name: each.clone() for name, each in self.module.named_buffers() if name not in kept}
        self._was_checked = False

    @abstractmethod
    def build(self, channels: int) -> nn.Module:
        """The library's module for `channels` channels, made anew; `self.settings` are the neuron's settings."""

    def forward(self, x: Tensor) -> Tensor:
        """Spikes [B, H, L] of x [B, H, L]. Raises ValueError for a module that gives another shape, or keeps state."""
        if not x.numel():
            return x
        with without_autocast(x):
            single = _at_least_single(x)
            if not self._was_checked:
                self._check(single.detach())
            return self._sequence(single).to(x.dtype)

    @torch.no_grad()
    def step(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Spikes [B, H] of one time step x [B, H], and the next state; what `forward` gives.

        Raises ValueError for a module that takes whole sequences, or hides its state.
        """
        if not self._takes_steps():
            raise ValueError(f"{self._called} cannot be streamed: its module takes whole sequences.")
        with without_autocast(x):
            self._reset()
            try:
                spikes, after = self._stepped(_at_least_single(x), state)
            finally:
                self._reset()
        return spikes.to(x.dtype), after

    @torch.no_grad()
    def potential(self, x: Tensor) -> Tensor:
        """The output [B, H, L], as that of a neuron whose potential is not known."""
        return self(x).detach()  # type: ignore[no-any-return]

    def parameter_summary(self) -> dict[str, float]:
        """Nothing: what its parameters mean is the library's."""
        return {}

    def operations_per_step(self) -> tuple[float, float]:
        """`operations`: (multiply-accumulates, accumulates) per channel and time step, which a subclass sets."""
        return self.operations

    @property
    def _called(self) -> str:
        return f"{type(self).__module__}.{type(self).__name__}"

    def _takes_steps(self) -> bool:
        return any(_is_snntorch(each) or getattr(each, "step_mode", "") == "s" for each in self.module.modules())

    def _sequence(self, x: Tensor) -> Tensor:
        """Spikes of a sequence, from a state that is reset to one that is."""
        self._reset()
        try:
            if self._takes_steps():
                outputs = [self._shaped(_first(self.module(x_t)), x_t) for x_t in x.unbind(-1)]
                return torch.stack(outputs, -1)
            return self._shaped(_first(self.module(time_first := x.movedim(-1, 0))), time_first).movedim(0, -1)
        finally:
            self._reset()

    def _shaped(self, spikes: Any, x: Tensor) -> Tensor:
        """The spikes, where they are of x's shape. Raises ValueError."""
        if not isinstance(spikes, Tensor) or spikes.shape != x.shape:
            given = list(spikes.shape) if isinstance(spikes, Tensor) else type(spikes).__name__
            form = "[B, H] at each step" if x.ndim == 2 else "[L, B, H], time first"
            raise ValueError(
                f"{self._called} is no neuron for sequences: its module takes {form}, here {list(x.shape)}, and must "
                f"give the same shape, but gave {given}."
            )
        return spikes

    @torch.no_grad()
    def _check(self, x: Tensor) -> None:
        """Raise ValueError where the spikes of a sequence depend on one that came before, though state was reset."""
        some = x[:2]
        devices = [x.device] if x.is_cuda else []
        with torch.random.fork_rng(devices=devices):
            once, _, again = (self._seeded(each) for each in (some, 3 * some.abs() + 1, some))
        if not torch.equal(once, again):
            raise ValueError(
                f"{self._called} keeps state from one batch to the next: after its reset the same input gave other "
                "spikes. Its module must clear all of its state in reset() or reset_mem()."
            )
        self._was_checked = True

    def _seeded(self, x: Tensor) -> Tensor:
        torch.manual_seed(0)
        return self._sequence(x)

    def _reset(self) -> None:
        for each in self.module.modules():
            if _is_snntorch(each):
                each.reset_mem()  # type: ignore[operator]
            elif callable(reset := getattr(each, "reset", None)):
                reset()
        for name, unused in self._unused.items():  # state that is a buffer has its first shape again, without a batch
            owner, _, label = name.rpartition(".")
            setattr(self.module.get_submodule(owner), label, unused.to(self.module.get_buffer(name).device))

    def _stepped(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        if _is_snntorch(self.module):
            return self._stepped_with_arguments(x, state)
        memories = list(self._memories())
        for (module, name), value in zip(memories, state or (), strict=False):
            setattr(module, name, value)
        spikes = self._shaped(_first(self.module(x)), x)
        parts = [getattr(module, name) for module, name in memories]
        if not parts or not all(isinstance(part, Tensor) for part in parts):
            raise ValueError(f"{self._called} cannot be streamed: its module does not show its state as tensors.")
        return spikes, State(*parts)

    def _stepped_with_arguments(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """A step of an snnTorch module, which takes its state and gives the next behind the spikes."""
        if getattr(self.module, "init_hidden", False):
            raise ValueError(f"{self._called} cannot be streamed: its module hides its state; build it without that.")
        fresh = self.module.reset_mem()  # type: ignore[operator]
        parts = len(fresh) if isinstance(fresh, tuple) else 1
        outputs = self.module(x, *(state or ()))
        return self._shaped(outputs[0], x), State(*outputs[-parts:])

    def _memories(self) -> Iterator[tuple[nn.Module, str]]:
        """Module and name of each part of the state of SpikingJelly's modules."""
        for each in self.module.modules():
            if callable(named := getattr(each, "named_memories", None)):
                yield from ((each, name) for name, _ in named())


def _is_snntorch(module: nn.Module) -> bool:
    return callable(getattr(module, "reset_mem", None))


def _first(output: Any) -> Any:
    """The spikes, of what a module gives."""
    return output[0] if isinstance(output, tuple) else output


def _at_least_single(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()
