"""Weights and states in few bits: symmetric uniform quantisation, simulated in floating point ("fake").

With b bits a number is rounded to the nearest of 2^b - 1 values, equally spaced and symmetric around 0, the largest of
which is the largest absolute value of a tensor. (Ours; the usual scheme, see Jacob et al. 2018, arXiv 1712.05877.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from spike_ssm.harness.config.robustness import FULL_PRECISION
from spike_ssm.models.network import Network
from spike_ssm.models.neurons import Neuron
from spike_ssm.models.neurons.parameter import ChannelParameter
from spike_ssm.models.ssm import S4D
from spike_ssm.models.ssm.discretisation import held


def rounded(x: Tensor, largest: Tensor | float, bits: float) -> Tensor:
    """x, real or complex, rounded to `bits` bits over [-largest, largest], what lies beyond clipped.

    As it is where the range is empty or the bits are `FULL_PRECISION`. Parts of complex numbers are rounded apart.
    """
    if bits == FULL_PRECISION or not largest > 0:
        return x
    if x.is_complex():
        return torch.view_as_complex(rounded(torch.view_as_real(x), largest, bits))
    steps: int = 2 ** (int(bits) - 1) - 1
    scale = largest / steps
    return (x / scale).round().clamp(-steps, steps) * scale


def rounded_parameters(network: Network) -> list[nn.Parameter]:
    """Parameters that `rounded_weights` rounds: all but biases, norms, and the neurons' numbers a channel.

    They are the encoder, the mixing layers, the head, the neurons' matrices and filters, and of the SSM what is stored:
    log dt, log -Re A, Im A, B, C and D, real and imaginary parts in one tensor.
    """
    left = {
        id(parameter)
        for module in network.modules()
        if isinstance(module, nn.BatchNorm1d | nn.LayerNorm | ChannelParameter)
        for parameter in module.parameters()
    }
    return [each for name, each in network.named_parameters() if id(each) not in left and not name.endswith("bias")]


@contextmanager
@torch.no_grad()
def rounded_weights(network: Network, bits: float) -> Iterator[None]:
    """Each of the `rounded_parameters` in `bits` bits over its own range while the context is open, then as before."""
    parameters = rounded_parameters(network)
    before = [parameter.clone() for parameter in parameters]
    for parameter in parameters:
        parameter.copy_(rounded(parameter, parameter.abs().max(), bits))
    try:
        yield
    finally:
        for parameter, value in zip(parameters, before, strict=True):
            parameter.copy_(value)


class StateRounding:
    """Streams a network step by step, and rounds the state of each SSM and neuron after every step.

    First to be shown examples in full precision, inside `streamed(FULL_PRECISION)`: the range of each state is its
    largest absolute value there, in any channel. What a step gives out is computed before its new state is rounded.
    """

    def __init__(self, network: Network) -> None:
        self._largest: dict[str, float] = {}
        self._bits: float = FULL_PRECISION
        self._hooked: list[tuple[nn.Module, Callable[[nn.Module, Any, Tensor], Tensor]]] = []
        for layer, block in enumerate(network.blocks):
            self._hooked.append((block.ssm, self._ssm_hook(f"ssm {layer}", block.ssm)))
            for place, neuron in block.neurons.items():
                if _has_state(neuron, block.ssm.d):
                    self._hooked.append((neuron, self._neuron_hook(f"neuron {layer} {place}", neuron)))

    @contextmanager
    def streamed(self, bits: float) -> Iterator[None]:
        """While the context is open the network computes step by step, its states in `bits` bits."""
        self._bits = bits
        with ExitStack() as stack:
            for module, hook in self._hooked:
                stack.callback(module.register_forward_hook(hook).remove)
            yield

    def _ssm_hook(self, name: str, ssm: S4D) -> Callable[[nn.Module, Any, Tensor], Tensor]:
        causal, *ahead = causal_parts(ssm)

        def hook(module: nn.Module, args: tuple[Tensor], y: Tensor) -> Tensor:  # noqa: ARG001 (a hook's)
            (x,) = args
            found = self._stream(f"{name} causal", recurrence(causal), x)
            for part in ahead:
                looking = self._stream(f"{name} ahead", recurrence(part), x.flip(-1)).flip(-1)
                found = found + pad(looking[..., 1:], (0, 1))  # the part that looks ahead starts at the next step
            return found

        return hook

    def _neuron_hook(self, name: str, neuron: Neuron) -> Callable[[nn.Module, Any, Tensor], Tensor]:
        return lambda module, args, spikes: self._stream(name, neuron.step, args[0])  # noqa: ARG005 (a hook's)

    def _stream(self, name: str, step: Callable[[Tensor, Any], tuple[Tensor, Any]], x: Tensor) -> Tensor:
        state, outputs = None, []
        for x_t in x.unbind(-1):
            y, state = step(x_t, state)
            state = self._rounded(name, state)
            outputs.append(y)
        return torch.stack(outputs, -1)

    def _rounded(self, name: str, state: Any) -> Any:
        """`state`, a tensor or a named tuple of tensors, each with a range of its own."""
        if isinstance(state, tuple):
            return type(state)(*(self._rounded(f"{name} {place}", part) for place, part in enumerate(state)))
        if self._bits == FULL_PRECISION:
            parts = torch.view_as_real(state) if state.is_complex() else state
            found = float(parts.abs().max()) if parts.numel() else 0.0  # a window of one step keeps no past
            self._largest[name] = max(self._largest.get(name, 0.0), found)
        return rounded(state, self._largest[name], self._bits)


def recurrence(ssm: S4D) -> Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]]:
    """One time step of a causal SSM, x [B, H] -> [B, H], by the recurrence that hardware would compute.

    Its state is like A, None at first, and has B times what it has seen.
    """
    dt_a, discrete_b = held(ssm.log_dt, ssm.log_decay, ssm.frequency, ssm.b)
    c, kept = ssm.c[0] if ssm.is_real else torch.view_as_complex(ssm.c[0]), dt_a.exp()

    def step(x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        state = discrete_b * x[..., None] + (0 if state is None else kept * state)
        y = (c * state).sum(-1)
        return (y if ssm.is_real else 2 * y.real) + ssm.d * x, state

    return step


def causal_parts(ssm: S4D) -> list[S4D]:
    """SSMs that can be streamed, one per direction; the one that looks ahead reads the sequence from its end."""
    return [_causal(ssm, direction) for direction in range(len(ssm.c))]


@torch.no_grad()
def _causal(ssm: S4D, direction: int) -> S4D:
    kind = "real" if ssm.is_real else "lin"  # decides the shapes; the values are copied
    part = S4D(len(ssm.d), ssm.state_size, bidirectional=False, initialisation=kind).to(ssm.d)
    own = {**ssm.state_dict(), "c": ssm.c[direction : direction + 1]}
    part.load_state_dict(own if direction == 0 else {**own, "d": torch.zeros_like(ssm.d)})
    return part


def _has_state(neuron: Neuron, like: Tensor) -> bool:
    with torch.no_grad():
        return neuron.step(like.new_zeros(1, neuron.channels), None)[1] is not None
