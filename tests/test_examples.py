"""The examples run as they are written, from any folder, and show what they say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from spike_ssm.harness.system.root import ROOT


def shown(folder: Path, name: str, *words: str) -> str:
    """What the example prints."""
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / name, *words], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_operator_equals_the_loop(tmp_path: Path) -> None:
    out = shown(tmp_path, "use_the_operator.py")
    assert 0.05 < float(re.search(r"firing rate (\S+)", out)[1]) < 0.6  # type: ignore[index]
    assert "spikes that differ from the loop's: 0 of 65,536" in out


@pytest.mark.slow
def test_the_network_learns_more_than_the_commonest_answer(tmp_path: Path) -> None:
    out = shown(tmp_path, "train_listops.py", str(tmp_path))
    losses = [float(loss) for loss in re.findall(r"loss (\S+)", out)]
    assert losses[-1] < losses[0] - 0.1
    accuracy, _, commonest = (float(share) for share in re.findall(r"(\d+\.\d)%", out))
    assert accuracy > commonest + 5


@pytest.mark.slow
def test_a_sweep_file_of_ones_own_becomes_a_page(tmp_path: Path) -> None:
    paths = [f"paths.{name}={tmp_path / name}" for name in ("results", "reports", "cache")]
    out = shown(tmp_path, "run_a_sweep.py", *paths)
    assert "4 runs done, 0 failed" in out
    page = Path(out.splitlines()[-1])
    assert page == tmp_path / "reports" / "leaks.html"
    assert "Leaks, with and without refractoriness" in page.read_text()


def cells(notebook: Path) -> list[str]:
    """The code of a notebook, whose cells have no output in the repository."""
    code = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    assert [cell["outputs"] for cell in code] == [[]] * len(code)
    return ["".join(cell["source"]) for cell in code]


@pytest.mark.slow
def test_the_notebook_runs_from_its_first_cell_to_its_last(tmp_path: Path) -> None:
    *code, last = cells(ROOT / "examples" / "a_run_in_a_notebook.ipynb")
    shown_by_hand = "\nprint(frame.shape[0], run.predict(questions).tolist(), run.run_id in set(frame['id']))"
    script = "\n".join(["import matplotlib; matplotlib.use('Agg')", *code, last, shown_by_hand])
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^4 \[\d, \d\] True$", done.stdout, re.MULTILINE)
    assert (tmp_path / "html" / "two_neurons.html").exists()


@pytest.mark.slow
def test_pretrained_networks_read_most_digits(tmp_path: Path) -> None:
    out = shown(tmp_path, "use_pretrained_networks.py", str(tmp_path))
    found = dict(re.findall(r"^mnist_digits/(\w+) +(\d+\.\d)% right of 500", out, re.MULTILINE))
    assert set(found) == {"lif_soft", "refractory_lif", "gelu"}
    assert all(90 < float(accuracy) < 100 for accuracy in found.values())
    assert "has no spikes" in out
