"""Cases that are timed: inputs of one size, one pass over them, and the peers' way of doing the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from spike_ssm.models.ops.refractory_lif import Options, Rules, refractory_lif, solve

LEAK, THRESHOLD, REFRACTORY, DECAY = 0.5, 1.0, 0.5, 0.5

Pass = Callable[[], object]


@dataclass(frozen=True)
class Case:
    """Gaussian input [batch, channels, length] and the refractory neuron's parameters, float32, on `device`."""

    batch: int
    channels: int
    length: int
    device: str = "cpu"

    @property
    def elements(self) -> int:
        """Number of elements of the input, B * H * L."""
        return self.batch * self.channels * self.length

    @cached_property
    def x(self) -> Tensor:
        """Input [B, H, L] of standard deviation 0.9, which makes the neuron fire at about 10 % of the steps."""
        return 0.9 * self._normal(0)

    @cached_property
    def grad(self) -> Tensor:
        """Gradient [B, H, L] that arrives at the spikes."""
        return self._normal(1)

    @cached_property
    def parameters(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Parameters leak, threshold, refractory magnitude and decay, each [channels]."""
        leak, threshold, refractory, decay = (
            torch.full((self.channels,), value, device=self.device) for value in (LEAK, THRESHOLD, REFRACTORY, DECAY)
        )
        return leak, threshold, refractory, decay

    def _normal(self, stream: int) -> Tensor:
        generator = torch.Generator(self.device).manual_seed(2 * self.length + stream)
        shape = (self.batch, self.channels, self.length)
        return torch.randn(shape, generator=generator, device=self.device)

    def leaves(self) -> list[Tensor]:
        """Leaves x and the four parameters, each of which requires a gradient."""
        return [tensor.clone().requires_grad_() for tensor in (self.x, *self.parameters)]


def forward(case: Case, solver: str) -> Pass:
    """Pass of our neuron in inference."""

    def run() -> None:
        with torch.inference_mode():
            refractory_lif(case.x, *case.parameters, solver=solver)

    return run


def both(case: Case, solver: str) -> Pass:
    """Pass of our neuron forward and backward, with the gradients of x and of all four parameters."""
    leaves = case.leaves()
    return lambda: torch.autograd.grad(refractory_lif(leaves[0], *leaves[1:], solver=solver), leaves, case.grad)


def loop(case: Case) -> Pass:
    """Pass of the refractory neuron as a plain loop over `x.unbind`, backpropagation through time, all gradients."""
    leaves, options = case.leaves(), Options(Rules(detach_reset=False), solver="sequential")
    x, leak, threshold, refractory, decay = leaves
    return lambda: torch.autograd.grad(solve(x, leak, threshold, refractory, decay, options).spikes, leaves, case.grad)


def spikingjelly_node() -> torch.nn.Module:
    """SpikingJelly's soft-reset LIF with our leak. It has no refractory current and trains no parameter."""
    from spikingjelly.activation_based import neuron, surrogate  # a peer that may not be here

    return neuron.LIFNode(  # type: ignore[no-any-return]
        tau=1 / (1 - LEAK), decay_input=False, v_reset=None, step_mode="m", surrogate_function=surrogate.ATan()
    )


def spikingjelly_spikes(x: Tensor, node: torch.nn.Module) -> Tensor:
    """Spikes [L, B, H] of x [L, B, H], from rest."""
    from spikingjelly.activation_based import functional

    functional.reset_net(node)
    return node(x)  # type: ignore[no-any-return]


def spikingjelly_forward(case: Case) -> Pass:
    """Pass of SpikingJelly in inference; it takes [L, B, H], and the transposition is not timed."""
    x, node = case.x.movedim(-1, 0).contiguous(), spikingjelly_node()

    def run() -> None:
        with torch.inference_mode():
            spikingjelly_spikes(x, node)

    return run


def spikingjelly_both(case: Case) -> Pass:
    """Pass of SpikingJelly forward and backward, with the gradient of x."""
    x, grad = (tensor.movedim(-1, 0).contiguous() for tensor in (case.x, case.grad))
    leaf, node = x.requires_grad_(), spikingjelly_node()
    return lambda: torch.autograd.grad(spikingjelly_spikes(leaf, node), [leaf], grad)
