"""The page on other libraries' neurons does what it says: its files, in few lines, are a sweep that runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from spike_ssm.harness.system.root import ROOT

PAGE = (ROOT / "docs" / "compare.md").read_text()

TINY = (
    *("task.min_length=3", "task.max_length=12", "task.train=64", "task.validation=32", "task.test=32", "seed=0"),
    *("model.layers=1", "model.channels=8", "model.state_size=4", "optim.epochs=1", "estimate=false", "timing=false"),
    *("paths.cache=cache", "paths.reports=html", "launcher.workers=1"),
)


def block(language: str, place: int = 0) -> str:
    return str(re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[place])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with the page's files."""
    contents = {
        "my_neurons.py": block("python"),
        "config/neuron/leaky.yaml": block("yaml"),
        "config/sweep/theirs.yaml": block("yaml", 1),
    }
    for name, content in contents.items():
        assert f"`{name}`" in PAGE
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


def shown(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_users_neuron_takes_under_20_lines() -> None:
    code = block("python") + block("yaml")
    assert len([line for line in code.splitlines() if line.strip()]) < 20


@pytest.mark.slow
def test_the_pages_sweep_runs_in_a_worker_which_finds_the_module(folder: Path) -> None:
    (command,) = re.findall(r"python -m (harness\.sweep --config-dir [^`\n]*)", PAGE)
    module, *words = command.split()
    out = shown(folder, "-m", f"spike_ssm.{module}", *words, *TINY)
    assert "2 runs done, 0 failed" in out
    assert "leaky" in (folder / "html" / "theirs.md").read_text()
    read = "import spike_ssm; print(spike_ssm.results.load('theirs')['config.neuron.beta'].dropna().tolist())"
    assert shown(folder, "-c", read).strip() == "[0.5]"
    shown(folder, "-m", "spike_ssm.results", "pack", "theirs", "--to", "mine.parquet")
    ids = "import spike_ssm; frame = spike_ssm.results.load('theirs'); print(*frame[frame['variant'] == 'leaky']['id'])"
    words = ["mine.parquet", shown(folder, "-c", ids).strip(), "paths.cache=cache", "--trust", "my_neurons"]
    assert "is repeated, and identical" in shown(folder, "-m", "spike_ssm.harness.repeat", *words)


@pytest.mark.slow
def test_the_pages_neuron_keeps_the_contract_and_so_does_spikingjellys(folder: Path) -> None:
    assert 'check_neuron("my_neurons.Leaky")' in PAGE
    (made,) = re.findall(r"`(neuron\.LIFNode\(.*?\))`", PAGE)
    jelly = block("python").replace("import snntorch", "from spikingjelly.activation_based import neuron")
    (folder / "my_jelly.py").write_text(re.sub(r"snntorch\.Leaky\(.*\)", made, jelly))
    for name in ("my_neurons.Leaky", "my_jelly.Leaky"):
        code = f"from spike_ssm.models.neurons.conformance import check_neuron; check_neuron({name!r})"
        assert shown(folder, "-c", code) == ""
