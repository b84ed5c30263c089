"""The diagonal state space model as a recurrence."""

from spike_ssm.models.ssm.scan.operator import scan
from spike_ssm.models.ssm.scan.sequential import scan_sequential
from spike_ssm.models.ssm.scan.spiking import spiking_scan
from spike_ssm.models.ssm.scan.step import start, step

__all__ = ["scan", "scan_sequential", "spiking_scan", "start", "step"]
