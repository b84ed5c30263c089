"""Ways to run a neuron in training that are timed against each other, and the spikes that each must give."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from spike_ssm.models.neurons import Neuron
from spike_ssm.models.neurons.integrate_and_fire import IntegrateAndFire, IntegrateAndFireSettings
from spike_ssm.models.neurons.sdn import LEAK, SDN, SDNSettings
from spike_ssm.models.ops.agreement import assert_agreement
from spike_ssm.models.ops.refractory_lif import Options, Rules, Solution, solve
from spike_ssm.models.ops.refractory_lif.sequential import after_spike, potential_given_spikes
from spike_ssm.models.ops.surrogate import spike
from spike_ssm.results.errors import UserError

Method = Callable[[Tensor], Solution]
"""A function from x [B, H, L] to differentiable spikes [B, H, L]."""

SDN_SLACK, SDN_CHANCE = 2.0, 5
"""Factor by which an SDN may be wrong more often than it states, and number of positions allowed besides, by chance."""


class Subject(NamedTuple):
    """A neuron under measurement, and the integrate-and-fire dynamics that it has or, for an SDN, stands for."""

    neuron: Neuron
    parameters: Callable[[], tuple[Tensor, Tensor, Tensor, Tensor]]  # leak, threshold, refractory, decay, each [H]
    options: Options

    @property
    def approximate(self) -> bool:
        """Whether its spikes may differ from the loop's."""
        return isinstance(self.neuron, SDN) or self.options.max_iterations is not None


def subject_of(neuron: Neuron) -> Subject:
    """The neuron with its integrate-and-fire dynamics. Raises `UserError` when it has none."""
    settings = neuron.settings
    if isinstance(neuron, IntegrateAndFire) and isinstance(settings, IntegrateAndFireSettings):
        return Subject(neuron, neuron.parameters_now, settings.options())
    if isinstance(neuron, SDN) and isinstance(settings, SDNSettings):
        rules = Rules("hard", surrogate=settings.surrogate, surrogate_width=settings.surrogate_width)
        return Subject(neuron, lambda: _lif_hard(neuron), Options(rules))
    raise UserError(f"task=speed times integrate-and-fire neurons and sdn, not neuron={settings.name}.")


def _lif_hard(neuron: SDN) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Parameters [H] of the neuron that an SDN was trained on."""
    threshold = neuron.threshold()
    none = torch.zeros_like(threshold)
    return torch.full_like(threshold, LEAK), threshold, none, none


def loop_of(subject: Subject) -> Method:
    """Backpropagation through time (BPTT): the plain loop, its gradient also through the reset, by autograd."""
    options = Options(subject.options.rules._replace(detach_reset=False), solver="sequential")
    return lambda x: solve(x, *subject.parameters(), options)


def method_of(subject: Subject, through_time: bool) -> Method:
    """The neuron as its settings say or, without `through_time`, `solve_spatially`."""
    if not through_time:
        return lambda x: solve_spatially(x, *subject.parameters(), subject.options.rules)
    if isinstance(subject.neuron, SDN):
        return lambda x: _exact_solution(subject.neuron(x))
    return lambda x: solve(x, *subject.parameters(), subject.options)


@torch.no_grad()
def check_spikes(subject: Subject, x: Tensor, spikes: Tensor) -> None:
    """Check before any timing: spikes [B, H, L] of x [B, H, L] must be right, an SDN's as often as it states.

    Raises AssertionError. PMBC's paper mode states nothing and is not asked.
    """
    parameters, rules = subject.parameters(), subject.options.rules
    if isinstance(subject.neuron, SDN):
        stated_for = parameters[1][:, None] * torch.randn_like(x)  # N(0, 1) in thresholds
        stated = subject.neuron.stated_spike_error()
        wrong = mismatch(subject.neuron(stated_for), loop_of(subject)(stated_for).spikes)
        if wrong > SDN_SLACK * stated + SDN_CHANCE / x.numel():
            raise AssertionError(f"The SDN states that {stated:.3%} of its spikes are wrong, but {wrong:.3%} are.")
    elif not subject.approximate:
        assert_agreement(x, parameters, spikes, potential_given_spikes(x, spikes, *parameters, rules), rules)


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
