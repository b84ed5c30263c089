"""The hub's data sets, read by the real library from parquet files in the hub's format; and the hub out of reach."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from spike_ssm.harness.data.readers import hub, wikitext
from spike_ssm.harness.system.root import ROOT
from spike_ssm.results.errors import UserError

RANDOM = np.random.default_rng(0)
COLOUR = RANDOM.integers(0, 256, (3, 32, 32, 3), np.uint8)
GREY = RANDOM.integers(0, 256, (3, 28, 28), np.uint8)

IMAGE_FEATURE = b'{"info": {"features": {"img": {"_type": "Image"}, "label": {"_type": "Value", "dtype": "int64"}}}}'
"""What the library adds to the files it writes to the hub."""


def images(pixels: npt.NDArray[np.uint8]) -> pa.Array:
    """A column of PNG files, as the hub stores images."""
    column = []
    for array in pixels:
        file = io.BytesIO()
        Image.fromarray(array).save(file, "PNG")
        column.append({"bytes": file.getvalue(), "path": None})
    return pa.array(column, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))


def write(path: Path, columns: dict[str, Any], metadata: dict[bytes, bytes] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def load(name: str, data: Path, *splits: str) -> dict[str, hub.HubSplit]:
    return hub.load(name, splits, data, data.parent / "cache")


def test_imdb_comes_as_texts_and_labels(data: Path) -> None:
    for split, texts in {"train": ["Zoë\nslept.", ""], "test": ["Yes!"]}.items():
        columns = {"text": texts, "label": list(range(len(texts)))}
        write(data / "imdb" / "plain_text" / f"{split}-00000-of-00001.parquet", columns)
    splits = load("imdb", data, "train", "test")
    assert list(splits) == ["train", "test"]
    assert list(splits["train"].texts()) == ["Zoë\nslept.", ""]
    assert splits["train"].labels().tolist() == [0, 1]
    assert len(splits["test"]) == 1


@pytest.mark.parametrize("metadata", [None, {b"huggingface": IMAGE_FEATURE}])
def test_cifar10_comes_as_channels_first_images_and_labels(metadata: dict[bytes, bytes] | None, data: Path) -> None:
    write(data / "cifar10" / "train.parquet", {"img": images(COLOUR), "label": [9, 0, 4]}, metadata)
    split = load("cifar10", data, "train")["train"]
    assert split.images().dtype == np.uint8
    assert np.array_equal(split.images(), COLOUR.transpose(0, 3, 1, 2))
    assert split.labels().tolist() == [9, 0, 4]


def test_mnist_comes_as_grey_images_and_labels(data: Path) -> None:
    write(data / "mnist" / "mnist" / "test-00000-of-00001.parquet", {"image": images(GREY), "label": [1, 2, 3]})
    split = load("mnist", data, "test")["test"]
    assert np.array_equal(split.images(), GREY)
    assert split.labels().tolist() == [1, 2, 3]


def test_wikitext_comes_line_by_line_with_shards_in_order(data: Path) -> None:
    shards = [["", " = Title = \n"], [" The <unk> @-@ lobster \n"]]
    for number, lines in enumerate(shards):
        write(data / "wikitext-103" / "wikitext-103-v1" / f"validation-0000{number}-of-00002.parquet", {"text": lines})
    texts = load("wikitext-103", data, "validation")["validation"].texts()
    lines = [[], ["=", "Title", "="], ["The", "<unk>", "@-@", "lobster"]]
    assert [wikitext.tokens(text) for text in texts] == [[*line, wikitext.EOS] for line in lines]


def test_a_folder_with_signs_that_patterns_are_made_of_is_read(tmp_path: Path) -> None:
    write(tmp_path / "[a] *b" / "imdb" / "train.parquet", {"text": ["t"], "label": [0]})
    assert list(load("imdb", tmp_path / "[a] *b", "train")["train"].texts()) == ["t"]


def test_missing_files_are_a_sentence_that_says_where_they_go(data: Path) -> None:
    names = r"\S*cifar10/plain_text nor \S*cifar10 holds test-00000-of-NNNNN\.parquet"
    with pytest.raises(UserError, match=rf"^cifar10's test is missing: neither {names}; .* uoft-cs/cifar10 .*\.$"):
        load("cifar10", data, "test")


def test_a_missing_shard_is_a_sentence(data: Path) -> None:
    write(data / "imdb" / "train-00001-of-00003.parquet", {"text": ["t"], "label": [0]})
    with pytest.raises(
        UserError, match=r"^\S*imdb holds only train-00001-of-00003\.parquet of the 3 files of train.*\.$"
    ):
        load("imdb", data, "train")


def test_a_damaged_file_is_a_sentence(data: Path) -> None:
    write(data / "imdb" / "train.parquet", {"text": ["t"], "label": [0]})
    path = data / "imdb" / "train.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"^The copy of stanfordnlp/imdb in \S*imdb cannot be read \(.*[Pp]arquet.*\.$"):
        load("imdb", data, "train")


def test_missing_columns_are_a_sentence(data: Path) -> None:
    write(data / "mnist" / "train.parquet", {"img": images(GREY), "label": [1, 2, 3]})
    with pytest.raises(UserError, match=r"^\S*mnist \(train\) has the columns img, label where image, label are .*\.$"):
        load("mnist", data, "train")


@pytest.mark.parametrize("label", [-1, 2, None, 0.5])
def test_a_label_out_of_range_is_a_sentence(label: object, data: Path) -> None:
    write(data / "imdb" / "train.parquet", {"text": ["t", "u"], "label": [0, label]})
    with pytest.raises(UserError, match=r"^\S*imdb \(train\), row [01]: the label is \S+ where 0 to 1 is expected\.$"):
        load("imdb", data, "train")["train"].labels()


def test_a_text_that_is_none_is_a_sentence(data: Path) -> None:
    write(data / "imdb" / "train.parquet", {"text": ["t", None], "label": [0, 1]})
    with pytest.raises(UserError, match=r"^\S*imdb \(train\), row 1: the column 'text' holds no text\.$"):
        list(load("imdb", data, "train")["train"].texts())


@pytest.mark.parametrize("metadata", [None, {b"huggingface": IMAGE_FEATURE}])
def test_a_path_in_place_of_an_image_is_not_followed(metadata: dict[bytes, bytes] | None, data: Path) -> None:
    real = data.parent / "elsewhere.png"
    Image.fromarray(COLOUR[0]).save(real)
    linked = pa.array([{"bytes": None, "path": str(real)}], images(COLOUR).type)
    write(data / "cifar10" / "train.parquet", {"img": linked, "label": [1]}, metadata)
    with pytest.raises(UserError, match=r"^\S*cifar10 \(train\), row 0: the column 'img' holds no image\.$"):
        load("cifar10", data, "train")["train"].images()


def test_a_damaged_image_is_a_sentence(data: Path) -> None:
    write(data / "cifar10" / "train.parquet", {"img": images(GREY), "label": [1, 2, 3]})
    with pytest.raises(
        UserError, match=r"^\S*cifar10 \(train\), row 0: the image cannot be read: it has 28 x 28 pixels where .*\.$"
    ):
        load("cifar10", data, "train")["train"].images()


def test_a_cache_that_cannot_be_written_to_is_a_sentence(data: Path) -> None:
    write(data / "imdb" / "train.parquet", {"text": ["t"], "label": [0]})
    with pytest.raises(
        UserError, match=r"^The copy of stanfordnlp/imdb in \S*imdb cannot be read \(.*\): .*cache.*\.$"
    ):
        hub.load("imdb", ["train"], data, data / "imdb" / "train.parquet" / "cache")


def test_without_a_network_one_sentence_says_what_to_put_where(tmp_path: Path) -> None:
    code = (
        "from spike_ssm.harness.data.readers import hub\n"
        "try: hub.load('cifar10', ['train'])\n"
        "except hub.UserError as e: print(e)"
    )
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=offline, capture_output=True, text=True)
    (sentence,) = done.stdout.splitlines()
    assert sentence.startswith("uoft-cs/cifar10 cannot be loaded from the Hugging Face hub (")
    assert sentence.endswith("into cifar10/plain_text below the folder paths.data.")


@pytest.mark.fault(
    "The hub takes the connection and never answers, or is not there at all.",
    "One sentence within 5 seconds, that says which files to put where.",
)
@pytest.mark.parametrize("listening", [True, False], ids=["silent", "absent"])
def test_a_hub_that_does_not_answer_is_not_waited_for(
    listening: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if not listening:
            server.close()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
        started = time.monotonic()
        with pytest.raises(
            UserError, match=r"^uoft-cs/cifar10 cannot be loaded .* \(no answer within 2\.5 seconds\): .*"
        ):
            hub.load("cifar10", ["train"], cache=tmp_path)
        assert time.monotonic() - started < 5
    assert not constants.HF_HUB_OFFLINE


def test_a_hub_that_did_not_answer_is_not_asked_again_by_the_next_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        for name in ("cifar10", "imdb"):
            with pytest.raises(UserError, match=r"\(no answer within 2\.5 seconds\)"):
                hub.load(name, ["train"], cache=tmp_path)
        server.settimeout(0.1)
        server.accept()[0].close()
        with pytest.raises(TimeoutError):
            server.accept()


def test_the_library_is_imported_only_by_who_loads_from_the_hub() -> None:
    code = "import sys, spike_ssm.harness.data.readers.hub; sys.exit('datasets' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
