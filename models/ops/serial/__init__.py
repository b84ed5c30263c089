"""Neurons whose steps wait for their spikes and are not of the refractory LIF's form: a loop, and a fused solver."""

from spike_ssm.models.ops.serial.dynamics import DYNAMICS, Dynamics, Rules, State
from spike_ssm.models.ops.serial.interface import SOLVERS, check_solver, serial

__all__ = ["DYNAMICS", "SOLVERS", "Dynamics", "Rules", "State", "check_solver", "serial"]
