"""Pickles and the formats made of them: arrays come back as they were, and nothing that they ask for is executed."""

from __future__ import annotations

import os
import pickle
import struct
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from spike_ssm.harness.data.readers import cifar, pickles
from spike_ssm.results.errors import UserError

GLOBALS = {"reconstruct": ("numpy.core.multiarray", "_reconstruct"), "array": ("numpy", "ndarray")}


def load(content: bytes) -> Any:
    return pickles.load(content, Path("some.pickle"), "a test")


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def python2_text(text: bytes) -> bytes:
    return b"U" + bytes([len(text)]) + text if len(text) < 256 else b"T" + struct.pack("<i", len(text)) + text


def python2_array(array: npt.NDArray[np.uint8], core: str = "numpy.core", kind: bytes = b"u1") -> bytes:
    """The opcodes that Python 2 writes for an array of bytes, protocol 2."""
    empty = named(f"{core}.multiarray", "_reconstruct") + named("numpy", "ndarray") + b"K\0\x85U\x01b\x87R"
    shape = b"(" + b"".join(b"J" + struct.pack("<i", length) for length in array.shape) + b"t"
    dtype = named("numpy", "dtype") + python2_text(kind) + b"K\0K\x01\x87R"
    dtype += b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    return empty + b"(K\x01" + shape + dtype + b"\x89" + python2_text(array.tobytes()) + b"tb"


def python2_batch(images: npt.NDArray[np.uint8], labels: list[int], core: str = "numpy.core") -> bytes:
    """A CIFAR-10 batch as its site gives it, byte for byte but for the memo, which nothing refers to."""
    numbers = b"".join(b"J" + struct.pack("<i", label) for label in labels)
    names = b"".join(python2_text(b"leptodactylus_pentadactylus_s_%06d.png" % i) for i in range(len(labels)))
    items = {
        b"batch_label": python2_text(b"training batch 1 of 5"),
        b"labels": b"](" + numbers + b"e",
        b"data": python2_array(images.reshape(len(images), -1), core),
        b"filenames": b"](" + names + b"e",
    }
    return b"\x80\x02}(" + b"".join(python2_text(key) + value for key, value in items.items()) + b"u."


def python3_batch(protocol: int) -> Callable[[npt.NDArray[np.uint8], list[int]], bytes]:
    def write(images: npt.NDArray[np.uint8], labels: list[int]) -> bytes:
        batch = {b"batch_label": b"testing batch 1 of 1", b"labels": labels, b"data": images.reshape(len(images), -1)}
        return pickle.dumps({**batch, b"filenames": [b"a.png"] * len(labels)}, protocol=protocol)

    return write


def write_batches(folder: Path, write: Callable[[npt.NDArray[np.uint8], list[int]], bytes]) -> dict[str, Any]:
    """The six files, two images each; the images and labels of each."""
    random, written = np.random.default_rng(0), {}
    for name in (*cifar.BATCHES["train"], *cifar.BATCHES["test"]):
        images, labels = random.integers(0, 256, (2, 3, 32, 32), np.uint8), random.integers(0, 10, 2).tolist()
        (folder / name).write_bytes(write(images, labels))
        written[name] = images, labels
    return written


@pytest.mark.parametrize("write", [python2_batch, *map(python3_batch, range(2, 6))])
def test_cifar_batches_come_in_order_whoever_pickled_them(
    write: Callable[[npt.NDArray[np.uint8], list[int]], bytes], tmp_path: Path
) -> None:
    written = write_batches(tmp_path, write)
    for split, names in cifar.BATCHES.items():
        images, labels = cifar.read(tmp_path, "train" if split == "train" else "test")
        assert images.dtype == labels.dtype == np.uint8
        assert np.array_equal(images, np.concatenate([written[name][0] for name in names]))
        assert labels.tolist() == [label for name in names for label in written[name][1]]


def test_the_python_2_pickles_of_these_tests_are_what_pickle_reads() -> None:
    images = np.arange(2 * 3072, dtype=np.uint8).reshape(2, 3, 32, 32)
    batch = pickle.loads(python2_batch(images, [3, 9]), encoding="bytes")
    assert list(batch) == [b"batch_label", b"labels", b"data", b"filenames"]
    assert np.array_equal(batch[b"data"].reshape(images.shape), images)


@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
def test_arrays_are_known_by_the_names_of_numpy_1_and_of_numpy_2(core: str) -> None:
    array = np.arange(300, dtype=np.uint8).reshape(3, 100)
    loaded = load(b"\x80\x02" + python2_array(array, core) + b".").numpy()
    assert loaded.dtype == np.uint8
    assert np.array_equal(loaded, array)


KINDS = st.sampled_from(["u1", "<i8", ">i4", "f4", "b1", "<U3", "S2"])
SHAPES = arrays.array_shapes(max_dims=3, max_side=4)


@given(KINDS.flatmap(lambda kind: arrays.arrays(kind, SHAPES)), st.integers(2, 5), st.booleans())
def test_any_array_of_numbers_or_texts_comes_back(array: npt.NDArray[Any], protocol: int, turned: bool) -> None:
    array = array.T if turned else array
    loaded = load(pickle.dumps({"a": [array]}, protocol=protocol))["a"][0].numpy()
    assert loaded.dtype == array.dtype
    assert loaded.shape == array.shape
    assert loaded.tobytes() == array.tobytes()


@given(st.lists(st.lists(st.text(max_size=3) | st.integers() | st.booleans(), min_size=2, max_size=2), min_size=1))
def test_a_table_of_texts_and_numbers_comes_back(rows: list[list[object]]) -> None:
    table = np.empty((len(rows), 2), object)
    table[:] = rows
    assert load(pickle.dumps(table)).numpy().tolist() == rows


class Call:
    """Pickles to a call of a function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def attacks(canary: Path) -> dict[str, bytes]:
    """Pickles that write to `canary` when Python loads them."""
    shell, code = f"echo > {canary}", f"open({str(canary)!r}, 'w')"
    holder = np.empty(1, object)
    holder[0] = Call(os.system, shell)
    run = named("os", "system") + python2_text(shell.encode()) + b"\x85R"
    return {
        "os.system": pickle.dumps(Call(os.system, shell), protocol=2),
        "builtins.eval": pickle.dumps(Call(eval, code)),
        "builtins.exec under Python 2's name": b"c__builtin__\nexec\n" + python2_text(code.encode()) + b"\x85R.",
        "within an array of objects": pickle.dumps(holder),
        "as the type that an array is made of": (
            b"\x80\x02" + named(*GLOBALS["reconstruct"]) + b"(" + run + b"K\0\x85U\x01btR."
        ),
        "as an array's state": (
            b"\x80\x02"
            + named(*GLOBALS["reconstruct"])
            + named(*GLOBALS["array"])
            + b"K\0\x85U\x01b\x87R"
            + run
            + b"b."
        ),
        "as the key of a batch": b"\x80\x02}(" + run + b"K\0u.",
        "by an instance of Python 2": b"(" + python2_text(shell.encode()) + b"ios\nsystem\n.",
    }


@pytest.mark.parametrize("name", list(attacks(Path("/"))))
def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(name: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    content = attacks(canary)[name]
    with suppress(Exception):  # some go wrong after they have done harm
        pickle.loads(content, encoding="latin-1")
    assert canary.exists()
    canary.unlink()
    (tmp_path / "test_batch").write_bytes(content)
    asked = r"'(nt|posix|os)\.system'|'(builtins|__builtin__)\.(eval|exec)'"
    with pytest.raises(UserError, match=rf"^\S*test_batch is refused: it asks to load ({asked}), .*\.$"):
        cifar.read(tmp_path, "test")
    assert not canary.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        *(("builtins", "getattr"), ("builtins", "bytes"), ("copyreg", "_reconstructor"), ("numpy", "load")),
        *(("numpy", "memmap"), ("numpy", "ndarray.tofile"), ("numpy.core.multiarray", "fromfile")),
        *(("numpy.core.multiarray", "scalar"), ("_codecs", "lookup"), ("collections", "OrderedDict")),
    ],
)
def test_no_other_name_is_loaded(module: str, name: str) -> None:
    content = b"\x80\x04" + b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name)) + b"\x93."
    with pytest.raises(UserError, match=rf"^some\.pickle is refused: it asks to load '{module}\.{name}', .*\.$"):
        load(content)


OBJECTS = pickle.dumps(np.empty(1, object), protocol=2)
"""Its state ends with the list of its one object: ]Na."""


@pytest.mark.parametrize(
    "content",
    [
        # bytes where objects are expected would be taken for their addresses
        OBJECTS[: OBJECTS.rindex(b"]")] + python2_text(b"A" * 8) + b"tb.",
        b"\x80\x02" + python2_array(np.zeros((2, 3), np.uint8), kind=b"O8") + b".",
        b"\x80\x02" + python2_array(np.zeros((2, 3), np.uint8), kind=b"V1") + b".",
        b"\x80\x02" + python2_array(np.zeros((2, 3), np.uint8), kind=b"u8") + b".",
        b"\x80\x02"
        + python2_array(np.zeros((2, 3), np.uint8)).replace(struct.pack("<i", 3), struct.pack("<i", 4))
        + b".",
        b"\x80\x02"
        + python2_array(np.zeros((2, 3), np.uint8)).replace(struct.pack("<i", 3), struct.pack("<i", -3))
        + b".",
        b"\x80\x02" + named(*GLOBALS["reconstruct"]) + named(*GLOBALS["array"]) + b"(J\xff\xff\xff\x7ftU\x01b\x87R.",
    ],
)
def test_an_array_that_does_not_fit_its_own_description_is_never_made(content: bytes) -> None:
    array = load(content)
    with pytest.raises(ValueError, match=r"an array|buffer size"):
        array.numpy()


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02Nr\xff\xff\xff\x7f.",  # an object's number
        b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"short.",  # a bytearray's length
        b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"short.",  # that of bytes
    ],
)
def test_a_pickle_does_not_get_memory_that_it_cannot_fill(content: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(UserError, match=r"^some\.pickle is damaged \(.*\.$"):
        load(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


SHARED = b"\x80\x02" + b")q\0" + b"h\0h\0\x86q\0" * 60
"""A tuple of a tuple twice, of a tuple twice, and so on, which has 2 to the 60 places."""


@pytest.mark.fault(
    "A small pickle among downloaded files is made to take hours, all memory or the interpreter.",
    "It is refused in a sentence within seconds.",
)
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        pytest.param(SHARED + b"}h\0Ks0.", "a tuple is in it twice", id="shared-tuple-as-a-key"),
        pytest.param(SHARED[:-3] + b".", "a tuple is in it twice", id="shared-tuple"),
        pytest.param(b"\x80\x02})\x85K\0s.", "a tuple is a key", id="tuple-as-a-key"),
        pytest.param(b"\x80\x02()\x85K\0d.", "a tuple is a key", id="tuple-as-a-key-of-old"),
        pytest.param(b"\x80\x02)2\x86.", "it has the operation DUP", id="dup"),
        pytest.param(b"\x80\x02]q\0h\0a.", "a list is in it twice", id="a-list-in-itself"),
        pytest.param(b"\x80\x02)" + b"\x85" * 300_000 + b".", "containers lie in one another", id="deep-tuple"),
        pytest.param(b"\x80\x02" + b"]" * 9999 + b"a" * 9998 + b".", "containers lie in one another", id="deep-list"),
        pytest.param(b"\x80\x02" + b"(" * 5_000_000 + b".", "it has more than 1000000 operations", id="marks"),
        pytest.param(b"\x80\x04\x8f(K\x01\x90.", "it has the operation EMPTY_SET", id="set"),
        pytest.param(
            b"\x80\x02" + named("_codecs", "encode") + b"q\0X\xe8\3\0\0" + b"a" * 1000 + b"q\1U\6latin1q\2]("
            b"h\0h\1X\6\0\0\0latin1\x86Rh\0h\1X\6\0\0\0latin1\x86Re.",
            "it makes more bytes than it has",
            id="one-text-over-and-over",
        ),
        pytest.param(
            b"\x80\x02" + named("numpy", "dtype") + b"T\xe8\3\0\0" + b"a" * 1000 + b"\x85R.",
            "a type's name has 1000 characters",
            id="long-name",
        ),
    ],
)
def test_a_small_pickle_costs_little(content: bytes, sentence: str) -> None:
    with pytest.raises(UserError, match=rf"^some\.pickle is damaged \(its pickle cannot be read: {sentence}"):
        load(content)


@given(
    labels=st.lists(st.integers(0, 9), min_size=1, max_size=30),
    names=st.lists(st.binary(min_size=1, max_size=40), max_size=30),
    protocol=st.integers(0, 5),
    data=st.data(),
)
def test_every_batch_of_pictures_is_read(
    labels: list[int], names: list[bytes], protocol: int, data: st.DataObject
) -> None:
    pixels = data.draw(arrays.arrays(np.uint8, (len(labels), 12)))
    batch = {b"batch_label": b"training batch 1 of 5", b"labels": labels, b"data": pixels, b"filenames": names}
    loaded = load(pickle.dumps(batch, protocol=protocol))
    assert np.array_equal(loaded.pop(b"data").numpy(), pixels)
    assert loaded == {key: value for key, value in batch.items() if key != b"data"}


def test_what_a_pickle_does_to_the_stand_ins_ends_with_it() -> None:
    load(b"\x80\x02" + named("_codecs", "encode") + b"N}X\x0c\0\0\0__defaults__K\x01\x85s\x86b.")
    for stand_in in (("numpy", "dtype"), GLOBALS["reconstruct"]):
        with pytest.raises(UserError, match=r"^some\.pickle is damaged \(its pickle cannot be read: .*\.$"):
            load(b"\x80\x02" + named(*stand_in) + b"N}X\x08\0\0\0__init__K\x01s\x86b.")
    array = np.array([[1, 2], [3, 4]], np.uint8)
    assert np.array_equal(load(pickle.dumps(array, protocol=2)).numpy(), array)


@given(st.binary(max_size=60) | st.binary(max_size=40).map(lambda tail: b"\x80\x02" + named("numpy", "dtype") + tail))
def test_bytes_that_are_no_pickle_are_a_sentence(content: bytes) -> None:
    with suppress(UserError):
        load(content)


@given(data=st.data())
def test_a_pickle_cut_off_anywhere_is_a_sentence(data: st.DataObject) -> None:
    content = python2_batch(np.zeros((1, 3072), np.uint8), [1])
    with pytest.raises(UserError, match=r"^some\.pickle is damaged \(.*\): delete it and get it again from a test\.$"):
        load(content[: data.draw(st.integers(0, len(content) - 1))])


IMAGES = np.zeros((2, 3072), np.uint8)


@pytest.mark.parametrize(
    ("batch", "sentence"),
    [
        ({b"data": IMAGES, b"labels": [1, 10]}, r"the label of image 1 is 10 where 0 to 9 is expected"),
        ({b"data": IMAGES, b"labels": [-1, 1]}, r"the label of image 0 is -1 where 0 to 9"),
        ({b"data": IMAGES, b"labels": [1, "2"]}, r"the label of image 1 is '2' where 0 to 9"),
        ({b"data": IMAGES, b"labels": [1]}, r"its images are uint8 \(2, 3072\) where uint8 \(1, 3072\) is expected"),
        ({b"data": IMAGES.astype(float), b"labels": [1, 1]}, r"its images are float64"),
        ({b"data": [0], b"labels": [1]}, r"b'data' is not an array"),
        ({b"data": IMAGES, b"fine_labels": [1, 2]}, r"it is not a dictionary with b'data' and b'labels'"),
        ([1, 2], r"it is not a dictionary"),
    ],
)
def test_a_bad_cifar_batch_is_a_sentence(batch: object, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "test_batch").write_bytes(pickle.dumps(batch, protocol=2))
    with pytest.raises(UserError, match=rf"^\S*test_batch is damaged \({sentence}.*cifar-10-python\.tar\.gz.*\.$"):
        cifar.read(tmp_path, "test")


def test_a_missing_cifar_batch_is_a_sentence(tmp_path: Path) -> None:
    write_batches(tmp_path, python2_batch)
    (tmp_path / "data_batch_4").unlink()
    with pytest.raises(UserError, match=r"^\S*data_batch_4 cannot be read \(No such file or directory\).*\.$"):
        cifar.read(tmp_path, "train")
