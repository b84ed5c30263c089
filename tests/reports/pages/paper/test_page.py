"""The page of the papers' tables: what stands beside a published figure, and what may be said of it."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from dataclasses import replace
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from spike_ssm.harness.data.tasks.listops import GENERATED
from spike_ssm.reports.pages.paper.cells import Cell, Status, cells_of
from spike_ssm.reports.pages.paper.definition import definition
from spike_ssm.reports.pages.paper.page import build_paper
from spike_ssm.reports.pages.paper.runs import gather
from spike_ssm.results.store import write_run

LRA = ("listops", "text", "retrieval", "image", "pathfinder", "pathx")


def cell_of(folder: Path, table: str, model: str, column: str) -> Cell:
    tables = definition()
    (found,) = [each for each in tables.tables if each.name == table]
    return cells_of(found, tables, gather([folder]).found)[model, column]


def html_table(page: str, name: str) -> list[list[str]]:
    """The rows of a table of the page: heading and cells as text."""
    section = page.split(f'<section id="{name}"')[1].split("</section>")[0]
    rows = re.findall(r"<tr.*?</tr>", section.split("<tbody>")[1].split("</tbody>")[0], re.DOTALL)
    return [[text(cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)] for row in rows]


def text(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", "", html)).split())


def build(out: Path, *folders: Path) -> str:
    return build_paper(folders, out).read_text(encoding="utf-8")


# What a status takes


def test_a_figure_inside_the_interval_of_three_seeds_at_the_paper_scale_is_reproduced(paper_runs):
    folder = paper_runs("lra_accuracy", "S4D-Lin", "listops", [0.602, 0.606, 0.607])
    cell = cell_of(folder, "lra_accuracy", "S4D-Lin", "listops")
    assert cell.status is Status.REPRODUCED
    assert cell.difference == pytest.approx(60.5 - 60.52)


def test_a_figure_inside_an_interval_wider_than_a_point_is_consistent_and_no_more(paper_runs, tmp_path):
    folder = paper_runs("lra_accuracy", "S4D-Lin", "listops", [0.59, 0.606, 0.617])
    assert cell_of(folder, "lra_accuracy", "S4D-Lin", "listops").status is Status.CONSISTENT
    assert "where its half width is above 1.0; the limit is ours." in build(tmp_path, folder)


def test_a_figure_outside_the_interval_differs(paper_runs):
    folder = paper_runs("lra_accuracy", "S4D-Lin", "listops", [0.552, 0.556, 0.557])
    assert cell_of(folder, "lra_accuracy", "S4D-Lin", "listops").status is Status.DIFFERS


def test_rounding_in_print_does_not_make_a_difference(paper_runs):
    values = [0.939551, 0.939552, 0.939553]  # printed 93.96; the interval ends at 93.9555
    folder = paper_runs("lra_accuracy", "S4D-Lin", "pathfinder", values)
    assert cell_of(folder, "lra_accuracy", "S4D-Lin", "pathfinder").status is Status.REPRODUCED


@pytest.mark.parametrize("values", [[0.6052], [0.604, 0.606], [0.6052, 0.6052, 0.6052]])
def test_fewer_than_three_seeds_or_no_spread_give_no_verdict(paper_runs, values):
    cell = cell_of(paper_runs("lra_accuracy", "S4D-Lin", "listops", values), "lra_accuracy", "S4D-Lin", "listops")
    assert cell.status is Status.TOO_FEW
    assert math.isfinite(cell.difference)


@given(st.floats(0.01, 0.99), st.sampled_from(["laptop", "workstation", "gpu"]))
def test_smaller_scales_are_never_set_against_a_figure(tmp_path_factory, paper_row, value, scale):
    folder = tmp_path_factory.mktemp("runs")
    for seed in range(3):
        row = paper_row("lra_accuracy", "S4D-Lin", "listops", seed, scale=scale, test_accuracy=value + seed * 1e-3)
        write_run(folder, row)
    cell = cell_of(folder, "lra_accuracy", "S4D-Lin", "listops")
    assert cell.status is Status.SMALLER
    assert math.isnan(cell.difference)
    assert cell.scale == scale


def test_the_paper_scale_is_taken_before_a_smaller_one_however_many_seeds_that_has(paper_runs):
    paper_runs("lra_accuracy", "S4D-Lin", "listops", [0.9, 0.91, 0.92, 0.93], scale="gpu")
    folder = paper_runs("lra_accuracy", "S4D-Lin", "listops", [0.6])
    assert cell_of(folder, "lra_accuracy", "S4D-Lin", "listops").ours.mean == pytest.approx(60)


def test_a_changed_hyperparameter_is_named_and_not_compared(paper_runs):
    folder = paper_runs("lra_accuracy", "S4D-Lin", "listops", [0.60, 0.61, 0.62], **{"optim.epochs": 3})
    cell = cell_of(folder, "lra_accuracy", "S4D-Lin", "listops")
    assert cell.status is Status.OTHER_SETTINGS
    assert math.isnan(cell.difference)
    assert cell.remark == "Differing: optim.epochs 3 instead of 40."


def test_a_changed_neuron_is_another_model(paper_runs):
    folder = paper_runs("lra_accuracy", "SPikE-SSM", "listops", [0.60, 0.61, 0.62], **{"neuron.refractory": 0.0})
    assert cell_of(folder, "lra_accuracy", "SPikE-SSM", "listops").status is Status.NOT_RUN


@pytest.mark.parametrize("model", ["S4D-Lin", "SpikingSSM-VT", "P-SpikeSSM (S6-based SNN)", "Binary S4D"])
@pytest.mark.parametrize("protocol", list(definition().protocols))
def test_a_run_of_another_protocol_is_never_judged(paper_runs, model, protocol):
    (table,) = [each for each in definition().tables if each.name == "lra_accuracy"]
    (entry,) = [each for each in table.entries if each.name == model]
    folder = paper_runs("lra_accuracy", model, "listops", [0.60, 0.606, 0.607], protocol=protocol)
    cell = cell_of(folder, "lra_accuracy", model, "listops")
    own = protocol == entry.protocol
    assert cell.of_protocol == (3 if own else 0)
    assert cell.status.compared == own
    assert own or (cell.status is Status.OTHER_SETTINGS and cell.remark.startswith("Differing: "))


def test_a_setting_that_came_later_than_the_protocol_and_is_not_at_its_default_is_a_difference(paper_runs):
    folder = paper_runs("lra_accuracy", "Binary S4D", "listops", [0.55, 0.56, 0.57], **{"model.final_norm": False})
    cell = cell_of(folder, "lra_accuracy", "Binary S4D", "listops")
    assert cell.status is Status.OTHER_SETTINGS
    assert cell.remark == "Differing: model.final_norm false instead of its default."


def test_a_task_that_the_protocol_has_no_settings_for_cannot_be_filled(paper_runs, tmp_path):
    folder = paper_runs("lra_accuracy", "P-SpikeSSM (S6-based SNN)", "pathx", [0.6, 0.61, 0.62], protocol="ours")
    for column in ("pathx", "avg"):
        cell = cell_of(folder, "lra_accuracy", "P-SpikeSSM (S6-based SNN)", column)
        assert (cell.status, cell.of_protocol) == (Status.NO_PROTOCOL, 0)
    assert "protocol=pspikessm task=listops,text,retrieval,image,pathfinder neuron=pspike" in build(tmp_path, folder)


def test_two_readings_of_one_row_have_runs_of_their_own(paper_runs):
    folder = paper_runs("lra_accuracy", "SPikE-SSM (leak 0.125)", "listops", [0.55, 0.56, 0.57])
    assert cell_of(folder, "lra_accuracy", "SPikE-SSM (leak 0.125)", "listops").ours.n == 3
    assert cell_of(folder, "lra_accuracy", "SPikE-SSM", "listops").status is Status.NOT_RUN


def test_every_row_says_its_protocol_and_how_many_runs_of_it_there_are(paper_runs, tmp_path):
    paper_runs("lra_accuracy", "S4D-Lin", "listops", [0.602, 0.606, 0.607])
    paper_runs("lra_accuracy", "SpikingSSM-VT", "image", [0.8])
    folder = paper_runs("lra_accuracy", "SpikingSSM-VF", "image", [0.8], protocol="ours")
    rows = html_table(build(tmp_path / "out", folder), "lra_accuracy")
    heads = [row[0] for row in rows]
    said = {}
    for model in ("S4D-Lin", "P-SpikeSSM (S6-based SNN)", "SpikingSSM-VF", "SpikingSSM-VT", "SPikE-SSM ‡"):
        place = next(place for place in range(heads.index(model), len(rows)) if heads[place].startswith("protocol "))
        said[model] = (heads[place].split()[1], rows[place][1], rows[place][4])
    assert said == {
        "S4D-Lin": ("s4d_lra", "3 runs", "no runs"),
        "P-SpikeSSM (S6-based SNN)": ("pspikessm", "no runs", "no runs"),
        "SpikingSSM-VF": ("spikingssm", "no runs", "no runs"),
        "SpikingSSM-VT": ("spikingssm", "no runs", "1 run"),
        "SPikE-SSM ‡": ("ours", "no runs", "no runs"),
    }
    numbers = pd.read_csv(tmp_path / "out" / "paper" / "lra_accuracy.csv").set_index(["model", "column"])
    cell = numbers.loc[("SpikingSSM-VT", "image")]
    command = "python -m harness.sweep +sweep=lra scale=paper protocol=spikingssm task=image neuron=sdn"
    assert tuple(cell[["protocol", "runs_of_protocol", "fill"]]) == ("spikingssm", 1, command)


def test_a_set_up_that_is_not_the_published_one_gets_no_verdict(paper_runs):
    folder = paper_runs("mnist", "SpikingSSM", "smnist", [0.995, 0.996, 0.997])
    cell = cell_of(folder, "mnist", "SpikingSSM", "smnist")
    assert cell.status is Status.OWN_SETUP
    assert cell.difference == pytest.approx(0.0)


def test_data_that_differ_from_the_published_get_no_verdict(paper_runs):
    notes = ["This copy has 4 examples."]
    folder = paper_runs("lra_accuracy", "S4D-Lin", "image", [0.878, 0.879, 0.881], data_notes=notes)
    cell = cell_of(folder, "lra_accuracy", "S4D-Lin", "image")
    assert cell.status is Status.OWN_SETUP
    assert cell.remark == notes[0]


def test_a_task_that_is_set_up_otherwise_than_published_gets_no_verdict_and_neither_does_its_average(paper_runs):
    for task in LRA:  # Text holds validation out of training
        folder = paper_runs("lra_accuracy", "S4D-Lin", task, [0.868, 0.870, 0.871])
    assert cell_of(folder, "lra_accuracy", "S4D-Lin", "text").status is Status.OWN_SETUP
    assert cell_of(folder, "lra_accuracy", "S4D-Lin", "avg").status is Status.OWN_SETUP


def test_a_stand_in_task_fills_no_cell(paper_runs, tmp_path):
    changes = {"task.name": "bbc_order", "task": "bbc_order"}
    folder = paper_runs("lra_accuracy", "S4D-Lin", "text", [0.868, 0.870, 0.871], **changes)
    assert cell_of(folder, "lra_accuracy", "S4D-Lin", "text").status is Status.NOT_RUN
    page = build(tmp_path, folder)
    assert "None of" in page
    assert "fill no cell: bbc_order." in page


def test_failed_runs_are_said_to_have_failed(paper_runs):
    folder = paper_runs("lra_accuracy", "S4D-Lin", "text", [None], status="failed")
    assert cell_of(folder, "lra_accuracy", "S4D-Lin", "text").status is Status.FAILED


def test_failed_seeds_beside_successful_ones_leave_no_verdict(paper_runs, paper_row, tmp_path):
    folder = paper_runs("lra_accuracy", "S4D-Lin", "pathfinder", [0.938, 0.939, 0.941])
    for seed in (1, 3, 4):  # seed 1 was run again and finished
        failed = paper_row("lra_accuracy", "S4D-Lin", "pathfinder", seed, status="failed", test_accuracy=None)
        write_run(folder, {**failed, "id": f"failed-{seed}"})
    cell = cell_of(folder, "lra_accuracy", "S4D-Lin", "pathfinder")
    assert (cell.status, cell.ours.n) == (Status.SOME_FAILED, 3)
    assert cell.difference == pytest.approx(93.93333 - 93.96, abs=1e-3)
    assert cell.remark == "Failed: 2 seeds (3 and 4)."
    assert "some seeds failed" in build(tmp_path, folder)


def test_runs_of_another_code_version_are_named_and_not_pooled(paper_runs):
    folder = paper_runs("lra_accuracy", "S4D-Lin", "image", [0.8785, 0.8790, 0.8805], code_version="new")
    paper_runs("lra_accuracy", "S4D-Lin", "image", [0.5, 0.5], code_version="old")
    cell = cell_of(folder, "lra_accuracy", "S4D-Lin", "image")
    assert cell.ours.n == 3
    assert cell.ours.mean == pytest.approx(87.9333, abs=1e-3)
    assert cell.remark == "2 further runs are left out, of other code versions (old) or settings."


def test_generated_listops_gets_no_verdict(paper_runs):
    folder = paper_runs("lra_accuracy", "S4D-Lin", "listops", [0.602, 0.606, 0.607], data_notes=[GENERATED])
    cell = cell_of(folder, "lra_accuracy", "S4D-Lin", "listops")
    assert (cell.status, cell.remark) == (Status.OWN_SETUP, GENERATED)


def test_of_runs_that_differ_in_a_free_setting_one_group_is_taken_and_the_rest_counted(paper_runs):
    paper_runs("lra_accuracy", "S4D-Lin", "listops", [0.9, 0.9], **{"task.released": True})
    folder = paper_runs("lra_accuracy", "S4D-Lin", "listops", [0.60, 0.61, 0.62], **{"task.released": False})
    cell = cell_of(folder, "lra_accuracy", "S4D-Lin", "listops")
    assert cell.ours.n == 3
    assert cell.ours.mean == pytest.approx(61)
    assert "2 further runs" in cell.remark


def test_the_average_needs_every_task_and_is_taken_seed_by_seed(paper_runs):
    for place, task in enumerate(LRA):
        folder = paper_runs("lra_accuracy", "S4D-Lin", task, [0.8 + 0.01 * place, 0.82, 0.84])
        if task != LRA[-1]:
            assert cell_of(folder, "lra_accuracy", "S4D-Lin", "avg").status is Status.NOT_RUN
    cell = cell_of(folder, "lra_accuracy", "S4D-Lin", "avg")
    assert cell.ours.n == 3
    assert cell.ours.mean == pytest.approx((82.5 + 82 + 84) / 3)


# The numbers


@pytest.mark.parametrize("failed", [False, True])
def test_an_average_over_a_column_with_failed_seeds_gets_no_verdict(paper_runs, paper_row, failed):
    for task in LRA:
        folder = paper_runs("lra_accuracy", "S4D-Lin", task, [0.853, 0.855, 0.858], code_version=task[:1])
    if failed:
        row = paper_row("lra_accuracy", "S4D-Lin", "image", 7, status="failed", test_accuracy=None)
        write_run(folder, {**row, "id": "failed"})
    (table,) = [each for each in definition().tables if each.name == "lra_accuracy"]
    as_published = replace(
        table,
        columns=tuple(replace(column, apart="") for column in table.columns),
        entries=tuple(replace(entry, apart={}) for entry in table.entries),
    )
    cell = cells_of(as_published, definition(), gather([folder]).found)["S4D-Lin", "avg"]
    assert cell.status is (Status.SOME_FAILED if failed else Status.REPRODUCED)
    assert cell.remark == "Its columns are of 5 code versions: i, l, p, r, t."


def test_every_number_of_ours_is_the_one_recomputed_from_the_parquet_files(paper_runs, tmp_path):
    paper_runs("lra_accuracy", "S4D-Lin", "listops", [0.602, 0.606, 0.607])
    paper_runs("lra_accuracy", "SPikE-SSM", "image", [0.80, 0.83])
    paper_runs("lra_accuracy", "Binary S4D", "text", [0.7], scale="gpu")
    folder = paper_runs("lra_firing_rate", "SPikE-SSM", "text", [0.081, 0.079, 0.083], measure="firing_rate")
    rows = html_table(build(tmp_path / "out", folder), "lra_accuracy")
    runs = pd.concat([pq.read_table(path).to_pandas() for path in folder.glob("rows/*.parquet")])
    by_task = {task: group["test_accuracy"].dropna() * 100 for task, group in runs.groupby("task")}
    three = by_task["listops"]
    half = stats.t.ppf(0.975, 2) * three.std() / math.sqrt(3)
    heads = [row[0] for row in rows]
    ours = rows[heads.index("S4D-Lin") + 1]
    assert ours[1] == f"{three.mean():.2f} ± {half:.2f} (n = 3)"
    assert rows[heads.index("S4D-Lin") + 2][1] == f"\N{MINUS SIGN}{60.52 - three.mean():.2f}"
    assert rows[heads.index("SPikE-SSM ‡") + 1][4] == "81.50 (n = 2: 80.00 to 83.00)"
    assert rows[heads.index("Binary S4D") + 1][2] == "70.00 (n = 1, gpu)"
    numbers = pd.read_csv(tmp_path / "out" / "paper" / "lra_firing_rate.csv").set_index(["model", "column"])
    rates = runs["firing_rate"].dropna() * 100
    assert numbers.loc[("SPikE-SSM", "text"), "ours"] == pytest.approx(rates.mean())


def test_the_banner_counts_what_is_filled_and_at_which_scale(paper_runs, tmp_path):
    paper_runs("lra_accuracy", "S4D-Lin", "listops", [0.602, 0.606, 0.607])
    paper_runs("lra_accuracy", "S4D-Lin", "image", [0.1], scale="laptop")
    folder = paper_runs("lra_accuracy", "S4D-Lin", "text", [0.1], scale="gpu")
    banner = text(build(tmp_path, folder).split('class="scale"')[1].split("</p>")[0])
    assert "1 are set against theirs at the paper scale (1 reproduced)" in banner
    assert "1 at the gpu scale only, 1 at the laptop scale only" in banner


def test_without_any_run_every_table_stands_with_the_commands_that_fill_it(tmp_path):
    page = build(tmp_path / "out", tmp_path / "nothing")
    assert "No run was found" in page
    assert "reproduced" not in {cell for row in html_table(page, "lra_accuracy") for cell in row}
    assert f"+sweep=lra scale=paper protocol=s4d_lra task={','.join(LRA)} neuron=gelu\n" in page
    assert f"+sweep=lra scale=paper protocol=spikingssm task={','.join(LRA)} neuron=sdn_fixed,sdn<" in page
    for source in {entry.source for table in definition().tables for entry in table.entries}:
        assert source in text(page.split('id="sources"')[1])


def test_every_published_row_says_its_source_on_hover(tmp_path):
    rows = re.findall(r'<tr[^>]* title="(Source: [^"]*)"', build(tmp_path / "out", tmp_path / "nothing"))
    assert len(rows) == sum(len(table.entries) for table in definition().tables)
    assert "Source: secondary: a 2026 survey" in " ".join(rows)


def test_a_command_names_only_what_is_missing(paper_runs, tmp_path):
    page = build(
        tmp_path, paper_runs("wikitext103", "SpikingSSM", "test perplexity", [33.9], measure="test_perplexity")
    )
    wikitext = page.split('<section id="wikitext103"')[1].split("</section>")[0]
    assert "+sweep=wikitext103 scale=paper protocol=ours task=wikitext103 neuron=refractory_lif," in wikitext
    assert "protocol=spikingssm task=wikitext103 neuron=sdn" in wikitext, "its firing rate is missing"


# Files that cannot be used


def test_damaged_empty_and_foreign_files_are_named_and_left_out(paper_runs, tmp_path):
    folder = paper_runs("lra_accuracy", "S4D-Lin", "listops", [0.602, 0.606, 0.607])
    (good,) = [path for path in folder.glob("rows/*.parquet") if "-0-" in path.name][:1]
    (folder / "cut.parquet").write_bytes(good.read_bytes()[:-40])
    (folder / "empty.parquet").write_bytes(b"")
    pq.write_table(pq.read_table(good).slice(0, 0), folder / "rowless.parquet")
    pq.write_table(pa.table({"a": [1]}), folder / "foreign.parquet")
    table = pq.read_table(good)
    pq.write_table(
        table.set_column(table.schema.get_field_index("seed"), "seed", pa.array(["x"])), folder / "typed.parquet"
    )
    pq.write_table(
        table.set_column(table.schema.get_field_index("config"), "config", pa.array(["{"])), folder / "json.parquet"
    )
    runs = gather([folder])
    assert len(runs.found) == 3
    page = build(tmp_path / "out", folder)
    for name in ("cut", "empty", "rowless", "foreign", "typed", "json"):
        assert sum(f"{name}.parquet" in problem for problem in runs.problems) == 1, name
        assert f"{name}.parquet" in page.split('id="problems"')[1]
    assert html_table(page, "lra_accuracy")[4][1].endswith("(n = 3)")


def test_a_row_that_contradicts_its_configuration_is_left_out(paper_runs):
    folder = paper_runs("lra_accuracy", "S4D-Lin", "listops", [0.6], task="text")
    runs = gather([folder])
    assert not runs.found
    assert "its row says task.name 'text' and its configuration 'listops'" in runs.problems[0]


def test_an_accuracy_that_is_no_fraction_is_left_out(paper_runs):
    assert not gather([paper_runs("lra_accuracy", "S4D-Lin", "listops", [60.5])]).found


def test_the_same_run_in_two_folders_counts_once(paper_runs):
    folder = paper_runs("lra_accuracy", "S4D-Lin", "listops", [0.6, 0.61])
    assert len(gather([folder, folder]).found) == 2


# The page and its files


def test_texts_of_runs_are_shown_and_never_obeyed(paper_runs, tmp_path):
    notes = ["<script>alert(1)</script> & {{ 7 * 7 }}"]
    folder = paper_runs("lra_accuracy", "S4D-Lin", "text", [0.868], data_notes=notes)
    page = build(tmp_path, folder)
    assert page.count("<script>") == 1, "the page's own"
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; {{ 7 * 7 }}" in page


def test_the_page_fetches_nothing(paper_runs, tmp_path):
    page = build(tmp_path, paper_runs("lra_accuracy", "S4D-Lin", "text", [0.868, 0.869, 0.9]))
    assert not re.search(r"""(?:src|href)=["']?(?:https?:|//)""", page)
    assert "@import" not in page
    assert "url(http" not in page


def test_csv_markdown_and_latex_say_what_the_page_says(paper_runs, tmp_path):
    paper_runs("lra_accuracy", "S4D-Lin", "listops", [0.602, 0.606, 0.607])
    folder = paper_runs("lra_accuracy", "P-SpikeSSM (S6-based SNN)", "text", [0.7], scale="gpu")
    page = build(tmp_path, folder)
    for table in definition().tables:
        rows = html_table(page, table.name)
        files = tmp_path / "paper"
        lines = [line for line in (files / f"{table.name}.md").read_text().splitlines() if line.startswith("| ")][2:]
        plain = [re.sub(r"\\([\[\]])", r"\1", line).replace("\xa0", " ") for line in lines]
        assert [[cell.strip() for cell in line[1:-1].split("|")] for line in plain] == rows
        numbers = pd.read_csv(files / f"{table.name}.csv")
        assert len(numbers) == len(table.entries) * len(table.columns)
        words = [cell for row in rows if row[0] == "status" for cell in row[1:] if cell]
        assert sorted(words) == sorted(numbers["status"].dropna())
        assert latex_rows((files / f"{table.name}.tex").read_text()) == rows


def latex_rows(source: str) -> list[list[str]]:
    """The body of a booktabs table, by a strict parse: as many cells in each row as columns, braces in pairs."""
    plain = re.sub(r"\\[{}\\]", "", source)
    depth = 0
    for character in plain:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    (columns,) = re.findall(r"\\begin\{tabular\}\{([lr]+)\}", source)
    body = source.split("\\midrule\n")[1].split("\n\\bottomrule")[0]
    rows = []
    for line in body.splitlines():
        assert line.endswith(r" \\")
        cells = re.split(r"(?<!\\) & ", line.removesuffix(r" \\"))
        assert len(cells) == len(columns)
        rows.append([shown(cell) for cell in cells])
    return rows


def shown(cell: str) -> str:
    codes = {
        "$-$": "\N{MINUS SIGN}",
        "--": "\N{EN DASH}",
        r"$\pm$": "±",
        r"\ddag{}": "‡",
        r"\dag{}": "†",
        r"\%": "%",
        r"\_": "_",
    }
    for code, character in (codes | {"{[}": "[", "{]}": "]", "~": " "}).items():
        cell = cell.replace(code, character)
    return cell.strip()


def test_figures_are_files_of_their_own_without_variables_of_the_page(paper_runs, tmp_path):
    build(tmp_path, paper_runs("lra_accuracy", "S4D-Lin", "listops", [0.602, 0.606, 0.607]))
    drawn = (tmp_path / "paper" / "lra_accuracy_distance.svg").read_text()
    assert "var(--" not in drawn
    assert drawn.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    assert ElementTree.fromstring(drawn).tag.endswith("svg")


def test_only_the_formats_asked_for_are_written(paper_runs, tmp_path):
    folder = paper_runs("lra_accuracy", "S4D-Lin", "listops", [0.602])
    build_paper([folder], tmp_path / "out", ("html", "csv"))
    assert {path.suffix for path in (tmp_path / "out").rglob("*") if path.is_file()} == {".html", ".csv"}


def test_the_csv_has_the_ids_of_the_runs_behind_a_cell(paper_runs, tmp_path):
    folder = paper_runs("lra_accuracy", "S4D-Lin", "listops", [0.602, 0.61])
    build(tmp_path, folder)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "paper" / "lra_accuracy.csv").read_text())))
    (row,) = [row for row in rows if (row["model"], row["column"]) == ("S4D-Lin", "listops")]
    assert row["seeds"] == "2"
    assert all(json.dumps(path.stem)[1:-1] in row["runs"] for path in folder.glob("rows/*.parquet"))
