"""What pip installs is whole, has one name, and works beside anybody's models/, results/ and reports/."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from spike_ssm.harness.system.root import ROOT

SCRIPTS = sorted(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"])
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


def run(command: list[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `pip wheel .` builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([*PIP, "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT)], check=True)
    (built,) = folder.glob("*.whl")
    return built


def environment(folder: Path, *installed: str | Path) -> Path:
    """The bin of a new environment with spike-ssm as `installed`, and all other packages of this one."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (ours,) = (path for path in sys.path if path.endswith("site-packages") and Path(path, "torch").is_dir())
    (site / "others.pth").write_text(f"{ours}\n")  # its own .pth files are not read: spike_ssm is not among them
    command = [*PIP, "--python", str(folder / "bin" / "python"), "install", "--no-deps", "--force-reinstall"]
    subprocess.run([*command, *map(str, installed)], check=True)
    return folder / "bin"


@pytest.fixture(scope="module", params=["wheel", "editable"])
def bin_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """The commands of a new environment, installed in either way."""
    return environment(tmp_path_factory.mktemp(request.param), *([wheel] if request.param == "wheel" else ["-e", ROOT]))


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A project with packages of our folders' names that are not ours."""
    for name in ("harness", "models", "reports", "results", "sweeps"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"OWNER = 'a user'\nNAME = {name!r}\n")
    return tmp_path


@pytest.mark.slow
def test_the_wheel_carries_configuration_templates_types_and_commands(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for source in [
        *ROOT.glob("sweeps/**/*.yaml"),
        *ROOT.glob("sweeps/study/registered/*.json"),
        *ROOT.glob("reports/render/templates/*"),
        *ROOT.glob("*/py.typed"),
        *ROOT.glob("models/**/*.safetensors"),
        *ROOT.glob("results/*.yaml"),
        ROOT / "reports" / "CITATION.cff",
        ROOT / "results" / "measured" / "pretrained.parquet",
    ]:
        assert f"spike_ssm/{source.relative_to(ROOT).as_posix()}" in names
    assert {"spike_ssm/__init__.py", "spike_ssm/py.typed"} <= names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"spike_ssm"}
    (entry_points,) = (name for name in names if name.endswith("entry_points.txt"))
    assert set(SCRIPTS) <= set(zipfile.ZipFile(wheel).read(entry_points).decode().split())
    assert not any(name.startswith("spike_ssm/results/runs") for name in names)
    assert [name for name in names if "results/measured" in name] == ["spike_ssm/results/measured/pretrained.parquet"]
    assert not any("reports/html" in name or "tests" in name.split("/") for name in names)


@pytest.mark.slow
def test_the_wheel_that_is_built_from_the_source_distribution_is_the_same(wheel: Path, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(tmp_path), str(ROOT)], check=True, capture_output=True
    )
    (again,) = tmp_path.glob("*.whl")
    assert sorted(zipfile.ZipFile(again).namelist()) == sorted(zipfile.ZipFile(wheel).namelist())


@pytest.mark.slow
def test_an_installed_package_lives_beside_a_projects_own_folders(bin_folder: Path, elsewhere: Path) -> None:
    code = (
        "import harness, models, reports, results, spike_ssm\n"
        "assert {each.OWNER for each in (harness, models, reports, results)} == {'a user'}\n"
        "import torch\n"
        "print(float(spike_ssm.refractory_lif(torch.full((1, 1, 4), 0.6), 0.5, 1.0, 0.5, 0.5).sum()))\n"
    )
    done = run([bin_folder / "python", "-c", code], elsewhere)
    assert (done.stdout, done.returncode) == ("1.0\n", 0), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_every_command_runs_beside_a_projects_own_folders(bin_folder: Path, elsewhere: Path, script: str) -> None:
    done = run([bin_folder / script, "--help"], elsewhere)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.slow
@pytest.mark.parametrize("bin_folder", ["wheel"], indirect=True)  # tests/harness/test_sweep.py does so where editable
def test_the_installed_sweep_command_runs_a_sweep_with_workers(bin_folder: Path, elsewhere: Path) -> None:
    tiny = "task.min_length=3 task.max_length=12 task.train=64 task.validation=32 task.test=32 optim.epochs=1"
    small = "model.layers=1 model.channels=8 optim.warmup_epochs=0 refractory=none,fixed seed=0 launcher=local"
    where = ["task=listops", f"paths.cache={elsewhere / 'cache'}", "paths.results=runs", "paths.reports=html"]
    words = ["+sweep=ablation_refractory", "timing_seconds=0.01", *where, *tiny.split(), *small.split()]
    done = run([bin_folder / "spike-ssm-sweep", *words], elsewhere)
    assert done.returncode == 0, done.stderr
    page = elsewhere / "html" / "ablation_refractory.html"
    assert done.stdout.splitlines()[-1] == str(page)
    assert page.is_file()
    assert len(list((elsewhere / "runs").glob("rows/*.parquet"))) == 2
    assert len(list((elsewhere / "runs").glob("timing/*.parquet"))) == 1, "its variants were timed"
    assert run([bin_folder / "spike-ssm-status", "--results", "runs"], elsewhere).stdout.endswith("2 runs: 2 done\n")


# --- in a checkout


def printed(code: str) -> str:
    """What the code prints in the folder of the checkout."""
    done = run([Path(sys.executable), "-c", code], ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_in_a_checkout_the_folders_are_other_names_of_the_same_modules() -> None:
    code = (
        "import sys\n"
        "from models.ops.refractory_lif import refractory_lif\n"
        "import harness.training.fit, reports.render.text, results.store\n"
        "import spike_ssm.harness.training.fit as fit, spike_ssm\n"
        "assert refractory_lif is spike_ssm.refractory_lif and harness.training.fit is fit\n"
        "ours = {name: each for name, each in sys.modules.items() if name.split('.')[0] in\n"
        "        ('harness', 'models', 'reports', 'results')}\n"
        "print(len(ours) > 3, [name for name, each in ours.items() if sys.modules['spike_ssm.' + name] is not each])\n"
    )
    assert printed(code) == "True []\n"


def test_in_a_checkout_a_command_runs_as_a_module_of_either_name() -> None:
    for module in ("harness.status", "spike_ssm.harness.status"):
        done = run([Path(sys.executable), "-m", module, "--help"], ROOT)
        assert (done.returncode, "harness.status" in done.stdout) == (0, True), done.stderr


def test_in_a_checkout_that_is_not_installed_the_commands_work_too(tmp_path: Path) -> None:
    """With the packages it needs, as where pip cannot be used."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path)], check=True)
    (site,) = tmp_path.glob("lib/python*/site-packages")
    (ours,) = (path for path in sys.path if path.endswith("site-packages") and Path(path, "torch").is_dir())
    (site / "others.pth").write_text(f"{ours}\n")
    done = run([tmp_path / "bin" / "python", "-m", "harness.status", "--results", str(tmp_path)], ROOT)
    assert done.stdout.startswith("No sweep has been run in"), done.stderr


def test_importing_the_package_imports_no_torch_and_its_names_are_all_there() -> None:
    assert printed("import sys, spike_ssm; print('torch' in sys.modules)") == "False\n"
    assert (
        printed("import spike_ssm as s; print([n for n in s.__all__ if getattr(s, n) is None or n not in dir(s)])")
        == "[]\n"
    )


def test_a_name_that_is_not_there_is_refused_with_those_that_are() -> None:
    import spike_ssm

    with pytest.raises(AttributeError, match="module 'spike_ssm' has no attribute 'lif'; it has NEURONS, S4D"):
        spike_ssm.lif  # noqa: B018
