"""The refractory leaky integrate-and-fire operator and its solvers."""

from models.ops.refractory_lif.interface import SOLVERS, Solution, check_parameter, refractory_lif, solve

__all__ = ["SOLVERS", "Solution", "check_parameter", "refractory_lif", "solve"]
