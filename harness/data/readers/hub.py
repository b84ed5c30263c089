"""Data sets of the Hugging Face hub, from there or from copies of its parquet files, with the library `datasets`."""

from __future__ import annotations

import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from glob import escape
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import numpy as np
import numpy.typing as npt

from spike_ssm.harness.data.readers.common import one_line
from spike_ssm.harness.data.readers.images import decode_png
from spike_ssm.results.errors import UserError

if TYPE_CHECKING:
    import datasets

PATIENCE = 2.5
"""Seconds in which the hub has to answer."""

SILENCE = 60.0
"""Seconds for which a hub that gave no answer is not asked again."""

_silent_until: dict[str, float] = {}
"""Address of a hub -> when it may be asked again, by the clock that no change of the time moves."""

SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.parquet")


@dataclass(frozen=True)
class Layout:
    """A data set's place on the hub, and its columns.

    text, image: names of columns; mode, size: Pillow's mode and the side of images; classes: number of labels, or 0.
    """

    repository: str
    config: str
    text: str | None = None
    image: str | None = None
    mode: str = "L"
    size: int = 0
    classes: int = 0

    @property
    def columns(self) -> list[str]:
        """Names of the columns that a file has to have."""
        return [name for name in (self.text, self.image, "label" if self.classes else None) if name is not None]


LAYOUTS = {
    "imdb": Layout("stanfordnlp/imdb", "plain_text", text="text", classes=2),
    "cifar10": Layout("uoft-cs/cifar10", "plain_text", image="img", mode="RGB", size=32, classes=10),
    "mnist": Layout("ylecun/mnist", "mnist", image="image", size=28, classes=10),
    "wikitext-103": Layout("Salesforce/wikitext", "wikitext-103-v1", text="text"),  # -raw-v1 lacks <unk>
}
"""Layouts by name of the data set. WikiText-103 has one row per line of the original file."""


@dataclass(frozen=True)
class HubSplit:
    """The rows of one split. `place` names them in messages."""

    rows: datasets.Dataset
    layout: Layout
    place: str

    def __len__(self) -> int:
        return len(self.rows)

    def texts(self) -> Iterator[str]:
        """The text of each row. Raises `UserError` when one has none."""
        for place, text in self._column(self.layout.text):
            if not isinstance(text, str):
                raise UserError(f"{place}: the column {self.layout.text!r} holds no text.")
            yield text

    def labels(self) -> npt.NDArray[np.int64]:
        """The label of each row, [n]. Raises `UserError` when one is not a number below the number of classes."""
        labels = []
        for place, label in self._column("label"):
            if not isinstance(label, int) or not 0 <= label < self.layout.classes:
                raise UserError(f"{place}: the label is {label!r} where 0 to {self.layout.classes - 1} is expected.")
            labels.append(label)
        return np.array(labels, np.int64)

    def images(self) -> npt.NDArray[np.uint8]:
        """The image of each row, uint8 [n, size, size] or, in colour, [n, 3, size, size]. Raises `UserError`."""
        layout = self.layout
        shape = (layout.size, layout.size, 3) if layout.mode == "RGB" else (layout.size, layout.size)
        images = np.empty((len(self), *shape), np.uint8)
        for number, (place, image) in enumerate(self._column(layout.image)):
            content = image.get("bytes") if isinstance(image, dict) else None
            if not isinstance(content, bytes):
                raise UserError(f"{place}: the column {layout.image!r} holds no image.")
            try:
                images[number] = decode_png(content, layout.mode, layout.size)
            except ValueError as error:
                raise UserError(f"{place}: the image cannot be read: {error}.") from error
        return np.moveaxis(images, 3, 1) if layout.mode == "RGB" else images

    def _column(self, name: str | None) -> Iterator[tuple[str, Any]]:
        """Place, for messages, and value of each row."""
        assert name is not None, f"{self.layout.repository} has no such column"
        batches = self.rows.select_columns(name).iter(batch_size=1000)
        for number, value in enumerate(value for batch in batches for value in batch[name]):
            yield f"{self.place}, row {number}", value


def load(
    name: str, split_names: Sequence[str], data_dir: Path | None = None, cache: Path | None = None
) -> dict[str, HubSplit]:
    """The splits of a data set in `LAYOUTS`, as the hub names them: train, test and, of WikiText-103, validation.

    From the hub, or, with `data_dir`, from copies of the hub's parquet files in its folder `NAME/CONFIG` or `NAME`.
    `cache` is where the library keeps what it has read, by default its own. Raises `UserError`: the hub is out of
    reach, files are missing or damaged, or columns are.
    """
    answers = _asked() if data_dir is None else None
    import datasets  # a second, in which the hub may answer, and only for who reads from it

    layout = LAYOUTS[name]
    if data_dir is None:
        where: dict[str, Any] = {"path": layout.repository, "name": layout.config}
    else:
        # the library takes paths for patterns
        files = {split: [escape(str(path)) for path in _shards(data_dir, name, split)] for split in split_names}
        where = {"path": "parquet", "data_files": files}
    silent = answers is not None and not answers()
    try:
        with _offline() if silent else nullcontext():
            loaded = datasets.load_dataset(
                **where, split=list(split_names), cache_dir=None if cache is None else str(cache)
            )
    except Exception as error:  # the library passes on whatever its layers for network and files raise
        reason = TimeoutError(f"no answer within {PATIENCE:g} seconds") if silent else error
        raise _not_loaded(name, data_dir, reason) from error
    origin = layout.repository if data_dir is None else str(data_dir / name)
    return {
        split: _checked(rows, layout, f"{origin} ({split})") for split, rows in zip(split_names, loaded, strict=True)
    }


def _asked() -> Callable[[], bool]:
    """Ask the hub, or the proxy before it; what is returned says whether it answers in time.

    Unasked, the library would try again for minutes. A hub that gave no answer is not asked again for a minute: the
    next task of a sweep would wait in vain. A thread asks, because looking up a name cannot be interrupted.
    """
    from huggingface_hub import constants

    address, started = constants.ENDPOINT, time.monotonic()
    if constants.HF_HUB_OFFLINE:  # the library says so itself
        return lambda: True
    if started < _silent_until.get(address, 0):
        return lambda: False
    answered = threading.Event()

    def ask() -> None:
        try:
            urlopen(Request(address, method="HEAD"), timeout=PATIENCE).close()
        except URLError as error:  # a refusal is an answer, and so is a certificate that only the library trusts
            if not isinstance(error, HTTPError) and not isinstance(error.reason, ssl.SSLError):
                return
        except (OSError, ValueError, HTTPException):
            return
        answered.set()

    def answers() -> bool:
        if not answered.wait(max(started + PATIENCE - time.monotonic(), 0)):
            _silent_until[address] = time.monotonic() + SILENCE
        return answered.is_set()

    threading.Thread(target=ask, daemon=True).start()
    return answers


@contextmanager
def _offline() -> Iterator[None]:
    """The library as with HF_HUB_OFFLINE=1: it tries no network, and reads what it has kept."""
    import datasets
    from huggingface_hub import constants

    before = datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before


def _checked(rows: datasets.Dataset, layout: Layout, place: str) -> HubSplit:
    """The split of these rows, images undecoded. Raises `UserError` when a column is missing."""
    import datasets

    if not set(layout.columns) <= set(rows.column_names):
        raise UserError(
            f"{place} has the columns {', '.join(rows.column_names)} where {', '.join(layout.columns)} are "
            f"expected: get a copy of {layout.repository} from the Hugging Face hub."
        )
    if isinstance(rows.features.get(layout.image), datasets.Image):
        # Decoding is ours: the library would open whatever path or address stands in place of an image
        rows = rows.cast_column(layout.image, datasets.Image(decode=False))
    return HubSplit(rows, layout, place)


def _shards(data_dir: Path, name: str, split: str) -> list[Path]:
    """The parquet files of a split, all of them, in order."""
    layout = LAYOUTS[name]
    folders = (data_dir / name / layout.config, data_dir / name)
    for folder in folders:
        paths = sorted(path for path in folder.glob(f"{split}-*.parquet") if SHARD.fullmatch(path.name[len(split) :]))
        numbers = [tuple(map(int, SHARD.findall(path.name)[0])) for path in paths]
        if paths and numbers != [(number, numbers[0][1]) for number in range(numbers[0][1])]:
            raise UserError(
                f"{folder} holds only {', '.join(path.name for path in paths)} of the {numbers[0][1]} files of "
                f"{split}: the others come from {layout.repository} on the Hugging Face hub."
            )
        if paths or (folder / f"{split}.parquet").is_file():
            return paths or [folder / f"{split}.parquet"]
    raise UserError(
        f"{name}'s {split} is missing: neither {folders[0]} nor {folders[1]} holds {split}-00000-of-NNNNN.parquet; "
        f"it comes from {layout.repository} on the Hugging Face hub, folder {layout.config}."
    )


def _not_loaded(name: str, data_dir: Path | None, error: Exception) -> UserError:
    """The error for a data set that the library did not load."""
    layout, cause = LAYOUTS[name], error.__cause__ or error
    if data_dir is not None:
        remedy = (
            "see that its files can be read and that the library's cache can be written to"
            if isinstance(cause, OSError)
            else "get its parquet files from the Hugging Face hub again"
        )
        return UserError(
            f"The copy of {layout.repository} in {data_dir / name} cannot be read ({one_line(cause)}): {remedy}."
        )
    return UserError(
        f"{layout.repository} cannot be loaded from the Hugging Face hub ({one_line(cause)}): where there is no "
        f"network, put its parquet files (SPLIT-00000-of-NNNNN.parquet) into {name}/{layout.config} "
        "below the folder paths.data."
    )
