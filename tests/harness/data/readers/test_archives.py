"""Archives are unpacked whole into their folder, or refused with one sentence and nothing unpacked anywhere."""

from __future__ import annotations

import gzip
import io
import resource
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spike_ssm.harness.data.readers import archives
from spike_ssm.harness.data.readers.archives import extract, find
from spike_ssm.results.errors import UserError

FILES = {"data/a.txt": b"first\n" * 300, "data/deep/b.bin": bytes(range(256)), "c.txt": b""}


def tar(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return path


def file(name: str, content: bytes) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    return member, content


def special(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member, b""


def tar_of_files(folder: Path) -> Path:
    return tar(folder / "files.tar.gz", *(file(*item) for item in FILES.items()))


def zip_of_files(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "files.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in FILES.items():
            archive.writestr(name, content)
    return folder / "files.zip"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("pack", [tar_of_files, zip_of_files])
def test_every_file_is_unpacked_and_nothing_else_is_left(pack: Callable[[Path], Path], tmp_path: Path) -> None:
    archive, target = pack(tmp_path), tmp_path / "new" / "target"
    assert extract(archive, target) == target
    assert contents(target) == FILES
    assert list(target.parent.iterdir()) == [target]


def test_the_kind_is_told_by_the_content_since_lra_names_a_tar_gz_without_the_tar(tmp_path: Path) -> None:
    archive = tar_of_files(tmp_path).rename(tmp_path / "lra_release.gz")
    assert contents(extract(archive, tmp_path / "target")) == FILES


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_a_gz_of_one_file_is_unpacked_under_its_own_name(size: int, tmp_path: Path) -> None:
    archive = tmp_path / "train-labels-idx1-ubyte.gz"
    archive.write_bytes(gzip.compress(b"x" * size))
    assert contents(extract(archive, tmp_path / "target")) == {"train-labels-idx1-ubyte": b"x" * size}


def test_a_folder_that_holds_something_is_taken_for_unpacked_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "mine").write_bytes(b"kept")
    assert contents(extract(tar_of_files(tmp_path), tmp_path / "target")) == {"mine": b"kept"}


def test_all_who_unpack_the_same_archive_at_once_find_it_whole(tmp_path: Path) -> None:
    archive, target = tar_of_files(tmp_path), tmp_path / "into" / "target"
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: extract(archive, target), range(8))) == {target}
    assert contents(target) == FILES
    assert list(target.parent.iterdir()) == [target]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    assert contents(extract(tar_of_files(tmp_path), tmp_path / "target")) == FILES


def test_an_archive_is_found_by_its_name_under_any_suffix(tmp_path: Path) -> None:
    assert find(tmp_path, "files") is None
    assert find(tmp_path, "files") != zip_of_files(tmp_path) == find(tmp_path, "files")
    assert tar_of_files(tmp_path) == find(tmp_path, "files")


def outside(place: Path) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    """Members that write, or lead, out of the folder they are unpacked to."""
    canary = str(place / "canary")
    return {
        "parents": file("../../canary", b"!"),
        "parents behind a folder": file("a/../../../canary", b"!"),
        "absolute": file(canary, b"!"),
        "symbolic link to a parent": special("link", tarfile.SYMTYPE, "../.."),
        "absolute symbolic link": special("link", tarfile.SYMTYPE, str(place)),
        "hard link to a parent": special("link", tarfile.LNKTYPE, "../../kept"),
        "absolute hard link": special("link", tarfile.LNKTYPE, str(place / "kept")),
        "link within": special("link", tarfile.SYMTYPE, "data"),
        "character device": special("null", tarfile.CHRTYPE),
        "block device": special("disk", tarfile.BLKTYPE),
        "pipe": special("pipe", tarfile.FIFOTYPE),
    }


@pytest.mark.parametrize("name", list(outside(Path("/"))))
def test_a_tar_that_would_leave_its_folder_is_refused_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"as it was")
    # what comes behind a link goes through it
    members = (file("good", b"1"), outside(tmp_path)[name], file("link/canary", b"!"), file("kept", b"2"))
    archive = tar(tmp_path / "bad.tar.gz", *members)
    with pytest.raises(UserError, match=r"^\S*bad\.tar\.gz is refused: its member '\S+' (would be|is a link).*\.$"):
        extract(archive, tmp_path / "into" / "target")
    assert contents(tmp_path) == {"bad.tar.gz": archive.read_bytes(), "kept": b"as it was"}
    assert not list((tmp_path / "into").iterdir())


@pytest.mark.parametrize("name", ["../canary", "/{place}/canary", "a/../../canary", "..\\canary", "link"])
def test_a_zip_that_would_leave_its_folder_is_refused_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        member = zipfile.ZipInfo(name.format(place=tmp_path))
        if name == "link":
            member.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr("good", "1")
        archive.writestr(member, "..")
    with pytest.raises(UserError, match=r"^\S*bad\.zip is refused: its member .*\.$"):
        extract(tmp_path / "bad.zip", tmp_path / "into" / "target")
    assert list(contents(tmp_path)) == ["bad.zip"]


ZEROS = bytes(2**27)


def gz_bomb(path: Path) -> None:
    path.write_bytes(gzip.compress(ZEROS, 1))


def tar_bomb(path: Path) -> None:
    tar(path, file("zeros", ZEROS))


def zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", ZEROS)


def sparse_tar(path: Path) -> None:
    """A file of 8 EiB in a block of 512 bytes."""
    header = bytearray(tarfile.TarInfo("sparse").tobuf(tarfile.GNU_FORMAT))
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[483:495] = b"\x80\0\0\0\x7f" + b"\xff" * 7  # the size that it is to have
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path.write_bytes(gzip.compress(bytes(header) + bytes(1024)))


def long_header(path: Path) -> None:
    """A path of 128 MiB."""
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, len(ZEROS)
    path.write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + ZEROS, 1))


def deep_tar(path: Path) -> None:
    tar(path, file("/".join("a" * 500), b"1"))


def unusual_zip(path: Path) -> None:
    """LZMA, the dictionary of which takes as much memory as a member says."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a", b"1")


@pytest.mark.fault(
    "An archive unpacks to a thousand times its size, or says so, or its headers fill the memory.",
    "It is refused in one sentence, little is read of it, and nothing of it stays.",
)
@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (gz_bomb, r"it unpacks to more than 67,108,864 bytes, .*"),
        (tar_bomb, r"it unpacks to more than 67,108,864 bytes, .*"),
        (zip_bomb, r"it unpacks to more than 67,108,864 bytes, .*"),
        (sparse_tar, r"its member 'sparse' is a link, a device or a sparse file, .*"),
        (long_header, r"a header in it has 134,\d+,\d+ bytes"),
        (deep_tar, r"its member 'a/a/.*' is more than 32 folders deep"),
        (unusual_zip, r"its member 'a' is packed in another way than deflate"),
    ],
    ids=["gz", "tar", "zip", "sparse", "header", "deep", "lzma"],
)
def test_what_would_fill_disk_or_memory_is_refused(write: Callable[[Path], None], reason: str, tmp_path: Path) -> None:
    write(tmp_path / "bomb.gz")
    with pytest.raises(UserError, match=rf"^\S*bomb\.gz is refused: {reason}; delete it and get the published one\.$"):
        extract(tmp_path / "bomb.gz", tmp_path / "target")
    assert [path.name for path in tmp_path.iterdir()] == ["bomb.gz"]


def test_more_members_than_any_data_set_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_MEMBERS", 2)
    for archive in (tar_of_files(tmp_path), zip_of_files(tmp_path)):
        with pytest.raises(UserError, match=r"^\S* is refused: it has more than 2 members; .*\.$"):
            extract(archive, tmp_path / "target")


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.tar.gz").write_text("<html>Not found</html>")
    with pytest.raises(UserError, match=r"^\S*page\.tar\.gz is damaged or not an archive \(.*\): .* get it again\.$"):
        extract(tmp_path / "page.tar.gz", tmp_path / "target")


@pytest.mark.parametrize("pack", [tar_of_files, zip_of_files])
@given(data=st.data())
def test_a_truncated_archive_is_refused_wherever_it_was_cut(pack: Callable[[Path], Path], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        whole = pack(Path(folder)).read_bytes()
        length = data.draw(st.integers(0, len(whole) - 1))
        (Path(folder) / "cut").write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"^\S*cut is damaged or not an archive \(.*\.$"):
            extract(Path(folder) / "cut", Path(folder) / "target")
        assert not (Path(folder) / "target").exists()


@pytest.mark.parametrize("pack", [tar_of_files, zip_of_files])
@given(data=st.data())
def test_an_altered_byte_is_refused_or_changes_no_file(pack: Callable[[Path], Path], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        altered = bytearray(pack(Path(folder)).read_bytes())
        # a zip's directory, at its end, has no checksum
        end = altered.index(b"PK\1\2") if altered.startswith(b"PK") else len(altered)
        altered[data.draw(st.integers(0, end - 1))] ^= data.draw(st.integers(1, 255))
        (Path(folder) / "altered").write_bytes(altered)
        try:
            unpacked = contents(extract(Path(folder) / "altered", Path(folder) / "target"))
        except UserError:
            assert not (Path(folder) / "target").exists()
        else:
            assert sorted(unpacked.values()) == sorted(FILES.values())


def test_a_disk_that_takes_no_more_is_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    archive, before = zip_of_files(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # bytes a file may have
    try:
        with pytest.raises(UserError, match=r"^\S*files\.zip cannot be unpacked to \S*target \(.+\): .* room\.$"):
            extract(archive, tmp_path / "into" / "target")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list((tmp_path / "into").iterdir())


def test_a_folder_that_cannot_be_written_to_is_a_sentence(tmp_path: Path) -> None:
    archive = tar_of_files(tmp_path)
    with pytest.raises(UserError, match=r"^\S*files\.tar\.gz cannot be unpacked to \S* \(Not a directory\): .*\.$"):
        extract(archive, archive / "target")


def test_a_missing_archive_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^\S*none\.zip cannot be unpacked .*\(No such file or directory\).*\.$"):
        extract(tmp_path / "none.zip", tmp_path / "target")
