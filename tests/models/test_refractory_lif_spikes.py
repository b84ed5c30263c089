"""Spikes: the reference is the equations and SpikingJelly's LIF; every solver agrees with the reference."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import functional, neuron, surrogate
from torch import Tensor

from spike_ssm.models.ops.agreement import Agreement, assert_agreement
from spike_ssm.models.ops.refractory_lif import Options, refractory_lif, solve
from spike_ssm.models.ops.refractory_lif.pmbc import CHUNK

FAST = ("pmbc", "fused")
DTYPES = (torch.float32, torch.float64)


def gaussian(batch: int, channels: int, length: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    return torch.randn(batch, channels, length, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def columns(channels: int, dtype: torch.dtype, *values: float) -> tuple[Tensor, ...]:
    return tuple(torch.full((channels,), value, dtype=dtype) for value in values)


def by_hand(x: list[float], leak: float, threshold: float, refractory: float, decay: float) -> list[int]:
    """The equations of the method page, word for word, for one row."""
    u = s = eta = 0.0
    spikes = []
    for x_t in x:
        eta = decay * eta + refractory * s
        u = leak * u + x_t - leak * threshold * s - eta
        s = float(u >= threshold)
        spikes.append(int(s))
    return spikes


@pytest.mark.parametrize("values", [(0.5, 1.0, 0.5, 0.5), (0.9, 0.7, 0.2, 0.3), (0.3, 1.5, 2.0, 0.0)])
def test_the_reference_is_the_equations_of_the_method(values: tuple[float, ...]) -> None:
    x = gaussian(1, 1, 300, torch.float64) + 0.3
    spikes = refractory_lif(x, *values, solver="sequential")
    assert spikes.flatten().int().tolist() == by_hand(x.flatten().tolist(), *values)


@pytest.mark.parametrize("leak", [0.1, 0.5, 0.75, 0.9, 0.99])
@pytest.mark.parametrize("solver", ["sequential", "fused"])
def test_without_refractoriness_it_is_spikingjellys_soft_reset_lif_spike_for_spike(leak: float, solver: str) -> None:
    x = gaussian(4, 16, 1024, torch.float32) + 0.2
    node = neuron.LIFNode(
        tau=1 / (1 - leak),
        decay_input=False,
        v_threshold=1.0,
        v_reset=None,
        step_mode="m",
        surrogate_function=surrogate.ATan(),
    )
    functional.reset_net(node)
    theirs = node(x.movedim(-1, 0)).movedim(0, -1)
    kept = 1.0 - 1.0 / node.tau  # the leak as SpikingJelly rounds it
    ours = refractory_lif(x, kept, 1.0, 0.0, 0.0, solver=solver)
    assert ours.sum() > 0
    assert torch.equal(ours, theirs)


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(1, 2000),
    leak=st.floats(0.01, 0.99),
    threshold=st.floats(0.1, 5.0),
    ratio=st.floats(0.0, 3.0),
    decay=st.floats(0.0, 0.99),
    drive=st.floats(-1.0, 2.0),
    dtype=st.sampled_from(DTYPES),
    solver=st.sampled_from(FAST),
    seed=st.integers(0, 2**16),
)
@example(63, 0.5, 1.0, 0.5, 0.5, 0.0, torch.float32, "pmbc", 0)  # leak = decay: a difference quotient is 0/0
@example(2000, 0.9, 1.0, 0.5, 0.9, 0.3, torch.float32, "pmbc", 1)
@example(CHUNK + 1, 0.97, 1.0, 0.0, 0.0, 1.5, torch.float64, "pmbc", 2)
@example(1, 0.5, 1.0, 0.5, 0.5, 1.0, torch.float32, "fused", 3)
def test_every_solver_gives_the_right_spikes_and_potentials(
    length: int,
    leak: float,
    threshold: float,
    ratio: float,
    decay: float,
    drive: float,
    dtype: torch.dtype,
    solver: str,
    seed: int,
) -> None:
    x = threshold * (gaussian(2, 3, length, dtype, seed) + drive)
    parameters = columns(3, dtype, leak, threshold, ratio * threshold, decay)
    found = solve(x, *parameters, Options(solver=solver), return_potential=True)
    assert_agreement(x, parameters, found.spikes, found.potential)


@pytest.mark.parametrize("solver", FAST)
@pytest.mark.parametrize("values", [(0.5, 1.0, 0.5, 0.5), (0.9, 1.0, 0.5, 0.9), (0.95, 1.0, 0.0, 0.2)])
def test_in_float64_on_random_input_solvers_are_equal(values: tuple[float, ...], solver: str) -> None:
    x = gaussian(3, 5, 1000, torch.float64, seed=5)
    reference = solve(x, *values, Options(solver="sequential"), return_potential=True)
    found = solve(x, *values, Options(solver=solver), return_potential=True)
    assert torch.equal(found.spikes, reference.spikes)
    torch.testing.assert_close(found.potential, reference.potential, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("drive", "low", "high"), [(-6.0, 0.0, 0.0), (0.0, 0.02, 0.4), (0.7, 0.3, 0.8), (4.0, 0.85, 1)]
)
@pytest.mark.parametrize("solver", FAST)
def test_solvers_agree_from_silence_to_nearly_every_step(drive: float, low: float, high: float, solver: str) -> None:
    x = gaussian(2, 4, 500, torch.float32) + drive
    parameters = columns(4, torch.float32, 0.5, 1.0, 0.1, 0.3)
    found = solve(x, *parameters, Options(solver=solver), return_potential=True)
    assert low <= found.spikes.mean() <= high
    assert_agreement(x, parameters, found.spikes, found.potential)


@pytest.mark.slow
@pytest.mark.parametrize("solver", FAST)
def test_solvers_agree_over_long_sequences(solver: str) -> None:
    """In two channels neurons as the documentation has them, in two of them very slow ones."""
    x = gaussian(1, 4, 20_000, torch.float32) + 0.1
    values = torch.tensor([(0.5, 1.0, 0.5, 0.5), (0.99, 1.0, 0.3, 0.99)]).repeat_interleave(2, 0)
    parameters = values.unbind(1)
    found = solve(x, *parameters, Options(solver=solver), return_potential=True)
    assert_agreement(x, parameters, found.spikes, found.potential)


def test_the_agreement_check_catches_one_wrong_spike() -> None:
    x = gaussian(2, 3, 200, torch.float32)
    parameters = columns(3, torch.float32, 0.5, 1.0, 0.5, 0.5)
    found = solve(x, *parameters, Options(solver="sequential"), return_potential=True)
    wrong = found.spikes.detach().clone()
    wrong[1, 2, 100] = 1 - wrong[1, 2, 100]
    with pytest.raises(AssertionError, match="b=1, h=2, t=10"):
        assert_agreement(x, parameters, wrong, found.potential)


@pytest.mark.parametrize("solver", ["sequential", *FAST])
def test_of_slow_neurons_the_agreement_check_catches_what_is_a_fiftieth_of_the_threshold_off(solver: str) -> None:
    """The bound is of the numbers that occur: sums of all |x| would make it as wide as the threshold here."""
    x = gaussian(2, 3, 2000, torch.float32) + 0.1
    parameters = columns(3, torch.float32, 0.99, 1.0, 0.5, 0.99)
    found = solve(x, *parameters, Options(solver=solver), return_potential=True)
    assert_agreement(x, parameters, found.spikes, found.potential)
    with pytest.raises(AssertionError, match="potential"):
        assert_agreement(x, parameters, found.spikes, found.potential + 0.02)
    silent = found.spikes.detach().clone()
    silent[0, 0, int(found.potential[0, 0].argmax())] = 0
    with pytest.raises(AssertionError, match="spike"):
        assert_agreement(x, parameters, silent, found.potential)


def test_the_agreement_check_catches_a_potential_that_is_off() -> None:
    x = gaussian(2, 3, 200, torch.float32)
    parameters = columns(3, torch.float32, 0.5, 1.0, 0.5, 0.5)
    found = solve(x, *parameters, Options(solver="sequential"), return_potential=True)
    with pytest.raises(AssertionError, match="potential"):
        assert_agreement(x, parameters, found.spikes, found.potential + 1e-3)


def test_the_agreement_check_forgives_a_flip_within_rounding_of_the_threshold() -> None:
    threshold = torch.ones(1)
    x = torch.tensor([[[1.0 - 6e-8, 0.0, 0.0]]])
    parameters = (torch.tensor([0.5]), threshold, torch.zeros(1), torch.zeros(1))
    found = solve(x, *parameters, Options(solver="sequential"), return_potential=True)
    assert found.spikes[0, 0, 0] == 0
    flipped = found.spikes.clone()
    flipped[0, 0, 0] = 1
    after = torch.tensor([[[x[0, 0, 0], 0.5 * (x[0, 0, 0] - 1), 0.25 * (x[0, 0, 0] - 1)]]])
    assert assert_agreement(x, parameters, flipped, after) == Agreement(close_calls=1, flips=1)


def test_decay_zero_is_a_soft_reset_enlarged_by_the_refractory_magnitude() -> None:
    x = gaussian(2, 4, 400, torch.float64) + 0.3
    leak, threshold, refractory = 0.6, 1.0, 0.4
    spikes = refractory_lif(x, leak, threshold, refractory, 0.0)
    u = s = torch.zeros(2, 4, dtype=torch.float64)
    for t in range(400):
        u = leak * u + x[..., t] - (leak * threshold + refractory) * s
        s = (u >= threshold).double()
        assert torch.equal(spikes[..., t], s)


@settings(max_examples=30, deadline=None)
@given(scale=st.sampled_from([0.25, 0.5, 2.0, 8.0]), seed=st.integers(0, 1000), solver=st.sampled_from(FAST))
def test_scaling_input_threshold_and_magnitude_together_leaves_the_spikes_unchanged(
    scale: float, seed: int, solver: str
) -> None:
    x = gaussian(1, 3, 200, torch.float32, seed)
    spikes = refractory_lif(x, 0.7, 1.0, 0.5, 0.6, solver=solver)
    scaled = refractory_lif(scale * x, 0.7, scale * 1.0, scale * 0.5, 0.6, solver=solver)
    assert torch.equal(spikes, scaled)  # powers of two scale without rounding


@settings(max_examples=30, deadline=None)
@given(cut=st.integers(1, 199), seed=st.integers(0, 1000), solver=st.sampled_from(("sequential", *FAST)))
def test_spikes_do_not_depend_on_later_input(cut: int, seed: int, solver: str) -> None:
    x = gaussian(1, 2, 200, torch.float64, seed)
    whole = refractory_lif(x, 0.8, 1.0, 0.5, 0.6, solver=solver)
    part = refractory_lif(x[..., :cut], 0.8, 1.0, 0.5, 0.6, solver=solver)
    assert torch.equal(whole[..., :cut], part)
