"""Diagonal state space models."""

from spike_ssm.models.ssm.s4d import S4D

__all__ = ["S4D"]
