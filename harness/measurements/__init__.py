"""Measurements of a neuron alone, one file each: `task=NAME` runs one instead of training a network.

To add one: write its file, add it here and to `results.schema.MEASUREMENTS`, and give it a YAML in sweeps/task.
"""

from __future__ import annotations

from spike_ssm.harness.measurements.base import Measure, MeasurementSettings
from spike_ssm.harness.measurements.pmbc_map import PMBCMapSettings, measure_pmbc_map
from spike_ssm.harness.measurements.speed import SpeedSettings, measure_speed

MEASUREMENTS: dict[str, tuple[Measure, type[MeasurementSettings]]] = {
    "speed": (measure_speed, SpeedSettings),
    "pmbc_map": (measure_pmbc_map, PMBCMapSettings),
}
"""Measurement name -> (function, its settings)."""

__all__ = ["MEASUREMENTS", "Measure", "MeasurementSettings", "PMBCMapSettings", "SpeedSettings"]
