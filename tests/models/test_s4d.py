"""S4D is its recurrence in every way to compute it, in both directions, and its kernels start at the lags they say."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spike_ssm.models.ssm import S4D
from spike_ssm.models.ssm.convolution import convolution
from spike_ssm.models.ssm.kernel import SHORT, s4d_kernel
from spike_ssm.models.ssm.s4d import INITIALISATIONS, initial_states


def recurrence(layer: S4D, x: torch.Tensor, direction: int) -> torch.Tensor:
    """The causal state space model step by step, in complex128; a real one has half of each pair and no other half."""
    if layer.frequency is None:
        a, b, c = -layer.log_decay.double().exp() + 0j, layer.b.double(), layer.c.double()[direction] / 2
    else:
        a = torch.complex(-layer.log_decay.double().exp(), layer.frequency.double())
        b, c = torch.view_as_complex(layer.b.double()), torch.view_as_complex(layer.c.double())[direction]
    discrete_a = torch.exp(layer.log_dt.double().exp()[:, None] * a)
    discrete_b = (discrete_a - 1) / a * b
    state = torch.zeros(x.shape[0], *a.shape, dtype=torch.complex128)
    outputs = []
    for x_t in x.double().unbind(-1):
        state = discrete_a * state + discrete_b * x_t[..., None]
        outputs.append(2 * (c * state).sum(-1).real)
    return torch.stack(outputs, -1)


each_way = pytest.mark.parametrize("way", ["scan", "fft", "product"])


@each_way
@pytest.mark.parametrize("initialisation", INITIALISATIONS)
@pytest.mark.parametrize("length", [1, 2, 63, 200])
def test_a_causal_layer_is_the_recurrence(length: int, initialisation: str, way: str) -> None:
    torch.manual_seed(0)
    layer = S4D(4, 8, bidirectional=False, initialisation=initialisation, convolution=way)
    x = torch.randn(2, 4, length)
    expected = recurrence(layer, x, 0) + layer.d[:, None] * x
    torch.testing.assert_close(layer(x).double(), expected.double(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("initialisation", INITIALISATIONS)
def test_streaming_gives_what_the_whole_sequence_does(initialisation: str) -> None:
    torch.manual_seed(0)
    layer = S4D(4, 8, bidirectional=False, initialisation=initialisation)
    x, state, outputs = torch.randn(2, 4, 100), None, []
    for x_t in x.unbind(-1):
        y, state = layer.step(x_t, state)
        outputs.append(y)
    torch.testing.assert_close(torch.stack(outputs, -1), layer(x), rtol=1e-4, atol=1e-4)


@each_way
@pytest.mark.parametrize("initialisation", INITIALISATIONS)
def test_the_second_direction_is_the_recurrence_run_backwards_from_lag_minus_one(initialisation: str, way: str) -> None:
    torch.manual_seed(0)
    layer = S4D(4, 8, bidirectional=True, initialisation=initialisation, convolution=way)
    x = torch.randn(2, 4, 50)
    ahead = recurrence(layer, x.flip(-1), 1).flip(-1)
    shifted = torch.cat((ahead[..., 1:], torch.zeros(2, 4, 1)), -1)
    expected = recurrence(layer, x, 0) + shifted + layer.d[:, None] * x
    torch.testing.assert_close(layer(x).double(), expected.double(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("length", [1, 4, 7, 64, 127, 200])
def test_products_and_the_fft_are_the_same_convolution(length: int) -> None:
    torch.manual_seed(0)
    x, skip = torch.randn(100, 3, length), torch.randn(3)
    kernels = torch.randn(3, length) / length, torch.randn(3, length) / length
    by_product, by_fft = (convolution(x, skip, *kernels, by_product=way) for way in (True, False))
    torch.testing.assert_close(by_product, by_fft, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 4, 8, 1000])
def test_the_fft_is_the_same_for_some_channels_at_a_time(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    x, skip = torch.randn(2, 7, 30, dtype=torch.float64), torch.randn(7, dtype=torch.float64)
    leaves = [each.requires_grad_() for each in (x, skip, *torch.randn(2, 7, 30, dtype=torch.float64))]
    grad, found = torch.randn_like(x), []
    for at_once in (1000, rows):
        monkeypatch.setattr("spike_ssm.models.ssm.convolution.AT_ONCE", 1)
        monkeypatch.setattr("spike_ssm.models.ssm.convolution.ROWS", at_once)
        y = convolution(*leaves, by_product=False)
        found.append((y, *torch.autograd.grad(y, leaves, grad)))
    torch.testing.assert_close(found[0], found[1])


each_convolution = pytest.mark.parametrize("by_product", [False, True], ids=["by FFT", "by product"])


@each_convolution
@pytest.mark.parametrize("length", [7, 71])
def test_an_impulse_shows_which_lag_belongs_to_which_kernel(length: int, by_product: bool) -> None:
    x = torch.zeros(1, 1, length)
    x[..., 3] = 1
    lags = torch.arange(1.0, length + 1)[None]
    y = convolution(x, 0.0, lags, 10 * lags, by_product=by_product)
    expected = torch.cat((torch.tensor([30.0, 20, 10]), lags[0, : length - 3]))
    torch.testing.assert_close(y[0, 0], expected, rtol=0, atol=1e-3)


@each_convolution
@pytest.mark.parametrize("length", [5, 69])
def test_nothing_wraps_around(length: int, by_product: bool) -> None:
    x = torch.zeros(1, 1, length)
    x[..., 0] = x[..., -1] = 1
    ones = torch.ones(1, length)
    y = convolution(x, 0.0, ones, ones, by_product=by_product)
    torch.testing.assert_close(y, torch.full_like(x, 2), rtol=0, atol=1e-4)


@each_convolution
@pytest.mark.parametrize("reverse", [False, True])
def test_the_convolutions_gradients_are_those_of_its_sums(reverse: bool, by_product: bool) -> None:
    torch.manual_seed(0)
    length, convolved = 7, partial(convolution, by_product=by_product)
    x, skip = torch.randn(2, 2, length, dtype=torch.float64), torch.randn(2, dtype=torch.float64)
    kernels = [torch.randn(2, length, dtype=torch.float64) for _ in range(1 + reverse)]
    inputs = [tensor.requires_grad_() for tensor in (x, skip, *kernels)]
    assert torch.autograd.gradcheck(convolved, inputs)
    steps = torch.arange(length)
    lags = steps[:, None] - steps
    matrix = torch.where(lags >= 0, kernels[0][:, lags.clamp(min=0)], 0.0)
    if reverse:
        matrix = matrix + torch.where(lags < 0, kernels[1][:, (-lags - 1).clamp(min=0)], 0.0)
    torch.testing.assert_close(convolved(*inputs), torch.einsum("hts,bhs->bht", matrix, x) + skip[:, None] * x)


def formula(dt_a: torch.Tensor, weights: torch.Tensor, length: int) -> torch.Tensor:
    """The kernel with all powers held."""
    return 2 * torch.einsum("dhn,hnl->dhl", weights, torch.exp(dt_a[..., None] * torch.arange(length))).real


def of_random_states(directions: int, states: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """A times the step size, and weights, complex128."""
    torch.manual_seed(directions)
    size, frequency = torch.rand(2, states, dtype=torch.float64), 3 * torch.randn(2, states, dtype=torch.float64)
    weights = torch.randn(directions, 2, states, dtype=torch.complex128)
    return torch.complex(-size / 100, frequency).requires_grad_(), weights.requires_grad_()


@settings(deadline=None)
@given(length=st.integers(1, 700), directions=st.integers(1, 2))
def test_the_kernel_and_its_gradients_are_those_of_the_formula(length: int, directions: int) -> None:
    dt_a, weights = of_random_states(directions)
    grad = torch.randn(directions, 2, length, dtype=torch.float64)
    expected, found = formula(dt_a, weights, length), s4d_kernel(dt_a, weights, length)
    torch.testing.assert_close(found, expected)
    for one, other in zip(
        torch.autograd.grad(found, (dt_a, weights), grad),
        torch.autograd.grad(expected, (dt_a, weights), grad),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("real", [False, True], ids=["complex", "real"])
@pytest.mark.parametrize("directions", [1, 2])
def test_a_kernel_of_few_steps_is_that_of_many_cut_off(directions: int, real: bool) -> None:
    """The two are computed in different ways on a CPU."""
    dt_a, weights = of_random_states(directions)
    if real:
        dt_a, weights = (each.detach().real.contiguous().requires_grad_() for each in (dt_a, weights))
    grad, found = torch.randn(directions, 2, SHORT, dtype=torch.float64), []
    for length in (SHORT, 3 * SHORT):
        kernels = s4d_kernel(dt_a, weights, length)[..., :SHORT]
        found.append((kernels, *torch.autograd.grad(kernels, (dt_a, weights), grad)))
    for few, many in zip(*found, strict=True):
        torch.testing.assert_close(few, many, rtol=1e-11, atol=1e-11)
    torch.library.opcheck(torch.ops.spike_ssm.short_kernel.default, (dt_a, weights, 5))


def test_a_fast_state_keeps_its_phase_over_a_long_sequence_in_single_precision() -> None:
    """Where the formula's own powers lose it."""
    length = 16_384
    dt_a, weights = torch.tensor([[-1e-4 + 9.9j]]), torch.ones(1, 1, 1, dtype=torch.complex64)
    exact = formula(dt_a.to(torch.complex128), weights.to(torch.complex128), length)
    assert (s4d_kernel(dt_a, weights, length) - exact).abs().max() < 5e-6
    assert (formula(dt_a, weights, length) - exact).abs().max() > 1e-3


def test_the_kernel_holds_nothing_like_all_powers() -> None:
    dt_a, weights = torch.complex(-torch.rand(8, 16), torch.randn(8, 16)).requires_grad_(), torch.randn(2, 8, 16) + 0j
    saved: list[int] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        saved.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        s4d_kernel(dt_a, weights, 16_384)
    assert sum(saved) < 8 * 16 * 16_384 / 10


def test_initial_values_are_the_published_ones() -> None:
    inverse = [(6 / math.pi) * (6 / (2 * n + 1) - 1) for n in range(3)]
    for name, frequencies in (("lin", [0, math.pi, 2 * math.pi]), ("inv", inverse)):
        assert initial_states(name, 6).imag.tolist() == pytest.approx(frequencies)
        assert initial_states(name, 6).real.tolist() == [-0.5] * 3
    assert initial_states("real", 6).tolist() == [-1, -2, -3, -4, -5, -6]
    layer = S4D(100, 6, dt_min=1e-3, dt_max=1e-1)
    torch.testing.assert_close(-layer.log_decay.exp(), torch.full((100, 3), -0.5))
    dt = layer.log_dt.detach().exp()
    assert 1e-3 <= float(dt.min()) < float(dt.max()) <= 1e-1


def test_real_states_have_as_many_parameters_as_pairs_and_cost_less() -> None:
    pairs, real = (S4D(5, 8, initialisation=name) for name in ("lin", "real"))
    assert sum(map(torch.numel, pairs.parameters())) == sum(map(torch.numel, real.parameters()))
    assert real.multiplications_per_step() < pairs.multiplications_per_step()
    assert not any(parameter.is_complex() for parameter in real.parameters())


@settings(deadline=None)
@given(length=st.integers(1, 700), directions=st.integers(1, 2))
def test_the_kernel_of_real_states_is_the_formula(length: int, directions: int) -> None:
    torch.manual_seed(directions)
    dt_a, weights = -torch.rand(2, 3, dtype=torch.float64) / 100, torch.randn(directions, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(s4d_kernel(dt_a, weights, length), formula(dt_a, weights, length) / 2)


def test_it_stays_stable_whatever_training_does_to_its_parameters() -> None:
    layer = S4D(3, 4)
    for parameter in layer.ssm_parameters():
        torch.nn.init.normal_(parameter, std=2)
    layer.log_dt.data.clamp_(max=0)
    assert layer.frequency is not None
    assert (torch.complex(-layer.log_decay.exp(), layer.frequency).real < 0).all()


@pytest.mark.parametrize(("options", "sentence"), [({"state_size": 3}, "even"), ({"dt_min": 1.0}, "dt_min")])
def test_sizes_that_make_no_sense_get_a_sentence(options: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        S4D(4, **{"state_size": 4, **options})  # type: ignore[arg-type]
