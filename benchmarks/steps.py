"""Training steps that are timed: networks and their batches, what they are compared with, and the gate before it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.cases import LEAK
from benchmarks.plain import PlainLIF, made_plain
from spike_ssm.models.network import Inputs, ModelSettings, Network, build_network, parameter_groups
from spike_ssm.models.neurons import NEURONS, build_neuron
from spike_ssm.models.neurons.lif_soft import LIFSoftSettings
from spike_ssm.models.norm import MaskedBatchNorm

OURS, DENSE, PLAIN, BEFORE = "refractory LIF", "GELU", "plain composition", "as before"
VOCABULARY, CLASSES = 20, 10
CPU, CUDA = torch.device("cpu"), torch.device("cuda")

Step = Callable[[], object]


@dataclass(frozen=True)
class Size:
    """A network and its batch."""

    layers: int = 6
    channels: int = 64
    state_size: int = 64
    length: int = 4096
    batch: int = 8

    def network(self, neuron: str, *, bidirectional: bool = True) -> Network:
        """A network with the weights of seed 0, which do not depend on the neuron."""
        torch.manual_seed(0)
        settings = ModelSettings(
            layers=self.layers, channels=self.channels, state_size=self.state_size, bidirectional=bidirectional
        )
        return build_network("classification", Inputs(VOCABULARY), CLASSES, settings, NEURONS[neuron][1]())

    def candidate(self, name: str) -> Network:
        """The network called `name`."""
        network = self.network("gelu" if name == DENSE else "refractory_lif")
        if name == PLAIN:
            return made_plain(network, spiking=True)
        return as_before(network) if name == BEFORE else network

    def batch_of(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens [B, L], their lengths [B] and labels [B]."""
        generator = torch.Generator().manual_seed(1)
        tokens = torch.randint(1, VOCABULARY, (self.batch, self.length), generator=generator)
        labels = torch.randint(0, CLASSES, (self.batch,), generator=generator)
        return tokens.to(device), torch.full((self.batch,), self.length), labels.to(device)


class _FormerNorm(MaskedBatchNorm):
    """A batch norm by torch's own operator."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Normalised x, [B, H, L] -> [B, H, L]; there is no mask."""
        assert mask is None
        return nn.BatchNorm1d.forward(self, x)


def as_before(network: Network) -> Network:
    """`network` with former ways of computing its parts, for sequences without padding.

    They are SSMs as convolutions by FFT or as products, torch's batch norm, and the mixing, its gate and the residual
    one after the other.
    """
    network.convolution = "fft_or_product"
    for block in network.blocks:
        block.mixing.fused = False
        former = _FormerNorm(block.channels)
        former.load_state_dict(block.norm.state_dict())
        block.norm = former
    return network


def training_step(network: Network, size: Size, device: torch.device, *, fast: bool = False) -> Step:
    """Step that makes one update. fast: bfloat16 where torch's autocast sees fit, and compiled."""
    network = network.to(device).train()
    optimiser = torch.optim.AdamW(parameter_groups(network, 1e-3, 1e-3, 0.05), fused=True)
    batch, score = size.batch_of(device), torch.compile(network.score) if fast else network.score

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=fast):
            loss = score(*batch, predict=False).loss
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    return step


def products(network: Network, size: Size) -> Step:
    """The matrix products of the mixing in a training step, forward and backward, of all layers, and nothing else."""
    torch.manual_seed(2)
    x = torch.randn(size.batch, size.channels, size.length, requires_grad=True)
    layers = [block.mixing for block in network.blocks]
    grad = torch.randn_like(layers[0](x))

    def run() -> None:
        for mixing in layers:
            torch.autograd.grad(mixing(x), (x, *mixing.parameters()), grad)

    return run


def check(size: Size, device: torch.device) -> None:
    """Raise AssertionError unless the plain composition, and our network as before, compute what our network does."""
    ours = size.network("gelu").to(device).train()
    others = {PLAIN: made_plain(copy.deepcopy(ours), spiking=False), BEFORE: as_before(copy.deepcopy(ours))}
    tokens, lengths, labels = size.batch_of(device)
    for one in (ours, *others.values()):
        one.score(tokens, lengths, labels, predict=False).loss.backward()
    for name, other in others.items():
        torch.testing.assert_close(
            ours(tokens, lengths), other(tokens, lengths), rtol=1e-3, atol=1e-3, msg=f"{name} differs at {size}."
        )
        for (label, mine), theirs in zip(ours.named_parameters(), other.parameters(), strict=True):
            assert mine.grad is not None
            assert theirs.grad is not None
            tolerance = 1e-3 * float(theirs.grad.abs().max()) + 1e-6
            torch.testing.assert_close(
                mine.grad, theirs.grad, rtol=1e-2, atol=tolerance, msg=f"{name} differs at {size}: gradient of {label}."
            )
    lif = build_neuron(size.channels, LIFSoftSettings(leak=LEAK)).to(device)
    x = torch.randn(size.batch, size.channels, size.length, device=device)
    if not torch.equal(lif(x), PlainLIF()(x)):
        raise AssertionError(f"The plain LIF's spikes differ from SpikingJelly's at {size}.")
