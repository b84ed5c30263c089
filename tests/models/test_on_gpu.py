"""Both solvers and the scan on a CUDA device, against float64 on the CPU."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from spike_ssm.models.ops.agreement import assert_agreement
from spike_ssm.models.ops.refractory_lif import Options, Rules, refractory_lif, solve
from spike_ssm.models.ops.refractory_lif.parameters import RESETS
from spike_ssm.models.ops.surrogate import SURROGATES
from spike_ssm.models.ssm.scan import scan
from tests.models.test_scan import assert_close, in_single, model, outcome, random_states

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]

NAMES = ("x", "leak", "threshold", "refractory", "decay")
SOLVERS = ("fused", "pmbc")
RULES = {
    "fused": [
        Rules(reset, raises, detach_reset=d) for reset in RESETS for raises in (False, True) for d in (True, False)
    ],
    "pmbc": [Rules(reset, raises) for reset in ("soft", "none") for raises in (False, True)],
}
CASES = [(solver, rules) for solver in SOLVERS for rules in RULES[solver]]


def leaves(batch: int, channels: int, length: int, dtype: torch.dtype) -> list[Tensor]:
    """x [B, H, L] and four parameters [H], leak = decay in the first channel, all on the CPU."""
    generator = torch.Generator().manual_seed(length)
    uniform = torch.rand(4, channels, generator=generator, dtype=dtype)
    parameters = [0.1 + 0.85 * uniform[0], 0.5 + uniform[1], 1.5 * uniform[2], 0.95 * uniform[3]]
    parameters[3][0] = parameters[0][0]
    x = torch.randn(batch, channels, length, generator=generator, dtype=dtype) + 0.3
    return [x, *parameters]


def on(device: str, inputs: list[Tensor]) -> list[Tensor]:
    return [tensor.to(device).requires_grad_() for tensor in inputs]


def weights(x: Tensor) -> Tensor:
    return torch.randn(x.shape, generator=torch.Generator().manual_seed(99), dtype=x.dtype).to(x.device)


def results(inputs: list[Tensor], options: Options) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Spikes, and the gradients of all five inputs."""
    spikes = solve(*inputs, options=options).spikes  # type: ignore[misc]
    return spikes.detach(), torch.autograd.grad(spikes, inputs, weights(inputs[0]), materialize_grads=True)


@pytest.mark.parametrize(("solver", "rules"), CASES, ids=str)
@pytest.mark.parametrize("length", [1, 17, 300, 512])
def test_in_float64_spikes_and_gradients_are_the_references(solver: str, rules: Rules, length: int) -> None:
    inputs = leaves(3, 37, length, torch.float64)
    expected_spikes, expected = results(on("cpu", inputs), Options(rules, "sequential"))
    spikes, gradients = results(on("cuda", inputs), Options(rules, solver))
    assert torch.equal(spikes.cpu(), expected_spikes)
    for label, g, e in zip(NAMES, gradients, expected, strict=True):
        atol = 1e-9 * (float(e.abs().max()) + 1)
        torch.testing.assert_close(g.cpu(), e, rtol=1e-7, atol=atol, msg=lambda m, label=label: f"{label}: {m}")


@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_surrogate_and_width_gives_the_references_gradients(solver: str, surrogate: str) -> None:
    rules = Rules(surrogate=surrogate, surrogate_width=0.7)
    inputs = leaves(2, 5, 256, torch.float64)
    _, expected = results(on("cpu", inputs), Options(rules, "sequential"))
    _, gradients = results(on("cuda", inputs), Options(rules, solver))
    for label, g, e in zip(NAMES, gradients, expected, strict=True):
        torch.testing.assert_close(g.cpu(), e, rtol=1e-9, atol=1e-9, msg=lambda m, label=label: f"{label}: {m}")


@pytest.mark.parametrize("shape", [(32, 2048, 256), (8, 64, 16384), (1, 33, 4099)])
@pytest.mark.parametrize("solver", SOLVERS)
def test_in_float32_spikes_agree_and_repeat_bit_for_bit(solver: str, shape: tuple[int, int, int]) -> None:
    inputs = on("cuda", leaves(*shape, torch.float32))
    spikes, gradients = results(inputs, Options(solver=solver))
    again, gradients_again = results(inputs, Options(solver=solver))
    assert torch.equal(spikes, again)
    for one, two in zip(gradients, gradients_again, strict=True):
        assert torch.equal(one, two)
    found = solve(*inputs, options=Options(solver=solver), return_potential=True)  # type: ignore[misc]
    assert found.potential is not None
    rows = slice(0, 256)  # the check holds several float64 copies
    parameters = tuple(p.detach()[rows].cpu() for p in inputs[1:])
    x, s, u = (tensor.detach()[:4, rows].cpu() for tensor in (inputs[0], found.spikes, found.potential))
    assert_agreement(x, parameters, s, u)  # type: ignore[arg-type]


@pytest.mark.parametrize("solver", SOLVERS)
def test_it_compiles_without_a_graph_break(solver: str) -> None:
    inputs = on("cuda", leaves(2, 33, 200, torch.float32))

    def loss(x: Tensor, *parameters: Tensor) -> Tensor:
        return (refractory_lif(2 * x, *parameters, solver=solver) * x).sum()  # type: ignore[call-arg, arg-type, operator]

    expected = torch.autograd.grad(loss(*inputs), inputs)
    got = torch.autograd.grad(torch.compile(loss, fullgraph=True)(*inputs), inputs)
    for e, g in zip(expected, got, strict=True):
        torch.testing.assert_close(g, e, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("solver", SOLVERS)
def test_autocast_leaves_the_state_in_float32(solver: str, dtype: torch.dtype) -> None:
    inputs = on("cuda", leaves(2, 33, 200, torch.float32))
    expected = solve(*inputs, options=Options(solver=solver)).spikes  # type: ignore[misc]
    with torch.autocast("cuda", dtype=dtype):
        found = solve(*inputs, options=Options(solver=solver), return_potential=True)  # type: ignore[misc]
    assert found.potential is not None
    assert found.potential.dtype == torch.float32
    assert torch.equal(found.spikes, expected)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_view_that_is_not_aligned_makes_no_difference(solver: str) -> None:
    x, *parameters = (tensor.detach() for tensor in on("cuda", leaves(2, 33, 256, torch.float32)))
    shifted = torch.empty(x.numel() + 1, device="cuda")[1:].view(x.shape).copy_(x)
    options = Options(solver=solver)
    assert torch.equal(solve(shifted, *parameters, options).spikes, solve(x, *parameters, options).spikes)


def test_paper_mode_and_empty_inputs_work_too() -> None:
    inputs = leaves(2, 3, 100, torch.float64)
    paper = Options(max_iterations=3)
    on_cpu, on_gpu = solve(*inputs, options=paper), solve(*(t.cuda() for t in inputs), options=paper)  # type: ignore[misc]
    assert torch.equal(on_gpu.spikes.cpu(), on_cpu.spikes)
    for solver in SOLVERS:
        empty = solve(torch.empty(2, 3, 0, device="cuda"), 0.5, 1.0, 0.5, 0.5, Options(solver=solver))
        assert empty.spikes.shape == (2, 3, 0)


@pytest.mark.parametrize("length", [1, 17, 300, 20000])
@pytest.mark.parametrize("real", [False, True], ids=["complex", "real"])
@pytest.mark.parametrize("directions", [1, 2])
def test_the_scan_is_the_cpus_and_repeats_bit_for_bit(length: int, real: bool, directions: int) -> None:
    values = model(random_states(3, 32, real=real), length, directions=directions, batch=9)
    expected = outcome(scan, values)
    double, single, again = (
        outcome(scan, [value.cuda() for value in kind])
        for kind in (values, *2 * [[in_single(value) for value in values]])
    )
    assert all(map(torch.equal, single, again))
    assert_close(tuple(each.cpu() for each in double), expected, 1e-10)
    assert_close(tuple(each.cpu() for each in single), expected, 2e-5)
