"""The zero-order hold as one operator is its formula, values and all gradients, at any step size and decay."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spike_ssm.models.ssm import S4D
from spike_ssm.models.ssm.discretisation import by_formula, discretised
from spike_ssm.models.ssm.s4d import INITIALISATIONS

Parameters = tuple[Tensor, Tensor, Tensor | None, Tensor, Tensor]
Way = Callable[..., tuple[Tensor, Tensor]]


def drawn(*, real: bool, directions: int = 2, channels: int = 3, states: int = 4, seed: int = 0) -> Parameters:
    """Parameters in double precision, of numbers that single precision holds."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).double()

    pair = () if real else (2,)
    frequency = None if real else 3 * normal(channels, states)
    b, c = normal(channels, states, *pair), normal(directions, channels, states, *pair)
    return normal(channels) - 2, normal(channels, states), frequency, b, c


def initialised(name: str, directions: int) -> Parameters:
    torch.manual_seed(0)
    layer = S4D(5, 8, initialisation=name, bidirectional=directions == 2).double()
    return layer.log_dt, layer.log_decay, layer.frequency, layer.b, layer.c


def outcome(way: Way, parameters: Parameters) -> list[Tensor]:
    """Both results and the gradients of all parameters."""
    leaves = [each if each is None else each.detach().clone().requires_grad_() for each in parameters]
    found = way(*leaves)
    grads = [varying(each) for each in found]
    return [*found, *torch.autograd.grad(found, [each for each in leaves if each is not None], grads)]


def varying(like: Tensor) -> Tensor:
    """Numbers of size 1 or less in `like`'s shape; complex ones turn by and by."""
    angle = torch.linspace(-1, 1, like.numel(), dtype=like.real.dtype).view(like.shape)
    return torch.polar(torch.ones_like(angle), angle) if like.is_complex() else angle.cos()


def assert_close(got: Sequence[Tensor], expected: Sequence[Tensor], tolerance: float) -> None:
    """Errors are counted in the largest number of a result or gradient."""
    for number, (g, e) in enumerate(zip(got, expected, strict=True)):
        error = float((g.detach() - e.detach()).abs().max() / e.detach().abs().max().clamp(min=1e-300))
        assert error <= tolerance, f"result {number} is off by {error:.2g} of its largest number"


def in_single(parameters: Parameters) -> Parameters:
    return tuple(each if each is None else each.detach().float() for each in parameters)  # type: ignore[return-value]


def assert_is_the_formula(parameters: Parameters) -> None:
    expected = outcome(by_formula, parameters)
    assert_close(outcome(discretised, parameters), expected, 1e-12)
    single = outcome(discretised, in_single(parameters))
    assert {each.dtype for each in single} <= {torch.float32, torch.complex64}
    assert_close(single, outcome(by_formula, tuple(map(doubled, in_single(parameters)))), 1e-6)  # type: ignore[arg-type]


def doubled(value: Tensor | None) -> Tensor | None:
    return value if value is None else value.double()


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("name", INITIALISATIONS)
def test_it_is_the_formula_for_every_initialisation(name: str, directions: int) -> None:
    assert_is_the_formula(initialised(name, directions))


@settings(deadline=None, max_examples=30)
@given(
    real=st.booleans(), directions=st.integers(1, 2), channels=st.integers(1, 5), states=st.integers(1, 9),
    seed=st.integers(0, 1000),
)  # fmt: skip
def test_it_is_the_formula_for_any_sizes(real: bool, directions: int, channels: int, states: int, seed: int) -> None:
    assert_is_the_formula(drawn(real=real, directions=directions, channels=channels, states=states, seed=seed))


@pytest.mark.parametrize("real", [False, True], ids=["complex", "real"])
@pytest.mark.parametrize("decay", [1e-6, 1e-2, 1.0, 1e4])
@pytest.mark.parametrize("dt", [1e-6, 1e-3, 10.0])
def test_extreme_steps_and_decays_are_no_special_case(dt: float, decay: float, real: bool) -> None:
    log_dt, log_decay, frequency, b, c = drawn(real=real)
    if frequency is not None:
        frequency[:, 0] = 0
    parameters = log_dt.fill_(math.log(dt)), log_decay.fill_(math.log(decay)), frequency, b, c
    dt_a, weights = discretised(*parameters)
    expected = by_formula(*parameters)
    torch.testing.assert_close(dt_a, expected[0], rtol=1e-13, atol=0)
    torch.testing.assert_close(weights, expected[1], rtol=1e-12, atol=1e-15 * float(expected[1].abs().max()))
    if dt * decay > 1e-4:  # below, the formula's own gradients lose digits
        assert_close(outcome(discretised, parameters), outcome(by_formula, parameters), 1e-11)


@pytest.mark.parametrize("real", [False, True], ids=["complex", "real"])
def test_gradients_keep_their_digits_where_a_step_hardly_changes_a_state(real: bool) -> None:
    """There (e^z - 1) / A, with z = dt A, is dt (1 + z / 2 + z^2 / 6 + ...), and the formula's gradients cancel."""

    def series(log_dt: Tensor, log_decay: Tensor, frequency: Tensor | None, b: Tensor, c: Tensor) -> tuple[Tensor, ...]:
        dt_a, _ = by_formula(log_dt, log_decay, frequency, b, c)
        bc = b * c if real else torch.view_as_complex(b) * torch.view_as_complex(c)
        return dt_a, bc * log_dt.exp()[:, None] * (1 + dt_a / 2 + dt_a**2 / 6 + dt_a**3 / 24)

    log_dt, log_decay, frequency, b, c = drawn(real=real)
    parameters = log_dt.fill_(math.log(1e-6)), log_decay - 5, frequency, b, c
    by_weights = torch.ones_like(discretised(*parameters)[1])
    for number in (1, 2)[: 1 + (not real)]:
        found = []
        for way in (discretised, series):
            leaf = parameters[number].clone().requires_grad_()  # type: ignore[union-attr]
            weights = way(*parameters[:number], leaf, *parameters[number + 1 :])[1]  # type: ignore[operator]
            found.append(torch.autograd.grad(weights, leaf, by_weights)[0])
        torch.testing.assert_close(*found, rtol=1e-11, atol=0)


@pytest.mark.parametrize("real", [False, True], ids=["complex", "real"])
def test_gradients_are_those_of_differences(real: bool) -> None:
    parameters = [each for each in drawn(real=real, channels=2, states=2) if each is not None]
    leaves = [each.requires_grad_() for each in parameters]

    def run(log_dt: Tensor, log_decay: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
        return discretised(log_dt, log_decay, *((None, *others) if real else others))  # type: ignore[arg-type]

    assert torch.autograd.gradcheck(run, leaves)


@pytest.mark.parametrize("real", [False, True], ids=["complex", "real"])
def test_it_is_an_operator_as_torch_wants_them(real: bool) -> None:
    log_dt, log_decay, frequency, b, c = drawn(real=real)
    given_frequency = log_decay.new_empty(0, 0) if frequency is None else frequency.requires_grad_()
    rest = [each.requires_grad_() for each in (log_dt, log_decay, b, c)]
    arguments = *rest[:2], given_frequency, *rest[2:]
    torch.library.opcheck(torch.ops.spike_ssm.discretised.default, arguments)


@pytest.mark.parametrize("name", ["lin", "real"])
def test_compiled_it_is_the_same_without_a_break(name: str) -> None:
    parameters = initialised(name, 2)
    compiled = torch.compile(discretised, fullgraph=True, backend="aot_eager")
    assert_close(outcome(compiled, parameters), outcome(discretised, parameters), 0.0)


def test_arguments_and_gradients_may_lie_in_memory_as_they_like() -> None:
    log_dt, log_decay, frequency, b, c = drawn(real=False)
    assert frequency is not None
    apart = log_dt, log_decay.t().contiguous().t(), frequency.t().contiguous().t(), b, c
    assert_close(outcome(discretised, apart), outcome(discretised, (log_dt, log_decay, frequency, b, c)), 0.0)
    weights = discretised(log_dt, log_decay, frequency, b, c.requires_grad_())[1]
    (expected,) = torch.autograd.grad(weights, c, varying(weights), retain_graph=True)
    apart_and_conjugate = varying(weights).conj().resolve_conj().mT.contiguous().mT.conj()
    (found,) = torch.autograd.grad(weights, c, apart_and_conjugate)
    assert torch.equal(found, expected)


def test_a_b_that_is_not_trained_gets_no_gradient_and_changes_no_other() -> None:
    gradients = []
    for trainable in (True, False):
        torch.manual_seed(0)
        layer = S4D(4, 8, b_trainable=trainable, convolution="product")
        layer(torch.linspace(-1, 1, 200).view(1, 4, 50)).square().sum().backward()
        assert (layer.b.grad is not None) == trainable
        gradients.append([each.grad for name, each in layer.named_parameters() if name != "b"])
    for one, other in zip(*gradients, strict=True):
        assert torch.equal(one, other)


def test_the_state_dict_holds_parameters_alone() -> None:
    for name in INITIALISATIONS:
        layer = S4D(3, 4, initialisation=name)
        names = ["log_dt", "log_decay", *([] if name == "real" else ["frequency"]), "b", "c", "d"]
        assert list(layer.state_dict()) == names
