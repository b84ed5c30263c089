"""The operator as a citizen of torch: shapes, dtypes, compilation; and what it says to wrong arguments."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import Tensor

from spike_ssm.models.ops.refractory_lif import Rules, options, refractory_lif
from spike_ssm.models.ops.refractory_lif.fused import solve_fused
from spike_ssm.models.ops.refractory_lif.pmbc import solve_pmbc

VALUES = (0.5, 1.0, 0.5, 0.5)
SOLVERS = ("sequential", "pmbc", "fused")


def gaussian(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


def columns(channels: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    return [torch.full((channels,), value, dtype=dtype, requires_grad=True) for value in VALUES]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("shape", [(0, 3, 10), (2, 3, 1), (1, 1, 1), (2, 3, 0), (1, 5, 33)])
def test_any_size_works_forward_and_backward(solver: str, shape: tuple[int, int, int]) -> None:
    x = gaussian(*shape).requires_grad_()
    parameters = columns(shape[1])
    spikes, potential = refractory_lif(x, *parameters, solver=solver, return_potential=True)
    assert spikes.shape == potential.shape == shape
    grads = torch.autograd.grad(spikes.sum(), [x, *parameters], materialize_grads=True)
    assert all(torch.isfinite(grad).all() for grad in grads)


@pytest.mark.parametrize("solver", SOLVERS)
def test_potentials_are_detached_and_decide_the_spikes(solver: str) -> None:
    x = gaussian(2, 3, 50).requires_grad_()
    spikes, potential = refractory_lif(x, *VALUES, solver=solver, return_potential=True)
    assert not potential.requires_grad
    assert spikes.requires_grad
    assert torch.equal(spikes, (potential >= 1.0).float())


@pytest.mark.parametrize("solver", SOLVERS)
def test_layout_in_memory_does_not_matter(solver: str) -> None:
    x = gaussian(4, 50, 6).transpose(1, 2)
    expected = refractory_lif(x.contiguous(), *VALUES, solver=solver)
    assert torch.equal(refractory_lif(x, *VALUES, solver=solver), expected)
    row = gaussian(1, 1, 40).expand(3, 5, 40)
    assert torch.equal(refractory_lif(row, *VALUES, solver=solver), refractory_lif(row.clone(), *VALUES, solver=solver))
    backwards = x[..., ::2]
    assert torch.equal(
        refractory_lif(backwards, *VALUES, solver=solver),
        refractory_lif(backwards.clone(memory_format=torch.contiguous_format), *VALUES, solver=solver),
    )


@pytest.mark.parametrize("solver", SOLVERS)
def test_expanded_output_gradients_work(solver: str) -> None:
    x = gaussian(2, 3, 40).requires_grad_()
    (by_sum,) = torch.autograd.grad(refractory_lif(x, *VALUES, solver=solver).sum(), x)
    (by_ones,) = torch.autograd.grad(refractory_lif(x, *VALUES, solver=solver), x, torch.ones(2, 3, 40))
    assert torch.equal(by_sum, by_ones)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("solver", SOLVERS)
def test_spikes_have_the_inputs_dtype_and_half_precision_is_computed_in_float32(
    solver: str, dtype: torch.dtype
) -> None:
    x = gaussian(2, 3, 60).to(dtype).requires_grad_()
    spikes = refractory_lif(x, *VALUES, solver=solver)
    assert spikes.dtype == dtype
    wide = x.detach() if dtype == torch.float64 else x.detach().float()
    assert torch.equal(spikes.double(), refractory_lif(wide, *VALUES, solver="sequential").double())
    (grad,) = torch.autograd.grad(spikes.sum(), x)
    assert grad.dtype == dtype


@pytest.mark.parametrize("solver", SOLVERS)
def test_autocast_leaves_the_state_in_float32(solver: str) -> None:
    x = gaussian(2, 3, 60)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        spikes, potential = refractory_lif(x, *VALUES, solver=solver, return_potential=True)
    assert potential.dtype == torch.float32
    assert torch.equal(spikes, refractory_lif(x, *VALUES, solver="sequential"))


@pytest.mark.parametrize("solver", SOLVERS)
def test_it_can_be_used_twice_in_one_graph(solver: str) -> None:
    x = gaussian(2, 3, 60, dtype=torch.float64).requires_grad_()

    def twice() -> Tensor:
        first = refractory_lif(x, *VALUES, solver=solver)
        return (refractory_lif(x + first, *VALUES, solver=solver) * first).sum()

    (got,) = torch.autograd.grad(twice(), x)
    solver = "sequential"
    (expected,) = torch.autograd.grad(twice(), x)
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)


def test_custom_operators_pass_torchs_own_check() -> None:
    x, parameters = gaussian(2, 3, 40).requires_grad_(), torch.stack(columns(3)).detach().requires_grad_()
    for keep_potential in (False, True):
        torch.library.opcheck(solve_fused, (x, parameters, keep_potential, *Rules()))
    torch.library.opcheck(solve_pmbc, (x, parameters, None, "midpoint", *Rules()))
    torch.library.opcheck(solve_pmbc, (x, parameters, 3, "midpoint", *Rules()))


@pytest.mark.parametrize("solver", ["pmbc", "fused"])
def test_it_compiles_without_a_graph_break(solver: str) -> None:
    x = gaussian(2, 3, 40).requires_grad_()
    parameters = columns(3)

    def loss(x: Tensor, *parameters: Tensor) -> Tensor:
        return (refractory_lif(2 * x, *parameters, solver=solver) * x).sum()

    expected = torch.autograd.grad(loss(x, *parameters), [x, *parameters])
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    got = torch.autograd.grad(compiled(x, *parameters), [x, *parameters])
    for e, g in zip(expected, got, strict=True):
        torch.testing.assert_close(g, e)


def test_floats_and_tensors_mean_the_same() -> None:
    x = gaussian(2, 3, 40)
    assert torch.equal(refractory_lif(x, *VALUES), refractory_lif(x, *columns(3)))
    assert torch.equal(refractory_lif(x, *VALUES), refractory_lif(x, *(torch.tensor(value) for value in VALUES)))


@pytest.mark.parametrize("solver", SOLVERS)
def test_inference_mode_gives_the_same_spikes(solver: str) -> None:
    x = gaussian(2, 3, 40)
    expected = refractory_lif(x, *VALUES, solver=solver)
    with torch.inference_mode():
        assert torch.equal(refractory_lif(x, *VALUES, solver=solver), expected)


@pytest.mark.parametrize("rows", [1, 7, 16, 17, 33, 48, 64, 70])
def test_the_fused_solver_does_not_depend_on_the_number_of_threads(rows: int) -> None:
    inputs = [gaussian(3, rows, 150).requires_grad_(), *columns(rows)]

    def run(threads: int) -> tuple[Tensor, ...]:
        torch.set_num_threads(threads)
        spikes = refractory_lif(*inputs, solver="fused")
        return (spikes, *torch.autograd.grad(spikes.sum(), inputs))

    for one, two in zip(run(1), run(2), strict=True):
        assert torch.equal(one, two)


def test_the_automatic_choice_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    options.log_choice.cache_clear()
    with caplog.at_level(logging.INFO, logger=options.__name__):
        for _ in range(3):
            refractory_lif(gaussian(1, 2, 10), *VALUES)
    assert [record.message for record in caplog.records] == ["refractory_lif on cpu: solver=auto runs fused"]


@pytest.mark.parametrize(
    ("arguments", "options", "sentence"),
    [
        ((1.0, 1.0, 0.5, 0.5), {}, r"leak must be in \(0, 1\), but it is 1.0"),
        ((0.0, 1.0, 0.5, 0.5), {}, r"leak must be in \(0, 1\)"),
        ((0.5, 0.0, 0.5, 0.5), {}, r"threshold must be > 0"),
        ((0.5, 1.0, -0.1, 0.5), {}, r"refractory must be >= 0, but it is -0.1"),
        ((0.5, 1.0, 0.5, 1.0), {}, r"decay must be in \[0, 1\)"),
        ((0.5, float("nan"), 0.5, 0.5), {}, r"threshold must be > 0 and at least 1e-30, but it is nan"),
        ((torch.tensor([0.5, 0.5, 1.5]), 1.0, 0.5, 0.5), {}, r"leak must be in \(0, 1\), but it is 1.5"),
        ((torch.tensor([0.5, 0.5]), 1.0, 0.5, 0.5), {}, r"leak must be a float or a tensor \[3\]"),
        ((*VALUES,), {"solver": "magic"}, "choose one of auto, sequential, pmbc, fused"),
        ((*VALUES,), {"surrogate": "magic"}, "choose one of piecewise_quadratic, arctan"),
        ((*VALUES,), {"surrogate_width": 0.0}, "surrogate_width must be a positive number"),
        ((*VALUES,), {"resolve": "magic", "max_iterations": 2}, "choose one of midpoint, silent, fire"),
        ((*VALUES,), {"max_iterations": 0}, "max_iterations must be at least 1"),
        ((*VALUES,), {"max_iterations": 2, "solver": "fused"}, "Leave one of them out"),
        ((*VALUES,), {"solver": "pmbc", "detach_reset": False}, "use solver='fused'"),
    ],
)
def test_a_wrong_argument_gets_a_sentence_with_what_is_allowed(
    arguments: tuple[float | Tensor, ...], options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        refractory_lif(gaussian(2, 3, 10), *arguments, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [[0.5, 0.5, 0.5], None, "0.5"])
@pytest.mark.parametrize("place", range(4))
def test_a_parameter_of_another_type_gets_a_sentence(place: int, value: object) -> None:
    arguments: list[object] = list(VALUES)
    arguments[place] = value
    name = ("leak", "threshold", "refractory", "decay")[place]
    with pytest.raises(TypeError, match=rf"^{name} must be a float or a tensor \[3\], but it is .*\.$"):
        refractory_lif(gaussian(2, 3, 10), *arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("x", [gaussian(3, 10), torch.ones(2, 3, 10, dtype=torch.int64)])
def test_x_must_be_three_dimensional_and_floating_point(x: Tensor) -> None:
    with pytest.raises(TypeError, match=r"floating-point tensor \[B, H, L\]"):
        refractory_lif(x, *VALUES)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", [0, 20, 49])
@pytest.mark.parametrize("solver", SOLVERS)
def test_nan_and_infinity_anywhere_in_x_are_reported(solver: str, place: int, bad: float) -> None:
    x = gaussian(2, 3, 50)
    x[1, 2, place] = bad
    with pytest.raises(ValueError, match="NaN or infinite"):
        refractory_lif(x, *VALUES, solver=solver)


@pytest.mark.parametrize("after", [[], [0.0], [0.0] * 40])
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_potential_that_overflows_is_reported_by_every_solver(solver: str, after: list[float]) -> None:
    with pytest.raises(ValueError, match="overflowed"):
        refractory_lif(torch.tensor([[[3e38, 3e38, *after]]]), 0.9, 1.0, 0.5, 0.5, solver=solver)


@pytest.mark.parametrize("solver", SOLVERS)
def test_compiled_it_says_the_same_of_what_is_out_of_range(solver: str) -> None:
    def spikes(x: Tensor, *parameters: Tensor) -> Tensor:
        return refractory_lif(x, *parameters, solver=solver)

    x, (leak, threshold, refractory, decay) = gaussian(2, 3, 10), columns(3)
    torch.compiler.reset()
    compiled = torch.compile(spikes, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x, leak, threshold, refractory, decay), spikes(x, leak, threshold, refractory, decay))
    for sentence, arguments in (
        (r"leak must be in \(0, 1\)", (x, leak + 1, threshold, refractory, decay)),
        ("threshold must be > 0", (x, leak, 1e-40 * threshold, refractory, decay)),
        ("refractory must be >= 0", (x, leak, threshold, -refractory, decay)),
        (r"decay must be in \[0, 1\)", (x, leak, threshold, refractory, decay * torch.nan)),
        ("NaN or infinite", (x * torch.inf, leak, threshold, refractory, decay)),
    ):
        with pytest.raises(RuntimeError, match=sentence):
            compiled(*arguments)
