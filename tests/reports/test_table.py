"""Which columns of a table are seen at first, what its CSV holds, and its form in LaTeX."""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spike_ssm.reports.pages.sweep import build_report
from spike_ssm.reports.render.beside import Beside
from spike_ssm.reports.render.files import FORMATS
from spike_ssm.reports.render.table import MOST_COLUMNS, Heading, Row, Table
from spike_ssm.reports.tables.learned import learned


def table_of(columns: list[list[str]], rest: tuple[int, ...] = ()) -> Table:
    headings = tuple(Heading(str(place), f"group {place // 2}", place in rest) for place in range(len(columns)))
    rows = tuple(Row(str(place), cells) for place, cells in enumerate(zip(*columns, strict=True)))
    return Table("T", "row", headings, rows)


cells = st.sampled_from(["", "\N{EN DASH}", "1", "2"])


@given(st.integers(1, 4).flatmap(lambda rows: st.lists(st.lists(cells, min_size=rows, max_size=rows), min_size=1)))
def test_at_most_six_columns_are_seen_that_say_something(columns: list[list[str]]) -> None:
    table = table_of(columns)
    seen = [column for column, is_seen in zip(columns, table.seen, strict=True) if is_seen]
    if len(columns) < MOST_COLUMNS:
        assert len(seen) == len(columns)
        return
    assert table.seen[0]
    assert len(seen) + 1 <= MOST_COLUMNS, "the rows' headings are a column"
    for column in seen[1:]:
        assert set(column) - {"", "\N{EN DASH}"}
        assert len(set(column)) > 1 or len(column) == 1
    assert [group.span for group in table.groups] == [2] * (len(columns) // 2) + [1] * (len(columns) % 2)
    assert sum(group.seen for group in table.groups) == len(seen)


def test_what_is_on_demand_and_what_rows_for_reference_say_does_not_count() -> None:
    table = table_of([["1", "2"], ["3", "3"], *[["4", "5"]] * 5], rest=(2,))
    assert table.seen == (True, False, False, True, True, True, True)
    with_reference = replace(table, rows=(*table.rows, Row("shortcut", ("7", *[""] * 6), reference=True)))
    assert with_reference.seen == table.seen
    assert all(replace(table, whole=True).seen)


def test_a_csv_holds_the_numbers_or_else_the_cells() -> None:
    table = table_of([["1"], ["2"]])
    assert table.as_numbers().to_dict("records") == [{"row": "0", "group 0 0": "1", "group 0 1": "2"}]
    numbers = pd.DataFrame({"exact": [1 / 3]})
    assert replace(table, numbers=numbers).as_numbers() is numbers


def test_links_are_of_the_formats_that_are_written(tmp_path) -> None:
    table = table_of([["1"]])
    beside = Beside("page", [kind for kind in FORMATS if kind != "csv"])
    assert beside.csv(table, "of T") == ""
    assert beside.latex(table, "of T") == "page/of_t.tex"
    beside.write(tmp_path)
    assert [path.name for path in (tmp_path / "page").iterdir()] == ["of_t.tex"]


@pytest.fixture(scope="module")
def files(html):
    return html / "ablation_refractory"


def test_every_table_and_figure_has_its_numbers_beside_the_page(html, files):
    page = (html / "ablation_refractory.html").read_text(encoding="utf-8")
    links = set(re.findall(r'href="ablation_refractory/([^"]*)"', page))
    assert links == {path.name for path in files.iterdir()}
    assert page.count(">CSV</a>") == page.count("</table>") + page.count("<figure") + 1, "and the footer's"
    assert all(len(pd.read_csv(files / name)) for name in links if name.endswith(".csv"))


def test_tests_are_with_p_corrected_and_not_and_the_number_of_seeds(files):
    main = pd.read_csv(files / "listops_test_accuracy_spikes_and_cost.csv").set_index("variant").drop(index="none")
    tests = pd.read_csv(files / "listops_paired_differences_to_none.csv").set_index("variant")
    for name in ("p", "p_holm"):
        assert main[name].tolist() == pytest.approx(tests.loc[main.index, f"accuracy_{name}"].tolist(), nan_ok=True)
    assert (main["p_holm"] >= main["p"])[main["p"].notna()].all()
    assert set(main["difference_seeds"]) == set(tests["accuracy_seeds"]) == {3}


def test_the_table_for_a_paper_has_five_columns_and_needs_booktabs_alone(files):
    brief = (files / "listops_test_accuracy_spikes_and_cost.tex").read_text()
    body = brief[brief.index("\\toprule") : brief.index("\\bottomrule")]
    lines = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert r"\begin{tabular}{lrrrr}" in brief
    assert all(len(re.split(r"(?<!\\)&", line)) == 5 for line in lines)
    assert re.search(r"fixed & [\d.]+ \$\\pm\$ [\d.]+ & .* \(p.*\) & [\d.]+ & 3 ", body)
    commands = set(re.findall(r"\\([a-z]+)", brief))
    latex_itself = {"begin", "end", "centering", "caption", "par", "footnotesize", "pm", "textless"}
    assert commands <= latex_itself | {"toprule", "midrule", "bottomrule"}
    for opened in re.findall(r"\\begin\{(\w+)\}", brief):
        assert brief.count(f"\\end{{{opened}}}") == 1


def test_a_figures_numbers_are_those_that_are_drawn(files, html):
    points = pd.read_csv(files / "listops_accuracy_against_firing_rate.csv")
    main = pd.read_csv(html / "ablation_refractory.csv").set_index("variant")
    means = points[points["seed"].isna()].set_index("variant")
    for name in ("accuracy_percent", "firing_rate_percent"):
        assert means[name].to_dict() == pytest.approx(main[name].to_dict())
        assert points.dropna(subset="seed").groupby("variant")[name].mean().to_dict() == pytest.approx(
            main[name].to_dict()
        )


def test_a_figure_that_stands_alone_has_its_title_and_a_legend(files):
    drawn = (files / "listops_learning_curves.svg").read_text()
    assert "<title>Learning curves</title>" in drawn
    assert ">Learning curves</text>" in drawn
    for variant in ("none", "fixed", "trainable_decay"):
        assert f">{variant}</text>" in drawn
    assert "var(--" not in drawn


LAYER = {"threshold_before": 1.0, "threshold_after": 1.5, "refractory_before": 0.0, "refractory_after": 0.0}


def test_what_is_learned_is_a_mean_over_layers_and_absent_where_a_neuron_has_no_such():
    other = LAYER | {"threshold_after": 0.5, "decay_before": 0.5, "decay_after": 0.5}
    runs = pd.DataFrame({"layers": [[LAYER, other], None, [other | {"refractory_after": 0.2}]]}, index=[7, 8, 9])
    found = learned(runs)
    assert found.loc[7, "threshold_after"] == 1.0
    assert found.loc[7, ["refractory_before", "decay_before", "decay_after"]].isna().all(), "no magnitude, no decay"
    assert found.loc[8].isna().all()
    assert found.loc[9, "decay_after"] == 0.5
    assert found.loc[9, ["leak_before", "leak_after"]].isna().all()


def test_a_sweep_of_neurons_without_these_parameters_has_no_such_columns(sweep, tmp_path):
    results = sweep(variants=("none", "control_reset"))  # without refractoriness
    page = build_report("ablation_refractory", results, tmp_path / "html", ["html"]).read_text(encoding="utf-8")
    main = page[page.index(">Test accuracy, spikes and cost</caption>") :]
    heads = main[: main.index("</thead>")]
    assert ">Threshold</th>" in heads
    assert "Refractory" not in heads
    assert "/listops" not in page, "no link to a file that is not written"
