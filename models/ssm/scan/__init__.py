"""The diagonal state space model as a recurrence."""

from spike_ssm.models.ssm.scan.operator import scan
from spike_ssm.models.ssm.scan.sequential import scan_sequential
from spike_ssm.models.ssm.scan.spiking import spiking_scan

__all__ = ["scan", "scan_sequential", "spiking_scan"]
