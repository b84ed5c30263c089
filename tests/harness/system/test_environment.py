"""How processes that train compute."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import torch
from spike_ssm.harness.system.environment import compute_with
from spike_ssm.models.neurons import build_neuron
from spike_ssm.models.neurons.refractory_lif import RefractoryLIFSettings

compute_with(2)
print(torch.get_num_threads(), torch.full((2_000_000,), 1e-39).mul(1).count_nonzero().item())
x = torch.full((2, 64, 4096), 0.4).requires_grad_()
spikes = build_neuron(64, RefractoryLIFSettings())(x)
(grad,) = torch.autograd.grad(spikes, x, torch.eye(4096)[-1].expand_as(x))
print(grad[..., -1].count_nonzero().item(), ((grad != 0) & (grad.abs() < 1.17e-38)).sum().item())
"""


def test_subnormal_numbers_are_zero_in_every_thread_of_torch_and_of_the_kernels() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    torchs, kernels = done.stdout.splitlines()
    assert torchs == "2 0"
    reached, subnormal = kernels.split()
    assert (reached, subnormal) == ("128", "0")
