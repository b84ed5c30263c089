"""Pickles of arrays and plain containers, read without executing anything.

A pickle is a program: it names functions, and loading calls them. Here the few names that arrays of numpy need stand
for recorders of our own, every other name is refused, and numpy gets to see nothing that has not been checked.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spike_ssm.harness.data.readers.common import damaged
from spike_ssm.results.errors import UserError

PLAIN_TYPE = re.compile(r"[<>|=](b1|[iu][1248]|f[248]|[SU]\d{1,6})", re.ASCII)
"""Pattern of numpy's names, after the byte order, of types that hold no objects."""


class PickledType:
    """Stand-in for `numpy.dtype`, which records a name and a byte order."""

    name, order = "", "|"  # of the class, since a pickle can make objects without calling __init__

    def __init__(self, name: object, *_: object) -> None:
        self.name = _text(name)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = _text(state[1])


class PickledArray:
    """Stand-in for a `numpy.ndarray`, which records what the pickle says of it, unchecked until `numpy`."""

    shape: object = None
    kind: object = None
    by_columns: object = False
    data: object = None

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, self.kind, self.by_columns, self.data = state

    def numpy(self) -> npt.NDArray[Any]:
        """The array. Raises `ValueError` when what was recorded is not one of numbers, texts or plain objects."""
        shape, kind, data = self.shape, self.kind, self.data
        if not isinstance(shape, tuple) or not all(type(length) is int and length >= 0 for length in shape):
            raise ValueError("an array has no shape")
        if not isinstance(kind, PickledType):
            raise ValueError("an array has no type")
        flat: npt.NDArray[Any]
        if kind.name in ("O", "O8") and isinstance(data, list):
            flat = np.fromiter(data, dtype=object, count=len(data))
        elif PLAIN_TYPE.fullmatch(kind.order + kind.name) and isinstance(data, bytes | bytearray):
            flat = np.frombuffer(data, kind.order + kind.name)
        else:
            raise ValueError(f"an array is of the type {kind.order}{kind.name} with {type(data).__name__}")
        if math.prod(shape) != len(flat):
            raise ValueError(f"an array of the shape {shape} has {len(flat)} items")
        return flat.reshape(shape, order="F" if self.by_columns else "C")


def load(content: bytes, path: Path, source: str) -> Any:
    """The pickled object: containers, numbers, texts, and a `PickledArray` for every array.

    Texts of Python 2 come as bytes. `path` and `source` are for the `UserError` raised when the pickle is damaged or
    names anything but an array.
    """
    try:
        _check_sizes(content)
        return _Unpickler(content, path).load()
    except UserError:
        raise
    except Exception as error:  # the standard library's list of what a damaged pickle raises is open
        raise damaged(path, f"its pickle cannot be read: {error}", source) from error


def _check_sizes(content: bytes) -> None:
    """Raise `ValueError` when a pickle asks for more memory than it can fill, which Python would try to give it."""
    for number, (operation, argument, _) in enumerate(pickletools.genops(content)):
        if operation.name.endswith("PUT") and isinstance(argument, int) and argument > number:
            raise ValueError(f"it numbers an object {argument}")


class _Unpickler(pickle.Unpickler):
    """An unpickler that knows the names in `_allowed` and no others."""

    def __init__(self, content: bytes, path: Path) -> None:
        super().__init__(io.BytesIO(content), encoding="bytes")
        self.path, self.allowed = path, _allowed()

    def find_class(self, module: str, name: str, /) -> Any:
        """The stand-in for a name. Raises `UserError` for one that no array needs."""
        known = (module, name)
        if known not in self.allowed:
            raise UserError(
                f"{self.path} is refused: it asks to load {f'{module}.{name}'!r}, where only arrays and plain "
                "containers are expected; it may be made to do harm, so delete it."
            )
        return self.allowed[known]


def _allowed() -> dict[tuple[str, str], Any]:
    """Stand-ins by module and name, made anew for each pickle, because a pickle can set a function's attributes."""

    def frombuffer(data: object, kind: object, shape: object, order: object) -> PickledArray:
        array = PickledArray()
        array.__setstate__((1, shape, kind, order == "F", data))
        return array

    def encode(text: str, encoding: str) -> bytes:
        if encoding not in ("latin1", "latin-1"):
            raise ValueError(f"bytes are encoded as {encoding!r}")
        return text.encode("latin-1")

    callables: dict[tuple[str, str], Callable[..., object] | None] = {
        ("numpy", "dtype"): PickledType,
        ("numpy", "ndarray"): None,  # only ever an argument of _reconstruct
        ("_codecs", "encode"): encode,  # how Python 3 writes bytes for Python 2
    }
    for core in ("numpy.core", "numpy._core"):  # before and since numpy 2
        callables[f"{core}.multiarray", "_reconstruct"] = PickledArray
        callables[f"{core}.numeric", "_frombuffer"] = frombuffer  # protocol 5
    return callables


def _text(value: object) -> str:
    """A name as text; Python 2's names come as bytes. Raises `ValueError` for what is no name."""
    if isinstance(value, bytes):
        return value.decode("ascii")
    if isinstance(value, str):
        return value
    raise ValueError(f"a {type(value).__name__} stands where a type's name is expected")
