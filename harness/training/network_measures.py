"""What is measured besides accuracy: energy per token, throughput, peak memory, and the layers' activity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spike_ssm.models.activity import LayerActivity
from spike_ssm.models.network import Network
from spike_ssm.models.operations import Part
from spike_ssm.results.energy import energy_of

FIRING = ("firing_rate", "silent", "saturated")
"""Columns of a layer and a run that only spiking neurons have."""

FOLLOWING = ("spike_after_spike", "spike_after_spike_by_chance", "interval_variation", "run_length")
"""Such columns of how spikes follow each other."""


def counted(parts: Sequence[Part], firing_rates: Sequence[float]) -> list[dict[str, Any]]:
    """Rows of `results.schema.OPERATIONS`, given each layer's firing rate in [0, 1]; 0 where it does not spike."""
    rows = []
    for part in parts:
        found = part.operations.at(0.0 if part.layer is None else firing_rates[part.layer])
        rows.append({"layer": part.layer, "part": part.name, "multiply_accumulates": found[0], "accumulates": found[1]})
    return rows


def energy_measures(network: Network, length: float, firing_rates: Sequence[float]) -> dict[str, Any]:
    """Operations of a token and the energies that follow, as columns of `results.schema.RUN`.

    The `network`, trained or not, reads sequences of `length` tokens; its layers fire at these rates, in [0, 1] each.
    """
    rows = counted(network.operations_per_step(length), firing_rates)
    dense = counted(network.operations_per_step(length, dense=True), firing_rates)
    return {
        "operations": rows,
        "energy_nj_per_token": energy_of(rows),
        "dense_energy_nj_per_token": energy_of(dense),
        "projection_energy_nj_per_token": energy_of(rows, "projection"),
        "dense_projection_energy_nj_per_token": energy_of(dense, "projection"),
    }


def _mean_or_none(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _following(activity: LayerActivity) -> dict[str, float | None]:
    """The columns `FOLLOWING` of a layer; None where intervals were not counted or nothing spikes."""
    counted = activity.intervals
    if counted is None:
        return dict.fromkeys(FOLLOWING)
    by_chance = activity.spike_after_spike_by_chance
    return dict(
        zip(FOLLOWING, (counted.spike_after_spike, by_chance, counted.variation, counted.run_length), strict=True)
    )


def network_measures(
    network: Network, activity: Sequence[LayerActivity], before: Sequence[dict[str, float]], length: float
) -> dict[str, Any]:
    """Result columns that follow from the activity on the test set, whose sequences have `length` tokens on average.

    `before` are the neurons' initial parameters.

    Neurons that do not spike have no firing rate, silent or saturated share: None, for them and for their run.
    """
    layers: list[dict[str, Any]] = []
    for index, (seen, initial, neuron) in enumerate(zip(activity, before, network.neurons, strict=True)):
        final = neuron.parameter_summary()
        layers.append(
            {
                "layer": index,
                **{name: getattr(seen, name) if neuron.spiking else None for name in FIRING},
                **_following(seen),
                "input_std": seen.input_std,
                **{f"{name}_before": value for name, value in initial.items()},
                **{f"{name}_after": value for name, value in final.items()},
            }
        )
    return {
        **{name: _mean_or_none([layer[name] for layer in layers]) for name in (*FIRING, *FOLLOWING)},
        "layers": layers,
        "undetermined": sum(seen.undetermined for seen in activity) / len(activity),
        **energy_measures(network, length, [layer["firing_rate"] or 0.0 for layer in layers]),
    }
