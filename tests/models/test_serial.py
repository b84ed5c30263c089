"""The serial neurons: their equations step by step in plain numbers, and the fused solver, which must be the loop."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spike_ssm.models.neurons.brf import BRF, BRFSettings
from spike_ssm.models.neurons.tc_lif import TCLIF, TCLIFSettings
from spike_ssm.models.ops.serial import DYNAMICS, Rules, serial
from spike_ssm.models.ops.surrogate import SURROGATES

every_neuron = pytest.mark.parametrize("neuron", DYNAMICS)


def gaussian(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def parameters_of(neuron: str, channels: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Parameters [P, H] that differ from channel to channel, at which the neuron fires."""
    uniform = torch.rand(5, channels, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    threshold = 0.5 + uniform[0]
    if neuron == "brf":
        rotation, offset = 0.1 + 0.8 * uniform[1], 0.05 * uniform[2]
        kept = (1 - rotation.square()).sqrt() - offset
        return torch.stack((threshold, kept, rotation, 0.02 * uniform[3], 0.95 * uniform[4])).to(dtype)
    return torch.stack((threshold, *(0.1 + 0.8 * uniform[1:3]), threshold * uniform[3])).to(dtype)


def solved(x: Tensor, parameters: Tensor, neuron: str, rules: Rules, solver: str) -> tuple[Tensor, ...]:
    """Spikes, potentials, and the gradients of x and parameters where that of the spikes is drawn from N(0, 1)."""
    x, parameters = x.clone().requires_grad_(), parameters.clone().requires_grad_()
    spikes, potential = serial(x, parameters, neuron, rules, solver, keep_potential=True)
    assert potential is not None
    found = torch.autograd.grad(spikes, (x, parameters), gaussian(*x.shape, seed=9, dtype=x.dtype), allow_unused=True)
    return spikes.detach(), potential, *found


# --- the equations


def test_brf_is_its_paper_in_complex_numbers() -> None:
    """The published state, dt times ours: z_t = z_{t-1} + dt ((b + i omega) z_{t-1} + x_t), at the threshold 1."""
    torch.manual_seed(0)
    neuron = BRF(5, BRFSettings(threshold=100.0, threshold_trainable=False)).double()
    x = 30 * gaussian(2, 5, 200)
    spikes, potential = neuron(x).detach(), neuron.potential(x)
    dt, fired = 0.01, 0
    for example in range(2):
        for channel in range(5):
            omega, offset = (float(each()[channel].detach()) for each in (neuron.rotation, neuron.b_offset))
            omega, z, q = omega / dt, 0j, 0.0
            for t, x_t in enumerate(x[example, channel].tolist()):
                b = (-1 + math.sqrt(1 - (dt * omega) ** 2)) / dt - abs(offset) - q
                z = z + dt * (complex(b, omega) * z + x_t)
                compared = z.real - q
                assert compared == pytest.approx(dt * float(potential[example, channel, t]), abs=1e-9)
                s = float(compared >= 1)
                assert s == float(spikes[example, channel, t])
                q = 0.9 * q + s
                fired += int(s)
    assert 50 < fired < 1000


def test_tc_lif_is_its_paper_step_by_step() -> None:
    neuron = TCLIF(3, TCLIFSettings(threshold=1.3, beta_1=0.8, beta_2=0.4, gamma=0.7)).double()
    x = gaussian(2, 3, 200)
    spikes, potential = neuron(x), neuron.potential(x)
    threshold, beta_1, beta_2, taken = (float(each[0]) for each in neuron.parameters_now().detach())
    assert (threshold, beta_1, beta_2, taken) == pytest.approx((1.3, 0.8, 0.4, 0.7 * 1.3))
    for row, expected, compared in zip(x.flatten(0, 1), spikes.flatten(0, 1), potential.flatten(0, 1), strict=True):
        dendrite = soma = 0.0
        for t, x_t in enumerate(row.tolist()):
            dendrite += -beta_1 * soma + x_t
            soma += beta_2 * dendrite
            assert soma == pytest.approx(float(compared[t]), abs=1e-9)
            fired = soma >= threshold
            assert fired == bool(expected[t])
            dendrite, soma = dendrite - taken * fired, soma - threshold * fired
    assert 0.1 < spikes.mean() < 0.4


def test_an_undamped_resonator_neither_grows_nor_fades() -> None:
    neuron = BRF(4, BRFSettings(b_offset_min=0.0, b_offset_max=0.0, threshold=1e6)).double()
    x = torch.zeros(1, 4, 400, dtype=torch.float64)
    x[..., 0] = 1
    assert neuron.potential(x)[..., -100:].abs().amax(-1).tolist()[0] == pytest.approx([1] * 4, abs=0.02)
    assert neuron.parameter_summary()["leak"] == pytest.approx(1, abs=1e-6)


def test_resonators_prefer_their_own_frequency() -> None:
    neuron = BRF(2, BRFSettings(omega_min=20.0, omega_max=20.0, threshold=1e6)).double()
    steps = torch.arange(600, dtype=torch.float64)
    driven = torch.stack([torch.sin(0.01 * omega * steps) for omega in (20, 40)])[None]
    swing = neuron.potential(driven)[0, :, 300:].abs().amax(-1)
    assert swing[0] > 5 * swing[1]


@pytest.mark.parametrize("built", [BRF(64, BRFSettings()), TCLIF(64, TCLIFSettings())], ids=["brf", "tc_lif"])
def test_an_untrained_neuron_fires_at_a_fair_rate_on_input_of_unit_size(built: BRF | TCLIF) -> None:
    assert 0.05 < built(gaussian(4, 64, 500, dtype=torch.float32)).mean() < 0.4


# --- the fused solver


@settings(max_examples=30, deadline=None)
@given(
    neuron=st.sampled_from(tuple(DYNAMICS)),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 20), st.integers(1, 200)),
    seed=st.integers(0, 2**16),
    dtype=st.sampled_from((torch.float32, torch.float64)),
)
def test_fused_spikes_and_potentials_are_the_loops_bit_for_bit(
    neuron: str, shape: tuple[int, int, int], seed: int, dtype: torch.dtype
) -> None:
    x, parameters = gaussian(*shape, seed=seed, dtype=dtype), parameters_of(neuron, shape[1], seed, dtype)
    expected = serial(x, parameters, neuron, solver="sequential", keep_potential=True)
    assert all(map(torch.equal, serial(x, parameters, neuron, solver="fused", keep_potential=True), expected))
    assert torch.equal(serial(x, parameters, neuron)[0], expected[0])


@settings(max_examples=40, deadline=None)
@given(
    neuron=st.sampled_from(tuple(DYNAMICS)),
    length=st.integers(1, 200),
    seed=st.integers(0, 2**16),
    surrogate=st.sampled_from(tuple(SURROGATES)),
    width=st.floats(0.3, 2.0),
    detach=st.booleans(),
)
def test_every_fused_gradient_is_the_loops(
    neuron: str, length: int, seed: int, surrogate: str, width: float, detach: bool
) -> None:
    x, parameters = gaussian(2, 9, length, seed=seed), parameters_of(neuron, 9, seed)
    rules = Rules(surrogate, width, detach)
    *_, by_x, by_parameters = solved(x, parameters, neuron, rules, "sequential")
    *_, fused_by_x, fused_by_parameters = solved(x, parameters, neuron, rules, "fused")
    for expected, got in ((by_x, fused_by_x), (by_parameters, fused_by_parameters)):
        scale = float(expected.abs().max()) + 1
        torch.testing.assert_close(got, expected, rtol=1e-7, atol=1e-10 * scale)


@every_neuron
@pytest.mark.parametrize("detach", [True, False])
def test_in_single_precision_fused_gradients_are_those_of_double_up_to_its_rounding(neuron: str, detach: bool) -> None:
    x, parameters = gaussian(3, 7, 100, dtype=torch.float32), parameters_of(neuron, 7, dtype=torch.float32)
    rules = Rules(detach_reset=detach)
    expected = solved(x.double(), parameters.double(), neuron, rules, "sequential")
    found = solved(x, parameters, neuron, rules, "fused")
    assert torch.equal(found[0].double(), expected[0]), "else gradients have no reason to agree"
    for e, g in zip(expected[2:], found[2:], strict=True):
        assert (g - e).abs().max() <= 1e-4 * (e.abs().max() + 1)


@every_neuron
@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("solver", ["sequential", "fused"])
def test_gradients_obey_the_scale_identity(neuron: str, detach: bool, solver: str) -> None:
    """Spikes stay when x, the threshold and what a spike takes are scaled together, so that by Euler's theorem the sum
    of each times its gradient is 0 in every channel: a check without a reference."""
    x, parameters = gaussian(2, 9, 150), parameters_of(neuron, 9)
    _, _, by_x, by_parameters = solved(x, parameters, neuron, Rules(detach_reset=detach), solver)
    scaled = [0, 3] if neuron == "tc_lif" else [0]
    total = (x * by_x).sum((0, 2)) + (parameters * by_parameters)[scaled].sum(0)
    assert total.abs().max() <= 1e-9 * (x * by_x).abs().sum()


@every_neuron
def test_a_detached_reset_leaves_the_gradient_of_the_step_itself(neuron: str) -> None:
    """The last step's gradient is the surrogate's in both; through the reset, that of the first step is another."""
    x, parameters = gaussian(2, 9, 40), parameters_of(neuron, 9)
    found = {detach: solved(x, parameters, neuron, Rules(detach_reset=detach), "fused")[2] for detach in (True, False)}
    assert torch.equal(found[True][..., -1], found[False][..., -1])
    assert not torch.allclose(found[True][..., 0], found[False][..., 0])


# --- what is refused


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("solver", ["sequential", "fused"])
@every_neuron
def test_input_that_is_not_finite_gets_a_sentence(neuron: str, solver: str, value: float) -> None:
    x = gaussian(2, 3, 30)
    x[1, 1, 4] = value
    with pytest.raises(ValueError, match="input x holds NaN or infinite values"):
        serial(x, parameters_of(neuron, 3), neuron, solver=solver)


def test_a_solver_that_is_not_there_gets_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"solver 'pmbc' does not exist; choose one of auto, sequential, fused\.$"):
        TCLIFSettings(solver="pmbc")
    elsewhere = torch.empty(1, 3, 5, device="meta")
    with pytest.raises(ValueError, match="kernels for the CPU, but x is on meta; use 'auto'"):
        serial(elsewhere, parameters_of("brf", 3).to("meta"), "brf", solver="fused")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"dt": 0.0}, "dt must be a positive number"),
        ({"omega_max": 100.0}, r"omega_max < 1 / dt = 100, but they are 15\.0 and 100\.0"),
        ({"omega_min": 0.0}, "0 < omega_min"),
        ({"b_offset_min": 2.0}, "0 <= b_offset_min <= b_offset_max, but they are 2.0 and 1.0"),
        ({"decay": 1.0}, r"decay must be in \[0, 1\)"),
    ],
)
def test_settings_of_brf_that_make_no_sense_get_a_sentence(changes: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        BRFSettings(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"beta_1": 0.0}, r"beta_1 must be in \(0, 1\)"),
        ({"beta_2": 1.0}, r"beta_2 must be in \(0, 1\)"),
        ({"gamma": -0.1}, "gamma must be a number of thresholds of at least 0"),
    ],
)
def test_settings_of_tc_lif_that_make_no_sense_get_a_sentence(changes: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        TCLIFSettings(**changes)  # type: ignore[arg-type]


# --- what is drawn, and what is trained


def test_resonators_start_spread_over_their_ranges_whatever_else_is_drawn() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    neuron = BRF(500, BRFSettings())
    assert torch.equal(torch.get_rng_state(), before), "what a network draws after it does not depend on the neuron"
    omega, offset = neuron.rotation() / 0.01, neuron.b_offset()
    assert 15 <= omega.min() < 17 < 83 < omega.max() <= 85.001
    assert 0.1 <= offset.min() < 0.12 < 0.98 < offset.max() <= 1.001
    torch.manual_seed(4)
    assert not torch.equal(BRF(500, BRFSettings()).rotation(), neuron.rotation())


def test_what_a_step_takes_by_hand() -> None:
    """brf: four products of the rotation, its damping, the threshold's rise and q's decay; the input is added."""
    assert BRF(3, BRFSettings()).operations_per_step() == (7, 1)
    assert TCLIF(3, TCLIFSettings()).operations_per_step() == (2, 1)


def test_training_cannot_leave_the_resonators_ranges() -> None:
    neuron = BRF(4, BRFSettings())
    for raw in (-30.0, 0.0, 30.0):
        with torch.no_grad():
            neuron.rotation.stored.fill_(raw)
        parameters = neuron.parameters_now()
        assert parameters.isfinite().all()
        assert ((parameters[2] > 0) & (parameters[2] < 1)).all()


@pytest.mark.parametrize(
    ("changes", "numbers"), [({}, 6), ({"betas_shared": True}, 2), ({"betas_trainable": False}, 0)]
)
def test_betas_are_trained_per_channel_per_layer_or_not(changes: dict[str, bool], numbers: int) -> None:
    neuron = TCLIF(3, TCLIFSettings(threshold_trainable=False, **changes))  # type: ignore[arg-type]
    assert sum(each.numel() for each in neuron.parameters() if each.requires_grad) == numbers
