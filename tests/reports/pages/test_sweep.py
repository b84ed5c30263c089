"""The page as its reader meets it, built from synthetic results that went through `results.store`."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from spike_ssm.reports.pages.sweep import build_report
from spike_ssm.results.errors import UserError
from spike_ssm.results.reading import run_path
from spike_ssm.results.schema import Controls, Effect, Manifest
from spike_ssm.results.store import read_manifest, write_manifest


class Page(HTMLParser):
    """What a test asks of a page: its visible text, its elements and their attributes."""

    def __init__(self, html: str):
        super().__init__()
        self.html = html
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.text = " ".join(" ".join(self.texts).split()).replace("\N{NO-BREAK SPACE}", " ")

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.texts.append(data)

    def attributes(self, name):
        return [attrs[name] for _, attrs in self.tags if name in attrs]

    def table(self, caption):
        """The body of the table with this caption: for every row its cells by heading."""
        tables = re.findall(r"<table.*?</table>", self.html, re.DOTALL)
        (found,) = [table for table in tables if f">{caption}</caption>" in table]
        heads = [stripped(cell) for cell in re.findall(r'<th scope="col"[^>]*>(.*?)</th>', found, re.DOTALL)]
        rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in found.split("<tr")]
        return [
            dict(zip(heads, map(stripped, cells), strict=True))
            for row, cells in zip(found.split("<tr"), rows, strict=True)
            if 'scope="row"' in row
        ]


def stripped(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def built(results: Path, name: str = "ablation_refractory") -> Page:
    return Page(build_report(name, results, results.parent / "html").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def page(html) -> Page:
    return Page((html / "ablation_refractory.html").read_text(encoding="utf-8"))


@pytest.fixture
def page_of(sweep):
    """The page for the options that differ, without epochs, layers and predictions unless asked."""
    return lambda **options: built(sweep(**{"details": False, **options}))


MAIN = "Test accuracy, spikes and cost"
WHEN = ("before", "after")
FIGURES = (
    "Differences in accuracy from none",
    "Accuracy against firing rate",
    "Learning curves",
    "Firing rate by layer",
    "Threshold by layer",
    "Refractory magnitude by layer",
    "Refractory decay by layer",
)


def test_page_says_what_was_asked_at_which_scale_and_how_much_is_done(page):
    shown = page
    assert "Does the refractory period pay for itself?" in shown.text
    assert "laptop scale Small networks on short sequences" in shown.text
    assert "This scale cannot tell whether published figures are reproduced." in shown.text
    assert "18 of 18 runs finished" in shown.text


def test_the_page_says_whether_the_variants_are_equally_large(page, page_of):
    assert "Trained parameters differ by 1.2 %: from 21,482 (none) to 21,738 (trainable_decay)." in page.text
    assert "All variants have 21,482 trained parameters." in page_of(variants=("none", "fixed")).text


def test_paper_scale_leads_to_the_published_figures(page_of):
    text = page_of(scale="paper").text
    assert "Whether published figures are reproduced is on the papers' page" in text
    assert "cannot tell" not in text


def test_page_needs_nothing_but_itself(page):
    shown = page
    for name in ("src", "href", "xlink:href", "action", "data"):
        assert [value for value in shown.attributes(name) if re.match(r"(https?:)?//", value or "")] == []
    assert "@import" not in shown.html
    assert set(re.findall(r"url\((.)", shown.html)) <= {"#"}
    assert not {"iframe", "img"} & {tag for tag, _ in shown.tags}
    assert [attrs for tag, attrs in shown.tags if tag == "script"] == [{}], "one, written into the page"
    assert [attrs["href"] for tag, attrs in shown.tags if tag == "link"] == ["data:,"]


def test_every_figure_is_drawn_with_a_text_for_those_who_cannot_see_it(page):
    shown = page
    drawings = [attrs for tag, attrs in shown.tags if tag == "svg" and attrs.get("role") == "img"]
    assert [figure for figure in FIGURES if f"<strong>{figure}</strong>" not in shown.html] == []
    assert len(drawings) == len(FIGURES)
    assert all("none" in (attrs["aria-label"] or "") or "fixed" in (attrs["aria-label"] or "") for attrs in drawings)


def test_figures_follow_the_mode_of_the_page(page):
    shown = page
    assert "#fe0" not in shown.html  # placeholders of the drawing
    assert "stroke: var(--v0)" in shown.html
    assert "prefers-color-scheme: dark" in shown.html


def test_ids_of_the_page_are_unique_and_every_reference_has_its_target(page_of):
    shown = page_of(tasks=("listops", "pathfinder"), seeds=(0,), details=True)
    ids = shown.attributes("id")
    assert len(ids) == len(set(ids))
    targets = {value[1:] for value in shown.attributes("href") if value and value.startswith("#")}
    targets |= set(re.findall(r"url\(#([^)]*)\)", shown.html))
    assert targets - set(ids) - {"problems"} == set()


def test_a_single_epoch_is_drawn_as_points(page_of):
    shown = page_of(details=True, seeds=(0,), change=lambda row: row | {"epochs": row["epochs"][:1]})
    curves = shown.html[shown.html.index("<strong>Learning curves") : shown.html.index("<strong>Firing rate by")]
    assert "<use" in curves[: curves.index('id="t0f1-matplotlib.axis_2"')]
    assert ">1</text>" in curves
    assert "0.96" not in curves


@pytest.mark.usefixtures("page")
def test_drawing_leaves_no_figure_open():
    assert plt.get_fignums() == []


def test_tables_are_marked_up_for_screen_readers(page):
    shown = page
    count = sum(tag == "table" for tag, _ in shown.tags)
    assert sum(tag == "caption" for tag, _ in shown.tags) == count
    assert all("scope" in attrs for tag, attrs in shown.tags if tag == "th")


def test_main_table_shows_mean_and_interval_over_seeds(page, html):
    shown = page
    rows = {row["Variant"].split()[0]: row for row in shown.table(MAIN)}
    numbers = pd.read_csv(html / "ablation_refractory.csv").set_index("variant")
    expected = numbers.loc["trainable_decay"]
    accuracy = f"{expected['accuracy_percent']:.2f} ± {expected['accuracy_half_interval_percent']:.2f}"
    assert rows["trainable_decay"]["test, %"] == accuracy
    assert rows["trainable_decay"]["seeds"] == "3"
    assert rows["Shortcut"]["test, %"] == "34.50"
    assert rows["none"]["vs none, points"] == "–"  # noqa: RUF001
    assert rows["trainable_decay"]["÷ dense"] == f"{expected['energy_over_dense']:.3f}"


def test_csv_markdown_and_page_agree(page, html):
    shown = page
    main, _, _ = (
        (html / "ablation_refractory.md")
        .read_text(encoding="utf-8")
        .partition("**Where runs stand after their training**")
    )
    lines = main.splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    markdown = {row[0]: row[1].strip("*≈ ") for row in cells[1:]}
    csv = pd.read_csv(html / "ablation_refractory.csv").set_index("variant")
    for row in shown.table(MAIN):
        name = re.sub(" ≈? ?best$", "", row["Variant"])
        assert markdown[name] == row["test, %"]
        if name in csv.index:
            assert float(row["test, %"].split(" ± ")[0]) == pytest.approx(csv.loc[name, "accuracy_percent"], abs=0.005)
            assert float(row["rate, %"]) == pytest.approx(csv.loc[name, "firing_rate_percent"], abs=0.005)


def test_best_is_marked_and_so_is_what_cannot_be_told_from_it(page):
    marks = {row["Variant"].split()[0]: " ".join(row["Variant"].split()[1:]) for row in page.table(MAIN)}
    assert marks["trainable_decay"] == "best"
    assert marks["trainable"] == "≈ best"
    assert marks["Shortcut"] == ""


def test_a_higher_mean_over_fewer_seeds_is_not_the_best(page_of):
    shown = page_of(change=lambda row: None if row["id"] == "lis-trainable_decay-0" else row)
    assert "trainable_decay" in [row["Variant"] for row in shown.table(MAIN)]


def test_findings_name_direction_interval_and_correction(page):
    text = page.text
    assert "Accuracy compared with none" in text
    found = re.search(
        r"higher\s*trainable_decay is higher than none by [\d.]+ points "
        r"\(95 % interval \+[\d.]+ to \+[\d.]+, p = 0\.\d+, 3 seeds\)",
        text,
    )
    assert found
    assert "corrected for" in text
    assert re.search(
        r"not shown fixed , control_reset : no difference from none is shown by 3 seeds; what there may be lies within",
        text,
    )


def test_the_front_is_drawn_and_named(page):
    (label,) = [each for each in page.attributes("aria-label") if (each or "").startswith("Accuracy against")]
    assert label.endswith("Pareto front of the means: trainable_decay.")
    assert "large ones means, with 95 % intervals and the steps their Pareto front." in page.text
    assert {row["Variant"].split()[0]: row["accuracy, rate"] for row in page.table(MAIN)}["trainable_decay"] == "front"


def test_variants_that_differ_in_a_number_are_compared_at_one_rate(sweep):
    results = sweep(details=False)
    manifest = read_manifest(results, "ablation_refractory")
    labels = {"trainable": "rho_0.5", "control_reset": "rho_1", "control_decay0": "rho_2"}
    runs = [replace(run, axes=run.axes | {"refractory": labels.get(run.variant, run.variant)}) for run in manifest.runs]
    write_manifest(results, replace(manifest, runs=runs))
    page = built(results)
    assert "the dashes trainable to control_reset." in page.text
    rows = {row["compared with"]: row for row in page.table("Accuracy at matched firing rate")}
    assert {row["Curve"] for row in rows.values()} == {"trainable to control_reset"}
    assert rows["none"]["at rate, %"] == "no common rate in 3 of 3 seeds"
    assert rows["none"]["difference, points"] == "–"  # noqa: RUF001
    assert rows["fixed"]["seeds"] == "3"
    assert "±" in rows["fixed"]["at rate, %"]


def test_what_the_parts_of_names_are_of_is_said_where_there_are_several(sweep):
    results = sweep(details=False)
    manifest = read_manifest(results, "ablation_refractory")
    runs = [
        replace(run, axes=run.axes | {"penalty": "none"}, variant=f"{run.axes['refractory']} / none")
        for run in manifest.runs
    ]
    write_manifest(results, replace(manifest, runs=runs))
    assert "A variant is named refractory / penalty." in built(results).text


def test_accuracy_is_set_against_the_shortcut(page_of):
    shown = page_of(change=lambda row: row | {"shortcut_accuracy": 0.30 if row["seed"] else 0.302})
    assert re.search(r"Accuracy compared with the shortcut The shortcut reaches 30\.07 %", shown.text)
    assert re.search(r"above\s+none", shown.text)


def test_below_three_seeds_there_is_neither_verdict_nor_interval_nor_best_but_the_seeds_range(page_of, tmp_path):
    shown = page_of(seeds=(0, 1), details=True)
    assert not re.search(r"is (higher|lower) than", shown.text)
    assert re.search(
        r"too few seeds for a verdict; means differ from none by [^ ]+ to [^ ]+ points over 2 seeds\.", shown.text
    )
    rows = shown.table(MAIN)
    assert re.fullmatch(r"[\d.]+ \([\d.]+ to [\d.]+, 2 seeds\)", rows[0]["test, %"])
    assert all("2 seeds)" in row["vs none, points"] for row in rows[1:6])
    assert not [row["Variant"] for row in rows if "best" in row["Variant"]]
    assert "None is marked best" in shown.text
    numbers = pd.read_csv(tmp_path / "html" / "ablation_refractory.csv")
    assert numbers[["accuracy_half_interval_percent", "difference_half_interval_points"]].isna().all(axis=None)
    assert (numbers["accuracy_lowest_percent"] < numbers["accuracy_highest_percent"]).any()
    beside = [(tmp_path / "html" / f"ablation_refractory.{kind}").read_text() for kind in ("md", "tex")]
    seeds_alone = [re.sub(r"(Another test set|Means over seeds; ).*", "", text) for text in (shown.text, *beside)]
    assert [re.findall(r"\d \S+ \d", text) for text in seeds_alone if "95 % interval +" in text] == []
    assert not re.search(r"\d (±|\$\\pm\$) \d", "".join(beside))


def test_a_control_is_never_the_best_nor_is_the_reference_at_another_rate(sweep):
    results = sweep(details=False)
    manifest = read_manifest(results, "ablation_refractory")
    effect = Effect("fixed", "none", ["trainable_decay"], [], ["none", "control_reset"])
    write_manifest(results, replace(manifest, controls=Controls("a period", [effect])))
    marks = {row["Variant"].split()[0]: " ".join(row["Variant"].split()[1:]) for row in built(results).table(MAIN)}
    assert (marks["trainable_decay"], marks["control_reset"]) == ("", "")


def test_where_the_page_tells_no_variant_from_the_baseline_none_is_the_best(page_of):
    shown = page_of(variants=("none", "control_reset"))
    assert not [row["Variant"] for row in shown.table(MAIN) if "best" in row["Variant"]]
    assert "None is marked best: the highest mean is not shown to lie above none" in shown.text


def test_controls_are_told_apart_in_the_figure_of_differences(sweep):
    results = sweep(details=False)
    manifest = read_manifest(results, "ablation_refractory")
    effect = Effect("fixed", "none", ["control_decay0"], [], ["none", "control_reset"])
    write_manifest(results, replace(manifest, controls=Controls("a period", [effect])))
    (drawn,) = re.findall(
        r"<strong>Differences in accuracy from none</strong>.*?</svg>", built(results).html, re.DOTALL
    )
    rows = [unescape(text) for text in re.findall(r">([a-z][a-z_0-9:]+)</text>", drawn)]
    assert rows[-3:] == ["controls:", "control_reset", "control_decay0"]
    assert set(rows[:-3]) == {"fixed", "trainable", "trainable_decay"}


def test_one_seed_shows_the_mean_alone_and_every_figure(page_of):
    shown = page_of(seeds=(0,), details=True)
    assert all(figure in shown.html for figure in FIGURES)
    assert "±" not in shown.table(MAIN)[0]["test, %"]
    assert not re.search(r"is (higher|lower) than", shown.text)


def test_one_variant_is_shown_without_comparison(page_of):
    shown = page_of(variants=("none",))
    assert "Paired differences" not in shown.text
    assert "best" not in shown.table(MAIN)[0]["Variant"]


def test_a_sweep_without_baseline_says_so(page_of):
    shown = page_of(baseline=None)
    assert "names no baseline" in shown.text
    assert "vs " not in " ".join(shown.table(MAIN)[0])


def test_a_baseline_without_a_finished_run_is_named(page_of, failed_row):
    shown = page_of(change=lambda row: failed_row(row, "Out of memory.") if "-none-" in row["id"] else row)
    assert "has no finished run of the baseline none" in shown.text


def test_failed_runs_are_shown_with_their_sentence_and_traceback(page_of, failed_row):
    shown = page_of(
        change=lambda row: (
            failed_row(row, "The loss became NaN at step 40.", "ValueError: nan") if row["id"] == "lis-fixed-1" else row
        )
    )
    assert "17 of 18 runs finished, 1 failed" in shown.text
    assert "The loss became NaN at step 40." in shown.text
    assert re.search(r"<details><summary>Traceback</summary><pre>ValueError: nan</pre>", shown.html)


def test_a_failure_without_an_error_says_that_none_was_recorded(page_of, failed_row):
    shown = page_of(change=lambda row: failed_row(row, None, None) if row["seed"] == 1 else row)
    assert "No error was recorded." in shown.text
    assert "Traceback" not in shown.text


def test_an_error_cannot_write_html(page_of, failed_row):
    attack = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    shown = page_of(change=lambda row: failed_row(row, attack, attack) if row["seed"] == 1 else row)
    assert [tag for tag, _ in shown.tags].count("script") == 1, "the page's own"
    assert "img" not in {tag for tag, _ in shown.tags}
    assert attack in shown.text


def test_missing_runs_are_listed(page_of):
    shown = page_of(change=lambda row: None if row["id"] == "lis-none-2" else row)
    assert "1 missing" in shown.text
    assert "none, listops, seed 2 lis-none-2" in shown.text


def test_a_damaged_file_is_named_and_hides_no_other_run(sweep):
    results = sweep(details=False)
    run_path(results, "lis-fixed-0").write_bytes(b"PAR1 and nothing more")
    shown = built(results)
    assert "17 of 18 runs finished, 1 damaged" in shown.text
    assert "lis-fixed-0.parquet is damaged and cannot be read" in shown.text


def test_a_sweep_without_finished_runs_says_so(page_of):
    shown = page_of(change=lambda _: None)
    assert "No run of this sweep has finished" in shown.text
    assert "0 of 18 runs finished" in shown.text


def test_a_sweep_in_which_everything_failed_says_so(page_of, failed_row):
    shown = page_of(change=lambda row: failed_row(row, "No space left on the device."))
    assert "No run of this sweep has finished" in shown.text
    assert shown.text.count("No space left on the device.") == 18


def test_an_empty_manifest_still_has_a_page(tmp_path):
    write_manifest(tmp_path, Manifest("nothing", "Nothing", "Why?", "laptop", "", None, []))
    assert "0 of 0 runs finished" in Page(build_report("nothing", tmp_path, tmp_path).read_text()).text


def test_several_tasks_have_a_section_each_and_an_overview(page_of):
    shown = page_of(tasks=("listops", "pathfinder"))
    assert [row["Variant"] for row in shown.table("Test accuracy by task, %")][:2] == ["none", "fixed"]
    assert sum(attrs.get("id", "").startswith("task-") for tag, attrs in shown.tags if tag == "section") == 2


def test_a_variant_without_firing_rates_is_shown_without_them(page_of):
    def dense(row):
        nothing = {"firing_rate": None, "silent": None, "saturated": None}
        return row | nothing if "-fixed-" in row["id"] else row

    shown = page_of(change=dense)
    (row,) = [row for row in shown.table(MAIN) if row["Variant"] == "fixed"]
    assert row["rate, %"] == "–"  # noqa: RUF001
    assert "the line across fixed, without a firing rate." in shown.text
    (label,) = [label for label in shown.attributes("aria-label") if label.startswith("Accuracy against firing rate:")]
    assert f"fixed {row['test, %'].split(' ± ')[0]} % without a firing rate" in label


def test_a_variant_without_firing_rates_that_is_far_less_accurate_is_named_below_the_figure(page_of):
    def dense(row):
        return row | {"firing_rate": None, "test_accuracy": 0.02} if "-fixed-" in row["id"] else row

    shown = page_of(change=dense)
    assert re.search(r"Off the axis: fixed 2\.0 %(,| and|\.)", shown.text)
    assert "across fixed" not in shown.text


NO_SPIKES = {"firing_rate": None, "silent": None, "saturated": None}
NO_PARAMETERS = {f"{name}_{when}": None for name in ("leak", "threshold", "refractory", "decay") for when in WHEN}


def not_spiking(row):
    """The row of a run whose neurons do not spike and have no parameters."""
    return row | NO_SPIKES | {"layers": [layer | NO_SPIKES | NO_PARAMETERS for layer in row["layers"]]}


def test_neurons_that_do_not_spike_are_left_out_of_firing_rates_and_of_nothing_else(page_of):
    shown = page_of(
        details=True, seeds=(0, 1, 2), change=lambda row: not_spiking(row) if "-fixed-" in row["id"] else row
    )
    (row,) = [row for row in shown.table(MAIN) if row["Variant"] == "fixed"]
    assert row["rate, %"] == row["silent, %"] == row["saturated, %"] == "–"  # noqa: RUF001
    assert "Firing: – where the neurons do not spike" in shown.text  # noqa: RUF001
    assert shown.text.count("Not shown, without a firing rate: fixed.") == 1, "the firing rate by layer"
    labels = {label.split(":")[0]: label for label in shown.attributes("aria-label") if label}
    assert "fixed" not in labels["Firing rate by layer"]
    assert "fixed" in labels["Validation accuracy by epoch; at the last epoch"]
    found = shown.text[shown.text.index("Firing rate compared with none") :]
    assert not re.search(r"\bfixed", found[: found.index("Accuracy compared with the shortcut")])
    (row,) = [row for row in shown.table("Paired differences to none") if row["Variant"] == "fixed"]
    assert list(row.values()).count("–") >= 2  # noqa: RUF001
    assert "nan" not in shown.text.lower().split()


def test_a_baseline_that_does_not_spike_is_compared_in_accuracy_alone(page_of):
    shown = page_of(details=True, change=lambda row: not_spiking(row) if "-none-" in row["id"] else row)
    assert "Accuracy compared with none" in shown.text
    assert "Firing rate compared with" not in shown.text
    assert "<strong>Firing rate by layer</strong>" in shown.html


def test_a_sweep_in_which_no_neuron_spikes_has_no_figure_of_spikes(page_of):
    shown = page_of(details=True, change=not_spiking)
    drawn = [figure for figure in FIGURES if f"<strong>{figure}</strong>" in shown.html]
    assert drawn == ["Differences in accuracy from none", "Learning curves"]
    assert {row["rate, %"] for row in shown.table(MAIN)} <= {"–", ""}  # noqa: RUF001


def test_spiking_neurons_have_no_note_on_neurons_that_do_not(page):
    assert "do not spike" not in page.text


def test_runs_without_epochs_layers_and_predictions_have_a_page(page_of):
    shown = page_of(change=lambda row: row | {"firing_rate": None})
    assert "hold no firing rates, epochs or layers to draw" in shown.text


def test_nan_is_shown_as_not_measured(page_of):
    shown = page_of(change=lambda row: row | {"energy_nj_per_token": math.nan, "test_accuracy": math.nan})
    assert {row["nJ/token"] for row in shown.table(MAIN)} <= {"–", ""}  # noqa: RUF001
    assert "nan" not in shown.text.lower().split()


@pytest.mark.parametrize("shared", [True, False])
def test_what_runs_measure_of_their_own_speed_is_never_shown(page_of, shared):
    """They may share the machine; only times that were taken alone are."""
    shown = page_of(shared=shared)
    assert not {"tokens/s", "ms/step"} & {heading.rstrip(" †") for heading in shown.table(MAIN)[0]}
    assert "Throughput is not shown, as no variant was timed alone: python -m harness.sweep" in shown.text
    assert "timing=only" in shown.text


def test_undetermined_fraction_has_a_column_only_where_pmbc_left_some(page, page_of):
    assert "undetermined, %" not in page.table(MAIN)[0]
    assert "undetermined, %" in page_of(change=lambda row: row | {"undetermined": 0.01}).table(MAIN)[0]


def test_provenance_shows_what_differs_between_variants(page):
    rows = page.table("Configuration that differs between variants")
    assert [row["neuron.refractory"] for row in rows][:2] == ["none", "fixed"]
    assert set(rows[0]) == {"Variant", "neuron.refractory"}


def test_provenance_shows_command_streams_environment_and_common_configuration(page):
    shown = page
    assert "python -m harness.sweep +sweep=ablation_refractory" in shown.text
    assert {"Stream": "order", "Value": "1"} in shown.table("Random seed streams")
    assert {"Property": "libraries.torch", "Value": "2.13.0+cpu"} in shown.table("Environment")
    assert {"Key": "optim.lr", "Value": "0.01"} in shown.table("Configuration shared by all runs")
    assert len(shown.table("Runs")) == 18


def test_mixed_code_versions_are_warned_about(page, page_of):
    assert "code versions are mixed" not in page.text
    shown = page_of(change=lambda row: row | {"code_version": "other"} if row["seed"] == 2 else row)
    assert "Runs of 2 code versions are mixed: 0123456789ab, other." in shown.text


def test_uncommitted_changes_are_warned_about(page_of):
    shown = page_of(change=lambda row: row | {"code_version": "0123456789ab+changes"})
    assert "changes that were not committed" in shown.text


def test_a_name_with_dollar_and_angle_signs_is_shown_as_it_is(page_of):
    shown = page_of(change=lambda row: row | {"code_version": "<b>$x$</b>"})
    assert "<b>$x$</b>" in shown.text


def test_rebuilding_replaces_the_page_and_leaves_nothing_else(sweep, tmp_path):
    results, out = sweep(details=False), tmp_path / "html"
    first = build_report("ablation_refractory", results, out).read_text(encoding="utf-8")
    second = build_report("ablation_refractory", results, out).read_text(encoding="utf-8")
    assert first == second
    assert sorted(path.suffix for path in out.iterdir() if path.is_file()) == [".csv", ".html", ".md", ".tex"]
    assert {path.suffix for path in (out / "ablation_refractory").iterdir()} == {".svg", ".csv", ".tex"}


def test_a_report_folder_that_is_a_file_is_a_sentence(sweep, tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"report folder .* cannot be written to .* --out FOLDER"):
        build_report("ablation_refractory", sweep(), tmp_path / "file")


def test_the_page_begins_with_the_answer_its_figure_and_a_small_table(page):
    html = page.html
    assert html.index('id="answer"') < html.index("What the variants are") < html.index('id="task-1"')
    rows = page.table("At a glance")
    assert [row["Variant"] for row in rows][-1] == "Shortcut"
    assert {row["Variant"].split()[0] for row in rows} >= {"none", "fixed", "trainable"}
    assert html.count("<strong>Accuracy against firing rate</strong>") == 1, "once, above"
    assert html.index("<strong>Accuracy against firing rate</strong>") < html.index('id="task-1"')
