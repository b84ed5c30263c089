"""Original files: found where they usually lie, unpacked where only their archive is there, else from the hub."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from spike_ssm.harness.data.readers import archives, hub, places
from spike_ssm.harness.data.readers.common import MissingError, find_file, unreadable
from spike_ssm.results.errors import UserError


def find(files: Path, candidates: Sequence[str], archive: str, what: str, source: str) -> Path:
    """The first of the candidates, relative to `files`, that exists.

    Where none does, `archive`, a name without its ending, is unpacked beside itself first, if it is there. Raises
    `UserError`: see `common.find_file`, or a folder is unreadable, or the archive is damaged.
    """
    try:
        there = any((files / candidate).exists() for candidate in candidates)
        packed = None if there else archives.find(files, archive)
    except OSError as error:
        raise unreadable(Path(error.filename or files), error) from error
    if packed is not None:
        archives.extract(packed, files / archive)
    return find_file(files, candidates, what, source)


def find_lra(files: Path, folders: Sequence[str], names: Mapping[str, str], whose: str) -> dict[str, Path]:
    """Each split's file of the Long Range Arena release, found as by `find`. Raises `UserError`."""
    return {
        split: find(files, places.inside(folders, name), "lra_release", f"{whose} {name}", places.LRA_SOURCE)
        for split, name in names.items()
    }


def choice_notes(files: Path, folders: Sequence[str]) -> list[str]:
    """A note on which of the folders, relative to `files`, is read where several are there."""
    there = {(files / folder).resolve(): str(Path(folder)) for folder in reversed(folders) if (files / folder).is_dir()}
    first, *others = reversed(there.values()) if there else [""]
    return [f"Read from {first}, though there is {' and '.join(others)} too."] if others else []


def or_copies(find: Callable[[], Iterable[Path]], name: str, files: Path) -> list[Path]:
    """What `find` finds, or else the files that were copied from the hub to the folder `name`. Raises `UserError`."""
    try:
        return list(find())
    except UserError:
        if copies := _copies(name, files):
            return copies
        raise


def _copies(name: str, files: Path) -> list[Path]:
    try:
        return sorted((files / name).rglob("*.parquet"))
    except OSError as error:
        raise unreadable(files / name, error) from error


def from_hub(name: str, splits: Sequence[str], files: Path, missing: UserError) -> dict[str, hub.HubSplit]:
    """The splits of a data set in `hub.LAYOUTS`, of which no original files are there, as `missing` says.

    Parquet files copied from the hub to the folder `name` among the files are read in preference to it. Raises
    `UserError`.
    """
    copied = bool(_copies(name, files))
    try:
        return hub.load(name, splits, files if copied else None)
    except UserError as error:
        if copied:
            raise
        if isinstance(missing, MissingError):
            raise MissingError(missing.what, *missing.ways, str(error)) from error
        raise UserError(f"{str(missing).removesuffix('.')}; and {error}") from error
