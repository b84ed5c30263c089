"""CIFAR-10 in grey, from files written as its site and as the hub have them; Pillow and torch say what to expect."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image as PillowImage
from torch.utils.data import random_split

from spike_ssm.harness.data.splits import Split, batches
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.data.tasks.image import Image, ImageSettings, grey
from spike_ssm.results.errors import UserError

Colour = npt.NDArray[np.uint8]
"""Images [n, 32, 32, 3]."""

RANDOM = np.random.default_rng(0)
TRAIN = RANDOM.integers(0, 256, (100, 32, 32, 3), np.uint8)
TRAIN_LABELS = RANDOM.integers(0, 10, 100)
TEST = RANDOM.integers(0, 256, (30, 32, 32, 3), np.uint8)
TEST_LABELS = RANDOM.integers(0, 10, 30)


PARTIAL = [
    "This copy has 100 training images where the published one has 50,000.",
    "This copy has 30 test images where the published one has 10,000.",
]
"""Notes on these images."""


def write_batches(files: Path, train: Colour = TRAIN, test: Colour = TEST) -> Path:
    """CIFAR-10's folder: pickles of dictionaries with bytes as keys, each image its red, green and blue plane."""
    folder = files / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    parts = {f"data_batch_{n + 1}": (train[20 * n :][:20], TRAIN_LABELS[20 * n :][:20]) for n in range(5)}
    for name, (images, labels) in {**parts, "test_batch": (test, TEST_LABELS)}.items():
        planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(len(images), -1)
        batch = {b"batch_label": name.encode(), b"labels": labels.tolist(), b"data": planes}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    return folder


def write_archive(files: Path) -> None:
    folder = write_batches(files / "elsewhere")
    with tarfile.open(files / "cifar-10-python.tar.gz", "w:gz") as archive:
        archive.add(folder, folder.name)
    for path in folder.iterdir():
        path.unlink()


def png(image: npt.NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    PillowImage.fromarray(image).save(file, "PNG")
    return file.getvalue()


def write_parquet(files: Path) -> None:
    """The hub's layout: a row an image, as a PNG file."""
    folder = files / "cifar10" / "plain_text"
    folder.mkdir(parents=True)
    for split, images, labels in (("train", TRAIN, TRAIN_LABELS), ("test", TEST, TEST_LABELS)):
        column = [{"bytes": png(image), "path": None} for image in images]
        image_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        table = pa.table({"img": pa.array(column, image_type), "label": labels})
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of files; the hub's library keeps its own copies beside it."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hub")
    (tmp_path / "files").mkdir()
    return tmp_path / "files"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's libraries as on a machine without a network."""
    import datasets
    import huggingface_hub

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def prepare(files: Path, **settings: object) -> Dataset:
    return Image(ImageSettings(**settings)).prepare(files.parent / "cache", files)  # type: ignore[arg-type]


def inputs(split: Split) -> torch.Tensor:
    """All sequences [n, 1024] as a network sees them."""
    (batch,) = batches(split, len(split))
    assert batch.lengths.tolist() == [1024] * len(split)
    return batch.inputs


def expected(images: Colour) -> torch.Tensor:
    """S4's transforms: Pillow's grey, ToTensor, Normalize(122.6 / 255, 61 / 255), row by row."""
    pixels = np.stack([np.asarray(PillowImage.fromarray(image).convert("L")) for image in images])
    return ((torch.from_numpy(pixels).float() / 255 - 122.6 / 255) / (61 / 255)).reshape(len(images), -1)


def held_out(share: float = 0.1, seed: int = 42) -> tuple[list[int], list[int]]:
    """Training and validation images as S4 divides them."""
    kept = int(len(TRAIN) * (1.0 - share))
    generator = torch.Generator().manual_seed(seed)
    train, validation = random_split(range(len(TRAIN)), (kept, len(TRAIN) - kept), generator)  # type: ignore[arg-type]
    return list(train.indices), list(validation.indices)


@pytest.mark.parametrize("write", [write_batches, write_archive, write_parquet])
def test_the_network_sees_what_s4_feeds_its_own_from_every_layout(write: Callable[[Path], object], files: Path) -> None:
    write(files)
    data = prepare(files)
    train, validation = held_out()
    for split, images, labels in (
        (data.train, TRAIN[train], TRAIN_LABELS[train]),
        (data.validation, TRAIN[validation], TRAIN_LABELS[validation]),
        (data.test, TEST, TEST_LABELS),
    ):
        torch.testing.assert_close(inputs(split), expected(images))
        assert split.labels.tolist() == labels.tolist()
    assert data.facts.classes == 10
    assert data.vocabulary is None
    assert list(data.facts.notes) == PARTIAL


def test_share_and_seed_of_the_held_out_images_are_settings(files: Path) -> None:
    write_batches(files)
    data = prepare(files, validation_share=0.25, split_seed=7)
    train, validation = held_out(0.25, 7)
    assert data.train.labels.tolist() == TRAIN_LABELS[train].tolist()
    assert data.validation.labels.tolist() == TRAIN_LABELS[validation].tolist()
    torch.testing.assert_close(inputs(data.validation), expected(TRAIN[validation]))


def test_fewer_images_are_a_part_of_the_same_splits_and_are_noted(files: Path) -> None:
    write_batches(files)
    data, few = prepare(files), prepare(files, train=40, validation=5, test=12)
    for part, whole, size in (
        (few.train, data.train, 40),
        (few.validation, data.validation, 5),
        (few.test, data.test, 12),
    ):
        chosen = {row.numpy().tobytes() for row in inputs(part)}
        assert len(part) == len(chosen) == size
        assert chosen <= {row.numpy().tobytes() for row in inputs(whole)}
    assert list(few.facts.notes) == [
        *PARTIAL,
        "Of the 90 train examples, 40 drawn at random are used.",
        "Of the 10 validation examples, 5 drawn at random are used.",
        "Of the 30 test examples, 12 drawn at random are used.",
    ]


def test_grey_is_pillows_for_every_channel_value() -> None:
    steps = np.array([*range(0, 256, 5), 254], np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, len(steps), -1, 3)
    pillows = np.asarray(PillowImage.fromarray(colours[0]).convert("L"))
    assert np.array_equal(grey(colours.transpose(0, 3, 1, 2))[0], pillows)


def test_the_shortcut_is_the_nearest_mean_image_and_brightness_a_weaker_rule(files: Path) -> None:
    def as_bright_as(labels: npt.NDArray[np.int64]) -> Colour:
        return np.broadcast_to(20 * labels.astype(np.uint8)[:, None, None, None], (len(labels), 32, 32, 3))

    write_batches(files, as_bright_as(TRAIN_LABELS), as_bright_as(TEST_LABELS))
    data = prepare(files)
    assert data.baselines.rules == {"nearest mean": 1, "regions": 1, "brightness": 1}
    commonest = np.bincount(data.train.labels).argmax()
    assert data.baselines.majority_accuracy == np.mean(commonest == TEST_LABELS)


# --- what cannot be used ends in a sentence


def test_without_files_and_hub_the_sentence_says_what_was_looked_for_and_what_to_do(files: Path, offline: None) -> None:
    with pytest.raises(UserError) as caught:
        prepare(files)
    sentence = str(caught.value)
    assert sentence.startswith(f"CIFAR-10 is missing: (1) {files} holds none of cifar-10-batches-py, ")
    assert " (2) uoft-cs/cifar10 cannot be loaded from the Hugging Face hub (" in sentence
    assert "into cifar10/plain_text below the folder paths.data. (3) With task=mnist_digits" in sentence


def test_an_incomplete_copy_of_the_hub_is_not_filled_up_from_the_hub(files: Path) -> None:
    write_parquet(files)
    (files / "cifar10" / "plain_text" / "test-00000-of-00001.parquet").unlink()
    with pytest.raises(UserError, match=r"^cifar10's test is missing: .*\.$"):
        prepare(files)


def test_a_damaged_archive_is_a_sentence(files: Path, offline: None) -> None:
    (files / "cifar-10-python.tar.gz").write_bytes(b"<html>not found</html>")
    with pytest.raises(
        UserError, match=r"^\S*cifar-10-python\.tar\.gz is damaged or not an archive .*; and uoft-cs/cifar10 .*\.$"
    ):
        prepare(files)


@pytest.mark.parametrize(("split", "there_are"), [("train", 90), ("validation", 10), ("test", 30)])
def test_more_images_than_there_are_is_a_sentence(split: str, there_are: int, files: Path) -> None:
    write_batches(files)
    with pytest.raises(
        UserError, match=rf"^task\.{split}=91 is not allowed: there are {there_are} such examples; .*\.$"
    ):
        prepare(files, **{split: 91})


@pytest.mark.parametrize(("share", "empty"), [(0.0, "validation"), (1.0, "train")])
def test_an_empty_split_is_a_sentence(share: float, empty: str, files: Path) -> None:
    write_batches(files)
    with pytest.raises(UserError, match=rf"^The {empty} split would be empty: change task\.validation_share\.$"):
        prepare(files, validation_share=share)


@pytest.mark.parametrize(
    ("setting", "value"), [("validation_share", -0.1), ("validation_share", 1.5), ("split_seed", -1), ("train", 0)]
)
def test_a_setting_out_of_range_is_a_sentence(setting: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"^task\.{setting}={value} is not allowed: .*\.$"):
        ImageSettings(**{setting: value})  # type: ignore[arg-type]
