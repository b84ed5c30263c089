"""The GPU kernels on CPU tensors: run by test_triton_kernels.py in a process where Triton interprets."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
import triton.language as tl
from torch import Tensor

from spike_ssm.models.ops.agreement import assert_agreement
from spike_ssm.models.ops.refractory_lif import fused_triton, pmbc, pmbc_triton
from spike_ssm.models.ops.refractory_lif.parameters import RESETS, Rules
from spike_ssm.models.ops.refractory_lif.sequential import solve_sequential
from spike_ssm.models.ops.surrogate import SURROGATES
from spike_ssm.models.ssm.scan import operator, scan, scan_sequential, scan_triton
from tests.models.test_scan import assert_close, in_single, model, outcome, random_states

NAMES = ("x", "leak", "threshold", "refractory", "decay")
FUSED_RULES = [
    Rules(reset, raises, surrogate, 0.8, detach)
    for (reset, raises, detach), surrogate in zip(
        itertools.product(RESETS, (False, True), (False, True)), itertools.cycle(SURROGATES)
    )
]
PMBC_RULES = [
    Rules(reset, raises, surrogate, 0.8)
    for (reset, raises), surrogate in zip(
        itertools.product(("soft", "none"), (False, True)), itertools.cycle(SURROGATES)
    )
]
Found = tuple[Tensor, Tensor, tuple[Tensor, ...]]
"""Spikes, potentials, and the gradients of x and the four parameters."""
Kernels = Callable[[Tensor, Tensor, Tensor, Rules], Found]


def problem(rows: int, length: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """x [rows / 3, 3, length], parameters [4, 3] with leak = decay in one channel, and a gradient of the spikes."""
    generator = torch.Generator().manual_seed(length)
    uniform = torch.rand(4, 3, generator=generator, dtype=dtype)
    parameters = torch.stack((0.1 + 0.85 * uniform[0], 0.5 + uniform[1], 1.5 * uniform[2], 0.95 * uniform[3]))
    parameters[3, 0] = parameters[0, 0]
    x, grad = torch.randn(2, rows // 3, 3, length, generator=generator, dtype=dtype)
    return x + 0.3, parameters, grad


def by_reference(x: Tensor, parameters: Tensor, grad: Tensor, rules: Rules) -> Found:
    inputs = [tensor.clone().requires_grad_() for tensor in (x, *parameters)]
    spikes, potentials = solve_sequential(*inputs, rules)  # type: ignore[arg-type, misc]
    return spikes.detach(), potentials.detach(), torch.autograd.grad(spikes, inputs, grad, materialize_grads=True)


def by_fused(x: Tensor, parameters: Tensor, grad: Tensor, rules: Rules) -> Found:
    spikes, potentials, states = fused_triton.forward(x, parameters, rules, True)
    grad_x, per_row = fused_triton.backward(grad, x, states, parameters, rules)
    return spikes, potentials, (grad_x, *per_row.view(4, *x.shape[:2]).sum(1))


def by_pmbc(x: Tensor, parameters: Tensor, grad: Tensor, rules: Rules) -> Found:
    spikes, potentials, _ = pmbc_triton.solve(x, parameters, rules)
    grad_x, grad_parameters = pmbc_triton.backward(grad, spikes, potentials, parameters, rules)
    return spikes, potentials, (grad_x, *grad_parameters)


def assert_gradients(got: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> None:
    for label, g, e in zip(NAMES, got, expected, strict=True):
        torch.testing.assert_close(g, e, rtol=1e-9, atol=1e-9, msg=lambda m, label=label: f"{label}: {m}")


@pytest.mark.parametrize("rules", FUSED_RULES, ids=str)
def test_the_fused_kernels_give_the_reference_for_all_rules(rules: Rules) -> None:
    spikes, potentials, gradients = by_fused(*problem(3, 17), rules)
    expected = by_reference(*problem(3, 17), rules)
    assert torch.equal(spikes, expected[0])
    assert torch.equal(potentials, expected[1])
    assert_gradients(gradients, expected[2])


@pytest.mark.parametrize(("rows", "length"), [(33, 1), (3, 15), (33, 16), (33, 34), (3, 63)])
def test_the_fused_kernels_give_the_reference_at_all_lengths_and_rows_beside_a_block(rows: int, length: int) -> None:
    spikes, potentials, gradients = by_fused(*problem(rows, length), Rules())
    expected = by_reference(*problem(rows, length), Rules())
    assert torch.equal(spikes, expected[0])
    assert torch.equal(potentials, expected[1])
    assert_gradients(gradients, expected[2])


@pytest.mark.parametrize("length", [1, 16, 17, 40])
def test_the_fused_kernel_keeps_the_states_after_every_stretch_and_after_the_last_step(length: int) -> None:
    x, parameters, _ = problem(6, length)
    none = fused_triton.forward(x, parameters, Rules(), False)
    assert none[1].shape == (0, 3, length)
    for stretch, state in enumerate(none[2]):
        steps = min(16 * (stretch + 1), length)
        spikes, potentials = solve_sequential(x[..., :steps], *parameters, Rules())
        current = torch.zeros(x.shape[:2], dtype=x.dtype)
        for s in spikes.unbind(-1):
            current = parameters[3] * current + parameters[2] * s
        torch.testing.assert_close(state[0].view(2, 3), potentials[..., -1] - parameters[1] * spikes[..., -1])
        torch.testing.assert_close(state[1].view(2, 3), current)


@pytest.mark.parametrize("rules", PMBC_RULES, ids=str)
def test_the_pmbc_kernels_give_the_reference_for_all_rules(rules: Rules, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pmbc_triton, "CHUNK", tl.constexpr(16))
    spikes, potentials, gradients = by_pmbc(*problem(3, 40), rules)
    expected = by_reference(*problem(3, 40), rules)
    assert torch.equal(spikes, expected[0])
    torch.testing.assert_close(potentials, expected[1], rtol=1e-9, atol=1e-9)
    assert_gradients(gradients, expected[2])


@pytest.mark.parametrize("length", [1, 15, 16, 17, 63])
def test_the_pmbc_kernels_give_the_reference_at_all_lengths(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pmbc_triton, "CHUNK", tl.constexpr(16))
    spikes, _, gradients = by_pmbc(*problem(3, length), Rules())
    expected = by_reference(*problem(3, length), Rules())
    assert torch.equal(spikes, expected[0])
    assert_gradients(gradients, expected[2])


def test_the_pmbc_kernel_takes_the_iterations_that_the_method_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pmbc_triton, "CHUNK", tl.constexpr(pmbc.CHUNK))
    x, parameters, _ = problem(3, 50)
    expected = pmbc.solve_pmbc(x, parameters, None, "midpoint", *Rules())
    spikes, _, iterations = pmbc_triton.solve(x, parameters, Rules())
    assert torch.equal(spikes, expected[0])
    assert iterations.dtype == torch.int64
    assert iterations == expected[3]


def test_a_chunk_as_long_as_it_is_on_the_gpu_is_exact_too() -> None:
    spikes, _, gradients = by_pmbc(*problem(3, 130), Rules())
    expected = by_reference(*problem(3, 130), Rules())
    assert torch.equal(spikes, expected[0])
    assert_gradients(gradients, expected[2])


@pytest.mark.parametrize("by_kernels", [by_fused, by_pmbc])
def test_in_float32_the_kernels_agree_with_the_reference(by_kernels: Kernels) -> None:
    x, parameters, grad = problem(6, 63, torch.float32)
    spikes, potentials, gradients = by_kernels(x, parameters, grad, Rules())
    assert_agreement(x, tuple(parameters), spikes, potentials)  # type: ignore[arg-type]
    for label, g, e in zip(NAMES, gradients, by_reference(x, parameters, grad, Rules())[2], strict=True):
        assert (g - e).abs().max() <= 1e-4 * (e.abs().max() + 1), label


@pytest.mark.parametrize("by_kernels", [by_fused, by_pmbc])
def test_the_kernels_gradients_obey_the_scale_identity_and_twice_are_the_same_bits(by_kernels: Kernels) -> None:
    x, parameters, grad = problem(3, 33)
    first, second = (by_kernels(x, parameters, grad, Rules()) for _ in range(2))
    for one, two in zip((*first[:2], *first[2]), (*second[:2], *second[2]), strict=True):
        assert torch.equal(one, two)
    grad_x, _, grad_threshold, grad_refractory, _ = first[2]
    terms = torch.stack(((x * grad_x).sum((0, 2)), parameters[1] * grad_threshold, parameters[2] * grad_refractory))
    assert (terms.sum(0).abs() <= 1e-10 * (terms.abs().sum(0) + 1)).all()


@pytest.mark.parametrize("rules", PMBC_RULES[:2], ids=str)
def test_the_operators_run_these_kernels_on_a_gpu_and_their_outputs_share_no_memory(rules: Rules) -> None:
    x, parameters, grad = problem(3, 17)
    solved = pmbc.solve_pmbc._backend_fns["cuda"](x, parameters, None, "midpoint", *rules)
    grad_x, grad_parameters = pmbc._backward._backend_fns["cuda"](grad, *solved[:2], parameters, *rules)
    expected = by_reference(x, parameters, grad, rules)
    assert torch.equal(solved[0], expected[0])
    assert (solved[2].dtype, float(solved[2])) == (torch.float64, 0.0)
    assert solved[3].dtype == torch.int64
    assert_gradients((grad_x, *grad_parameters), expected[2])
    assert len({tensor.untyped_storage().data_ptr() for tensor in (*solved, grad_x, grad_parameters)}) == 6
    paper = (x, parameters, 2, "midpoint", *rules)
    assert torch.equal(pmbc.solve_pmbc._backend_fns["cuda"](*paper)[0], pmbc.solve_pmbc(*paper)[0])


@pytest.fixture
def triton_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(operator._FAMILIES, "cpu", "scan_triton")


@pytest.mark.usefixtures("triton_scans")
@pytest.mark.parametrize(
    ("length", "directions", "real"),
    [(1, 2, False), (15, 2, True), (16, 1, False), (17, 2, False), (63, 1, True), (65, 2, False)],
)
def test_the_scan_gives_the_reference_at_all_lengths(length: int, directions: int, real: bool) -> None:
    values = model(random_states(1, 5, real=real), length, directions=directions, batch=1)
    assert_close(outcome(scan, values), outcome(scan_sequential, values), 1e-10)


@pytest.mark.usefixtures("triton_scans")
def test_the_scan_sums_over_examples_beside_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_triton, "GROUP", tl.constexpr(2))
    values = model(random_states(2, 3, real=True), 17, batch=3)
    assert_close(outcome(scan, values), outcome(scan_sequential, values), 1e-10)


@pytest.mark.usefixtures("triton_scans")
def test_the_scan_of_several_stretches_is_as_close_as_float32_allows_and_twice_the_same_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scan_triton, "STRETCH", tl.constexpr(2))
    values = model(random_states(1, 3), 200, batch=1)
    first, second = (outcome(scan, [in_single(value) for value in values]) for _ in range(2))
    assert_close(first, outcome(scan_sequential, values), 2e-5)
    assert all(map(torch.equal, first, second))
