"""Results as a frame to work with: sweeps, packs and results folders, a row for each run that has a result."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spike_ssm.results.errors import UserError
from spike_ssm.results.reading import columns_with, frame_of, ids_there, read_runs
from spike_ssm.results.schema import Manifest
from spike_ssm.results.store import RESULTS, read_manifest, read_manifests, results_folder
from spike_ssm.results.verify.content import read_pack

if TYPE_CHECKING:
    import pandas as pd


def load(
    *names: str | Path, results: str | Path = RESULTS, predictions: bool = False, traces: bool = False
) -> pd.DataFrame:
    """The runs that have a result, a row for each run of each sweep.

    names: sweeps in the folder `results`, files that `python -m results pack` wrote, or results folders, of which all
    runs are taken; none: all of `results`.

    Columns are `sweep`, `variant`, `task` and `seed`; `axis.NAME`, the run's label on each axis of its sweep; the
    columns of `results.schema.RUN` (`predictions`, a frame a run, and `traces` only when asked for); and each setting
    that the run is known by, such as `config.neuron.leak`. What a run or a sweep does not have is null there. Runs
    that failed have a `status` that says so. Raises `UserError` where there is no such sweep, file or folder; results
    that are damaged are left out, with a warning.
    """
    import pandas as pd

    columns = columns_with(predictions, traces)
    parts = [part for name in names or (results,) for part in _parts(name, results_folder(str(results)), columns)]
    whole = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    named = [str(name) for name in whole]
    first = ["sweep", "variant", "task", "seed", *(name for name in named if name.startswith("axis."))]
    config = sorted(name for name in named if name.startswith("config."))
    return whole[[*first, *(name for name in columns if name not in (*first, "config")), *config]]


def rows_of(folder: Path, ids: Sequence[str], *, predictions: bool = False, traces: bool = False) -> pd.DataFrame:
    """The results of these runs in the results folder `folder`, with the columns of `load` but for those of sweeps."""
    return _described(_read(folder, ids, columns_with(predictions, traces)))


def _parts(name: str | Path, results: Path, columns: Sequence[str]) -> Iterable[pd.DataFrame]:
    """The frames of one thing that `load` was given: one of each sweep, and one of the runs that are in none."""
    path = Path(name).expanduser()
    if path.is_dir():
        folder = path.absolute()
        manifests, errors = read_manifests(folder)
        ids = ids_there(folder) or set()
        planned = {run.id for manifest in manifests for run in manifest.runs}
        for error in errors:
            warnings.warn(str(error), stacklevel=4)
        if not ids:
            raise UserError(f"{folder} holds no results: name a results folder, such as {RESULTS}.")
        yield from (
            _of_sweep(manifest, _read(folder, [r.id for r in manifest.runs], columns)) for manifest in manifests
        )
        yield _described(_read(folder, sorted(ids - planned), columns))
    elif path.suffix == ".parquet":
        pack = read_pack(path.absolute(), columns)
        frame = frame_of(pack.rows, columns)
        yield from (_of_sweep(manifest, frame) for manifest in pack.manifests)
    else:
        manifest = read_manifest(results, str(name))
        yield _of_sweep(manifest, _read(results, [run.id for run in manifest.runs], columns))


def _read(folder: Path, ids: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    rows, _, errors = read_runs(folder, ids, "predictions" in columns, "traces" in columns)
    for error in errors.values():
        warnings.warn(str(error), stacklevel=5)
    return rows


def _of_sweep(manifest: Manifest, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the sweep's runs, with where they stand in it."""
    import pandas as pd

    places = [
        {
            "id": run.id, "sweep": manifest.name, "variant": run.variant,
            **{f"axis.{axis}": label for axis, label in run.axes.items()},
        }
        for run in manifest.runs
    ]  # fmt: skip
    return _described(pd.DataFrame(places, columns=None if places else ["id", "sweep", "variant"]).merge(rows, on="id"))


def _described(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with a column for each setting."""
    import pandas as pd

    settings = pd.DataFrame([_flat(json.loads(config)) for config in rows["config"]], index=rows.index)
    return pd.concat([rows, settings], axis="columns")


def _flat(settings: Any, name: str = "config") -> dict[str, Any]:
    """Values by their dotted names."""
    if not isinstance(settings, dict):
        return {name: settings}
    return {key: value for part, each in settings.items() for key, value in _flat(each, f"{name}.{part}").items()}
