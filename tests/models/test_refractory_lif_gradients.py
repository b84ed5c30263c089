"""Gradients: the same from every solver, the surrogate's true derivative, and invariant under scaling."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spike_ssm.models.ops.refractory_lif import refractory_lif
from spike_ssm.models.ops.refractory_lif.sequential import potential_given_spikes
from spike_ssm.models.ops.surrogate import SURROGATES, surrogate_primitive

NAMES = ("x", "leak", "threshold", "refractory", "decay")
SOLVERS = ("sequential", "pmbc", "fused")


def leaves(length: int, seed: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """x [2, 3, length] and four parameters [3] that differ between channels, all requiring gradients."""
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand(4, 3, generator=generator, dtype=dtype)
    parameters = (0.1 + 0.85 * uniform[0], 0.5 + uniform[1], 1.5 * uniform[2], 0.95 * uniform[3])
    x = torch.randn(2, 3, length, generator=generator, dtype=dtype) + 0.3
    return [tensor.requires_grad_() for tensor in (x, *parameters)]


def gradients(inputs: list[Tensor], grad: Tensor, **options: object) -> tuple[Tensor, ...]:
    spikes = refractory_lif(*inputs, **options)  # type: ignore[arg-type]
    return torch.autograd.grad(spikes, inputs, grad, materialize_grads=True)


def weights(inputs: list[Tensor], seed: int = 99) -> Tensor:
    x = inputs[0]
    return torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=x.dtype)


@settings(max_examples=40, deadline=None)
@given(
    length=st.integers(1, 400),
    seed=st.integers(0, 2**16),
    name=st.sampled_from(tuple(SURROGATES)),
    width=st.floats(0.3, 2.0),
    solver=st.sampled_from(("pmbc", "fused")),
)
def test_all_five_gradients_of_every_solver_equal_the_references(
    length: int, seed: int, name: str, width: float, solver: str
) -> None:
    inputs = leaves(length, seed)
    grad = weights(inputs)
    expected = gradients(inputs, grad, solver="sequential", surrogate=name, surrogate_width=width)
    got = gradients(inputs, grad, solver=solver, surrogate=name, surrogate_width=width)
    for label, e, g in zip(NAMES, expected, got, strict=True):
        torch.testing.assert_close(g, e, rtol=1e-9, atol=1e-9, msg=lambda m, label=label: f"{label}: {m}")


@settings(max_examples=25, deadline=None)
@given(length=st.integers(1, 300), seed=st.integers(0, 2**16), name=st.sampled_from(tuple(SURROGATES)))
def test_through_the_reset_too_the_fused_gradients_equal_the_references(length: int, seed: int, name: str) -> None:
    inputs = leaves(length, seed)
    grad = weights(inputs)
    expected = gradients(inputs, grad, solver="sequential", surrogate=name, detach_reset=False)
    got = gradients(inputs, grad, solver="fused", surrogate=name, detach_reset=False)
    for label, e, g in zip(NAMES, expected, got, strict=True):
        scale = float(e.abs().max()) + 1.0
        torch.testing.assert_close(g, e, rtol=1e-7, atol=1e-9 * scale, msg=lambda m, label=label: f"{label}: {m}")


@pytest.mark.parametrize("solver", ["pmbc", "fused"])
@pytest.mark.parametrize("length", [63, 2000])
def test_float32_gradients_equal_the_references_to_float32_accuracy(solver: str, length: int) -> None:
    inputs = leaves(length, 7, torch.float32)
    grad = weights(inputs)
    for label, e, g in zip(
        NAMES, gradients(inputs, grad, solver="sequential"), gradients(inputs, grad, solver=solver), strict=True
    ):
        assert (g - e).abs().max() <= 1e-4 * (e.abs().max() + 1), label


@pytest.mark.parametrize("name", SURROGATES)
def test_the_gradient_is_the_true_one_of_the_softened_spike_with_a_frozen_reset(name: str) -> None:
    """Finite differences: freeze the spikes in the reset, replace the output by the surrogate's primitive."""
    inputs = leaves(24, 11)
    grad = weights(inputs)
    frozen = refractory_lif(*inputs, solver="sequential").detach()
    assert 0 < frozen.mean() < 1

    def softened(*arguments: Tensor) -> Tensor:
        u = potential_given_spikes(arguments[0], frozen, *arguments[1:])
        return surrogate_primitive(u / arguments[2][:, None] - 1, name, 0.8)

    assert torch.autograd.gradcheck(softened, inputs, atol=1e-5, eps=1e-7, nondet_tol=0)
    expected = torch.autograd.grad(softened(*inputs), inputs, grad, materialize_grads=True)
    for solver in SOLVERS:
        assert torch.equal(refractory_lif(*inputs, solver=solver), frozen)
        got = gradients(inputs, grad, solver=solver, surrogate=name, surrogate_width=0.8)
        for label, e, g in zip(NAMES, expected, got, strict=True):
            torch.testing.assert_close(g, e, rtol=1e-9, atol=1e-9, msg=lambda m, at=f"{solver}: {label}": f"{at}: {m}")


@settings(max_examples=40, deadline=None)
@given(
    length=st.integers(1, 500),
    seed=st.integers(0, 2**16),
    case=st.sampled_from(
        [("sequential", True), ("sequential", False), ("pmbc", True), ("fused", True), ("fused", False)]
    ),
)
def test_per_channel_the_gradients_obey_the_scale_identity(length: int, seed: int, case: tuple[str, bool]) -> None:
    """Spikes do not change under (x, threshold, refractory) -> c (x, threshold, refractory), so by Euler's theorem
    sum(x dx) + threshold dthreshold + refractory drefractory = 0: a check without a reference."""
    solver, detach = case
    inputs = leaves(length, seed)
    grad_x, _, grad_threshold, grad_refractory, _ = gradients(
        inputs, weights(inputs), solver=solver, detach_reset=detach
    )
    x, _, threshold, refractory, _ = (tensor.detach() for tensor in inputs)
    terms = torch.stack(((x * grad_x).sum((0, 2)), threshold * grad_threshold, refractory * grad_refractory))
    assert (terms.sum(0).abs() <= 1e-10 * (terms.abs().sum(0) + (x * grad_x).abs().sum((0, 2)) + 1)).all()


def test_paper_mode_backpropagates_through_the_spikes_it_chose() -> None:
    inputs = leaves(300, 3)
    grad = weights(inputs)
    frozen = refractory_lif(*inputs, max_iterations=2).detach()

    def softened() -> Tensor:
        u = potential_given_spikes(inputs[0], frozen, *inputs[1:])
        return surrogate_primitive(u / inputs[2][:, None] - 1, "piecewise_quadratic", 1.0)

    expected = torch.autograd.grad(softened(), inputs, grad)
    for label, e, g in zip(NAMES, expected, gradients(inputs, grad, max_iterations=2), strict=True):
        torch.testing.assert_close(g, e, rtol=1e-9, atol=1e-9, msg=lambda m, label=label: f"{label}: {m}")


@pytest.mark.parametrize("name", SURROGATES)
def test_a_surrogate_has_unit_area_and_its_primitive_runs_from_zero_to_one(name: str) -> None:
    z = torch.linspace(-400, 400, 4_000_001, dtype=torch.float64)
    density = SURROGATES[name].density(z)
    assert float(torch.trapezoid(density, z)) == pytest.approx(1, abs=3e-3)
    primitive = SURROGATES[name].primitive(z)
    assert bool((primitive.diff() >= 0).all()) == SURROGATES[name].monotone == bool((density >= 0).all())
    assert float(primitive[0]) == pytest.approx(0, abs=3e-3)
    assert float(primitive[-1]) == pytest.approx(1, abs=3e-3)
