"""PMBC's bounds tighten, never cross, and meet; paper mode says what it left undetermined."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spike_ssm.models.ops.refractory_lif import Options, Rules, refractory_lif, solve
from spike_ssm.models.ops.refractory_lif.pmbc import _Chunks, _fires

Values = tuple[float, float, float, float]
DOCUMENTED: Values = (0.5, 1.0, 0.5, 0.5)
HARD: Values = (0.9, 1.0, 0.0, 0.0)


def gaussian(length: int, seed: int, dtype: torch.dtype = torch.float32, batch: int = 2, channels: int = 3) -> Tensor:
    return torch.randn(batch, channels, length, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def bounds(x: Tensor, values: Values, iterations: int) -> list[tuple[Tensor, Tensor]]:
    """(lower, upper) after each iteration over the whole sequence, [H, B, L]."""
    chunks = _Chunks(x, tuple(torch.full((x.shape[1],), value, dtype=x.dtype) for value in values), Rules())
    lower = torch.zeros(x.shape[1], x.shape[0], x.shape[2], dtype=x.dtype)
    upper = torch.ones_like(lower)
    seen = []
    for iteration in range(iterations):
        if iteration % 2 == 0:
            upper = _fires(chunks.replay(lower), chunks.filters[0])
        else:
            lower = _fires(chunks.replay(upper), chunks.filters[0])
        seen.append((lower, upper))
    return seen


any_values = st.tuples(st.floats(0.05, 0.98), st.just(1.0), st.floats(0.0, 2.0), st.floats(0.0, 0.98))


@settings(max_examples=40, deadline=None)
@given(values=any_values, length=st.integers(1, 150), seed=st.integers(0, 2**16))
def test_bounds_tighten_enclose_the_spikes_and_settle_a_step_per_iteration(
    values: Values, length: int, seed: int
) -> None:
    x = gaussian(length, seed, torch.float64) + 0.2
    exact = refractory_lif(x, *values, solver="sequential").transpose(0, 1)
    before_lower, before_upper = torch.zeros_like(exact), torch.ones_like(exact)
    for count, (lower, upper) in enumerate(bounds(x, values, 12), start=1):
        assert (before_lower <= lower).all()
        assert (upper <= before_upper).all()
        assert (lower <= exact).all()
        assert (exact <= upper).all()
        assert torch.equal(lower[..., : count - 1], upper[..., : count - 1])
        before_lower, before_upper = lower, upper


@pytest.mark.parametrize("values", [HARD, (0.99, 1.0, 0.5, 0.99)])
def test_bounds_never_cross_in_float32(values: Values) -> None:
    x = 0.5 * gaussian(2000, 0) + 0.3
    for lower, upper in bounds(x, values, 10):
        assert (lower <= upper).all()


def test_undetermined_fractions_are_those_measured_for_the_method_page() -> None:
    x = 0.9 * gaussian(1024, 0, batch=16, channels=8)
    percent = [100 * float(solve(x, *DOCUMENTED, Options(max_iterations=m)).undetermined) for m in range(1, 7)]
    assert percent == pytest.approx([17.0, 9.4, 3.8, 2.0, 0.9, 0.5], rel=0.1, abs=0.15)


def test_some_parameters_hardly_settle_at_all_in_a_few_iterations() -> None:
    x = 0.5 * gaussian(1024, 0) + 0.3
    assert solve(x, *HARD, Options(max_iterations=3)).undetermined > 0.9


@settings(max_examples=25, deadline=None)
@given(values=any_values, length=st.integers(1, 80), seed=st.integers(0, 2**16))
def test_with_enough_iterations_paper_mode_is_exact(values: Values, length: int, seed: int) -> None:
    x = gaussian(length, seed, torch.float64)
    found = solve(x, *values, Options(solver="pmbc", max_iterations=length + 1))
    assert found.undetermined == 0
    assert torch.equal(found.spikes, refractory_lif(x, *values, solver="sequential"))


@pytest.mark.parametrize("resolve", ["midpoint", "silent", "fire"])
def test_paper_mode_errs_only_where_it_is_undetermined(resolve: str) -> None:
    x = gaussian(500, 3, torch.float64)
    values = (0.9, 1.0, 0.5, 0.9)
    found = solve(x, *values, Options(max_iterations=3, resolve=resolve))
    exact = refractory_lif(x, *values, solver="sequential")
    wrong = float((found.spikes != exact).double().mean())
    assert 0 < wrong <= float(found.undetermined)


def test_resolving_to_silence_or_fire_brackets_the_exact_spikes() -> None:
    x = gaussian(500, 3, torch.float64)
    values = (0.9, 1.0, 0.5, 0.9)
    exact = refractory_lif(x, *values, solver="sequential")
    silent = refractory_lif(x, *values, max_iterations=3, resolve="silent")
    fire = refractory_lif(x, *values, max_iterations=3, resolve="fire")
    assert (silent <= exact).all()
    assert (exact <= fire).all()


def test_paper_mode_returns_the_potentials_of_the_spikes_it_chose() -> None:
    x = gaussian(200, 1, torch.float64)
    found = solve(x, *DOCUMENTED, Options(max_iterations=2), return_potential=True)
    chunks = _Chunks(x, tuple(torch.full((3,), value, dtype=x.dtype) for value in DOCUMENTED), Rules())
    expected = chunks.replay(found.spikes.transpose(0, 1)).transpose(0, 1)
    torch.testing.assert_close(found.potential, expected, rtol=0, atol=1e-12)


def test_certified_mode_says_how_many_iterations_it_took() -> None:
    found = solve(gaussian(300, 0), *DOCUMENTED, Options(solver="pmbc"))
    assert found.undetermined == 0
    assert 2 <= found.iterations <= 33  # a chunk of 32 steps needs 33 at the most
