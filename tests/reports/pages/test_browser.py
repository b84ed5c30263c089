"""The pages in a real Chromium: tables sort and filter, themes change, nothing is fetched, and all can use them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from spike_ssm.reports.__main__ import main
from spike_ssm.reports.pages.sweep import build_report
from tests.reports.conftest import Synthetic, write_sweep
from tests.reports.pages.leaderboard.test_leaderboard import part

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MAIN = "Test accuracy, spikes and cost"
PAGES = ("sweep", "paper", "index", "comparison", "leaderboard")
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def chromium() -> str:
    """Debian's Chromium, installed where that is possible."""
    for attempt in (0, 1):
        found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if found:
            return found
        if attempt or os.geteuid() != 0 or shutil.which("apt-get") is None:
            break
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for words in (("update", "-qq"), ("install", "-qq", "-y", "--no-install-recommends", "chromium")):
            subprocess.run(["apt-get", *words], check=True, env=environment, capture_output=True, timeout=300)
    pytest.skip("there is no Chromium here, and none can be installed: that takes Debian's apt-get, as root")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One page of each kind."""
    folder = tmp_path_factory.mktemp("pages")
    runs, html = folder / "runs", folder / "html"
    write_sweep(runs, Synthetic(tasks=("listops", "images")))
    write_sweep(runs, Synthetic(name="other"))
    for words in (["ablation_refractory"], ["other"], ["paper"], [], ["compare", "ablation_refractory", "other"]):
        assert main([*words, "--results", str(runs), "--measured", str(folder / "none"), "--out", str(html)]) == 0
    packs = folder / "packs"
    part(packs / "ann.parquet", variants=("none", "fixed"))
    part(packs / "bob.parquet", variants=("trainable",), seeds=(0,))
    (packs / "wrong.parquet").write_text("no parquet")
    assert main(["leaderboard", str(packs), "--out", str(html)]) == 0
    names = {"sweep": "ablation_refractory", "paper": "paper", "index": "index", "leaderboard": "leaderboard"}
    found = {name: html / f"{stem}.html" for name, stem in names.items()}
    (comparison,) = set(html.glob("*.html")) - set(found.values()) - {html / "other.html"}
    return {**found, "comparison": comparison}


@dataclass
class Shown:
    """A page in the browser, and what went wrong there."""

    page: Page
    troubles: list[str] = field(default_factory=list)

    def column(self, place: int, caption: str = MAIN, *, section: int = 0) -> list[str]:
        """The visible cells of a column of a table; 0 is the rows' headings."""
        rows = self.table(caption, section).locator("tbody tr:visible")
        texts = rows.locator(f"xpath=./*[{place + 1}]").all_inner_texts()
        return [text.split("±")[0].strip() for text in texts]

    def table(self, caption: str = MAIN, section: int = 0):
        return self.page.locator("table", has=self.page.locator("caption", has_text=caption)).nth(section)


@pytest.fixture
def show(browser: Browser, pages: dict[str, Path]) -> Iterator[Callable[..., Shown]]:
    """Open a page; at the end of the test nothing may have gone wrong in it."""
    opened = []

    def open_page(name: str | Path, width: int = 1200, **options: object) -> Shown:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)  # type: ignore[arg-type]
        shown = Shown(context.new_page())
        shown.page.on("console", lambda message: shown.troubles.append(f"console: {message.text}"))
        shown.page.on("pageerror", lambda error: shown.troubles.append(f"error: {error}"))
        shown.page.on("dialog", lambda dialog: shown.troubles.append(f"dialog: {dialog.message}"))
        shown.page.on("request", lambda request: _note(shown, request.url))
        shown.page.goto((pages[name] if isinstance(name, str) else name).as_uri())
        opened.append(shown)
        return shown

    yield open_page
    for shown in opened:
        shown.page.context.close()
        assert shown.troubles == []


def _note(shown: Shown, url: str) -> None:
    if not url.startswith(("file:", "data:")):
        shown.troubles.append(f"request: {url}")


def as_numbers(texts: list[str]) -> list[float]:
    return [float(text.replace(",", "")) for text in texts]


def test_a_click_sorts_the_numbers_downwards_then_upwards_then_as_they_were(show: Callable[..., Shown]) -> None:
    shown = show("sweep")
    before = shown.column(1)
    head = shown.table().locator("thead tr").nth(1).locator("th").first
    values = as_numbers(before[:-2])
    for order, expected in (("descending", sorted(values, reverse=True)), ("ascending", sorted(values))):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == order
        assert as_numbers(shown.column(1)[:-2]) == expected
        assert shown.column(0)[-2:] == ["Shortcut", "Majority class"], "what is no variant stays below"
    head.locator("button").click()
    assert head.get_attribute("aria-sort") is None
    assert shown.column(1) == before


def test_entries_of_the_leaderboard_sort_by_rate(show: Callable[..., Shown]) -> None:
    shown = show("leaderboard")
    table = shown.table("Entries by accuracy")
    heads = table.locator("thead th").all_inner_texts()
    place = next(number for number, head in enumerate(heads) if head.startswith("firing rate"))
    table.locator("thead th").nth(place).locator("button").click()
    rates = as_numbers(shown.column(place, "Entries by accuracy"))
    assert len(rates) == 3
    assert rates == sorted(rates, reverse=True)


def test_variants_sort_by_name(show: Callable[..., Shown]) -> None:
    shown = show("sweep")
    shown.table().locator("thead th").first.locator("button").click()
    names = shown.column(0)[:-2]
    assert names == sorted(names)


def test_what_is_typed_filters_the_variants_of_all_tables(show: Callable[..., Shown]) -> None:
    shown = show("sweep")
    shown.page.locator("input[name=variant]").fill("train")
    for section in (0, 1):
        names = [name.split()[0] for name in shown.column(0, section=section)]
        assert names == ["trainable", "trainable_decay", "Shortcut", "Majority"]
    assert shown.page.locator("output").inner_text() == "2 of 6 variants"
    shown.page.get_by_role("button", name="Reset").click()
    # a form's fields are emptied after its event, so the page filters a moment later
    expect(shown.page.locator("output")).to_have_text("6 of 6 variants")
    assert len(shown.column(0)) == 6 + 2


def test_a_task_can_be_looked_at_alone(show: Callable[..., Shown]) -> None:
    shown = show("sweep")
    shown.page.locator("select[name=task]").select_option("images")
    assert shown.page.locator("section[data-task]:visible h2").all_inner_texts() == ["Task images"]
    assert "task images" in shown.page.locator("output").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_is_the_systems_until_another_is_chosen(show: Callable[..., Shown], scheme: str) -> None:
    shown = show("sweep", color_scheme=scheme)
    backgrounds = {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 22, 27)"}

    def background() -> str:
        return str(shown.page.evaluate("getComputedStyle(document.body).backgroundColor"))

    other = "light" if scheme == "dark" else "dark"
    assert background() == backgrounds[scheme]
    shown.page.get_by_role("button", name=f"{other} theme").click()
    assert background() == backgrounds[other]


@pytest.mark.parametrize("name", PAGES)
def test_paper_is_white_and_shows_no_controls(show: Callable[..., Shown], name: str) -> None:
    shown = show(name, color_scheme="dark")
    shown.page.emulate_media(media="print")
    assert shown.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert shown.page.locator(".theme:visible, .filter:visible").count() == 0
    assert len(shown.page.pdf()) > 10_000


@pytest.mark.parametrize("name", PAGES)
def test_on_a_phone_only_tables_scroll_sideways(show: Callable[..., Shown], name: str) -> None:
    shown = show(name, width=360)
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("width", [360, 1200])
def test_a_long_verdict_does_not_cover_the_sentence_beside_it(show: Callable[..., Shown], width: int) -> None:
    statements = show("sweep", width=width).page.locator(".statements li")
    statements.first.locator(".tag").evaluate(
        "tag => tag.textContent = 'explained by control_decay0 and control_reset'"
    )
    assert statements.count() > 1
    for statement in statements.all():
        tag, sentence = statement.locator("> span").all()
        one, other = tag.bounding_box(), sentence.bounding_box()
        assert one["x"] + one["width"] <= other["x"] or one["y"] + one["height"] <= other["y"]


def test_the_keyboard_reaches_filter_and_headings_and_sorts(show: Callable[..., Shown]) -> None:
    shown = show("sweep")
    reached = []
    for _ in range(60):
        shown.page.keyboard.press("Tab")
        reached.append(shown.page.evaluate("(document.activeElement.closest('th') || document.activeElement).tagName"))
        if reached[-1] == "TH" and "INPUT" in reached:
            break
    assert {"BUTTON", "INPUT", "SELECT", "DIV", "TH"} <= set(reached), reached
    shown.page.keyboard.press("Enter")
    assert shown.page.evaluate("document.activeElement.closest('th').getAttribute('aria-sort')") == "ascending"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(show: Callable[..., Shown], name: str, scheme: str) -> None:
    found = Axe().run(show(name, color_scheme=scheme).page).response["violations"]
    serious = [violation for violation in found if violation["impact"] in ("serious", "critical")]
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in serious] == []


def test_a_run_with_a_script_for_its_name_does_nothing(show: Callable[..., Shown], tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    runs = write_sweep(
        tmp_path / "runs", Synthetic(details=False, change=lambda row: {**row, "error": evil, "task": evil})
    )
    shown = show(build_report("ablation_refractory", runs, tmp_path / "html"))
    assert shown.page.locator("h1").count() == 1


def test_without_scripts_the_page_is_complete(show: Callable[..., Shown]) -> None:
    shown = show("sweep", java_script_enabled=False)
    assert shown.page.locator(".theme:visible, .filter:visible").count() == 0
    assert shown.page.locator("table:visible").count() >= 4


def test_on_a_phone_the_small_table_is_seen_whole(show: Callable[..., Shown]) -> None:
    table = show("sweep", 390).page.locator(".answer .scroll")
    assert table.evaluate("table => table.scrollWidth <= table.clientWidth")


def test_the_first_screen_holds_the_answer_its_table_and_its_figure(show: Callable[..., Shown]) -> None:
    page = show("sweep", 1440).page
    for what in (".answer .statements", ".answer table", ".answer figure > svg"):
        box = page.locator(what).first.bounding_box()
        assert box is not None, what
        assert box["y"] + box["height"] <= 900, what


def test_a_partial_page_loads_itself_again_where_its_reader_is(browser: Browser, tmp_path: Path) -> None:
    """What was opened stays open; who has a filter set is left alone."""
    runs = write_sweep(tmp_path / "runs", Synthetic(variants=("none", "fixed"), seeds=(0,)))
    path = build_report("ablation_refractory", runs, tmp_path, partial="12:00:00 UTC")
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.clock.install()
    page.goto(path.as_uri())
    page.locator("details").last.evaluate("each => { each.open = true }")
    page.evaluate("scrollTo(0, 700)")
    with page.expect_event("load"):
        page.clock.fast_forward(31_000)
    assert page.locator("details").last.evaluate("each => each.open")
    assert page.locator("details[open]").count() == 1
    assert page.evaluate("scrollY") == 700
    page.get_by_placeholder("all").fill("none")
    page.evaluate("window.isTheSame = true")
    page.clock.fast_forward(31_000)
    page.wait_for_load_state()
    assert page.evaluate("window.isTheSame")
    page.close()


@pytest.mark.parametrize("java_script_enabled", [True, False])
def test_six_columns_are_seen_and_the_rest_by_the_keyboard(
    show: Callable[..., Shown], *, java_script_enabled: bool
) -> None:
    shown = show("sweep", java_script_enabled=java_script_enabled)
    table = shown.table()
    box = shown.page.locator(".wide", has=table).get_by_role("checkbox").first
    every = table.locator("tbody tr").first.locator("> *").count()
    for tall in (False, True, False):
        heads = table.locator("thead tr:last-child th:visible").count() + 1  # the corner spans both lines
        groups = table.locator("thead th[colspan]:visible")
        assert heads == (every if tall else 6)
        assert sum(int(group.get_attribute("colspan") or 0) for group in groups.all()) == heads - 1
        box.focus()
        shown.page.keyboard.press("Space")


@pytest.mark.parametrize("width", [1440, 820, 390])
def test_headings_of_rows_and_columns_stay_in_sight(show: Callable[..., Shown], width: int) -> None:
    shown = show("sweep", width)
    table = shown.table()
    shown.page.locator(".wide", has=table).get_by_role("checkbox").first.check()
    region = shown.page.locator(".scroll", has=table).first
    region.evaluate("each => { each.style.maxHeight = '9rem'; each.scrollLeft = 150; each.scrollTop = 90; }")
    frame = region.bounding_box()
    for heading, edge in ((table.locator("thead th").first, "both"), (table.locator("tbody th").nth(4), "x")):
        place = heading.bounding_box()
        assert place["x"] == pytest.approx(frame["x"], abs=1)
        assert edge == "x" or place["y"] == pytest.approx(frame["y"], abs=1)
        assert place["width"] <= 0.45 * width
    assert shown.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, "the page itself stays"


@pytest.mark.parametrize("name", PAGES)
def test_a_printed_page_cuts_nothing_off(show: Callable[..., Shown], name: str) -> None:
    shown = show(name, 700)  # of A4 between its margins
    for box in shown.page.get_by_role("checkbox").all():
        box.evaluate("each => { each.checked = true; }")
    shown.page.emulate_media(media="print")
    assert shown.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert shown.page.locator("details table:visible").count() == shown.page.locator("details table").count()


def test_every_link_of_a_page_leads_to_a_file_or_a_place_of_it(
    show: Callable[..., Shown], pages: dict[str, Path]
) -> None:
    for name in PAGES:
        page = show(name).page
        for link in page.locator("a[href]").evaluate_all("links => links.map(each => each.getAttribute('href'))"):
            if link.startswith("#"):
                assert page.locator(f'[id="{link[1:]}"]').count() == 1, link
            else:
                assert (pages[name].parent / link).is_file(), link
