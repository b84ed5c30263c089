"""The text formats, written byte for byte as released: ListOps, AAN, IMDb, WikiText-103; and where they lie."""

from __future__ import annotations

import csv
import io
import tempfile
import tracemalloc
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spike_ssm.harness.data.readers import common, imdb, places, wikitext
from spike_ssm.harness.data.readers.tsv import AanRow, ListOpsRow, read_aan, read_listops
from spike_ssm.results.errors import UserError

LISTOPS = b"Source\tTarget\r\n( ( ( [MAX 3 ) 4 ) ] )\t4\r\n( ( [SM 9 ) ] )\t9\r\n"
AAN = "1.0\tP05-1\tW04-2\tA \"quoted text, it's open\tZoë's\u2028paper\x85\r\n0\t7\t8\t\tsecond\n".encode()

FIELD = st.text(st.characters(exclude_characters="\t\n\r", exclude_categories=["Cs"]))


def test_listops_rows_are_the_expressions_as_written_and_their_digits(tmp_path: Path) -> None:
    path = tmp_path / "basic_train.tsv"
    path.write_bytes(LISTOPS)
    first, second = ListOpsRow(2, "( ( ( [MAX 3 ) 4 ) ] )", 4), ListOpsRow(3, "( ( [SM 9 ) ] )", 9)
    assert list(read_listops(path)) == [first, second]


def test_aan_rows_are_label_ids_and_texts_and_nothing_in_a_text_quotes_or_ends_a_line(tmp_path: Path) -> None:
    path = tmp_path / "new_aan_pairs.train.tsv"
    path.write_bytes(AAN)
    first = AanRow(1, 1, "P05-1", "W04-2", "A \"quoted text, it's open", "Zoë's\u2028paper\x85")
    assert list(read_aan(path)) == [first, AanRow(2, 0, "7", "8", "", "second")]


@given(st.lists(st.tuples(st.sampled_from(["0", "1", "0.0", "1.0"]), FIELD, FIELD, FIELD, FIELD), min_size=1))
def test_aan_rows_written_without_quoting_come_back(rows: list[tuple[str, str, str, str, str]]) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None).writerows(rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pairs.tsv"
        path.write_bytes(text.getvalue().encode())
        read = [row[1:] for row in read_aan(path)]
    assert read == [(int(float(label)), *others) for label, *others in rows]


def test_a_field_of_megabytes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("1\ta\tb\t" + "x" * 3_000_000 + "\ty\n")
    (row,) = read_aan(path)
    assert len(row.text1) == 3_000_000


def test_rows_are_read_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    with path.open("w") as file:
        file.writelines(f"1\t{i}\t{i}\t{'x' * 1000}\t{'y' * 1000}\n" for i in range(4000))
    tracemalloc.start()
    assert sum(1 for _ in read_aan(path)) == 4000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000 < path.stat().st_size / 8


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (LISTOPS[15:], r"its first line is not the header Source<tab>Target"),
        (b"Source\tTarget\r\n", r"it holds no example"),
        (b"", r" is empty"),
        (LISTOPS + b"( [MIN 1 ) ]", r"line 4: the last line does not end, so the file has probably been cut off"),
        (LISTOPS[:-2], r"line 3: the last line does not end"),
        (LISTOPS + b"( 1 )\r\n", r"line 4: the number of tab-separated columns is 1 where 2 are expected"),
        (LISTOPS + b"( 1 )\t1\t1\r\n", r"line 4: the number of tab-separated columns is 3 where 2 are expected"),
        (LISTOPS + b"( 1 )\t10\r\n", r"line 4: the label is '10' where one of 0, 1, .*9 is expected"),
        (LISTOPS + b"( 1 \xff)\t1\r\n", r"line 4: byte 5 \(0xff\) is not UTF-8"),
    ],
)
def test_a_bad_listops_file_is_a_sentence_with_file_and_line(content: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "basic_val.tsv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"^\S*basic_val\.tsv.*{sentence}.*\.$"):
        list(read_listops(path))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", r"is empty"),
        (b"1\tP05-1\tW04-2\n", r"line 1: label and two ids, but no texts: .* five columns comes from .*lra_release"),
        (AAN + b"1\ta\tb\tc\n", r"line 3: the number of tab-separated columns is 4 where 5 are expected"),
        (AAN + b"2.0\ta\tb\tc\td\n", r"line 3: the label is '2\.0' where one of 0, 1, 0\.0, 1\.0 is expected"),
        (AAN[:-4], r"line 2: the last line does not end"),
        (AAN + b"1\ta\tb\tc\xe9\td\n", r"line 3: byte 8 \(0xe9\) is not UTF-8"),
    ],
)
def test_a_bad_aan_file_is_a_sentence_with_file_and_line(content: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "new_aan_pairs.eval.tsv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"^\S*new_aan_pairs\.eval\.tsv.*{sentence}.*\.$"):
        list(read_aan(path))


@pytest.mark.parametrize("read", [read_aan, read_listops, wikitext.read])
def test_a_missing_text_file_is_a_sentence(read: object, tmp_path: Path) -> None:
    assert callable(read)
    with pytest.raises(UserError, match=r"^\S*none\.tsv cannot be read \(No such file or directory\).*\.$"):
        list(read(tmp_path / "none.tsv"))


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """Original layout: numbers are not padded, so names do not sort as numbers do."""
    files = {"neg/0_3.txt": "Zoë slept.", "neg/10_1.txt": "No.<br />\nNo.", "neg/9_4.txt": "", "pos/2_10.txt": "Yes!"}
    for name, text in files.items():
        path = tmp_path / "aclImdb" / "train" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return tmp_path / "aclImdb"


def test_imdb_reviews_come_by_label_and_number(reviews: Path) -> None:
    assert list(imdb.read(reviews, "train")) == [
        ("Zoë slept.", 0, 3, 0),
        ("", 0, 4, 9),
        ("No.<br />\nNo.", 0, 1, 10),
        ("Yes!", 1, 10, 2),
    ]


@pytest.mark.parametrize("name", ["neg/notes.txt", "neg/1_2.txt~", "neg/11_7.txt", "pos/3_4.txt", "pos/٣_8.txt"])
def test_an_imdb_file_named_otherwise_is_a_sentence(name: str, reviews: Path) -> None:
    (reviews / "train" / name).write_text("text")
    with pytest.raises(UserError, match=rf"^\S*{name} is not a review .*NUMBER_RATING\.txt .*\.$"):
        list(imdb.read(reviews, "train"))


def test_an_imdb_review_that_is_not_utf8_is_a_sentence(reviews: Path) -> None:
    (reviews / "train" / "pos" / "4_8.txt").write_bytes("Zoë".encode("latin-1"))
    with pytest.raises(UserError, match=r"^\S*4_8\.txt: byte 3 \(0xeb\) is not UTF-8.*\.$"):
        list(imdb.read(reviews, "train"))


def test_a_missing_or_empty_imdb_folder_is_a_sentence(reviews: Path) -> None:
    with pytest.raises(UserError, match=r"^\S*test/neg cannot be read \(No such file .*Large Movie Review.*\.$"):
        list(imdb.read(reviews, "test"))
    (reviews / "test" / "neg").mkdir(parents=True)
    with pytest.raises(UserError, match=r"^\S*test/neg is empty: .*Large Movie Review.*\.$"):
        list(imdb.read(reviews, "test"))


def test_wikitext_lines_are_words_with_their_case_and_an_end_token(tmp_path: Path) -> None:
    path = tmp_path / "wiki.valid.tokens"
    path.write_bytes(" \n = Homarus gammarus = \n \n The <unk> @-@ lobster \x0c — \x1c Zoë \n".encode())
    lines = [[], ["=", "Homarus", "gammarus", "="], [], ["The", "<unk>", "@-@", "lobster", "—", "Zoë"]]
    assert list(wikitext.read(path)) == [[*line, "<eos>"] for line in lines]


def test_wikitext_that_is_not_utf8_is_a_sentence_with_file_and_line_when_it_is_reached(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_bytes(b"one \n two \n \xc3\x28 \n")
    lines = wikitext.read(path)
    assert list(islice(lines, 2)) == [["one", "<eos>"], ["two", "<eos>"]]
    with pytest.raises(UserError, match=r"^\S*train\.txt, line 3: byte 2 \(0xc3\) is not UTF-8.*\.$"):
        next(lines)


@pytest.mark.parametrize("split", ["train", "valid", "test"])
@pytest.mark.parametrize("name", [0, 1])
def test_wikitext_is_found_under_both_names(split: wikitext.Split, name: int, tmp_path: Path) -> None:
    path = tmp_path / "wikitext-103" / wikitext.names(split)[name]
    path.parent.mkdir()
    path.touch()
    candidates = places.inside(places.WIKITEXT_FOLDERS, *wikitext.names(split))
    assert common.find_file(tmp_path, candidates, "WikiText-103", places.WIKITEXT_SOURCE) == path


@pytest.mark.parametrize(
    ("folders", "released", "renamed"),
    [
        (places.LISTOPS_FOLDERS, "listops-1000", "listops"),
        (places.AAN_FOLDERS, "tsv_data", "aan"),
        (places.pathfinder_folders(128), "pathfinder128", "pathfinder/pathfinder128"),
    ],
)
@pytest.mark.parametrize("release", [*places.RELEASES, None])
def test_both_layouts_of_lra_are_found_under_one_folder(
    folders: tuple[str, ...], released: str, renamed: str, release: str | None, tmp_path: Path
) -> None:
    folder = tmp_path / (renamed if release is None else f"{release}/{released}")
    folder.mkdir(parents=True)
    assert common.find_file(tmp_path, folders, "a task", places.LRA_SOURCE) == folder


def test_the_first_candidate_that_exists_is_taken(tmp_path: Path) -> None:
    for name in ("second", "third"):
        (tmp_path / name).touch()
    assert common.find_file(tmp_path, ("first", "second", "third"), "a file", "nowhere") == tmp_path / "second"


def test_a_missing_file_is_a_sentence_that_says_what_where_and_where_from(tmp_path: Path) -> None:
    candidates = places.inside(places.LISTOPS_FOLDERS, "basic_train.tsv")
    looked = r"lra_release/lra_release/listops-1000/basic_train\.tsv, .*listops/basic_train\.tsv"
    for folder, state in ((tmp_path, "holds none of"), (tmp_path / "none", "does not exist")):
        with pytest.raises(
            UserError, match=rf"^ListOps is missing: {folder} {state}.* {looked}; it comes from .*lra_release\.gz.*\.$"
        ):
            common.find_file(folder, candidates, "ListOps", places.LRA_SOURCE)


@pytest.mark.fault(
    "A text file is one line without an end, or a file that is to be read whole is longer than any should be.",
    "One sentence that names the file; no more than a bounded part is read.",
)
def test_what_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "endless"
    with path.open("wb") as file:  # with holes, which take no room
        file.write(b"first\n")
        file.truncate(2**40)
    read = common.lines(path)
    assert next(read) == (1, "first\n")
    with pytest.raises(UserError, match=r"^\S*endless, line 2: it has more than 16,777,216 bytes: .*\.$"):
        next(read)
    for large in (path, Path("/dev/zero")):
        with pytest.raises(
            UserError, match=rf"^{large} is refused: it is no plain file of up to 268,435,456 bytes.*\.$"
        ):
            common.read_bytes(large)
