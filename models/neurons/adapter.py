"""A neuron of another library as one of ours: its module, its own surrogate gradients, in our networks and sweeps.

Known by what they have, not by name, so that neither library is needed here: SpikingJelly's modules, which have a
`step_mode` and `reset()`, and snnTorch's, which have `reset_mem()` and give (spikes, state...). Any other module must
take a sequence [L, B, H], time first, and give as much back, unless `Adapter.steps` says that it takes steps.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from spike_ssm.models.neurons.base import Neuron, NeuronSettings
from spike_ssm.models.ops.precision import without_autocast
from spike_ssm.models.recomputation import is_again


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
    steps: ClassVar[bool | None] = None  # the module takes [B, H] at each step, or else [L, B, H]; None: as it says

    def __init__(self, channels: int, settings: NeuronSettings) -> None:
        super().__init__(channels, settings)
        self.module = self.build(channels)
        if not isinstance(self.module, nn.Module):
            raise ValueError(f"{self._called}.build must give a torch module, but gave {type(self.module).__name__}.")
        kept = self.module.state_dict()
        self._unused = {name: each.clone() for name, each in self.module.named_buffers() if name not in kept}
        self._was_checked = False
        self._takes_steps()

    @abstractmethod
    def build(self, channels: int) -> nn.Module:
        """The library's module for `channels` channels, made anew; `self.settings` are the neuron's settings.

        `steps` must be set in the class for a module of yours around one of the library's that takes steps.
        """

    def forward(self, x: Tensor) -> Tensor:
        """Spikes [B, H, L] of x [B, H, L].

        Raises ValueError for a module that gives another shape, keeps state or mixes the examples of a batch.
        """
        if not x.numel():
            return x
        with without_autocast(x), self._counting_once():
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
        """Whether the module is given a step at a time. Raises ValueError where that cannot be known."""
        said = _takes_steps(self.module) if self.steps is None else self.steps
        inside = next((each for each in self.module.modules() if _takes_steps(each)), None)
        if said is None and inside is not None:
            raise ValueError(
                f"{self._called} does not say what its module takes: {type(self.module).__name__} has "
                f"{type(inside).__name__} in it, which takes a step at a time, and may go through the steps itself. "
                "Set steps = True in the class where the module is to be given [B, H] at each step, or steps = False "
                "where it is to be given [L, B, H], time first."
            )
        return bool(said)

    @contextmanager
    def _counting_once(self) -> Iterator[None]:
        """Keep buffers such as running statistics as they are where a batch is computed again for the backward."""
        modules = self.module.modules() if is_again() else ()
        kept = [(each, *buffer) for each in modules for buffer in each.named_buffers(recurse=False)]
        for owner, name, buffer in kept:
            setattr(owner, name, buffer.clone())
        try:
            yield
        finally:
            for owner, name, buffer in kept:
                setattr(owner, name, buffer)

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
            raise ValueError(
                f"{self._called} is no neuron for sequences: its module takes {self._form()}, here {list(x.shape)}, "
                f"and must give the same shape, but gave {given}."
            )
        return spikes

    def _form(self) -> str:
        return "[B, H] at each step" if self._takes_steps() else "[L, B, H], time first"

    @torch.no_grad()
    def _check(self, x: Tensor) -> None:
        """Raise ValueError where spikes depend on an earlier sequence, though state was reset, or on another example.

        A copy is asked, so that what the module counts in training has not seen these batches; and it is given strong
        input too, as a module shows no state where x is quiet.
        """
        strong = 4 * torch.randn((2, *x.shape[1:]), generator=torch.Generator().manual_seed(0)).to(x)
        some = torch.cat((x[:2], strong))
        others = torch.cat((3 * some[:-1].abs() + 1, strong[-1:]))
        copied = copy.deepcopy(self)
        with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
            once, _, again = (copied._seeded(each) for each in (some, others, some))
            copied.eval()  # in training a norm may mix examples
            beside_some, beside_others = (copied._seeded(each)[-1] for each in (some, others))
        if not _same(once, again):
            raise ValueError(
                f"{self._called} keeps state from one batch to the next: after its reset the same input gave other "
                "spikes. Its module must clear all of its state in reset() or reset_mem()."
            )
        if not _same(beside_some, beside_others):
            raise ValueError(
                f"{self._called} mixes the examples of a batch: beside others an example had other spikes. Its module "
                f"is given {self._form()}; set steps = {not self._takes_steps()} in the class if it takes the other."
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
        """Module and name of each part of the state of SpikingJelly's modules. Raises ValueError for another's."""
        for each in self.module.modules():
            if callable(named := getattr(each, "named_memories", None)):
                yield from ((each, name) for name, _ in named())
            elif _is_snntorch(each) or callable(getattr(each, "reset", None)):
                raise ValueError(f"{self._called} cannot be streamed: {type(each).__name__} in it hides its state.")


def _is_snntorch(module: nn.Module) -> bool:
    return callable(getattr(module, "reset_mem", None))


def _takes_steps(module: nn.Module) -> bool | None:
    """Whether a module takes a step at a time, as it says itself; None for one of neither library."""
    if _is_snntorch(module):
        return True
    mode = getattr(module, "step_mode", None)
    if mode is None and callable(supported := getattr(module, "supported_step_mode", None)):
        mode = "s" if "s" in supported() else "m"  # a container is not told its mode where it has only one
    return None if mode is None else mode == "s"


def _first(output: Any) -> Any:
    """The spikes, of what a module gives."""
    return output[0] if isinstance(output, tuple) else output


def _same(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)


def _at_least_single(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()
