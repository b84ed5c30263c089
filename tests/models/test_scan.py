"""The scan is the state space model step by step: outputs and all gradients, at any length, in both directions."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spike_ssm.models.ops import compiled
from spike_ssm.models.ssm.s4d import INITIALISATIONS, initial_states
from spike_ssm.models.ssm.scan import scan, scan_sequential
from spike_ssm.models.ssm.scan.operator import entering

NAMES = ("y", "x", "dt_a", "weights", "skip", "affine")
ODD = (1, 63, 64, 65, 1000)


def in_double(value: Tensor) -> Tensor:
    return value.detach().to(torch.complex128 if value.is_complex() else torch.float64)


def in_single(value: Tensor) -> Tensor:
    return value.detach().to(torch.complex64 if value.is_complex() else torch.float32)


def model(dt_a: Tensor, length: int, *, directions: int = 2, batch: int = 2) -> list[Tensor]:
    """x, dt_a, weights and skip in double precision, of numbers that single precision holds."""
    generator = torch.Generator().manual_seed(length)

    def drawn(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=dtype)

    weights = drawn(directions, *dt_a.shape, dtype=in_single(dt_a).dtype)
    values = (drawn(batch, len(dt_a), length), in_single(dt_a), weights, drawn(len(dt_a)))
    return [in_double(value) for value in values]


def random_states(channels: int, states: int, *, real: bool = False) -> Tensor:
    generator = torch.Generator().manual_seed(states)
    decay, angle = torch.rand(2, channels, states, generator=generator)
    return -decay / 5 if real else torch.complex(-decay / 5, 6 * angle - 3)


def outcome(way: Any, values: list[Tensor]) -> tuple[Tensor, ...]:
    """The output, and the gradients of all inputs for a gradient of it that varies."""
    leaves = [value.clone().requires_grad_() for value in values]
    y = way(*leaves)
    grad = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape).cos()
    return y.detach(), *torch.autograd.grad(y, leaves, grad)


def assert_close(got: tuple[Tensor, ...], expected: tuple[Tensor, ...], tolerance: float) -> None:
    """Errors are counted in the largest number of a channel's output or gradient."""
    for name, g, e in zip(NAMES[: len(got)], got, expected, strict=True):
        error = float((g - e).abs().max() / e.abs().max().clamp(min=1e-30))
        assert error <= tolerance, f"{name} is off by {error:.2g} of its largest number"


@settings(deadline=None, max_examples=30)
@given(
    length=st.integers(1, 300),
    directions=st.integers(1, 2),
    states=st.integers(1, 20),
    batch=st.integers(1, 20),
    real=st.booleans(),
)
def test_the_kernels_give_the_reference_in_double_precision(
    length: int, directions: int, states: int, batch: int, real: bool
) -> None:
    values = model(random_states(3, states, real=real), length, directions=directions, batch=batch)
    assert_close(outcome(scan, values), outcome(scan_sequential, values), 1e-11)


@pytest.mark.parametrize("length", ODD)
@pytest.mark.parametrize("initialisation", INITIALISATIONS)
def test_in_single_precision_they_are_as_close_as_it_allows(initialisation: str, length: int) -> None:
    dt = torch.logspace(-3, -1, 4)[:, None]
    values = model(dt * initial_states(initialisation, 64), length)
    got = outcome(scan, [in_single(value) for value in values])
    assert all(each.dtype in (torch.float32, torch.complex64) for each in got)
    assert_close(got, outcome(scan_sequential, values), 2e-5)


@pytest.mark.parametrize("decay", [1e-7, 1e-4, 1.0, 50.0, 1e4], ids=str)
@pytest.mark.parametrize("real", [False, True], ids=["complex", "real"])
def test_states_that_keep_nearly_all_or_nothing_are_no_special_case(decay: float, real: bool) -> None:
    angle = torch.tensor([[0.0, 1e-3, 3.0], [100.0, math.pi, -1.0]])
    dt_a = torch.full_like(angle, -decay)
    values = model(dt_a if real else torch.complex(dt_a, angle), 1000)
    assert_close(outcome(scan, [in_single(value) for value in values]), outcome(scan_sequential, values), 1e-4)


@pytest.mark.parametrize("length", [*ODD, 40])
@pytest.mark.parametrize("batch", [1, 3, 70])
def test_inputs_are_scaled_shifted_and_end_where_their_example_does(length: int, batch: int) -> None:
    values = model(random_states(3, 2), length, batch=batch)
    lengths = torch.arange(batch) * 7 % (length + 1)
    affine = torch.tensor([[0.5, -2.0, 1.0], [3.0, 0.0, -1.0]], dtype=torch.float64)

    def here(x: Tensor, dt_a: Tensor, weights: Tensor, skip: Tensor, affine: Tensor) -> Tensor:
        return scan(x, dt_a, weights, skip, affine=affine, lengths=lengths)

    def before(x: Tensor, dt_a: Tensor, weights: Tensor, skip: Tensor, affine: Tensor) -> Tensor:
        return scan_sequential(entering(x, affine, lengths), dt_a, weights, skip)

    assert_close(outcome(here, [*values, affine]), outcome(before, [*values, affine]), 1e-11)
    singles = [in_single(value) for value in (*values, affine)]
    x, *others, affine = singles
    assert torch.equal(here(*singles), scan(entering(x, affine, lengths), *others)), "the same bits"


def test_the_output_and_gradients_are_the_same_bits_again_and_with_another_number_of_threads() -> None:
    values = [in_single(value) for value in model(random_states(5, 4), 200, batch=9)]
    expected = outcome(scan, values)
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for one, other in zip(outcome(scan, values), expected, strict=True):
            assert torch.equal(one, other)


def test_a_row_does_not_depend_on_the_batch_that_it_is_in() -> None:
    x, *others = (in_single(value) for value in model(random_states(3, 4), 100, batch=40))
    assert torch.equal(scan(x, *others)[17:18], scan(x[17:18].clone(), *others))


def test_no_steps_and_no_examples_give_none() -> None:
    x, *others = model(random_states(3, 2), 5)
    assert scan(x[:0], *others).shape == (0, 3, 5)
    leaves = [x[..., :0].clone().requires_grad_(), *others]
    assert scan(*leaves).shape == (2, 3, 0)


def test_inputs_of_any_layout_will_do() -> None:
    x, dt_a, weights, skip = model(random_states(3, 2), 40)
    scattered = x.permute(2, 0, 1).contiguous().permute(1, 2, 0), dt_a.mH.contiguous().mH, weights.conj(), skip
    assert_close(outcome(scan, list(scattered)), outcome(scan_sequential, list(scattered)), 1e-11)


def test_half_precision_is_computed_in_single() -> None:
    x, *others = (in_single(value) for value in model(random_states(3, 2), 40))
    with torch.autocast("cpu", torch.bfloat16):
        y = scan(x.bfloat16(), *others)
    assert torch.equal(y, scan(x.bfloat16().float(), *others))


@pytest.mark.parametrize("directions", [1, 2])
def test_a_number_that_is_none_is_not_lost(directions: int) -> None:
    x, *others = model(random_states(2, 3), 100, directions=directions)
    x[0, 1, 40] = math.nan
    y = scan(x, *others)
    assert y[0, 1, 40:].isnan().all()
    assert y[1].isfinite().all()
    assert y[0, 0].isfinite().all()


def test_the_operator_passes_torchs_own_check() -> None:
    for real in (False, True):
        values = [value.requires_grad_() for value in model(random_states(3, 2, real=real), 40)]
        affine = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
        for entering_by in ((None, None), (affine, torch.tensor([40, 7]))):
            torch.library.opcheck(torch.ops.spike_ssm.scan.default, (values[0], *entering_by, *values[1:]))


def test_it_compiles_without_a_graph_break() -> None:
    values = model(random_states(3, 2, real=True), 40)
    compiled_scan = torch.compile(scan, fullgraph=True, backend="aot_eager")
    assert_close(outcome(compiled_scan, values), outcome(scan, values), 0)


def test_a_device_or_precision_without_a_kernel_is_refused_in_one_sentence() -> None:
    values = model(random_states(3, 2), 40)
    with pytest.raises(ValueError, match=r"x is on meta; set model\.convolution=fft"):
        scan(*(value.to("meta") for value in values))
    with pytest.raises(TypeError, match=r"are torch\.float16; set model\.convolution=fft"):
        scan(*(value.half() for value in model(random_states(3, 2, real=True), 40)))


def test_kept_machine_code_is_of_all_sources_that_kernels_are_made_of(tmp_path: Any) -> None:
    for name in ("ops/simd.py", "ssm/scan/scan_cpu.py", "mixing/mixing_cpu.py", "neurons/lif.py"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("")
    seen = [compiled.fingerprint(tmp_path)]
    for change in ("ops/simd.py", "ssm/scan/scan_cpu.py", "mixing/mixing_cpu.py"):
        (tmp_path / change).write_text("changed")
        seen.append(compiled.fingerprint(tmp_path))
    assert len(set(seen)) == 4
    (tmp_path / "neurons/lif.py").write_text("changed")
    assert compiled.fingerprint(tmp_path) == seen[-1]
