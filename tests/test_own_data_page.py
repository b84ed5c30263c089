"""The page on a user's own data does what it says: from its CSV to a sweep, to answers, and to a task in Python."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from spike_ssm.harness.system.root import ROOT

PAGE = (ROOT / "docs" / "your_own_data.md").read_text()

FEW = (
    *("neuron=lif_soft", "seed=0", "task.max_length=32", "launcher=debug", "paths.cache=cache", "paths.reports=html"),
    *("model.layers=1", "model.channels=8", "model.state_size=4", "optim.epochs=1"),
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def shown(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with the page's CSV file, its rows so often that three splits have some."""
    head, *rows = blocks("csv")[0].splitlines()
    (tmp_path / "reviews.csv").write_text("\n".join([head, *(rows * 15)]))
    return tmp_path


@pytest.mark.slow
def test_the_commands_and_the_code_of_the_page_run(folder: Path) -> None:
    sweep, show = (
        command.split() for command in re.findall(r"python -m (harness\.\w+ [^`\n]*csv_texts [^`\n]*)", PAGE)
    )
    module, *words = sweep
    out = shown(folder, "-m", f"spike_ssm.{module}", *words, *FEW)
    assert "1 runs done, 0 failed" in out
    assert Path(out.splitlines()[-1]) == folder / "html" / "ablation_neuron.html"
    module, *words = show
    assert "Shortcut: 100.0 % right" in shown(folder, "-m", f"spike_ssm.{module}", *words, "paths.reports=html")
    assert shown(folder, "-c", blocks("python")[0]).strip() in ("['bad']", "['good']")
    row = (folder / "reviews.csv").read_text()
    (folder / "reviews.csv").write_text(f"{row}\nIt is different now.,good")
    module, *words = sweep
    assert "1 to run" in shown(folder, "-m", f"spike_ssm.{module}", *words, *FEW, "dry_run=true")


@pytest.mark.slow
def test_a_task_in_python_runs_as_the_page_says(tmp_path: Path) -> None:
    (tmp_path / "my_tasks.py").write_text(
        "from dataclasses import dataclass\n"
        "from spike_ssm.harness.data.tasks.listops import ListOps, ListOpsSettings\n"
        "@dataclass\nclass EasySettings(ListOpsSettings):\n    pass\nclass Easy(ListOps):\n    pass\n"
    )
    sizes = "task: {min_length: 3, max_length: 12, train: 64, validation: 32, test: 32}"
    for place, content in {"task": blocks("yaml")[0], "setup/laptop": f"# @package _global_\n{sizes}\n"}.items():
        (tmp_path / "config" / place).mkdir(parents=True)
        (tmp_path / "config" / place / "easy.yaml").write_text(content)
    (command,) = re.findall(r"python -m (harness\.sweep --config-dir [^`\n]*)", PAGE)
    module, *words = command.split()
    few = [word for word in FEW if "max_length" not in word and "launcher" not in word]
    out = shown(tmp_path, "-m", f"spike_ssm.{module}", *words, *few, "launcher=local", "timing_seconds=0.01")
    assert "1 runs done, 0 failed" in out  # by a worker, which found the module
    assert "timed alone" in out
    assert "could not be timed" not in out
