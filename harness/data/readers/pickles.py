"""Pickles of arrays and plain containers, read without executing anything.

A pickle is a program: it names functions, and loading calls them. Here the few names that arrays of numpy need stand
for recorders of our own, every other name is refused, and numpy gets to see nothing that has not been checked.

Nor may a small pickle cost much. What it makes is a tree, of bounded size and depth: a container that is in two places
at once would, some dozen levels up, be in more places than can be visited. Keys are texts and numbers, whose hash takes
no time. Python's own unpickler, in Python, lets all this be checked as it goes.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from spike_ssm.harness.data.readers.common import damaged
from spike_ssm.results.errors import UserError

MOST_OPERATIONS = 1_000_000
"""Most operations of a pickle; a batch of CIFAR-10 has 60,000."""

MOST_LEVELS = 20
"""Most containers in one another; a batch of CIFAR-10 has three."""

MOST_AXES = 32
"""Most axes of an array, as numpy once had it."""

LONGEST_NAME = 20
"""Characters of a type's name."""

NEVER_WRITTEN = frozenset({"DUP", "EMPTY_SET", "ADDITEMS", "FROZENSET"})
"""Operations that no array or plain container needs."""

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
        if not isinstance(shape, tuple) or not all(type(length) is int and 0 <= length < 2**63 for length in shape):
            raise ValueError("an array has no shape")
        if len(shape) > MOST_AXES:
            raise ValueError(f"an array has {len(shape)} axes")
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


_CONTAINERS = (list, tuple, dict, PickledArray)


def load(content: bytes, path: Path, source: str) -> Any:
    """The pickled object: containers, numbers, texts, and a `PickledArray` for every array.

    Texts of Python 2 come as bytes. `path` and `source` are for the `UserError` raised when the pickle is damaged or
    names anything but an array.
    """
    try:
        _check_operations(content)
        loaded = _Unpickler(content, path).load()
        _check_depth(loaded)
        return loaded
    except UserError:
        raise
    except Exception as error:  # the standard library's list of what a damaged pickle raises is open
        raise damaged(path, f"its pickle cannot be read: {error}", source) from error


def _check_operations(content: bytes) -> None:
    """Raise `ValueError` when a pickle takes long, or asks for more memory than it can fill, which it would get."""
    for number, (operation, argument, _) in enumerate(pickletools.genops(content)):
        if number >= MOST_OPERATIONS:
            raise ValueError(f"it has more than {MOST_OPERATIONS} operations")
        if operation.name in NEVER_WRITTEN:
            raise ValueError(f"it has the operation {operation.name}")
        if operation.name.endswith("PUT") and isinstance(argument, int) and argument > number:
            raise ValueError(f"it numbers an object {argument}")


def _check_depth(loaded: object) -> None:
    """Raise `ValueError` when containers lie in one another too deep."""
    level = [loaded]
    for _ in range(MOST_LEVELS):
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            return
    raise ValueError(f"containers lie in one another more than {MOST_LEVELS} deep")


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, PickledArray):
        return (value.shape, value.kind, value.data)
    if isinstance(value, dict):
        return value.values()  # its keys hold nothing
    return value if isinstance(value, list | tuple) else ()


class _Memo(dict[int, object]):
    """What a pickle refers back to: no containers, but for short tuples of plain things, as arrays share."""

    def __getitem__(self, number: int) -> object:
        found = super().__getitem__(number)
        if isinstance(found, _CONTAINERS) and not (isinstance(found, tuple) and _is_flat(found)):
            raise ValueError(f"a {type(found).__name__} is in it twice")
        return found


def _is_flat(values: tuple[object, ...]) -> bool:
    return len(values) <= MOST_AXES and not any(isinstance(value, _CONTAINERS) for value in values)


class _Mapping(dict[Any, Any]):
    """A dictionary that takes texts and numbers as keys."""

    def __setitem__(self, key: object, value: object) -> None:
        if not isinstance(key, str | bytes | int | float | None):
            raise ValueError(f"a {type(key).__name__} is a key")
        super().__setitem__(key, value)


class _Unpickler(pickle._Unpickler):
    """An unpickler that knows the names in `_allowed` and no others, and makes no more than a tree."""

    append: Callable[[object], None]
    pop_mark: Callable[[], list[object]]
    memo: dict[int, object]

    def __init__(self, content: bytes, path: Path) -> None:
        super().__init__(io.BytesIO(content), encoding="bytes")
        self.path, self.allowed, self.memo = path, _allowed(len(content)), _Memo()

    def load_empty_mapping(self) -> None:
        """An empty dictionary, filled by later operations."""
        self.append(_Mapping())

    def load_mapping(self) -> None:
        """A dictionary of all that has come since the mark."""
        items, mapping = self.pop_mark(), _Mapping()
        for key, value in zip(items[::2], items[1::2], strict=True):
            mapping[key] = value
        self.append(mapping)

    dispatch: ClassVar[dict[int, Callable[..., None]]] = {
        **pickle._Unpickler.dispatch,
        pickle.EMPTY_DICT[0]: load_empty_mapping,
        pickle.DICT[0]: load_mapping,
    }

    def find_class(self, module: str, name: str, /) -> Any:
        """The stand-in for a name. Raises `UserError` for one that no array needs."""
        known = (module, name)
        if known not in self.allowed:
            asked = repr(f"{module}.{name}"[:80])
            raise UserError(
                f"{self.path} is refused: it asks to load {asked}, where only arrays and plain containers are "
                "expected; it may be made to do harm, so delete it."
            )
        return self.allowed[known]


def _allowed(size: int) -> dict[tuple[str, str], Any]:
    """Stand-ins by module and name, for a pickle of so many bytes.

    They are made anew for each, because a pickle can set a function's attributes.
    """
    left = size

    def frombuffer(data: object, kind: object, shape: object, order: object) -> PickledArray:
        array = PickledArray()
        array.__setstate__((1, shape, kind, order == "F", data))
        return array

    def encode(text: str, encoding: str) -> bytes:
        nonlocal left
        if encoding not in ("latin1", "latin-1"):
            raise ValueError("bytes are encoded otherwise than as latin1")
        left -= len(text)
        if left < 0:  # one text over and over
            raise ValueError("it makes more bytes than it has")
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
    if isinstance(value, bytes | str) and len(value) > LONGEST_NAME:
        raise ValueError(f"a type's name has {len(value)} characters")
    if isinstance(value, bytes):
        return value.decode("ascii")
    if isinstance(value, str):
        return value
    raise ValueError(f"a {type(value).__name__} stands where a type's name is expected")
