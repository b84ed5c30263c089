"""The documentation is true: its links lead somewhere, its commands exist, its example runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from harness.compose import Composer, parse_command_line
from harness.sweep import main

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
TEXT = "\n".join(page.read_text() for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", page.read_text()) if "://" not in link]
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


def test_every_module_named_in_a_command_can_be_run() -> None:
    modules = set(re.findall(r"python -m ([a-z_.]+)", TEXT))
    assert modules >= {"harness.sweep", "harness.train", "reports", "benchmarks.neuron"}
    for module in modules:
        shown = subprocess.run([sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True)
        assert shown.returncode == 0, shown.stderr


def test_every_sweep_command_of_the_readme_names_settings_that_exist(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    commands = re.findall(r"^ +python -m harness.sweep (\+sweep=.*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(commands) >= 2
    for command in commands:
        assert main([*command.split(), "dry_run=true", f"paths.results={tmp_path}"]) == 0
        assert "runs," in capsys.readouterr().out


def test_every_setting_named_in_the_documentation_exists() -> None:
    settings = Composer().settings(parse_command_line([]).overrides)
    for group, key in re.findall(r"`(task|neuron|model|optim|launcher|paths)\.([a-z_]+)", TEXT):
        assert hasattr(getattr(settings, group), key), f"{group}.{key}"


def test_the_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^ +make ([a-z]+)", (ROOT / "README.md").read_text(), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_readmes_speed_is_the_measured_one() -> None:
    (stated,) = re.findall(r"the fused solver is (\d+) times as fast", (ROOT / "README.md").read_text())
    frame = pd.read_parquet(ROOT / "results" / "measured" / "neuron_cpu.parquet")
    rows = frame[(frame["length"] == 4096) & (frame["pass"] == "forward + backward") & (frame["solver"] == "fused")]
    assert round(float(rows["times_spikingjelly"].iloc[0])) == int(stated)


def test_the_python_example_of_the_readme_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    subprocess.run([sys.executable, "-c", example], cwd=ROOT, check=True)
