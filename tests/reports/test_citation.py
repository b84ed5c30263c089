"""What is to be cited is said once, in CITATION.cff: pages and README say the same, in BibTeX."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from importlib.metadata import version
from pathlib import Path

import yaml

from spike_ssm.harness.system.root import ROOT
from spike_ssm.reports.__main__ import main
from spike_ssm.reports.loading.citation import bibtex

CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_both_entries_say_what_citation_cff_says() -> None:
    entries = bibtex()
    assert re.findall(r"^@(\w+)\{", entries, re.MULTILINE) == ["article", "misc"]
    (paper,) = CITATION["references"]
    for words in (CITATION["title"], paper["title"], str(paper["year"]), "arXiv:2410.17268", CITATION["version"]):
        assert words in entries
    assert all(f"{each['family-names']}, {each['given-names']}" in entries for each in paper["authors"])
    assert entries.count("{") == entries.count("}")
    assert not re.search(r"[\\%&#$]", entries), "what BibTeX would take for something else"


def test_the_version_that_is_cited_is_the_packages() -> None:
    assert CITATION["version"] == version("spike-ssm")


def test_the_readme_has_them() -> None:
    assert f"```bibtex\n{bibtex()}\n```" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_pages_have_them(sweep: Callable[..., Path], tmp_path: Path) -> None:
    results = sweep(details=False, variants=("none",), seeds=(0,))
    for name in ("ablation_refractory", "paper"):
        words = [name, "--results", str(results), "--measured", str(tmp_path / "none"), "--out", str(tmp_path / "html")]
        assert main([*words, "--format", "html"]) == 0
        assert bibtex() in unescape((tmp_path / "html" / f"{name}.html").read_text(encoding="utf-8"))
