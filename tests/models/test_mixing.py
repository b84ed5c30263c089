"""The gated mixing is its composition of torch's operators: outputs and all gradients, at any length and width.

A step's output has the same bits whatever it is computed with.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from spike_ssm.models.mixing import gated, gated_mixing, mixed
from spike_ssm.models.ops.compiled import Threaded
from spike_ssm.models.ops.sigmoid import sigmoid, slope

ODD_LENGTHS = (1, 15, 63, 64, 65, 1000)
ODD_WIDTHS = ((1, 1), (3, 5), (5, 3), (64, 64), (70, 64), (1, 70), (150, 80))
NAMES = ("output", "x", "weight", "bias", "residual")


def by_torch(x: Tensor, weight: Tensor, bias: Tensor, residual: Tensor | None = None) -> Tensor:
    return gated(mixed(x, weight, bias), residual)


def inputs(
    inputs: int, channels: int, length: int, *, batch: int = 3, residual: bool = True, dtype: Any = torch.float64
) -> list[Tensor]:
    """x, weight, bias and, if wanted, a residual, of numbers that single precision holds."""
    generator = torch.Generator().manual_seed(length)
    shapes = [(batch, inputs, length), (2 * channels, inputs), (2 * channels,), (batch, channels, length)]
    return [torch.randn(shape, generator=generator).to(dtype) for shape in shapes[: 3 + residual]]


def outcome(way: Any, values: list[Tensor]) -> tuple[Tensor, ...]:
    """The output, and the gradients of all inputs for a gradient of it that varies."""
    leaves = [value.detach().requires_grad_() for value in values]
    y = way(*leaves)
    grad = torch.linspace(-1, 1, y.numel(), dtype=torch.float64).view(y.shape).cos().to(y.dtype)
    return y.detach(), *torch.autograd.grad(y, leaves, grad)


def assert_close(got: tuple[Tensor, ...], expected: tuple[Tensor, ...], tolerance: float) -> None:
    for name, g, e in zip(NAMES, got, expected, strict=False):
        assert g.shape == e.shape, name
        error = float((g - e).abs().max() / e.abs().max().clamp(min=1e-30))
        assert error <= tolerance, f"{name} is off by {error:.2g} of its largest number"


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-6)], ids=str)
@pytest.mark.parametrize("residual", [True, False], ids=["residual", "none"])
@pytest.mark.parametrize(
    ("width", "length"), [*(((5, 3), length) for length in ODD_LENGTHS), *((width, 65) for width in ODD_WIDTHS)]
)
def test_it_is_the_composition_of_torchs_operators(
    width: tuple[int, int], length: int, residual: bool, dtype: torch.dtype, tolerance: float
) -> None:
    values = inputs(*width, length, residual=residual)
    got = outcome(gated_mixing, [value.to(dtype) for value in values])
    assert all(each.dtype == dtype for each in got)
    assert_close(got, outcome(by_torch, values), tolerance)


def test_gradients_of_very_many_steps_are_at_least_as_precise_as_torchs() -> None:
    values = [value.float() for value in inputs(20, 18, 20_000, batch=2)]
    exact = outcome(by_torch, [value.double() for value in values])
    got, torchs = outcome(gated_mixing, values), outcome(by_torch, values)
    for place in (2, 3):
        error, theirs = ((each[place] - exact[place]).norm() for each in (got, torchs))
        assert error <= theirs


@pytest.mark.parametrize("length", [1, 40, 1000])
def test_the_output_and_gradients_are_the_same_bits_with_another_number_of_threads(length: int) -> None:
    values = inputs(40, 24, length, batch=9, dtype=torch.float32)
    outcomes = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        outcomes.append(outcome(gated_mixing, values))
    for got in outcomes[1:]:
        assert all(torch.equal(one, other) for one, other in zip(got, outcomes[0], strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_step_does_not_depend_on_what_it_is_computed_with(dtype: torch.dtype) -> None:
    x, weight, bias, residual = inputs(30, 7, 333, batch=5, dtype=dtype)
    y = gated_mixing(x, weight, bias, residual)
    assert torch.equal(gated_mixing(x[3:4], weight, bias, residual[3:4]), y[3:4])
    for steps in (1, 17, 200):
        assert torch.equal(gated_mixing(x[..., :steps], weight, bias, residual[..., :steps]), y[..., :steps])
    assert torch.equal(gated_mixing(x[..., 90:91], weight, bias, residual[..., 90:91]), y[..., 90:91])
    assert torch.equal(residual + gated_mixing(x, weight, bias), y)


def test_inputs_of_any_layout_will_do() -> None:
    x, weight, bias, residual = inputs(5, 3, 40)
    scattered = [
        x.permute(2, 0, 1).contiguous().permute(1, 2, 0),
        weight.mT.contiguous().mT,
        torch.stack([bias, bias], 1)[:, 0],
        residual.mT.contiguous().mT,
    ]
    assert_close(outcome(gated_mixing, scattered), outcome(by_torch, scattered), 1e-12)
    leaves = [value.requires_grad_() for value in scattered]
    torch.autograd.grad(gated_mixing(*leaves).sum(), leaves)  # whose gradient is one number, expanded


def test_half_precision_is_computed_in_that_of_the_weight() -> None:
    x, weight, bias, residual = inputs(5, 3, 40, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        y = gated_mixing(x.bfloat16(), weight, bias, residual.bfloat16())
    assert torch.equal(y, gated_mixing(x.bfloat16().float(), weight, bias, residual.bfloat16().float()))


def test_where_there_is_no_kernel_torch_computes_it() -> None:
    halves = [value.bfloat16() for value in inputs(5, 3, 40)]
    assert torch.equal(gated_mixing(*halves), by_torch(*halves))
    assert gated_mixing(*(value.to("meta") for value in halves)).shape == (3, 3, 40)


@pytest.mark.parametrize("empty", [(0, 5, 40), (3, 5, 0)])
def test_no_steps_and_no_examples_give_none(empty: tuple[int, int, int]) -> None:
    _, weight, bias, _ = inputs(5, 3, 40)
    y, x, *parameters = outcome(gated_mixing, [torch.zeros(empty, dtype=torch.float64), weight, bias])
    assert y.shape == (empty[0], 3, empty[2])
    assert x.shape == empty
    assert not any(each.any() for each in parameters)


def test_a_number_that_is_none_stays_in_its_step() -> None:
    values = inputs(5, 3, 100)
    values[0][1, 2, 40] = math.nan
    y, grad_x, *_ = outcome(gated_mixing, values)
    for each in (y, grad_x):
        assert each[1, :, 40].isnan().all()
        assert int(each.isnan().sum()) == each.shape[1]


@pytest.mark.parametrize("wrong", range(4))
def test_other_shapes_are_refused_in_one_sentence(wrong: int) -> None:
    values = inputs(5, 3, 40)
    values[wrong] = values[wrong][:-1]
    with pytest.raises(ValueError, match=r"takes x \[B, N, L\], weight \[2H, N\].*, not \["):
        gated_mixing(*values)


def test_the_gradients_are_those_of_finite_differences() -> None:
    torch.autograd.gradcheck(gated_mixing, [value.requires_grad_() for value in inputs(3, 2, 5, batch=2)])


@pytest.mark.parametrize("residual", [True, False])
def test_the_operator_passes_torchs_own_check(residual: bool) -> None:
    values: list[Any] = [value.requires_grad_() for value in inputs(3, 2, 20, residual=residual)]
    torch.library.opcheck(torch.ops.spike_ssm.gated_mixing.default, (*values, None)[:4])


def test_it_compiles_without_a_graph_break() -> None:
    values = inputs(3, 2, 40)
    compiled = torch.compile(gated_mixing, fullgraph=True, backend="aot_eager")
    assert_close(outcome(compiled, values), outcome(gated_mixing, values), 0)


@Threaded
def _sigmoids(z, values, slopes, first, end):
    for i in range(first, end):
        values[i] = sigmoid(z[i])
    for i in range(first, end):
        slopes[i] = slope(z[i])


def sigmoids(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, slopes = np.empty_like(z), np.empty_like(z)
    _sigmoids(len(z), len(z), z, values, slopes)
    return values, slopes


@pytest.mark.parametrize(("dtype", "edge"), [(np.float32, 87), (np.float64, 700)])
def test_the_sigmoid_and_its_slope_are_exact_to_a_few_units_in_the_last_place(dtype: Any, edge: int) -> None:
    sizes = np.concatenate([np.logspace(-30, 0, 10_000), np.linspace(0, 20, 50_000), np.linspace(20, edge, 50_000)])
    z = np.concatenate([sizes, -sizes]).astype(dtype)
    decay = np.exp(-np.abs(z.astype(np.longdouble)))
    exact = np.where(z >= 0, 1, decay) / (1 + decay), decay / (1 + decay) ** 2
    for got, wanted, units in zip(sigmoids(z), exact, (2.5, 4.5), strict=True):
        assert float(np.max(np.abs(got - wanted) / np.spacing(wanted.astype(dtype)))) <= units


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_at_its_ends_the_sigmoid_is_0_and_1_and_what_is_no_number_stays_none(dtype: Any) -> None:
    ends, slopes = sigmoids(np.array([np.inf, 1e30, -1e30, -np.inf, 0, -0.0], dtype))
    assert ends.tolist() == [1, 1, 0, 0, 0.5, 0.5]
    assert slopes.tolist() == [0, 0, 0, 0, 0.25, 0.25]
    assert all(np.isnan(each).all() for each in sigmoids(np.full(9, np.nan, dtype)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sigmoid_has_the_same_bits_alone_and_among_others(dtype: Any) -> None:
    z = np.linspace(-30, 30, 61).astype(dtype)
    for together, alone in zip(sigmoids(z), zip(*map(sigmoids, z[:, None]), strict=True), strict=True):
        assert np.array_equal(together, np.concatenate(alone))
