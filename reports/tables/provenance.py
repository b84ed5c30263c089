"""Provenance of the numbers: runs, code versions, environments, and what differs between the variants."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import pandas as pd

from spike_ssm.reports.loading.sweep import Sweep, flat_texts, json_object
from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.table import Heading, Row, Table
from spike_ssm.reports.render.text import ABSENT, count, duration

_STREAM = "seed_streams."
_STREAMS_NOTE = (
    "Each stream is seeded with the run's seed and the stream's number: variants with one seed draw the same."
)
_TEXTS = ("started_at", "code_version")


@dataclass(frozen=True)
class Provenance:
    """The last section of the page."""

    warnings: tuple[str, ...]
    differences: Table | None
    varying: Table | None  # with task or seed
    common: Table | None
    streams: Table | None
    environments: Table | None
    runs: Table


def provenance(sweep: Sweep, looks: Mapping[str, Look]) -> Provenance:
    """Everything needed to repeat or doubt the sweep."""
    runs = sweep.runs[sweep.runs["state"].isin(["done", "failed"])]
    config, environment = _expand(runs["config"]), _expand(runs["environment"])
    streams = environment[[name for name in environment if str(name).startswith(_STREAM)]]
    differing, varying, common = _classify(config, runs)
    versions = [str(version) for version in runs["code_version"].dropna().unique()]
    warnings = []
    if len(versions) > 1:
        warnings.append(f"Runs of {len(versions)} code versions are mixed: {', '.join(versions)}.")
    if any(version.endswith("+changes") for version in versions):
        warnings.append("The code had changes that were not committed, so its version does not say all of it.")
    return Provenance(
        tuple(warnings),
        _by_variant("Configuration that differs between variants", config[differing], runs, looks),
        _values("Configuration that varies with task or seed", "Key", config[varying]),
        _values("Configuration shared by all runs", "Key", config[common]),
        _values("Random seed streams", "Stream", streams.rename(columns=_stream), _STREAMS_NOTE),
        _values("Environment", "Property", environment.drop(columns=streams.columns)),
        _run_table(sweep.runs, looks),
    )


def _stream(column: Hashable) -> str:
    return str(column).removeprefix(_STREAM)


def _expand(documents: pd.Series[str]) -> pd.DataFrame:
    """JSON objects as one column per flattened key; what is no JSON object is left out."""
    rows = [flat_texts(json_object(document)) for document in documents]
    return pd.DataFrame(rows, index=documents.index, dtype=object).fillna(ABSENT)


def _classify(config: pd.DataFrame, runs: pd.DataFrame) -> tuple[list[Hashable], list[Hashable], list[Hashable]]:
    """Keys that differ between variants at one task and seed, that vary otherwise, and that do not vary."""
    cells = [runs["task"], runs["seed"]]
    differing: list[Hashable] = []
    varying: list[Hashable] = []
    common: list[Hashable] = []
    for key in config:
        if config[key].nunique() == 1:
            common.append(key)
        elif config[key].groupby(cells).nunique().max() > 1:
            differing.append(key)
        else:
            varying.append(key)
    return differing, varying, common


def _by_variant(caption: str, values: pd.DataFrame, runs: pd.DataFrame, looks: Mapping[str, Look]) -> Table | None:
    if values.empty:
        return None
    rows = tuple(
        Row(str(variant), tuple(", ".join(group[key].unique()) for key in values), looks[str(variant)])
        for variant, group in values.groupby(runs["variant"], sort=False)
    )
    return Table(caption, "Variant", tuple(Heading(str(key)) for key in values), rows, numeric=False)


def _values(caption: str, corner: str, values: pd.DataFrame, *notes: str) -> Table | None:
    """One row a key: its value, or every value with the number of runs that have it."""
    if values.empty:
        return None
    rows = []
    for key in values:
        counts = values[key].value_counts(sort=False)
        shown = (
            [f"{value} ({count(runs, 'run')})" for value, runs in counts.items()] if len(counts) > 1 else counts.index
        )
        rows.append(Row(str(key), ("; ".join(map(str, shown)),)))
    return Table(caption, corner, (Heading("Value"),), tuple(rows), notes, numeric=False)


def _run_table(runs: pd.DataFrame, looks: Mapping[str, Look]) -> Table:
    headings = ("task", "seed", "state", "learning", "duration", "best epoch", "started (UTC)", "code version", "id")
    rows = [
        Row(
            run["variant"],
            (
                run["task"], str(run["seed"]), run["state"], run["learned"].words or ABSENT,
                duration(run["duration_s"]),
                ABSENT if pd.isna(run["best_epoch"]) else str(int(run["best_epoch"])),
                *(ABSENT if pd.isna(run[name]) else str(run[name]) for name in _TEXTS), run["id"],
            ),
            looks[run["variant"]],
        )
        for run in runs.to_dict("records")
    ]  # fmt: skip
    rest = ("best epoch", *headings[5:7])
    shown = tuple(Heading(text, rest=text in rest) for text in headings)
    return Table("Runs", "Variant", shown, tuple(rows), numeric=False)
