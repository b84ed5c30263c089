"""The refractory leaky integrate-and-fire operator and its solvers."""

from spike_ssm.models.ops.refractory_lif.interface import Solution, refractory_lif, solve
from spike_ssm.models.ops.refractory_lif.options import SOLVERS, Options, check_options
from spike_ssm.models.ops.refractory_lif.parameters import RESETS, Rules, check_parameter

__all__ = [
    "RESETS",
    "SOLVERS",
    "Options",
    "Rules",
    "Solution",
    "check_options",
    "check_parameter",
    "refractory_lif",
    "solve",
]
