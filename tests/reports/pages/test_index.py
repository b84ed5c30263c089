"""The index of the sweeps in a results folder, and the command line's other forms."""

from __future__ import annotations

import pytest

from spike_ssm.reports.__main__ import main
from spike_ssm.reports.pages.index import build_index, listed
from spike_ssm.reports.pages.sweep import build_report
from spike_ssm.reports.render.latex import escaped
from spike_ssm.results.reading import run_path


def test_every_state_of_a_sweeps_runs_is_counted(sweep, failed_row, tmp_path):
    def change(row):
        if row["id"] == "lis-none-0":
            return failed_row(row, "Out of memory.")
        return None if row["id"] == "lis-fixed-1" else row

    results = sweep(details=False, change=change)
    run_path(results, "lis-none-1").write_bytes(b"PAR1")
    (found,), problems = listed(results)
    assert not problems
    assert dict(found.states) == {"done": 15, "failed": 1, "missing": 1, "damaged": 1}
    assert found.last == "2026-11-22T12:05:00Z"


def test_a_page_that_is_there_is_linked_and_another_named_by_its_command(sweep, tmp_path):
    results, out = sweep(details=False, variants=("none",)), tmp_path / "out"
    sweep(name="other", details=False, variants=("none",))
    build_report("other", results, out, ("html",))
    page = build_index(*listed(results), out).read_text()
    assert '<a href="other.html">other</a>' in page
    assert "python -m reports ablation_refractory" in page


def test_a_damaged_manifest_is_named_and_hides_no_other_sweep(sweep, tmp_path):
    results = sweep(details=False, variants=("none",))
    (results / "sweeps" / "<script>.json").write_text("{")
    sweeps, problems = listed(results)
    page = build_index(sweeps, problems, tmp_path / "out").read_text()
    assert [each.manifest.name for each in sweeps] == ["ablation_refractory"]
    assert "&lt;script&gt;" in page
    assert page.count("<script>") == 1, "the page's own"


def test_the_papers_page_needs_no_sweep(tmp_path, capsys):
    words = ["paper", "--results", str(tmp_path), "--measured", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main(words) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "out" / "paper.html")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["paper", "--format", "pdf"], "--format may name html, csv, md, latex, svg"),
        (["paper", "more"], "Only compare takes further names"),
        (["compare"], "compare takes two sweeps"),
    ],
)
def test_a_wrong_command_is_one_sentence(words, sentence, tmp_path, capsys):
    assert main([*words, "--out", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert sentence in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("page", ["paper", "ablation_refractory"])
def test_a_folder_that_cannot_be_written_to_is_named_in_one_sentence(sweep, tmp_path, capsys, page):
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "html"
    assert main([page, "--results", str(sweep(details=False)), "--out", str(out)]) == 1
    assert capsys.readouterr().err.startswith(f"Error: The report folder {out} cannot be written to (")


def test_the_tables_of_a_sweep_are_latex_too(html):
    source = (html / "ablation_refractory.tex").read_text()
    assert source.count(r"\begin{table}") == source.count(r"\end{table}") == 5
    for table in source.split(r"\begin{table}")[1:]:
        columns = len(table.split(r"\begin{tabular}{")[1].split("}")[0])
        body = table.split("\\midrule\n")[1].split("\n\\bottomrule")[0]
        assert all(line.replace(r"\&", "").count("&") == columns - 1 for line in body.splitlines())
    assert r"trainable\_decay" in source


def test_latex_escapes_what_means_something_to_it():
    assert escaped("50 % & a_b #1 {x} $y ~ ^ \\") == (
        r"50 \% \& a\_b \#1 \{x\} \$y \textasciitilde{} \textasciicircum{} \textbackslash{}"
    )
    assert escaped("a\nb\t\x07c") == "a b c"
