"""Ways to run a neuron in training that are timed against each other, and the spikes that each must give."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from spike_ssm.models.neurons import Neuron
from spike_ssm.models.neurons.drf import DRF
from spike_ssm.models.neurons.integrate_and_fire import IntegrateAndFire, IntegrateAndFireSettings
from spike_ssm.models.neurons.sdn import LEAK, SDN, SDNSettings
from spike_ssm.models.neurons.serial import Serial, SerialSettings
from spike_ssm.models.ops.agreement import assert_agreement
from spike_ssm.models.ops.refractory_lif import Options, Rules, Solution, solve
from spike_ssm.models.ops.refractory_lif.sequential import after_spike, potential_given_spikes
from spike_ssm.models.ops.serial import Rules as SerialRules
from spike_ssm.models.ops.serial import serial
from spike_ssm.models.ops.surrogate import spike
from spike_ssm.results.errors import UserError

Method = Callable[[Tensor], Solution]
"""A function from x [B, H, L] to differentiable spikes [B, H, L]."""

Parameters = Callable[[], tuple[Tensor, Tensor, Tensor, Tensor]]
"""Gives leak, threshold, refractory magnitude and decay as they are now, each [H]."""

SDN_SLACK, SDN_CHANCE = 2.0, 5
"""Factor by which an SDN may be wrong more often than it states, and number of positions allowed besides, by chance."""

ROUNDED = 1e-4
"""Share of a parallel neuron's spikes that rounding may decide otherwise than in its loop."""


class Subject(NamedTuple):
    """A neuron under measurement, and the loop that it is compared with.

    method: the neuron as its settings say. loop: backpropagation through time (BPTT), the plain loop, its gradient also
    through the reset, by autograd. spatial: `solve_spatially`, where there is such a gradient. check: raises
    AssertionError unless the spikes [B, H, L] of x [B, H, L] are right.
    """

    neuron: Neuron
    method: Method
    loop: Method
    check: Callable[[Tensor, Tensor], None]
    spatial: Method | None = None


def subject_of(neuron: Neuron) -> Subject:
    """The neuron with what it is compared with. Raises `UserError` when there is no such loop."""
    settings = neuron.settings
    match neuron, settings:
        case IntegrateAndFire(), IntegrateAndFireSettings():
            return _integrate_and_fire(neuron, settings.options())
        case SDN(), SDNSettings():
            return _surrogate_network(neuron, settings)
        case Serial(), SerialSettings():
            return _serial(neuron, settings)
        case DRF(), _:
            return _parallel(neuron)
    raise UserError(
        f"task=speed times integrate-and-fire neurons, sdn, brf, tc_lif and drf, not neuron={settings.name}."
    )


def _integrate_and_fire(neuron: IntegrateAndFire, options: Options) -> Subject:
    def check(x: Tensor, spikes: Tensor) -> None:
        if options.max_iterations is None:  # PMBC's paper mode states nothing and is not asked
            parameters, rules = neuron.parameters_now(), options.rules
            potential = potential_given_spikes(x, spikes, *parameters, rules)
            assert_agreement(x, parameters, spikes, potential, rules)

    return Subject(
        neuron,
        method=lambda x: solve(x, *neuron.parameters_now(), options),
        loop=_loop(neuron.parameters_now, options.rules),
        check=torch.no_grad()(check),
        spatial=lambda x: solve_spatially(x, *neuron.parameters_now(), options.rules),
    )


def _surrogate_network(neuron: SDN, settings: SDNSettings) -> Subject:
    """An SDN beside the loop of the neuron that it was trained on, which it may leave as often as it states."""

    def parameters() -> tuple[Tensor, Tensor, Tensor, Tensor]:
        threshold = neuron.threshold()
        none = torch.zeros_like(threshold)
        return torch.full_like(threshold, LEAK), threshold, none, none

    rules = Rules("hard", surrogate=settings.surrogate, surrogate_width=settings.surrogate_width)
    loop = _loop(parameters, rules)

    def check(x: Tensor, _: Tensor) -> None:
        stated_for = neuron.threshold()[:, None] * torch.randn_like(x)  # N(0, 1) in thresholds
        stated = neuron.stated_spike_error()
        wrong = mismatch(neuron(stated_for), loop(stated_for).spikes)
        if wrong > SDN_SLACK * stated + SDN_CHANCE / x.numel():
            raise AssertionError(f"The SDN states that {stated:.3%} of its spikes are wrong, but {wrong:.3%} are.")

    return Subject(
        neuron,
        method=lambda x: _exact_solution(neuron(x)),
        loop=loop,
        check=torch.no_grad()(check),
        spatial=lambda x: solve_spatially(x, *parameters(), rules),
    )


def _loop(parameters: Parameters, rules: Rules) -> Method:
    options = Options(rules._replace(detach_reset=False), solver="sequential")
    return lambda x: solve(x, *parameters(), options)


def _serial(neuron: Serial, settings: SerialSettings) -> Subject:
    """A serial neuron beside its loop, whose spikes it must give bit for bit."""
    rules = SerialRules(settings.surrogate, settings.surrogate_width, detach_reset=False)

    def loop(x: Tensor) -> Solution:
        return _exact_solution(serial(x, neuron.parameters_now(), neuron.dynamics, rules, "sequential")[0])

    return Subject(neuron, lambda x: _exact_solution(neuron(x)), loop, partial(_check_share, loop, 0.0))


def _parallel(neuron: DRF) -> Subject:
    """A neuron without a reset, all steps at once, beside the same one step after the other."""

    def loop(x: Tensor) -> Solution:
        return _exact_solution(neuron.loop(x))

    return Subject(neuron, lambda x: _exact_solution(neuron(x)), loop, partial(_check_share, loop, ROUNDED))


@torch.no_grad()
def _check_share(loop: Method, allowed: float, x: Tensor, spikes: Tensor) -> None:
    """Raise AssertionError where more than this share of the spikes are others than the loop's."""
    if (wrong := mismatch(spikes, loop(x).spikes)) > allowed:
        raise AssertionError(f"{wrong:.3%} of the spikes are not the loop's; {allowed:.3%} may be, by rounding.")


def mismatch(spikes: Tensor, reference: Tensor) -> float:
    """Fraction of positions that differ, in [0, 1]."""
    return float((spikes != reference).double().mean())


def solve_spatially(
    x: Tensor, leak: Tensor, threshold: Tensor, refractory: Tensor, decay: Tensor, rules: Rules
) -> Solution:
    """Spatial learning through time (SLTT, Meng et al. 2023, arXiv 2302.14311): no gradient from step to step.

    The loop with its state cut off after every step, so that each parameter has the gradient of the step it acts in.
    x [B, H, L], parameters [H].
    """
    u = s = current = x.new_zeros(x.shape[:2])
    spikes = []
    for x_t in x.unbind(-1):
        current = decay * current + refractory * s
        u = leak * after_spike(u, s, threshold, rules.reset) + x_t
        if not rules.raises_threshold:
            u = u - current
        potential = u - current if rules.raises_threshold else u
        s = spike(potential, threshold, rules.surrogate, rules.surrogate_width)
        spikes.append(s)
        u, s, current = u.detach(), s.detach(), current.detach()
    return _exact_solution(torch.stack(spikes, -1))


def _exact_solution(spikes: Tensor) -> Solution:
    """A solution of these spikes, without PMBC's iterations and undetermined positions."""
    none = torch.zeros((), dtype=torch.float64, device=spikes.device)
    return Solution(spikes, None, none, none.long())
