"""Whatever a title, label, note or error is made of: no output executes it, and each shows it as it is."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markupsafe import Markup

from spike_ssm.reports.pages.index import build_index, listed
from spike_ssm.reports.pages.sweep import build_report
from spike_ssm.reports.render import palette
from spike_ssm.reports.render.beside import Beside
from spike_ssm.reports.render.drawn import Drawn, new_panels
from spike_ssm.reports.render.files import FORMATS, SUFFIXES, file_name
from spike_ssm.reports.render.files import replace as written
from spike_ssm.reports.render.latex import escaped as in_latex
from spike_ssm.reports.render.latex import latex
from spike_ssm.reports.render.markdown import markdown, paragraph
from spike_ssm.reports.render.spreadsheet import csv
from spike_ssm.reports.render.standalone import standalone
from spike_ssm.reports.render.svg import drawing, render
from spike_ssm.reports.render.table import BEST, Heading, Row, Table
from spike_ssm.results.errors import UserError
from spike_ssm.results.store import read_manifest, write_manifest

NASTY = (
    "[x](javascript:alert(1))", "<script>alert(1)</script>", "`code` **bold** _it_ ~~no~~", "a|b\\|c",
    "# heading\n\n- list", "=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1",
    r"\input{/etc/passwd} % $x$ & # ^", "../../etc/passwd", "1. one", "&lt;b&gt;", "a\N{RIGHT-TO-LEFT OVERRIDE}b",
    "x\x00\x1b[31my", '"><img src=x onerror=alert(1)>', "*[", "{{ 7*7 }}", "\\\\", "]]>", "--><!--", "",
    "javascript:alert(1)", "x" * 300,
)  # fmt: skip
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(NASTY)
sometimes = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def table_of(word: str) -> Table:
    row = Row(word, (word, "0.50"), palette.looks(["a"], None)["a"], BEST)
    return Table(word, word, (Heading(word, word), Heading("b")), (row,), (word,))


def shown(html: str) -> str:
    return re.sub(r"\s", "", "".join(ElementTree.fromstring(f"<x>{html}</x>").itertext()))


@sometimes
@given(text)
@example(NASTY[0])
def test_markdown_shows_every_character_and_makes_nothing_of_it(word: str) -> None:
    words = " ".join(re.sub(r"[^\x20-\ud7ff\ue000-\ufffd]", " ", word).split())
    assume(words)
    page = (
        MarkdownIt("commonmark", {"xhtmlOut": True})
        .enable(["table", "strikethrough"])
        .render(f"# {paragraph(words)}\n\n{paragraph(words)}\n\n{markdown(table_of(words))}")
    )
    tags = set(re.findall(r"<(\w+)", page))
    assert tags <= {"h1", "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "ul", "li"}
    assert len(re.findall("<td", page)) == 3, "no cell is parted"
    assert len(re.findall("<li", page)) == 1
    assert shown(page).count("".join(words.split())) >= 8


@sometimes
@given(text, st.floats())
def test_a_spreadsheet_executes_no_text_and_keeps_numbers(word: str, number: float) -> None:
    lines = csv(pd.DataFrame({"name": [word], "value": [number], word: ["-0.5"]}))
    read = pd.read_csv(io.StringIO(lines), dtype=str, keep_default_na=False)
    for each in (read["name"][0], read.columns[-1]):
        assert not re.match(r"[=+@-]", each) or re.fullmatch(
            r"[-+]?[\d.]+(e[-+]?\d+)?|[-+](inf|nan)", each, re.IGNORECASE
        )
    assert read.iloc[0, 2] == "-0.5"
    assert read["value"][0] in (repr(number), "" if number != number else repr(number))
    assert len(read) == 1


def test_a_formula_gets_an_apostrophe_and_a_number_none() -> None:
    cells = ["=1", "+x", "-x", "@x", "\t=1", "\r=1", "-0.5", "+3", "1e-3", "-", "plain", "＝1"]  # noqa: RUF001
    lines = csv(pd.DataFrame({"cell": cells})).splitlines()[1:]
    assert lines == ["'=1", "'+x", "'-x", "'@x", "'=1", "'=1", "-0.5", "+3", "1e-3", "'-", "plain", "'＝1"]  # noqa: RUF001


@sometimes
@given(text)
def test_latex_has_no_command_but_its_own(word: str) -> None:
    plain = in_latex(word)
    commands = set(re.findall(r"\\([a-zA-Z]+|.)", plain))
    known = {"textbackslash", "textasciicircum", "textasciitilde", "textless", "textgreater", "textbar", "textquotedbl"}
    assert commands <= known | {*"{}$&#%_", "pm", "times", "div", "approx", "dag", "ddag", "cdot"}
    braces = re.sub(r"\\[{}]", "", plain)
    assert braces.count("{") == braces.count("}")
    assert "\n" not in plain
    assert not re.search(r"(?<!\\)[%#&_]|\\\\", plain)
    for line in latex(table_of(word)).splitlines():
        assert not line.startswith(("*", "[")), "which the end of the row before would take for its own"


@sometimes
@given(word=text)
def test_a_figure_is_well_formed_and_of_shapes_and_text_alone(word: str, tmp_path: Path) -> None:
    with drawing():
        figure, _ = new_panels([word, "b"], 2, 1.0, word, "y")
        drawn = Drawn(word, word, render(figure, "f", word), legend=palette.looks([word, "b"], word))
    path = written(tmp_path / "x.svg", standalone(drawn))
    tree = ElementTree.parse(path)
    tags = {each.tag.rpartition("}")[2] for each in tree.iter()}
    assert tags <= {"svg", "title", "desc", "g", "defs", "path", "clipPath", "rect", "use", "text", "tspan"}
    attributes = {name.rpartition("}")[2] for each in tree.iter() for name in each.attrib}
    assert not {name for name in attributes if name.startswith("on")}
    assert all(each.get("href", "#").startswith("#") for each in tree.iter())


@sometimes
@given(text)
def test_a_files_name_leads_nowhere(word: str) -> None:
    name = file_name(word)
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,119}", name)
    assert file_name(name) == name


def test_figures_of_names_that_look_alike_do_not_replace_each_other(tmp_path: Path) -> None:
    beside = Beside("page", FORMATS)
    drawn = [Drawn(title, "", Markup("<svg></svg>")) for title in ("a/b", "a_b", "A B", "../" * 90)]
    links = [beside.svg(each, each.title) for each in drawn]
    beside.write(tmp_path)
    assert links[0] == beside.svg(drawn[0], "asked again"), "one figure, one file"
    assert {f"page/{path.name}" for path in (tmp_path / "page").iterdir()} == set(links)
    assert len(set(links)) == 4
    assert {path.parent for path in tmp_path.rglob("*.svg")} == {tmp_path / "page"}


class Tags(HTMLParser):
    """The elements of a page and the names of their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes |= {name for name, _ in attrs}


@pytest.fixture
def nasty(sweep: Callable[..., Path]) -> Callable[[str], Path]:
    """The results folder of a sweep all of whose names and texts are, or hold, this word."""

    def results(word: str) -> Path:
        def change(row: dict[str, object]) -> dict[str, object]:
            told = word.encode(errors="replace").decode()  # a file of a run cannot hold half a pair
            row |= {"data_notes": [told], "error": told, "traceback": told, "code_version": told.replace("\0", "")}
            return row | {"status": "failed"} if row["seed"] == 2 and "-fixed-" in str(row["id"]) else row

        folder = sweep(variants=("none", "fixed"), change=change)
        manifest = read_manifest(folder, "ablation_refractory")
        runs = [
            replace(run, variant=f"{word}{run.variant}", axes={"task": word or "task", word: f"{word}{run.variant}"})
            for run in manifest.runs
        ]
        notes = {run.variant: word for run in runs}
        changed = replace(
            manifest, title=word, question=word, scale_note=word, runs=runs, baseline=f"{word}none", words=[word],
            variant_notes=notes, task_notes={word: word},
        )  # fmt: skip
        write_manifest(folder, changed)
        return folder

    return results


@pytest.mark.parametrize("word", [NASTY[15], NASTY[16]], ids=["turned around", "a terminal's control"])
def test_a_sweep_of_names_that_cannot_be_shown_is_refused(
    nasty: Callable[[str], Path], word: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="must be one line"):
        build_report("ablation_refractory", nasty(word), tmp_path / "html")


@pytest.mark.parametrize("word", [*NASTY[:4], NASTY[5], NASTY[11], NASTY[17], "\ud800 half a pair"])
def test_a_sweep_of_such_names_has_a_page_that_executes_none(
    nasty: Callable[[str], Path], word: str, tmp_path: Path
) -> None:
    results, out = nasty(word), tmp_path / "html"
    page = build_report("ablation_refractory", results, out).read_text(encoding="utf-8")
    tags = Tags(page)
    assert tags.names.count("script") == 1, "its own"
    assert not {"img", "iframe"} & set(tags.names)
    assert not {name for name in tags.attributes if name.startswith("on")}
    assert {
        link
        for link in re.findall(r'href="([^"]*)"', page)
        if not re.match(r"#|data:,|ablation_refractory[./][\w./-]*$", link)
    } == set()
    for kind in SUFFIXES.values():
        assert (out / f"ablation_refractory.{kind}").read_text(encoding="utf-8")
    for path in out.rglob("*.svg"):
        ElementTree.parse(path)
    assert {path.parent for path in out.rglob("*.*")} == {out, out / "ablation_refractory"}
    index = build_index(*listed(results), out).read_text(encoding="utf-8")
    assert index.count("<script") == 1
    assert not re.search(r'href="\s*javascript', index)
