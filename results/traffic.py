"""Memory traffic of a token beside its operations, and a dense network of as many bits to compare with: ours.

An estimate from what every run stores. Each parameter that a token needs and each state, before and after, is a number
of 32 bits in one on-chip memory. Weights whose input does not spike are not read. Not counted: activations on their way
from part to part (where they are spikes, a bit each in both networks), and the inputs that `sdn` remembers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from spike_ssm.results.energy import energy_nj

E_BYTE_NJ = 12.5e-3
"""Energy to read or write a byte of an on-chip memory of 1 MB, nJ: 64 bits of SRAM take 100 pJ.

Source: Horowitz 2014, 45 nm, as the operations' energies. Of 8 KB, 64 bits take 10 pJ; of DRAM, 1.3 to 2.6 nJ.
"""

NUMBER_BYTES = 4

STATES_PER_MAC: dict[str, float] = {
    **dict.fromkeys(("refractory_lif", "lif_soft", "lif_hard", "alif"), 2),  # decays a state, read and written
    **dict.fromkeys(("psn", "sliding_psn"), 1),  # weights an input of before
    "brf": 6 / 7,  # of its 7, three states read and written
    "tc_lif": 2,  # two states, read and written
    "drf": 4 / 5,  # of 5 a dendrite, two parts read and written; what raised its threshold are bits
    **dict.fromkeys(("sdn", "pspike", "binary", "gelu"), 0),
}
"""Neuron -> numbers of its state that a multiply-accumulate of it moves, beside one parameter."""


class Cost(NamedTuple):
    """What a token takes: operations of each kind, parameters read, numbers of states read or written."""

    multiply_accumulates: float
    accumulates: float
    parameters: float
    states: float

    @property
    def bytes_moved(self) -> float:
        """Bytes of parameters and states."""
        return NUMBER_BYTES * (self.parameters + self.states)

    def energy_nj(self, *, weights_held: bool = False) -> float:
        """Energy of operations and moved bytes, nJ; weights_held: parameters stay where they are used, and are free."""
        moved = self.states + (0 if weights_held else self.parameters)
        return energy_nj(self.multiply_accumulates, self.accumulates) + moved * NUMBER_BYTES * E_BYTE_NJ


@dataclass(frozen=True)
class Token:
    """What is known of a token of one network.

    operations: rows of `results.schema.OPERATIONS`. firing_rates: of each layer, in [0, 1]; None where it does not
    spike. config: a run's settings.
    """

    operations: Sequence[Mapping[str, Any]]
    firing_rates: Sequence[float | None]
    config: Mapping[str, Any]

    @property
    def countable(self) -> bool:
        """Whether the settings tell the network's shape, and its neuron is one of `STATES_PER_MAC`."""
        model, neuron = self.config.get("model", {}), self.config.get("neuron", {})
        known = {"channels", "initialisation", "spikes_per_direction"} <= set(model)
        return known and neuron.get("name") in STATES_PER_MAC and bool(self.operations)

    @property
    def spikes(self) -> bool:
        """Whether the firing rates of all layers are known."""
        return bool(self.firing_rates) and None not in self.firing_rates

    def cost(self, firing_rate: float | None = None) -> Cost:
        """What the token takes where all neurons fire at this rate; None: at their own."""
        return _total([self._of(row, firing_rate) for row in self.operations])

    def matched_cost(self) -> Cost:
        """What it takes in the bit-matched dense network.

        The activation there has one bit, as a spike has, and no state: it needs a threshold, and every weight is read
        and accumulated. All else is the same. Source: arXiv 2409.08290, whose quantised twin of T spikes has
        ceil(log2(T + 1)) bits; here a token is one step of both.
        """
        return _total(
            [
                Cost(0, 0, self._neurons(row), 0) if row["part"] == "neuron" else self._of(row, 1.0)
                for row in self.operations
            ]
        )

    def break_even(self, *, weights_held: bool = False) -> float:
        """Firing rate of all neurons below which the token takes less energy than in the bit-matched network.

        In [0, 1]; 0: at no rate.
        """
        dense, silent, busy = (
            each.energy_nj(weights_held=weights_held) for each in (self.matched_cost(), self.cost(0.0), self.cost(1.0))
        )
        return max(0.0, (dense - silent) / (busy - silent))

    def _of(self, row: Mapping[str, Any], firing_rate: float | None) -> Cost:
        multiply_accumulates, accumulates = row["multiply_accumulates"], row["accumulates"]
        if firing_rate is not None and (driven := self._driven(row)):
            accumulates += (firing_rate - (self.firing_rates[row["layer"]] or 0.0)) * driven
        return Cost(multiply_accumulates, accumulates, *self._moved(row, multiply_accumulates, accumulates))

    def _moved(self, row: Mapping[str, Any], multiply_accumulates: float, accumulates: float) -> tuple[float, float]:
        """Parameters read, and numbers of states read or written."""
        channels = self.config["model"]["channels"]
        match row["part"]:
            case "encoder":
                return multiply_accumulates + accumulates or channels, 0  # or a row of the embedding
            case "norm":
                return 2 * multiply_accumulates, 0  # scale and shift
            case "ssm":
                # The state's decay, its input and its output, of one real number each or of a real and an imaginary
                # part; a product of two complex numbers is 4 multiply-accumulates, of a complex and a real one 2.
                real = self.config["model"]["initialisation"] == "real"
                states = (multiply_accumulates - channels) / (3 if real else 8)
                numbers = states if real else 2 * states
                return 3 * numbers + channels, 2 * numbers  # and the skip
            case "neuron":
                per_mac = STATES_PER_MAC[self.config["neuron"]["name"]]
                return multiply_accumulates + self._neurons(row), per_mac * multiply_accumulates  # and the threshold
            case "projection" | "head":
                return multiply_accumulates + accumulates, 0  # a weight or a bias for each
        return 0, 0

    def _neurons(self, row: Mapping[str, Any]) -> int:
        """Neurons in the layer of `row`: those that drive the mixing may be one for each direction."""
        model = self.config["model"]
        mixing = any(each["layer"] == row["layer"] and each["part"] == "projection" for each in self.operations)
        return int(model["channels"] * (2 if mixing and model["spikes_per_direction"] else 1))

    def _driven(self, row: Mapping[str, Any]) -> int:
        """Accumulates that spikes would cause if all neurons fired at every step."""
        match row["part"]:
            case "projection":
                return self._neurons(row) * 2 * int(self.config["model"]["channels"])
            case "neuron":
                return self._neurons(row)  # the reset
        return 0


def _total(costs: Sequence[Cost]) -> Cost:
    return Cost(*(math.fsum(each) for each in zip(*costs, strict=True)))
