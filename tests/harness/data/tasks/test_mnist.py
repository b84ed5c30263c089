"""MNIST and Fashion-MNIST, permuted or not, from idx files written here, or in the hub's layout."""

from __future__ import annotations

import gzip
import io
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage
from torch.utils.data import random_split

from spike_ssm.harness.data.pictures import bit_reversal, random_order
from spike_ssm.harness.data.splits import Split, batches
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.data.tasks import fashion_mnist
from spike_ssm.harness.data.tasks.fashion_mnist import (
    FashionMnist,
    FashionMnistSettings,
    PsFashionMnist,
    PsFashionMnistSettings,
)
from spike_ssm.harness.data.tasks.mnist import (
    PsMnist,
    PsMnistSettings,
    SMnist,
    SMnistSettings,
)
from spike_ssm.results.errors import UserError

RANDOM = np.random.default_rng(0)
TRAIN = RANDOM.integers(0, 256, (50, 28, 28), np.uint8)
TRAIN_LABELS = RANDOM.integers(0, 10, 50).astype(np.uint8)
TEST = RANDOM.integers(0, 256, (20, 28, 28), np.uint8)
TEST_LABELS = RANDOM.integers(0, 10, 20).astype(np.uint8)

PARTIAL = [
    "This copy has 50 training images where the published one has 60,000.",
    "This copy has 20 test images where the published one has 10,000.",
]
"""Notes on these images."""

IDX = {
    "train-images-idx3-ubyte": TRAIN,
    "train-labels-idx1-ubyte": TRAIN_LABELS,
    "t10k-images-idx3-ubyte": TEST,
    "t10k-labels-idx1-ubyte": TEST_LABELS,
}


def idx(array: npt.NDArray[np.uint8]) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in IDX.items():
        (folder / name).write_bytes(idx(array))


def write_compressed_idx(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in IDX.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))


def write_parquet(folder: Path) -> None:
    """The hub's layout: a row an image, as a PNG file."""
    (folder / "mnist").mkdir(parents=True)
    for split, images, labels in (("train", TRAIN, TRAIN_LABELS), ("test", TEST, TEST_LABELS)):
        column = []
        for image in images:
            file = io.BytesIO()
            PillowImage.fromarray(image).save(file, "PNG")
            column.append({"bytes": file.getvalue(), "path": None})
        image_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        table = pa.table({"image": pa.array(column, image_type), "label": labels.astype(np.int64)})
        pq.write_table(table, folder / "mnist" / f"{split}-00000-of-00001.parquet")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of files; the hub's library keeps its own copies beside it, and Debian has no Fashion-MNIST."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hub")
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FASHION_MNIST", str(tmp_path / "usr" / "share" / "fashion-mnist"))
    (tmp_path / "files").mkdir()
    return tmp_path / "files"


def smnist(files: Path, **settings: object) -> Dataset:
    return SMnist(SMnistSettings(**settings)).prepare(files.parent / "cache", files)  # type: ignore[arg-type]


def psmnist(files: Path, **settings: object) -> Dataset:
    return PsMnist(PsMnistSettings(**settings)).prepare(files.parent / "cache", files)  # type: ignore[arg-type]


def fashion(files: Path, **settings: object) -> Dataset:
    task = FashionMnist(FashionMnistSettings(**settings))  # type: ignore[arg-type]
    return task.prepare(files.parent / "cache", files)


def inputs(split: Split) -> torch.Tensor:
    """All sequences [n, length] as a network sees them."""
    (batch,) = batches(split, len(split))
    assert set(batch.lengths.tolist()) == {batch.inputs.shape[1]}
    return batch.inputs


def in_unit_interval(images: npt.NDArray[np.uint8]) -> torch.Tensor:
    """torchvision's ToTensor, row by row: S4 normalises MNIST no further."""
    return torch.from_numpy(images).float().reshape(len(images), -1) / 255


def held_out() -> tuple[list[int], list[int]]:
    """Training and validation images as S4 divides them."""
    generator = torch.Generator().manual_seed(42)
    train, validation = random_split(range(50), (45, 5), generator)  # type: ignore[arg-type]
    return list(train.indices), list(validation.indices)


# --- MNIST


@pytest.mark.parametrize("write", [write_idx, write_compressed_idx, write_parquet])
def test_smnist_is_what_s4_feeds_its_own_network_from_every_layout(write: type, files: Path) -> None:
    write(files / "mnist")
    data, (train, validation) = smnist(files), held_out()
    for split, images, labels in (
        (data.train, TRAIN[train], TRAIN_LABELS[train]),
        (data.validation, TRAIN[validation], TRAIN_LABELS[validation]),
        (data.test, TEST, TEST_LABELS),
    ):
        torch.testing.assert_close(inputs(split), in_unit_interval(images), rtol=0, atol=0)
        assert split.labels.tolist() == labels.tolist()
    assert data.facts.classes == 10
    assert data.vocabulary is None


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("bit_reversal", [n for n in (int(f"{i:010b}"[::-1], 2) for i in range(1024)) if n < 784]),
        ("random", np.random.RandomState(92916).permutation(784).tolist()),
    ],
)
def test_psmnist_is_smnist_in_the_order_that_is_named(name: str, order: list[int], files: Path) -> None:
    write_idx(files / "MNIST" / "raw")
    rows, permuted = smnist(files), psmnist(files, permutation=name)
    for split in ("train", "validation", "test"):
        plain, other = getattr(rows, split), getattr(permuted, split)
        assert torch.equal(inputs(other), inputs(plain)[:, order])
        assert other.labels.tolist() == plain.labels.tolist()


@given(st.integers(1, 5000))
def test_bit_reversal_is_a_permutation_and_of_a_power_of_two_its_own_inverse(length: int) -> None:
    order = bit_reversal(length)
    assert sorted(order.tolist()) == list(range(length))
    whole = bit_reversal(2 ** (length - 1).bit_length())
    assert np.array_equal(whole[whole], np.arange(len(whole)))
    assert order.tolist() == [n for n in whole.tolist() if n < length]


def test_the_permutations_of_the_digits_are_the_published_ones() -> None:
    """The first of S4's, by hand: 0, 512, 256, 768, 128, 640, 384, 896 (not below 784), 64, ..."""
    assert bit_reversal(784)[:8].tolist() == [0, 512, 256, 768, 128, 640, 384, 64]
    assert bit_reversal(8).tolist() == [0, 4, 2, 6, 1, 5, 3, 7]
    assert sorted(random_order(784).tolist()) == list(range(784))


def test_the_random_permutation_leaves_numpys_generator_alone() -> None:
    np.random.seed(1)
    before = np.random.random()
    np.random.seed(1)
    random_order(784)
    assert np.random.random() == before


def test_without_files_and_hub_the_sentence_says_what_was_looked_for(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets
    import huggingface_hub

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    missing = r"^MNIST's train-images-idx3-ubyte is missing: .* mnist/train-images-idx3-ubyte\.gz, .* "
    with pytest.raises(
        UserError, match=missing + r"\(2\) ylecun/mnist cannot be loaded .* below the folder paths\.data\. \(3\) .*\.$"
    ):
        smnist(files)


def test_labels_and_images_of_different_number_are_a_sentence(files: Path) -> None:
    write_idx(files / "mnist")
    (files / "mnist" / "t10k-labels-idx1-ubyte").write_bytes(idx(TEST_LABELS[:-1]))
    with pytest.raises(UserError, match=r"^\S*t10k-labels-idx1-ubyte is damaged \(it has 19 labels for the 20 .*\.$"):
        smnist(files)


def test_a_label_out_of_range_is_a_sentence(files: Path) -> None:
    write_idx(files / "mnist")
    (files / "mnist" / "train-labels-idx1-ubyte").write_bytes(idx(TRAIN_LABELS + 1))
    with pytest.raises(UserError, match=r"^\S*train-labels-idx1-ubyte is damaged \(it has a label 10 where .*\.$"):
        smnist(files)


def test_a_permutation_that_does_not_exist_is_a_sentence() -> None:
    with pytest.raises(UserError, match=r"^task\.permutation=hilbert is not allowed: choose bit_reversal or random\.$"):
        PsMnistSettings(permutation="hilbert")


# --- Fashion-MNIST


@pytest.mark.parametrize("place", ["files/fashion-mnist", "files/FashionMNIST/raw", "usr/share/fashion-mnist"])
def test_fashion_mnist_is_found_among_the_files_and_where_debian_has_it(place: str, files: Path) -> None:
    write_compressed_idx(files.parent / place)
    data, (_, validation) = fashion(files), held_out()
    torch.testing.assert_close(inputs(data.validation), in_unit_interval(TRAIN[validation]), rtol=0, atol=0)
    torch.testing.assert_close(inputs(data.test), in_unit_interval(TEST), rtol=0, atol=0)
    assert list(data.facts.notes) == PARTIAL


def test_fashion_mnist_can_be_padded_to_the_size_of_image(files: Path) -> None:
    write_idx(files / "fashion-mnist")
    data = fashion(files, side=32)
    images = inputs(data.test).reshape(-1, 32, 32)
    assert torch.equal(images[:, 2:-2, 2:-2].reshape(-1, 784), in_unit_interval(TEST))
    images[:, 2:-2, 2:-2] = 0
    assert not images.any()
    assert list(data.facts.notes) == ["Images are padded to 32 x 32 pixels.", *PARTIAL]


def test_without_fashion_mnist_the_sentence_names_debians_place_too(files: Path) -> None:
    with pytest.raises(
        UserError, match=r"^Fashion-MNIST's train-images-idx3-ubyte is missing: .*usr/share/fashion-mnist/.*\.$"
    ):
        fashion(files)


@pytest.mark.parametrize(("name", "order"), [("bit_reversal", bit_reversal(196)), ("random", random_order(196))])
def test_ps_fashion_mnist_has_the_pixels_of_its_size_in_the_order_that_is_named(
    name: str, order: npt.NDArray[np.int64], files: Path
) -> None:
    write_idx(files / "fashion-mnist")
    task = PsFashionMnist(PsFashionMnistSettings(permutation=name, side=14))
    permuted, plain = task.prepare(files.parent / "cache", files), fashion(files, side=14)
    for split, as_read in ((permuted.test, plain.test), (permuted.train, plain.train)):
        assert torch.equal(inputs(split), inputs(as_read)[:, order.tolist()])
        assert torch.equal(torch.from_numpy(split.labels), torch.from_numpy(as_read.labels))
