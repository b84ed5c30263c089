"""Initial thresholds at which neurons fire at a chosen rate, found on one batch."""

from __future__ import annotations

import copy
import logging
import math
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor

from spike_ssm.models.activity import buffers_kept
from spike_ssm.models.activity import firing_rate as rate_of
from spike_ssm.models.network import Network, check_firing_rate, real_tokens
from spike_ssm.models.neurons import Neuron

TOLERANCE = 0.01
"""A layer fires at the target when its rate is within this fraction of it."""

_LIMIT = math.log(1e6)  # thresholds are multiplied by 1e-6 to 1e6
_TRIALS = 24  # the last step of the bisection is of 2e-6, near the resolution of a 32-bit threshold

_log = logging.getLogger(__name__)


@torch.no_grad()
def calibrate_thresholds(network: Network, inputs: Tensor, lengths: Tensor, firing_rate: float) -> None:
    """Multiply each layer's thresholds by one factor, so that the layer fires at `firing_rate` on this batch.

    One pass of the network over its inputs [n, L] with lengths [n]: every layer is calibrated on what the calibrated
    layers before it send. The rate is the mean over channels and real tokens, in (0, 1). Where it cannot be met
    within `TOLERANCE`, the closest rate found is taken and logged. Neurons without a threshold stay as they are.

    The pass is made in the network's own mode: in training mode batch norms use the batch's statistics, but their
    running ones are not changed. Noise is drawn from torch's generator, as a single pass would draw it.
    """
    check_firing_rate("firing_rate", firing_rate)
    mask = real_tokens(inputs, lengths)
    with ExitStack() as stack:
        stack.enter_context(buffers_kept(network))
        for layer, neuron in enumerate(network.neurons):
            hook = partial(_calibrate, mask=mask, target=firing_rate, layer=layer)
            stack.enter_context(neuron.register_forward_pre_hook(hook))
        network(inputs, lengths)


def _calibrate(neuron: Neuron, inputs: tuple[Tensor], *, mask: Tensor | None, target: float, layer: int) -> None:
    """Bisect on the factor's logarithm, from 0 on: the rate falls as the threshold rises."""
    if neuron.threshold is None:
        return
    start = copy.deepcopy(neuron.threshold.state_dict())
    low, high = -_LIMIT, _LIMIT
    tried: list[tuple[float, float]] = []  # distance from the target, logarithm of the factor
    while len(tried) < _TRIALS and (not tried or tried[-1][0] > TOLERANCE * target):
        middle = (low + high) / 2
        _set_threshold(neuron, start, middle)
        rate = _firing_rate(neuron, inputs[0], mask)
        tried.append((abs(rate - target), middle))
        low, high = (middle, high) if rate > target else (low, middle)
    distance, closest = min(tried, key=lambda trial: (trial[0], abs(trial[1])))
    _set_threshold(neuron, start, closest)
    if distance > TOLERANCE * target:
        _log.warning(
            "Layer %d cannot be made to fire at a rate of %g by scaling its thresholds; the closest found is %g away.",
            layer,
            target,
            distance,
        )


def _set_threshold(neuron: Neuron, start: dict[str, Any], log_factor: float) -> None:
    """Scale the thresholds, from their `start` every time, so that rounding does not add up."""
    assert neuron.threshold is not None
    neuron.threshold.load_state_dict(start)
    neuron.threshold.scale(math.exp(log_factor))


def _firing_rate(neuron: Neuron, x: Tensor, mask: Tensor | None) -> float:
    """Firing rate of a trial, which draws the noise that the pass itself will draw. `forward` leaves the hooks out."""
    with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
        return float(rate_of(neuron.forward(x), mask))
