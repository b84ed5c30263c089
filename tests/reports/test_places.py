"""A page that is passed on names no home, no user and no temporary folder."""

from __future__ import annotations

from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from spike_ssm.reports.loading.places import shortened, without_places
from spike_ssm.reports.loading.sweep import load
from spike_ssm.reports.pages.index import build_index, listed
from spike_ssm.reports.pages.sweep import build_report
from spike_ssm.results.reading import run_path
from spike_ssm.results.schema import Manifest
from spike_ssm.results.store import read_manifest, write_manifest

NAME = "ablation_refractory"
TRACEBACK = """Traceback (most recent call last):
  File "/home/alice/spike/src/spike_ssm/harness/run/execute.py", line 40, in execute
    train(job)
    ~~~~~^^^^^
  File "/home/alice/.venv/lib/python3.11/site-packages/torch/nn/modules/module.py", line 1, in __call__
    return forward(x)
  File "/usr/lib/python3.11/contextlib.py", line 81, in inner
    return func(*args)
  File "<string>", line 1, in <module>
  File "/home/alice/spike/models/neuron.py", line 7, in forward
    raise ValueError
ValueError: the loss became NaN
    at step 40, see /tmp/pytest-of-alice/log.txt

During handling of the above exception, another exception occurred:

  File "/opt/conda/lib/python3.11/site-packages/spike_ssm/results/store.py", line 9, in write
    os.link(a, b)
  File "/opt/conda/lib/python3.11/shutil.py", line 2, in copy
    pass
OSError: no"""
SHORT = """Traceback (most recent call last):
  File "harness/run/execute.py", line 40, in execute
    train(job)
    ~~~~~^^^^^
  … 3 calls of other code
  File "models/neuron.py", line 7, in forward
    raise ValueError
ValueError: the loss became NaN
    at step 40, see $TMPDIR/…/log.txt

During handling of the above exception, another exception occurred:

  File "results/store.py", line 9, in write
    os.link(a, b)
  … 1 call of other code
OSError: no"""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("No file /home/alice/data/x.csv there", "No file ~/data/x.csv there"),
        ("in '/Users/bob'", "in '~'"),
        ("paths.data=/gpfs/home/alice/lra", "paths.data=~/lra"),
        ("/root/.cache and /roots", "~/.cache and /roots"),
        ("/tmp/tmpab12/a/b.txt, /var/folders/x/y/T/z", "$TMPDIR/…/b.txt, $TMPDIR/z"),
        ("/tmp is full", "$TMPDIR is full"),
        ("https://example.org/home/alice stays, so do data/home/x and a/b", "{}"),
        ("/scratch/results/runs/a.parquet", "a.parquet"),
        ("file:///home/alice/x", "file://~/x"),
    ],
)
def test_places_are_told_from_the_results_folder_or_home(text: str, shown: str) -> None:
    assert without_places(text, Path("/scratch/results/runs")) == shown.format(text)


def test_this_machines_own_home_and_temporary_folder_are_known_whatever_they_are_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/people/carol")
    monkeypatch.setattr("tempfile.tempdir", "/fast/job.17")
    assert without_places("/people/carol/x, /fast/job.17/y") == "~/x, $TMPDIR/y"


def test_a_traceback_keeps_the_projects_own_lines_and_what_was_raised() -> None:
    assert without_places(shortened(TRACEBACK)) == SHORT
    assert shortened("ValueError: nan") == "ValueError: nan"


def test_no_output_of_a_sweep_names_a_place_of_the_machine(
    sweep: Callable[..., Path], failed_row: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    secret = "/home/alice/spike/results/x.parquet cannot be written, nor /tmp/job-of-alice/y"

    def change(row: dict[str, Any]) -> dict[str, Any]:
        row |= {"data_notes": [f"Read from {secret}."]}
        row["config"] = row["config"].replace('"listops"', '"listops", "cache": "/home/alice/cache"')
        row["environment"] = row["environment"].replace('"cpu"', '"cpu", "venv": "/home/alice/.venv"')
        return failed_row(row, secret, TRACEBACK) if row["id"] == "lis-fixed-1" else row

    results = sweep(details=False, change=change)
    run_path(results, "lis-none-2").write_bytes(b"nothing")
    manifest = read_manifest(results, NAME)
    write_manifest(
        results,
        Manifest(**{**vars(manifest), "words": ["+sweep=a", "paths.results=/home/alice/r", "paths.reports=/tmp/x"]}),
    )
    (results / "sweeps" / "broken.json").write_text("{")
    page = build_report(NAME, results, tmp_path / "html")
    build_index(*listed(results), tmp_path / "html")
    for path in (tmp_path / "html").rglob("*.*"):
        text = path.read_text(encoding="utf-8")
        assert "alice" not in text, path
        assert str(tmp_path) not in text, path
    shown = page.read_text(encoding="utf-8")
    assert unescape(shown).count("python -m harness.sweep +sweep=a 'paths.results=~/r'</code>") == 1
    assert "The result file rows/lis-none-2.parquet is damaged" in shown
    assert "… 3 calls of other code" in shown
    assert "~/spike/results/x.parquet cannot be written" in shown
    assert load(results, NAME).runs["traceback"].dropna().tolist() == [SHORT]
