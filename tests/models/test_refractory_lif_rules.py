"""Under every rule (reset soft, none or hard; a current lowers the potential or raises the threshold) solvers agree."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from spike_ssm.models.ops.agreement import assert_agreement
from spike_ssm.models.ops.refractory_lif import RESETS, Options, Rules, refractory_lif, solve
from spike_ssm.models.ops.refractory_lif.options import choose_solver
from spike_ssm.models.ops.surrogate import SURROGATES

NAMES = ("x", "leak", "threshold", "refractory", "decay")
RULES = [Rules(reset, raises) for reset, raises in itertools.product(RESETS, (False, True))]
every_rule = pytest.mark.parametrize("rules", RULES, ids=lambda rules: f"{rules.reset}-{rules.raises_threshold}")


def leaves(channels: int, length: int, dtype: torch.dtype = torch.float64, batch: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(length)
    x = torch.randn(batch, channels, length, generator=generator, dtype=torch.float64)
    parameters = 0.2 + 0.6 * torch.rand(4, channels, generator=generator, dtype=torch.float64)
    return [tensor.to(dtype).requires_grad_() for tensor in (x, *parameters)]


def solved(inputs: list[Tensor], rules: Rules, solver: str) -> tuple[Tensor, tuple[Tensor, ...]]:
    x, leak, threshold, refractory, decay = inputs
    spikes = solve(x, leak, threshold, refractory, decay, Options(rules, solver)).spikes
    grad = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(x.dtype)
    return spikes.detach(), torch.autograd.grad(spikes, inputs, grad, materialize_grads=True)


def solvers(rules: Rules) -> list[str]:
    return ["fused", "pmbc"] if rules.reset != "hard" and rules.detach_reset else ["fused"]


@every_rule
@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("length", [1, 63, 130, 257])
@pytest.mark.parametrize("channels", [3, 17])
def test_solvers_give_the_references_spikes_and_gradients(
    rules: Rules, detach: bool, length: int, channels: int
) -> None:
    rules = rules._replace(detach_reset=detach)
    inputs = leaves(channels, length)
    spikes, expected = solved(inputs, rules, "sequential")
    for solver in solvers(rules):
        found, got = solved(inputs, rules, solver)
        assert torch.equal(found, spikes)
        for name, e, g in zip(NAMES, expected, got, strict=True):
            torch.testing.assert_close(g, e, rtol=1e-9, atol=1e-9, msg=f"{solver}: gradient of {name}")


@every_rule
@pytest.mark.parametrize("surrogate", SURROGATES)
def test_every_surrogate_goes_with_every_rule(rules: Rules, surrogate: str) -> None:
    rules = rules._replace(surrogate=surrogate, surrogate_width=0.7)
    inputs = leaves(5, 90)
    _, expected = solved(inputs, rules, "sequential")
    _, got = solved(inputs, rules, "fused")
    for e, g in zip(expected, got, strict=True):
        torch.testing.assert_close(g, e, rtol=1e-9, atol=1e-9)


@every_rule
def test_in_single_precision_every_spike_is_the_right_decision(rules: Rules) -> None:
    x, *parameters = leaves(16, 500, torch.float32)
    for solver in ("sequential", *solvers(rules)):
        found = solve(x, *parameters, Options(rules, solver), return_potential=True)  # type: ignore[arg-type]
        assert found.potential is not None
        assert_agreement(x, parameters, found.spikes, found.potential, rules)  # type: ignore[arg-type]


@every_rule
@pytest.mark.parametrize("detach", [True, False])
def test_per_channel_the_gradients_obey_the_scale_identity(rules: Rules, detach: bool) -> None:
    inputs = leaves(6, 200)
    for solver in ("sequential", *solvers(rules._replace(detach_reset=detach))):
        _, (grad_x, _, grad_threshold, grad_refractory, _) = solved(inputs, rules._replace(detach_reset=detach), solver)
        x, _, threshold, refractory, _ = (tensor.detach() for tensor in inputs)
        total = (x * grad_x).sum((0, 2)) + threshold * grad_threshold + refractory * grad_refractory
        assert total.abs().max() < 1e-9


@every_rule
def test_the_reference_is_the_textbook_loop_over_numbers(rules: Rules) -> None:
    """Written anew here, neuron by neuron, as the equations of docs/neurons.md stand."""
    x, leak, v, refractory, decay = (tensor.detach() for tensor in leaves(4, 120, batch=1))
    spikes = refractory_lif(
        x, leak, v, refractory, decay, reset=rules.reset, raises_threshold=rules.raises_threshold, solver="sequential"
    )
    for h in range(4):
        u = eta = 0.0
        fired = 0
        for t in range(120):
            eta = float(decay[h]) * eta + float(refractory[h]) * fired
            kept = {"soft": u - float(v[h]) * fired, "none": u, "hard": u * (1 - fired)}[rules.reset]
            u = float(leak[h]) * kept + float(x[0, h, t]) - (0.0 if rules.raises_threshold else eta)
            fired = int(u >= float(v[h]) + (eta if rules.raises_threshold else 0.0))
            assert fired == int(spikes[0, h, t])


def test_without_kernels_for_its_device_auto_takes_what_can_serve_the_rules() -> None:
    elsewhere = torch.empty(1, 2, 3, device="meta")
    assert choose_solver(Options(), elsewhere) == "pmbc"
    assert choose_solver(Options(Rules(detach_reset=False)), elsewhere) == "sequential"
    assert choose_solver(Options(Rules("hard")), elsewhere) == "sequential"
    with pytest.raises(ValueError, match="kernels for cpu and cuda, but x is on meta; use 'pmbc'"):
        choose_solver(Options(solver="fused"), elsewhere)


def test_pmbc_refuses_a_hard_reset_and_names_who_serves_it() -> None:
    with pytest.raises(ValueError, match=r"reset='hard' use solver='fused', 'sequential' or 'auto'"):
        refractory_lif(torch.zeros(1, 1, 5), 0.5, 1.0, 0.0, 0.0, reset="hard", solver="pmbc")
    with pytest.raises(ValueError, match="choose one of soft, none, hard"):
        refractory_lif(torch.zeros(1, 1, 5), 0.5, 1.0, 0.0, 0.0, reset="gentle")
