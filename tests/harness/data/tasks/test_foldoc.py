"""FOLDOC from a dictionary written here as dictd has it, and the pairs made of it."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spike_ssm.harness.data.splits import Split
from spike_ssm.harness.data.tasks import foldoc
from spike_ssm.harness.data.tasks.foldoc import Entry, Foldoc, FoldocSettings, cited_or_not, read_foldoc
from spike_ssm.results.errors import UserError


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    return tmp_path / "files"


def base64(number: int) -> str:
    digits = ""
    while number or not digits:
        digits = foldoc.DIGITS[number % 64] + digits
        number //= 64
    return digits


def write_dictionary(files: Path, entries: list[tuple[list[str], str]], more: str = "") -> Path:
    """The two files: the entries end to end, compressed, and a line a headword, sorted."""
    content, index = b"", []
    for headwords, text in entries:
        encoded = text.encode()
        index += [f"{headword}\t{base64(len(content))}\t{base64(len(encoded))}\n" for headword in headwords]
        content += encoded
    folder = files / "foldoc"
    folder.mkdir()
    (folder / "foldoc.index").write_text("".join(sorted(index)) + more)
    (folder / "foldoc.dict.dz").write_bytes(gzip.compress(content))
    return folder


def test_entries_are_read_with_what_they_cite_by_any_headword_in_any_case(files: Path) -> None:
    entries = [
        (["00-database-info"], "About {ADA}.\n"),
        (["ada", "ada lovelace"], "ADA\n\n   See {Fortran\n   77} and {itself (url)}; {ADA}.\n\n"),
        (["fortran 77"], "Fortran 77\n\n   Naïve: {Ada  Lovelace}, {no such entry}.\n\n" + "x" * 70),
    ]
    write_dictionary(files, entries)
    ada, fortran = read_foldoc(files)
    assert ada == Entry("ADA See Fortran 77 and itself (url); ADA.", frozenset({1}))
    assert fortran.text.startswith("Fortran 77 Naïve: Ada Lovelace, no such entry. x")
    assert fortran.cited == {0}


def test_of_two_entries_of_a_name_both_are_read_and_the_first_is_cited(files: Path) -> None:
    write_dictionary(files, [(["c"], "C one."), (["b"], "B {C}."), (["c"], "C two.")])
    assert [entry.text for entry in read_foldoc(files)] == ["C one.", "B C.", "C two."]
    assert read_foldoc(files)[1].cited == {0}


@pytest.mark.parametrize("name", ["foldoc.index", "foldoc.dict.dz"])
def test_a_missing_file_of_the_dictionary_is_a_sentence(
    name: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foldoc, "FOLDERS", foldoc.FOLDERS[:-1])  # the system may have it
    (write_dictionary(files, [(["a"], "A.")]) / name).unlink()
    with pytest.raises(UserError, match=rf"^FOLDOC's {name} is missing: .*Debian's package dict-foldoc.*\.$"):
        read_foldoc(files)


@pytest.mark.parametrize("line", ["word\tA\n", "word\tA\t\n", "word\tA\tB!\n"])
def test_a_damaged_index_is_a_sentence(line: str, files: Path) -> None:
    write_dictionary(files, [(["a"], "A.")], more=line)
    with pytest.raises(UserError, match=r"foldoc\.index, line 2: a headword and two numbers in base 64 are expected"):
        read_foldoc(files)


def test_an_index_of_another_dictionary_is_a_sentence(files: Path) -> None:
    write_dictionary(files, [(["a"], "A.")], more="zebra\tA\tBA\n")
    with pytest.raises(UserError, match=r"foldoc\.dict\.dz is damaged \(its index has an entry up to byte 64 of 2\)"):
        read_foldoc(files)


def test_a_damaged_dictionary_is_a_sentence(files: Path) -> None:
    path = write_dictionary(files, [(["a"], "A." * 500)]) / "foldoc.dict.dz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"foldoc\.dict\.dz is damaged .*: delete it and get it again from Debian's"):
        read_foldoc(files)


@given(st.integers(2, 30), st.integers(0, 99))
def test_pairs_are_citations_within_a_split_and_as_many_that_are_none(size: int, seed: int) -> None:
    generator = np.random.RandomState(seed)
    cited = [frozenset(np.flatnonzero(generator.rand(size) < 0.2).tolist()) - {number} for number in range(size)]
    entries = [Entry(str(number), each) for number, each in enumerate(cited)]
    within = set(range(0, size, 2))
    pairs = cited_or_not(entries, sorted(within), seed)
    for ((citing, second), label), after in zip(pairs[::2], pairs[1::2], strict=True):
        assert label == 1
        assert int(second) in cited[int(citing)]
        (same, other), none = after
        assert (same, none) == (citing, 0)
        assert int(other) not in cited[int(citing)] | {int(citing)}
        assert int(citing) not in cited[int(other)]
        assert {int(citing), int(second), int(other)} <= within


def test_no_entry_of_the_dictionary_is_in_pairs_of_two_splits(files: Path) -> None:
    names = [f"w{number}" for number in range(200)]
    entries = [([name], f"{name} cites {{{names[n - 1]}}} and {{{names[n - 7]}}}.") for n, name in enumerate(names)]
    write_dictionary(files, entries)
    data = Foldoc(FoldocSettings(min_freq=1)).prepare(files.parent / "cache", files)
    train, validation, test = map(entries_in, (data.train, data.validation, data.test))
    assert not train & validation
    assert not train & test
    assert not validation & test
    assert data.train.labels.mean() == data.test.labels.mean() == 0.5


def entries_in(split: Split) -> set[tuple[int, ...]]:
    """Every text of the split's pairs, as tokens."""
    return {tuple(text.tolist()) for texts in split.sequences for text in texts}
