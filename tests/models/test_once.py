"""Operators of ours have one derivative, backwards. What they do not have is refused; nothing is silently 0."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.autograd.forward_ad import dual_level, make_dual

from spike_ssm.models.mixing import gated_mixing
from spike_ssm.models.neurons import NEURONS, build_neuron
from spike_ssm.models.ops.refractory_lif import Rules, refractory_lif
from spike_ssm.models.ops.serial import serial
from spike_ssm.models.ops.statistics import batch_norm, channel_statistics
from spike_ssm.models.ops.surrogate import surrogate_gradient
from spike_ssm.models.ssm.convolution import convolution
from spike_ssm.models.ssm.discretisation import discretised
from spike_ssm.models.ssm.kernel import s4d_kernel
from spike_ssm.models.ssm.scan import scan, spiking_scan

B, H, N, L = 2, 3, 2, 20
LIF = (0.6, 0.7, 0.3, 0.4)


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Operator(NamedTuple):
    """An operator as a function of some tensors, with values for them."""

    function: Callable[..., Tensor]
    inputs: tuple[Tensor, ...]


X, DT_A, WEIGHTS, SKIP = gaussian(B, H, L), -gaussian(H, N).abs(), gaussian(1, H, N), gaussian(H)
NEURON = tuple(torch.full((H,), value) for value in LIF)


def spikes_of_scan(x: Tensor, dt_a: Tensor, weights: Tensor, skip: Tensor, *neuron: Tensor) -> Tensor:
    return spiking_scan(x, dt_a, weights, skip, neuron, Rules())  # type: ignore[arg-type]


def normed(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return batch_norm(x, None, weight, bias, 1e-5)[0]


OPERATORS = {
    "refractory_lif_fused": Operator(partial(refractory_lif, solver="fused"), (X, *NEURON)),
    "refractory_lif_pmbc": Operator(partial(refractory_lif, solver="pmbc"), (X, *NEURON)),
    "serial": Operator(
        lambda x, parameters: serial(x, parameters, "tc_lif", solver="fused")[0], (X, torch.full((4, H), 0.5))
    ),
    "scan": Operator(scan, (X, DT_A, WEIGHTS, SKIP)),
    "spiking_scan": Operator(spikes_of_scan, (X, DT_A, WEIGHTS, SKIP, *NEURON)),
    "gated_mixing": Operator(gated_mixing, (X, gaussian(2 * H, H), gaussian(2 * H), X)),
    "channel_statistics": Operator(lambda x: torch.stack(channel_statistics(x, None)), (X,)),
    "batch_norm": Operator(normed, (X, gaussian(H), gaussian(H))),
    "discretised": Operator(
        lambda *parameters: torch.view_as_real(discretised(*parameters)[1]),
        (SKIP, gaussian(H, N), gaussian(H, N), gaussian(H, N, 2), gaussian(1, H, N, 2)),
    ),
    "short_kernel": Operator(partial(s4d_kernel, length=L), (DT_A, WEIGHTS)),
    "convolution_by_product": Operator(partial(convolution, by_product=True), (X, SKIP, gaussian(H, L))),
    "convolution_by_fft": Operator(partial(convolution, by_product=False), (X, SKIP, gaussian(H, L))),
}

every_operator = pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
REFUSED = r"differentiated once and backwards: it has no (second derivative|forward mode)"


def test_every_operator_that_has_a_backward_of_its_own_is_here() -> None:
    names = {name.split("::")[1] for name in torch._C._dispatch_get_all_op_names() if name.startswith("spike_ssm::")}
    assert "scan_backward" in names
    assert {name.removesuffix("_backward") for name in names} <= set(OPERATORS)


@every_operator
@pytest.mark.parametrize("asked", ["the input's gradient", "the output's gradient"])
def test_a_second_derivative_is_refused(operator: Operator, asked: str) -> None:
    first, *others = (each.clone().requires_grad_() for each in operator.inputs)
    output = operator.function(first, *others)
    given = gaussian(*output.shape, seed=1).requires_grad_(asked == "the output's gradient")
    gradients = torch.autograd.grad(output, [first, *others], given, create_graph=True)
    loss = sum(gradient.square().sum() for gradient in gradients)
    assert isinstance(loss, Tensor)
    with pytest.raises(NotImplementedError, match=REFUSED):
        (loss + first.square().sum()).backward()


@every_operator
def test_a_graph_of_the_gradient_does_not_change_it(operator: Operator) -> None:
    inputs = [each.clone().requires_grad_() for each in operator.inputs]
    expected = torch.autograd.grad(operator.function(*inputs).sum(), inputs)
    got = torch.autograd.grad(operator.function(*inputs).sum(), inputs, create_graph=True)
    torch.testing.assert_close(got, expected, rtol=0, atol=0)


@every_operator
def test_forward_mode_is_refused_for_every_input(operator: Operator) -> None:
    for moved in range(len(operator.inputs)):
        with dual_level():
            inputs = [make_dual(each, each) if i == moved else each for i, each in enumerate(operator.inputs)]
            with pytest.raises(NotImplementedError):
                operator.function(*inputs)


@every_operator
def test_transforms_of_functions_are_refused_or_right(operator: Operator) -> None:
    x, *others = operator.inputs
    batch = torch.stack((x, 0.9 * x))

    def of_x(x: Tensor) -> Tensor:
        return operator.function(x, *others)

    def slope(x: Tensor) -> Tensor:
        x = x.clone().requires_grad_()
        return torch.autograd.grad(of_x(x).sum(), x)[0]

    for transformed, expected in (
        (lambda: torch.func.vmap(of_x)(batch), lambda: torch.stack([of_x(each) for each in batch])),
        (lambda: torch.func.grad(lambda x: of_x(x).sum())(x), lambda: slope(x)),
        (lambda: torch.func.jvp(of_x, (x,), (x,))[1], lambda: torch.full((), torch.nan)),
        (lambda: torch.func.jvp(torch.func.vmap(of_x), (batch,), (batch,))[1], lambda: torch.full((), torch.nan)),
    ):
        try:
            got = transformed()
        except (RuntimeError, NotImplementedError):
            continue
        torch.testing.assert_close(got, expected())


@every_operator
def test_a_tangent_of_the_outputs_gradient_is_refused(operator: Operator) -> None:
    x, *others = (each.clone().requires_grad_() for each in operator.inputs)
    output = operator.function(x, *others)
    with dual_level(), pytest.raises(NotImplementedError):
        torch.autograd.grad(output, x, make_dual(torch.ones_like(output), torch.ones_like(output)))


def test_the_reference_has_second_derivatives() -> None:
    x, slope = gaussian(B, H, 1).double(), partial(surrogate_gradient, name="sigmoid", width=1.0)
    leak, threshold, refractory, decay = LIF
    fires = partial(
        refractory_lif, leak=leak, threshold=threshold, refractory=refractory, decay=decay,
        solver="sequential", surrogate="sigmoid",
    )  # fmt: skip
    x.requires_grad_()
    given = gaussian(B, H, 1, seed=1).double().requires_grad_()
    (gradient,) = torch.autograd.grad(fires(x), x, given, create_graph=True)
    by_given, by_x = torch.autograd.grad(gradient.square().sum(), (given, x))
    z = x / threshold - 1
    expected = (given * slope(z) / threshold).square().sum()
    torch.testing.assert_close((by_given, by_x), torch.autograd.grad(expected, (given, x)))


@pytest.mark.parametrize("name", NEURONS)
def test_a_neuron_has_forward_mode_or_says_that_it_has_not(name: str) -> None:
    neuron, x = build_neuron(H, NEURONS[name][1]()).double(), gaussian(B, H, L).double()

    def output(x: Tensor) -> Tensor:
        torch.manual_seed(0)
        return neuron(x)  # type: ignore[no-any-return]

    x.requires_grad_()
    given = gaussian(B, H, L, seed=1).double()
    try:
        _, tangent = torch.func.jvp(output, (x.detach(),), (x.detach(),))
    except NotImplementedError:
        return
    by_backward = torch.autograd.grad(output(x), x, given)[0]
    torch.testing.assert_close((given * tangent).sum(), (by_backward * x).sum())
