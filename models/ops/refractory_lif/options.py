"""Options of the operator: which of them go together, and which solver `auto` picks."""

from __future__ import annotations

import functools
import logging
import math
from typing import NamedTuple

from torch import Tensor

from spike_ssm.models.ops.refractory_lif.parameters import RESETS, Rules
from spike_ssm.models.ops.refractory_lif.pmbc import RESOLUTIONS
from spike_ssm.models.ops.refractory_lif.states import STEPS_PER_STATE
from spike_ssm.models.ops.surrogate import SURROGATES

SOLVERS = ("auto", "sequential", "pmbc", "fused")

_log = logging.getLogger(__name__)


class Options(NamedTuple):
    """The operator's keywords; see `refractory_lif`."""

    rules: Rules = Rules()
    solver: str = "auto"
    max_iterations: int | None = None
    resolve: str = "midpoint"


def check_options(options: Options) -> None:
    """Raise ValueError unless the options exist, are in range and go together."""
    rules, solver, max_iterations, resolve = options
    for label, value, allowed in (
        ("solver", solver, SOLVERS),
        ("reset", rules.reset, RESETS),
        ("surrogate", rules.surrogate, tuple(SURROGATES)),
        ("resolve", resolve, RESOLUTIONS),
    ):
        if value not in allowed:
            raise ValueError(f"{label} {value!r} does not exist; choose one of {', '.join(allowed)}.")
    if not 0 < rules.surrogate_width < math.inf:
        raise ValueError(f"surrogate_width must be a positive number, but it is {rules.surrogate_width}.")
    if max_iterations is not None and max_iterations < 1:
        raise ValueError(f"max_iterations must be at least 1, but it is {max_iterations}; None means exact spikes.")
    if max_iterations is not None and solver not in ("auto", "pmbc"):
        raise ValueError(
            f"max_iterations is an option of solver='pmbc'; solver {solver!r} is exact. Leave one of them out."
        )
    if solver == "pmbc" or max_iterations is not None:
        _check_pmbc(rules)


def _check_pmbc(rules: Rules) -> None:
    others = "use solver='fused', 'sequential' or 'auto', without max_iterations."
    if rules.reset == "hard":
        raise ValueError(f"PMBC needs a reset that is linear in the spikes; for reset='hard' {others}")
    if not rules.detach_reset:
        raise ValueError(f"PMBC has no gradient through the reset; with detach_reset=False {others}")


def choose_solver(options: Options, x: Tensor) -> str:
    """Name of the solver: `options.solver`, or for `auto` the fastest that can do what is asked.

    Which is fastest was measured by `python -m benchmarks.neuron`.

    Raises ValueError when x is on a device that the solver asked for has no kernel for.
    """
    has_kernels = x.device.type in STEPS_PER_STATE
    if options.solver == "fused" and not has_kernels:
        raise ValueError(
            f"solver='fused' has kernels for {' and '.join(STEPS_PER_STATE)}, but x is on {x.device}; use 'pmbc', "
            "'sequential' or 'auto'."
        )
    if options.solver != "auto":
        return options.solver
    if options.max_iterations is None and has_kernels:
        return "fused"
    return "pmbc" if options.rules.reset != "hard" and options.rules.detach_reset else "sequential"


@functools.cache
def log_choice(device: str, name: str) -> None:
    """Log which solver `auto` runs on a kind of device; cached, so each choice is logged once."""
    _log.info("refractory_lif on %s: solver=auto runs %s", device, name)
