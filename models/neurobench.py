"""A classifier as NeuroBench measures it: its metrics hook the layers of torch and our neurons.

Source: Yik et al. 2025 (doi 10.1038/s41467-025-56739-4), whose package `neurobench` is installed without its
dependencies. docs/interchange.md says where its numbers and ours differ, and why.
"""

from __future__ import annotations

import torch
from torch import Tensor

try:
    from neurobench.models import NeuroBenchModel
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"NeuroBench's metrics need the package {error.name}, which is not installed. Install them with pip install "
        "--no-deps neurobench snntorch; what else neurobench asks for is for its data sets.",
        name=error.name,
    ) from error

from spike_ssm.models.network import Classifier
from spike_ssm.models.neurons import Neuron


class MeasuredClassifier(NeuroBenchModel):
    """`network`, in evaluation mode, for `neurobench.benchmarks.Benchmark`; our neurons are its activations.

    Its hooks see the encoder of real numbers, the mixing of each block and the head, as layers of torch.
    """

    def __init__(self, network: Classifier) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.network = network.eval()
        self.add_activation_module(Neuron)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def __call__(self, batch: Tensor) -> Tensor:
        """Class scores [B, classes] of sequences [B, L, ...] without padding, whose steps its metrics would count."""
        return self.network(batch, torch.full((len(batch),), batch.shape[1]))  # type: ignore[no-any-return]

    def __net__(self) -> Classifier:
        """Give the network."""
        return self.network
