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
from typing import IO, cast

from spike_ssm.harness.data.readers.common import one_line
from spike_ssm.results.errors import UserError

SUFFIXES = (".tar.gz", ".tgz", ".zip", ".gz")

DAMAGED = (
    *(gzip.BadGzipFile, EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile, struct.error),
    *(NotImplementedError, RuntimeError, ValueError, OverflowError),  # zipfile's, also of what is encrypted
)
"""Exceptions that the standard library raises on archives that are cut short, altered or of an unknown kind."""


LARGEST = 2**38
"""Bytes that any archive may unpack to; LRA's, the largest, needs about a tenth of it."""

RATIO, ROOM = 100, 2**26
"""An archive may unpack to so many times its size, and in any case to so many bytes. Data sets pack 2 to 10 times."""

MOST_MEMBERS = 10_000_000
DEEPEST = 32
"""Most names in a member's path."""

LONGEST_HEADER = 2**20
"""Bytes that a tar's header may have, with the path and all that it says of its member."""


def find(folder: Path, name: str) -> Path | None:
    """The archive `name` with one of `SUFFIXES` in `folder`, if there is one."""
    paths = (folder / f"{name}{suffix}" for suffix in SUFFIXES)
    return next((path for path in paths if path.is_file()), None)


def extract(archive: Path, target: Path) -> Path:
    """Unpack a tar.gz, zip or gz file into the folder `target` and return it; one with content is left as it is.

    The kind is told by the content, since LRA calls a tar.gz `lra_release.gz`. Members are unpacked into a folder
    beside `target` that is renamed when all is there. Raises `UserError`, with nothing unpacked, when the archive is
    damaged or unpacks to more than `LARGEST` or `RATIO` allow, when a member would leave the folder or is no plain file
    or folder, or when the disk is full or cannot be written to.
    """
    partial = target.with_name(f"{target.name}.{uuid.uuid4().hex}.partial")
    try:
        if target.is_dir() and any(target.iterdir()):
            return target
        partial.mkdir(parents=True)
        _unpack(archive, partial)
        _publish(partial, target)
    except RefusedError as error:
        raise UserError(f"{archive} is refused: {error}; delete it and get the published one.") from error
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


class RefusedError(Exception):
    """The reason for which an archive is not unpacked."""


class _Budget:
    """What an archive may still be unpacked to."""

    def __init__(self, archive: Path) -> None:
        self.most = self.bytes = min(LARGEST, max(ROOM, RATIO * archive.stat().st_size))
        self.members = MOST_MEMBERS

    def spend(self, count: int) -> None:
        """Raises `RefusedError` when there are not so many bytes left."""
        self.bytes -= count
        if self.bytes < 0:
            raise RefusedError(f"it unpacks to more than {self.most:,} bytes, which no data set of its size does")

    def spend_member(self) -> None:
        """Raises `RefusedError` when no member is left."""
        self.members -= 1
        if self.members < 0:
            raise RefusedError(f"it has more than {MOST_MEMBERS:,} members")


class _Measured:
    """A file of unpacked bytes for `tarfile` and `shutil`, the reads of which are taken from a budget."""

    def __init__(self, file: gzip.GzipFile, budget: _Budget) -> None:
        self.budget = budget
        self.file, self.seek, self.tell = file, file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes. Raises `RefusedError`."""
        if not 0 <= size <= LONGEST_HEADER:  # members are read in small parts, so this is a header
            raise RefusedError(f"a header in it has {size:,} bytes")
        content = self.file.read(size)
        self.budget.spend(len(content))
        return content


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
            shutil.copyfileobj(_Measured(packed, _Budget(archive)), unpacked, 2**16)


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
    budget = _Budget(archive)
    with gzip.open(archive) as packed:
        file = _Measured(packed, budget)
        with _Tar.open(fileobj=cast("IO[bytes]", file), mode="r:") as tar:
            assert isinstance(tar, _Tar)
            while (member := tar.next()) is not None:
                budget.spend_member()
                # No data set needs links, and before Python 3.11.13 chains of them lead past the filter; a sparse file
                # is as large as its header says, whatever the archive holds
                _check(member.name, plain=(member.isfile() and member.sparse is None) or member.isdir())
                tar.extract(member, folder, filter="data")
                tar.members.clear()  # LRA's two million would take gigabytes
        while file.read(2**20):  # to the end, so that gzip compares its checksum, which stands behind the last member
            pass


def _unpack_zip(archive: Path, folder: Path) -> None:
    budget = _Budget(archive)
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            budget.spend_member()
            budget.spend(member.file_size)  # of which `zipfile` writes no more
            kind = stat.S_IFMT(member.external_attr >> 16)  # 0 where the archive was not made on Unix
            _check(member.filename, plain=kind in (0, stat.S_IFREG, stat.S_IFDIR))
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise RefusedError(f"its member {member.filename[:200]!r} is packed in another way than deflate")
            packed.extract(member, folder)


def _check(name: str, plain: bool) -> None:
    """Raise `RefusedError` when a member would be written outside the folder, or is not a `plain` file or folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise RefusedError(f"its member {name[:200]!r} would be written outside the folder it is for")
    if len(path.parts) > DEEPEST:
        raise RefusedError(f"its member {name[:200]!r} is more than {DEEPEST} folders deep")
    if not plain:
        raise RefusedError(
            f"its member {name[:200]!r} is a link, a device or a sparse file, not a plain file or folder"
        )
