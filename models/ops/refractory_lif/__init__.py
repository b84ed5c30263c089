"""The refractory leaky integrate-and-fire operator and its solvers."""

from models.ops.refractory_lif.interface import SOLVERS, Solution, check_options, refractory_lif, solve
from models.ops.refractory_lif.parameters import check_parameter

__all__ = ["SOLVERS", "Solution", "check_options", "check_parameter", "refractory_lif", "solve"]
