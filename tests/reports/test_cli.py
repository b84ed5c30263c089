"""`python -m reports`: the path of the page as the last line, errors as one sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from spike_ssm.reports.__main__ import main


def test_the_last_line_is_the_path_of_the_page(sweep, tmp_path, capsys):
    status = main(["ablation_refractory", "--results", str(sweep(details=False)), "--out", str(tmp_path / "out")])
    page = Path(capsys.readouterr().out.splitlines()[-1])
    assert status == 0
    assert page == tmp_path / "out" / "ablation_refractory.html"
    assert page.exists()


def test_without_a_name_an_index_of_the_sweeps_is_written_and_they_are_listed(sweep, tmp_path, capsys):
    results = sweep(details=False)
    sweep(name="another", variants=("none",))
    assert main(["--results", str(results), "--out", str(tmp_path / "out")]) == 0
    words = capsys.readouterr().out.split()
    assert words[-3:] == ["ablation_refractory", "another", str(tmp_path / "out" / "index.html")]


def test_an_unknown_name_is_a_sentence_that_lists_the_known_ones(sweep, capsys):
    assert main(["ablation", "--results", str(sweep(details=False))]) == 1
    error = capsys.readouterr().err
    assert "No sweep named 'ablation' has been run" in error
    assert "choose one of ablation_refractory." in error
    assert len(error.splitlines()) == 1


def test_a_damaged_manifest_is_a_sentence(sweep, capsys):
    results = sweep(details=False)
    (results / "sweeps" / "ablation_refractory.json").write_text("{")
    assert main(["ablation_refractory", "--results", str(results)]) == 1
    assert "is damaged" in capsys.readouterr().err


def test_no_sweeps_at_all_is_a_sentence_that_says_what_to_run(tmp_path, capsys):
    assert main(["--results", str(tmp_path)]) == 1
    assert "Run python -m harness.sweep +sweep=NAME first." in capsys.readouterr().err


def test_the_module_runs_and_fails_without_a_traceback(tmp_path):
    command = [sys.executable, "-m", "reports", "nothing", "--results", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("Error: No sweep named 'nothing'")
