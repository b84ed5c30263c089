"""The exact refractory LIF operator: spikes, the gradients of its parameters, and a check against the plain loop.

python examples/use_the_operator.py
"""

from __future__ import annotations

import torch

from spike_ssm import refractory_lif


def main() -> None:
    """Compute spikes twice, with the fastest solver and step by step, and compare them."""
    torch.manual_seed(0)
    x = torch.randn(4, 32, 512, requires_grad=True)  # [batch, channels, steps]
    threshold = torch.full((32,), 1.0, requires_grad=True)  # per channel
    spikes = refractory_lif(x, leak=0.5, threshold=threshold, refractory=0.5, decay=0.5)
    spikes.mean().backward()
    assert x.grad is not None
    assert threshold.grad is not None
    print(f"firing rate {spikes.mean():.3f}")
    print(f"gradients: of the input {x.grad.abs().sum():.3f}, of the thresholds {threshold.grad.abs().sum():.3f}")
    loop = refractory_lif(x, leak=0.5, threshold=threshold, refractory=0.5, decay=0.5, solver="sequential")
    print(f"spikes that differ from the loop's: {int((spikes != loop).sum())} of {spikes.numel():,}")


if __name__ == "__main__":
    main()
