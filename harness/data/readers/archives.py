"""Archives: found beside the data, and unpacked whole and safely or not at all."""

from __future__ import annotations

import gzip
import shutil
import stat
import struct
import tarfile
import uuid
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from spike_ssm.harness.data.readers.common import one_line
from spike_ssm.results.errors import UserError

SUFFIXES = (".tar.gz", ".tgz", ".zip", ".gz")

DAMAGED = (
    *(gzip.BadGzipFile, EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile, struct.error),
    *(NotImplementedError, RuntimeError, ValueError, OverflowError),  # zipfile's, also of what is encrypted
)
"""Exceptions that the standard library raises on archives that are cut short, altered or of an unknown kind."""


def find(folder: Path, name: str) -> Path | None:
    """The archive `name` with one of `SUFFIXES` in `folder`, if there is one."""
    paths = (folder / f"{name}{suffix}" for suffix in SUFFIXES)
    return next((path for path in paths if path.is_file()), None)


def extract(archive: Path, target: Path) -> Path:
    """Unpack a tar.gz, zip or gz file into the folder `target` and return it; one with content is left as it is.

    The kind is told by the content, since LRA calls a tar.gz `lra_release.gz`. Members are unpacked into a folder
    beside `target` that is renamed when all is there. Raises `UserError`, with nothing unpacked, when the archive is
    damaged, a member would leave the folder or is a link or device, or the disk is full or cannot be written to.
    """
    partial = target.with_name(f"{target.name}.{uuid.uuid4().hex}.partial")
    try:
        if target.is_dir() and any(target.iterdir()):
            return target
        partial.mkdir(parents=True)
        _unpack(archive, partial)
        _publish(partial, target)
    except DAMAGED as error:
        raise UserError(
            f"{archive} is damaged or not an archive ({one_line(error)}): delete it and get it again."
        ) from error
    except OSError as error:
        raise UserError(
            f"{archive} cannot be unpacked to {target} ({error.strerror or error}): "
            "name a file that can be read and a folder that can be written to, on a disk with room."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _publish(partial: Path, target: Path) -> None:
    """Rename `partial` to `target`, unless another process was first."""
    try:
        partial.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack every member into `folder`, which is empty."""
    with archive.open("rb") as file:
        magic = file.read(4)
    if magic.startswith(b"PK"):
        _unpack_zip(archive, folder)
    elif not magic.startswith(b"\x1f\x8b"):
        raise tarfile.ReadError("it is neither a gzip nor a zip file")
    elif _holds_tar(archive):
        _unpack_tar(archive, folder)
    else:
        with gzip.open(archive) as packed, (folder / archive.stem).open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)


def _holds_tar(archive: Path) -> bool:
    """Whether what is compressed begins with a tar header."""
    with gzip.open(archive) as file:
        block = file.read(tarfile.BLOCKSIZE)
    try:
        tarfile.TarInfo.frombuf(block, tarfile.ENCODING, "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


class _Tar(tarfile.TarFile):
    """A tar file, with the attribute `members`, all read until now, that type stubs do not declare."""

    members: list[tarfile.TarInfo]


def _unpack_tar(archive: Path, folder: Path) -> None:
    with gzip.open(archive) as file:
        with _Tar.open(fileobj=file, mode="r:") as tar:
            assert isinstance(tar, _Tar)
            while (member := tar.next()) is not None:
                # No data set needs links, and before Python 3.11.13 chains of them lead past the filter
                _check(archive, member.name, plain=member.isfile() or member.isdir())
                tar.extract(member, folder, filter="data")
                tar.members.clear()  # LRA's two million would take gigabytes
        while file.read(2**20):  # to the end, so that gzip compares its checksum, which stands behind the last member
            pass


def _unpack_zip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)  # 0 where the archive was not made on Unix
            _check(archive, member.filename, plain=kind in (0, stat.S_IFREG, stat.S_IFDIR))
            packed.extract(member, folder)


def _check(archive: Path, name: str, plain: bool) -> None:
    """Raise `UserError` when a member would be written outside the folder, or is not a `plain` file or folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise UserError(f"{archive} is refused: its member {name!r} would be written outside the folder it is for.")
    if not plain:
        raise UserError(f"{archive} is refused: its member {name!r} is a link or a device, not a file or folder.")
