"""The image formats, written as they are released: idx (MNIST), and Pathfinder's folders of PNG and metadata."""

from __future__ import annotations

import gzip
import io
import logging
import os
import struct
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from spike_ssm.harness.data.readers import idx, pathfinder
from spike_ssm.harness.data.readers.images import decode_png
from spike_ssm.results.errors import UserError

DIGITS = np.arange(3 * 28 * 28, dtype=np.uint8).reshape(3, 28, 28)


def idx_bytes(array: npt.NDArray[np.uint8], kind: int = 8) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape) + array.tobytes()


@pytest.mark.parametrize("array", [DIGITS, DIGITS[:, 0, 0], DIGITS[:0]])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx_files_come_back_compressed_or_not(
    array: npt.NDArray[np.uint8], pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(pack(idx_bytes(array)))
    read = idx.read(path, array.shape[1:])
    assert read.dtype == np.uint8
    assert np.array_equal(read, array)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@given(data=st.data())
def test_a_truncated_idx_file_is_a_sentence_wherever_it_was_cut(
    pack: Callable[[bytes], bytes], data: st.DataObject
) -> None:
    whole = pack(idx_bytes(DIGITS))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cut"
        path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
        with pytest.raises(UserError, match=r"^\S*cut is damaged \(.*\): delete it and get it again from MNIST.*\.$"):
            idx.read(path, (28, 28))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (idx_bytes(DIGITS[:, 0, 0]), r"it begins with 0x00000801 where idx bytes of 3 axes begin with 0x00000803"),
        (idx_bytes(DIGITS, kind=13), r"it begins with 0x00000d03 where"),
        (b"<html>", r"it begins with 0x3c68746d where"),
        (idx_bytes(DIGITS[:, :20]), r"its items have the shape \(20, 28\) where \(28, 28\) is expected"),
        (idx_bytes(DIGITS) + b"\0", r"its header says 2352 bytes of 3 items, there are more"),
        (
            b"\0\0\x08\x03" + b"\xff" * 4 + struct.pack(">II", 28, 28),
            r"its header says 3,367,254,359,280 bytes of 4,.*",
        ),
        (
            gzip.compress(b"\0\0\x08\x03" + struct.pack(">III", 2_000_000, 28, 28)),
            r"its header says 1,568,000,000 bytes of 2,000,000 items, more than 1,073,741,824 are not read",
        ),
        (gzip.compress(idx_bytes(DIGITS))[:-8] + bytes(8), r"CRC check failed.*"),
    ],
    ids=["axes", "kind", "no idx", "shape", "too long", "too many", "too many packed", "checksum"],
)
def test_a_bad_idx_file_is_a_sentence(content: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"^\S*images\.gz is damaged \({sentence}.*\): delete .*\.$"):
        idx.read(path, (28, 28))


def test_a_missing_idx_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^\S*none cannot be read \(No such file or directory\).*\.$"):
        idx.read(tmp_path / "none", ())


def png(array: npt.NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def png_with_comment(text: str) -> bytes:
    """A comment that is compressed a thousandfold."""
    file, comments = io.BytesIO(), PngInfo()
    comments.add_text("Comment", text, zip=True)
    Image.new("L", (32, 32)).save(file, "PNG", pnginfo=comments)
    return file.getvalue()


def as_text(rows: list[list[Any]]) -> bytes:
    """As the release has them."""
    return b"".join(" ".join(map(str, row)).encode() + b"\n" for row in rows)


def as_npy(kind: str) -> Callable[[list[list[Any]]], bytes]:
    """As the public generator writes them, with Python 3 (U), Python 2 (S), or as objects (O)."""

    def write(rows: list[list[Any]]) -> bytes:
        table = np.array(rows, dtype=object)
        file = io.BytesIO()
        np.save(file, table if kind == "O" else table.astype(kind), allow_pickle=True)
        return file.getvalue()

    return write


def write_pathfinder(
    folder: Path, size: int, batches: dict[int, int], write: Callable[[list[list[Any]]], bytes] = as_text
) -> list[npt.NDArray[np.uint8]]:
    """So many images in each batch of the hard set; the images in the order of their numbers."""
    random, images = np.random.default_rng(0), []
    hard = folder / "curv_contour_length_14"
    (hard / "metadata").mkdir(parents=True)
    for batch, count in sorted(batches.items()):
        (hard / "imgs" / str(batch)).mkdir(parents=True)
        rows = []
        for index in range(count):
            image = random.integers(0, 256, (size, size), np.uint8)
            (hard / "imgs" / str(batch) / f"sample_{index}.png").write_bytes(png(image))
            rows.append([f"imgs/{batch}", f"sample_{index}.png", index, index % 2, 1.0, 14, 4, 2, 0.5, 1, 1])
            images.append(image)
        (hard / "metadata" / f"{batch}.npy").write_bytes(write(rows))
    return images


@pytest.mark.parametrize("write", [as_text, as_npy("U"), as_npy("S"), as_npy("O")])
def test_pathfinder_images_come_in_numeric_order_however_the_metadata_are_stored(
    write: Callable[[list[list[Any]]], bytes], tmp_path: Path
) -> None:
    images = write_pathfinder(tmp_path / "pathfinder32", 32, {0: 3, 2: 1, 10: 2}, write)
    samples = list(pathfinder.read(tmp_path / "pathfinder32", 32))
    assert [sample.label for sample in samples] == [0, 1, 0, 0, 0, 1]
    assert [sample.metadata[0] for sample in samples] == [*["imgs/0"] * 3, "imgs/2", *["imgs/10"] * 2]
    assert samples[1].metadata == ("imgs/0", "sample_1.png", "1", "1", "1.0", "14", "4", "2", "0.5", "1", "1")
    assert len(samples[1].metadata) == len(pathfinder.COLUMNS)
    for sample, image in zip(samples, images, strict=True):
        assert sample.image.dtype == np.uint8
        assert np.array_equal(sample.image, image)


def test_pathfinder_reads_path_x_and_skips_the_metadata_that_the_authors_combine(tmp_path: Path) -> None:
    (image,) = write_pathfinder(tmp_path, 128, {7: 1})
    (tmp_path / "curv_contour_length_14" / "metadata" / "combined.npy").write_bytes(b"")
    (sample,) = pathfinder.read(tmp_path, 128)
    assert np.array_equal(sample.image, image)


def test_colour_is_read_as_grey(tmp_path: Path) -> None:
    (image,) = write_pathfinder(tmp_path, 32, {0: 1})
    path = tmp_path / "curv_contour_length_14" / "imgs" / "0" / "sample_0.png"
    path.write_bytes(png(np.stack([image] * 3, axis=-1)))
    assert np.array_equal(next(pathfinder.read(tmp_path, 32)).image, image)


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    """The easy set, with the image that is empty in the release, and one after it."""
    write_pathfinder(tmp_path / "pathfinder32", 32, {0: 174})
    folder = (tmp_path / "pathfinder32" / "curv_contour_length_14").rename(tmp_path / "pathfinder32" / "curv_baseline")
    (metadata,) = (folder / "metadata").iterdir()
    metadata.write_text(metadata.read_text().replace(" 1.0 14 ", " 1.0 6 "))
    (folder / "imgs" / "0" / "sample_172.png").write_bytes(b"")
    return tmp_path / "pathfinder32"


def test_the_image_that_is_empty_in_the_release_is_left_out_and_the_log_says_so(
    baseline: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        indices = [int(sample.metadata[2]) for sample in pathfinder.read(baseline, 32, "curv_baseline")]
    assert indices == [*range(172), 173]
    assert [record.getMessage().split()[0].endswith("imgs/0/sample_172.png") for record in caplog.records] == [True]


def test_any_other_empty_image_is_a_sentence(baseline: Path) -> None:
    (baseline / "curv_baseline" / "imgs" / "0" / "sample_3.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"^\S*sample_3\.png is damaged \(it is empty\): .*lra_release\.gz.*\.$"):
        list(pathfinder.read(baseline, 32, "curv_baseline"))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (png(np.zeros((32, 32), np.uint8))[:-30], r".+"),
        (b"GIF89a", r"it is not a PNG image"),
        (png(np.zeros((64, 32), np.uint8)), r"it has 32 x 64 pixels where 32 x 32 are expected"),
        (png(np.zeros((1, 1), np.uint8)).replace(b"\0\0\0\1" * 2, b"\x7f\xff\xff\xff" * 2), r".+"),
        (png_with_comment("0" * 2**24), r"Decompressed data too large.*"),
    ],
)
def test_a_bad_image_is_a_sentence(content: bytes, sentence: str, tmp_path: Path) -> None:
    write_pathfinder(tmp_path, 32, {0: 2})
    (tmp_path / "curv_contour_length_14" / "imgs" / "0" / "sample_1.png").write_bytes(content)
    samples = pathfinder.read(tmp_path, 32)
    next(samples)
    with pytest.raises(UserError, match=rf"^\S*imgs/0/sample_1\.png is damaged \({sentence}\): .*\.$"):
        next(samples)


@given(data=st.data())
def test_an_altered_image_is_refused_or_has_the_same_pixels(data: st.DataObject) -> None:
    altered = bytearray(png(DIGITS[0]))
    for position in data.draw(st.lists(st.integers(0, len(altered) - 1), min_size=1, max_size=3)):
        altered[position] ^= data.draw(st.integers(1, 255))
    with suppress(ValueError):
        assert np.array_equal(decode_png(bytes(altered), "L", 28), DIGITS[0])


GOOD = b"imgs/0 sample_0.png 0 1 1.0 14 4 2 0.5 1 1\n"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", r"is empty"),
        (
            GOOD + b"imgs/0 sample_0.png 0\n",
            r"line 2: 'imgs/0 sample_0\.png 0' does not begin with folder, name, index",
        ),
        (GOOD + b"\n", r"line 2: '' does not begin with"),
        (GOOD + b"../../imgs/0 sample_0.png 0 1\n", r"line 2: '../../imgs/0 .* does not begin with"),
        (GOOD + b"imgs/0 ../sample_0.png 0 1\n", r"line 2: .* does not begin with"),
        (GOOD + b"imgs/0 sample_0.png 0 2\n", r"line 2: the label is '2' where 0 or 1 is expected"),
        (GOOD + b"imgs/0 sample_0.png \xff 1\n", r"line 2: byte 21 \(0xff\) is not UTF-8"),
        (as_npy("U")([["imgs/0", "sample_0.png", 0, "x"]]), r"row 0: the label is 'x'"),
        (as_npy("U")([["imgs/0", "sample_0.png", 0, 1]])[:-4], r"is damaged"),
        (as_npy("U")([["imgs/0", "sample_0.png", 0, 1]])[:20], r"is damaged"),
        (as_npy("O")([["imgs/0", "sample_0.png", 0, 1]])[:-4], r"is damaged \(its pickle cannot be read"),
        (as_npy("O")([[[os.system], "sample_0.png", 0, 1]]), r"is refused: it asks to load '(posix|nt)\.system'"),
        (b"\x93NUMPY\x09\x00" + bytes(100), r"is damaged \(.*9.0"),
    ],
)
def test_bad_metadata_are_a_sentence_with_file_and_line(content: bytes, sentence: str, tmp_path: Path) -> None:
    write_pathfinder(tmp_path, 32, {0: 1})
    (tmp_path / "curv_contour_length_14" / "metadata" / "0.npy").write_bytes(content)
    with pytest.raises(UserError, match=rf"^\S*metadata/0\.npy.*{sentence}.*\.$"):
        list(pathfinder.read(tmp_path, 32))


@given(data=st.data())
def test_an_altered_table_is_read_or_refused(data: st.DataObject) -> None:
    altered = bytearray(as_npy(data.draw(st.sampled_from("USO")))([["imgs/0", "sample_0.png", 0, 1]]))
    altered[data.draw(st.integers(6, len(altered) - 1))] ^= data.draw(st.integers(1, 255))
    with tempfile.TemporaryDirectory() as folder:
        write_pathfinder(Path(folder), 32, {0: 1})
        (Path(folder) / "curv_contour_length_14" / "metadata" / "0.npy").write_bytes(altered)
        with suppress(UserError):
            list(pathfinder.read(Path(folder), 32))


def test_the_image_that_is_empty_in_the_release_is_read_where_it_is_not_empty(baseline: Path) -> None:
    path = baseline / "curv_baseline" / "imgs" / "0" / "sample_172.png"
    path.write_bytes(png(np.zeros((32, 32), np.uint8)))
    assert sum(1 for _ in pathfinder.read(baseline, 32, "curv_baseline")) == 174
    path.unlink()
    with pytest.raises(UserError, match=r"^\S*sample_172\.png cannot be read \(No such file or directory\).*\.$"):
        list(pathfinder.read(baseline, 32, "curv_baseline"))


def test_a_missing_image_or_folder_is_a_sentence(tmp_path: Path) -> None:
    write_pathfinder(tmp_path, 32, {0: 1})
    (tmp_path / "curv_contour_length_14" / "imgs" / "0" / "sample_0.png").unlink()
    with pytest.raises(UserError, match=r"^\S*sample_0\.png cannot be read \(No such file or directory\).*\.$"):
        list(pathfinder.read(tmp_path, 32))
    with pytest.raises(UserError, match=r"^\S*curv_baseline/metadata cannot be read \(No such file.*\.$"):
        list(pathfinder.read(tmp_path, 32, "curv_baseline"))
    (tmp_path / "curv_contour_length_14" / "metadata" / "0.npy").unlink()
    with pytest.raises(UserError, match=r"^\S*metadata holds no metadata \(0\.npy, .*lra_release\.gz.*\.$"):
        list(pathfinder.read(tmp_path, 32))
