"""What pip installs is whole: a wheel carries the YAML, the templates and the types, and works from any folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_carries_configuration_templates_types_and_commands(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for source in [
        *ROOT.glob("sweeps/**/*.yaml"),
        *ROOT.glob("reports/templates/*"),
        *ROOT.glob("*/py.typed"),
        *ROOT.glob("models/**/*.safetensors"),
    ]:
        assert source.relative_to(ROOT).as_posix() in names
    (entry_points,) = (name for name in names if name.endswith("entry_points.txt"))
    text = zipfile.ZipFile(wheel).read(entry_points).decode()
    assert {"spike-ssm-sweep", "spike-ssm-train", "spike-ssm-report"} <= set(text.split())
    assert not any(name.startswith(("results/runs", "reports/html", "tests")) for name in names)


@pytest.mark.slow
def test_the_installed_sweep_command_works_from_a_folder_with_modules_of_its_own(wheel: Path, tmp_path: Path) -> None:
    installed, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    zipfile.ZipFile(wheel).extractall(installed)
    (elsewhere / "models").mkdir(parents=True)
    (elsewhere / "models" / "__init__.py").write_text("raise RuntimeError('not these models')")
    tiny = "task.min_length=3 task.max_length=12 task.train=64 task.validation=32 task.test=32 optim.epochs=1"
    small = "model.layers=1 model.channels=8 optim.warmup_epochs=0 refractory=none,fixed seed=0 launcher=local"
    script = "import sys; from spike_ssm.harness.sweep import main; sys.exit(main(sys.argv[1:]))"
    where = ["task=listops", f"paths.cache={tmp_path / 'cache'}"]
    words = ["+sweep=ablation_refractory", *where, *tiny.split(), *small.split()]
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, *words],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    page = elsewhere / "reports" / "html" / "ablation_refractory.html"
    assert done.stdout.splitlines()[-1] == str(page)
    assert page.is_file()
    assert len(list((elsewhere / "results" / "runs").glob("*.parquet"))) == 2
