"""The gate: nothing is timed before solvers and peers agree on the very inputs that will be timed."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from benchmarks.cases import DECAY, LEAK, THRESHOLD, Case, spikingjelly_node, spikingjelly_spikes
from spike_ssm.models.ops.agreement import assert_agreement
from spike_ssm.models.ops.refractory_lif import Options, refractory_lif, solve

NAMES = ("x", "leak", "threshold", "refractory", "decay")


def check(case: Case, solvers: Sequence[str]) -> None:
    """Raise AssertionError unless the solvers' spikes are right and their gradients agree, the first the reference."""
    reference: tuple[torch.Tensor, ...] | None = None
    for solver in solvers:
        leaves = case.leaves()
        x, leak, threshold, refractory, decay = leaves
        found = solve(x, leak, threshold, refractory, decay, Options(solver=solver), return_potential=True)
        assert found.potential is not None
        assert_agreement(case.x, case.parameters, found.spikes, found.potential)
        grads = torch.autograd.grad(found.spikes, leaves, case.grad)
        reference = reference or grads
        for name, expected, got in zip(NAMES, reference, grads, strict=True):
            tolerance = 1e-4 * float(expected.abs().max())
            torch.testing.assert_close(
                got, expected, rtol=1e-3, atol=tolerance, msg=f"{solver} at {case}: gradient of {name}"
            )


def check_peer(case: Case, solver: str) -> None:
    """Raise AssertionError unless the plain LIF's spikes are SpikingJelly's, every one."""
    ours = refractory_lif(case.x, LEAK, THRESHOLD, 0.0, DECAY, solver=solver)
    theirs = spikingjelly_spikes(case.x.movedim(-1, 0).contiguous(), spikingjelly_node()).movedim(0, -1)
    if not torch.equal(ours, theirs):  # type: ignore[arg-type]
        raise AssertionError(f"The plain LIF's spikes differ from SpikingJelly's at {case}.")
