"""Tables of the energy per token: by part of the network, by layer, in the projections alone, and with memory."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from spike_ssm.reports.loading.sweep import json_object, unfold
from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.table import Heading, Row, Table
from spike_ssm.reports.render.text import ABSENT, digits_for, number
from spike_ssm.results.energy import energy_nj
from spike_ssm.results.traffic import E_BYTE_NJ, Token

STREAMED = (
    "Causal networks: recurrent execution, in which each layer carries its state from step to step, as a chip that "
    "streams would do."
)
STORED = (
    "Bidirectional networks look ahead and cannot stream: counted is recurrent execution in both directions over a "
    "stored sequence."
)
NOTES = (
    "Training and testing here used convolutions, which compute something else.",
    "4.6 pJ a multiply-accumulate (MAC), 0.9 pJ an accumulate (AC), 32 bits, 45 nm (Horowitz 2014); a complex product "
    "is four MACs; accumulates that spikes cause are counted with the firing rates measured on the test set.",
    "Not counted: leakage, exponentials, comparisons and the gate's sigmoid; moving data is counted under With memory "
    "alone.",
    "Dense: the same network with a dense activation in the neurons' place, so that the projections multiply. "
    "Projections alone are what the papers' savings are about.",
    f"With memory: parameters and states of 32 bits too, at {E_BYTE_NJ * 1e3:g} pJ a byte read or written (an on-chip "
    "memory of 1 MB, Horowitz 2014), for every token anew; weights of silent inputs are not read.",
    "1-bit dense: the same network with an activation of one bit, as a spike has, and no state, so that every weight "
    "is read and accumulated. Spikes win below: the firing rate of all neurons below which the spiking network takes "
    "less than that one. Held: if weights stay where they are used and only states move; 0 is never.",
)
ENERGIES = [f"{which}energy_nj_per_token" for which in ("", "dense_", "projection_", "dense_projection_")]
_MEMORY = ("kB", "nJ", "1-bit dense, nJ", "spikes win below, %", "held, %")
_SEEN = {
    ("all", "nJ a token"),
    ("÷ dense", "nJ a token"),
    ("÷ dense", "Projections alone"),
    ("nJ", "With memory"),
    ("spikes win below, %", "With memory"),
}
"""Text and group of the headings that are seen at first."""
_MEMORY_NEEDS = ("variant", "operations", "layers", "config")
PARTS = ("encoder", "ssm", "norm", "neuron", "projection", "gate", "residual", "head")


def unfolded(runs: pd.DataFrame) -> pd.DataFrame:
    """Operations of a token in long form, means over seeds: variant, layer (-1 for none), part, MACs, ACs and nJ."""
    frame = unfold(runs, "operations")
    if frame.empty:
        return frame
    frame["layer"] = frame["layer"].fillna(-1).astype(int)
    frame["nj"] = [energy_nj(*found) for found in zip(frame["multiply_accumulates"], frame["accumulates"], strict=True)]
    keys = ["variant", "layer", "part"]
    return frame.groupby(keys, sort=False)[["multiply_accumulates", "accumulates", "nj"]].mean().reset_index()


def energy_tables(runs: pd.DataFrame, looks: Mapping[str, Look]) -> list[Table]:
    """Tables by part and by layer; none where the runs tell no operations."""
    operations = unfolded(runs)
    return [] if operations.empty else [_by_part(operations, runs, looks), _by_layer(operations, looks)]


def _by_part(operations: pd.DataFrame, runs: pd.DataFrame, looks: Mapping[str, Look]) -> Table:
    nj = operations.pivot_table(index="variant", columns="part", values="nj", aggfunc="sum", sort=False)
    parts = [part for part in PARTS if part in nj]
    means = runs.groupby("variant", sort=False)[ENERGIES].mean().loc[nj.index]
    columns = {(part, "nJ a token"): nj[part] for part in parts}
    columns |= {
        ("all", "nJ a token"): means["energy_nj_per_token"],
        ("÷ dense", "nJ a token"): means["energy_nj_per_token"] / means["dense_energy_nj_per_token"],
        ("spikes, nJ", "Projections alone"): means["projection_energy_nj_per_token"],
        ("dense, nJ", "Projections alone"): means["dense_projection_energy_nj_per_token"],
        ("÷ dense", "Projections alone"): means["projection_energy_nj_per_token"]
        / means["dense_projection_energy_nj_per_token"],
    }
    with_memory = _with_memory(runs).loc[nj.index]
    columns |= {(name, "With memory"): with_memory[name] for name in _MEMORY}
    digits = {key: 3 if key[0] == "÷ dense" else digits_for(values) for key, values in columns.items()}
    rows = [
        Row(
            str(variant),
            tuple(number(values[variant], digits[key]) for key, values in columns.items()),
            looks[str(variant)],
        )
        for variant in nj.index
    ]
    notes = (*_execution(runs), *NOTES)
    headings = tuple(Heading(*key, rest=key not in _SEEN) for key in columns)
    numbers = pd.DataFrame({f"{group}: {text}": values for (text, group), values in columns.items()})
    return Table(
        "Energy of a token", "Variant", headings, tuple(rows), notes, numbers=numbers.reset_index(names="variant")
    )


def _with_memory(runs: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds, a row a variant; NaN where a run does not tell enough or, of a comparison, does not spike."""
    found = []
    for variant, operations, layers, config in zip(*(runs[name] for name in _MEMORY_NEEDS), strict=True):
        rates = [layer["firing_rate"] for layer in layers] if isinstance(layers, list) else []
        token = Token(operations if isinstance(operations, list) else [], rates, json_object(config))
        found.append({"variant": variant, **dict.fromkeys(_MEMORY, math.nan)})
        if token.countable:
            cost = token.cost()
            found[-1] |= dict(zip(_MEMORY, (cost.bytes_moved / 1e3, cost.energy_nj()), strict=False))
        if token.countable and token.spikes:
            rates_below = (token.break_even(weights_held=held) * 100 for held in (False, True))
            found[-1] |= dict(zip(_MEMORY[2:], (token.matched_cost().energy_nj(), *rates_below), strict=True))
    return pd.DataFrame(found).groupby("variant", sort=False).mean()


def _execution(runs: pd.DataFrame) -> list[str]:
    """How the networks are taken to be executed, as far as their settings tell the direction: causal ones stream."""
    models = (json_object(config).get("model", {}) for config in runs["config"])
    known = {model["bidirectional"] for model in models if "bidirectional" in model} or {False, True}
    return [note for bidirectional, note in ((False, STREAMED), (True, STORED)) if bidirectional in known]


def _by_layer(operations: pd.DataFrame, looks: Mapping[str, Look]) -> Table:
    """MACs and ACs of each layer; what is of no layer comes last."""
    sums = operations.groupby(["variant", "layer"], sort=False)[["multiply_accumulates", "accumulates"]].sum()
    layers = sorted(operations["layer"].unique(), key=lambda layer: (layer < 0, layer))
    kinds = {"MAC": "multiply_accumulates", "AC": "accumulates"}
    headings = [
        Heading(kind, f"Layer {layer + 1}" if layer >= 0 else "Encoder, last norm, head")
        for layer in layers
        for kind in kinds
    ]
    rows = []
    for variant in operations["variant"].unique():
        cells = [
            number(sums.loc[(variant, layer), column], 0) if (variant, layer) in sums.index else ABSENT
            for layer in layers
            for column in kinds.values()
        ]
        rows.append(Row(variant, tuple(cells), looks[variant]))
    return Table("Operations of a token by layer", "Variant", tuple(headings), tuple(rows), numbers=operations)
