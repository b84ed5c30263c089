"""A neuron or task of the user's, named by its dotted path: found, checked, and known by its source."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spike_ssm.harness.config.compose import Composer, settings_from_json, settings_to_json
from spike_ssm.harness.data import find_task
from spike_ssm.models.named import CODE
from spike_ssm.models.neurons import find_neuron
from spike_ssm.results.errors import UserError

NEURON = """
from dataclasses import dataclass
from spike_ssm.models.neurons.binary import Binary
from spike_ssm.models.neurons.base import ThresholdSettings

@dataclass
class MineSettings(ThresholdSettings):
    gain: float = 2.0

class Mine(Binary):
    pass
"""

Module = Callable[[str, str], str]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Module:
    """Writes a module of a name of its own into the working directory, and gives the name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(CODE, raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def written(name: str, code: str) -> str:
        (tmp_path / f"{name}.py").write_text(code)
        return name

    return written


def config(folder: Path, group: str, **files: str) -> Composer:
    for name, content in files.items():
        path = folder / "config" / group / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return Composer(folder / "config")


def test_a_neuron_of_ones_own_is_configured_as_any(module: Module, tmp_path: Path) -> None:
    module("named_one", NEURON)
    composer = config(tmp_path, "neuron", mine="name: named_one.Mine\nthreshold: 0.5\n")
    settings = composer.settings({"neuron": "mine", "neuron.gain": 3})
    assert (settings.neuron.name, settings.neuron.threshold, settings.neuron.gain) == ("named_one.Mine", 0.5, 3.0)
    assert settings_from_json(settings_to_json(settings)) == settings
    known = settings.identity()["neuron"]
    assert (known["name"], known["gain"]) == ("named_one.Mine", 3.0)
    assert len(known["source"]) == 12
    with pytest.raises(UserError, match=r"neuron\.bogus is not a setting; neuron has .*gain"):
        composer.settings({"neuron": "mine", "neuron.bogus": 1})


def test_another_source_is_another_run(module: Module, tmp_path: Path) -> None:
    """In processes of their own, as commands are."""
    config(tmp_path, "neuron", mine="name: named_two.Mine\n")
    code = (
        "from pathlib import Path\nfrom spike_ssm.harness.config.compose import Composer\n"
        "print(Composer(Path('config')).settings({'neuron': 'mine'}).run_id())"
    )
    ids = []
    for source in (NEURON, NEURON, NEURON.replace("2.0", "2.0  # a comment")):
        module("named_two", source)
        environment = {**os.environ, "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        shown = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        ids.append(shown.stdout)
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    ("code", "path", "why"),
    [
        ("", "named_gone.Mine", "cannot be imported .ModuleNotFoundError.* or lie in the folder that the command"),
        ("raise KeyError('x')", "named_raises.Mine", "cannot be imported .KeyError"),
        ("", "named_empty.Mine", r"named_empty\.Mine is no neuron: it must be a subclass of .*Neuron"),
        ("class Mine: pass", "named_other.Mine", r"is no neuron: it must be a subclass"),
        (
            NEURON.replace("@dataclass", ""),
            "named_plain.Mine",
            "has no settings: beside it .* a dataclass MineSettings",
        ),
        (
            "from spike_ssm import Neuron, NeuronSettings\nfrom dataclasses import dataclass\n"
            "@dataclass\nclass MineSettings(NeuronSettings): pass\nclass Mine(Neuron): pass",
            "named_abstract.Mine",
            "is no whole neuron: it lacks forward, operations_per_step, parameter_summary, potential, step",
        ),
    ],
)
def test_what_is_no_neuron_gets_a_sentence(module: Module, tmp_path: Path, code: str, path: str, why: str) -> None:
    if path != "named_gone.Mine":
        module(path.partition(".")[0], code)
    with pytest.raises(ValueError, match=why):
        find_neuron(path)
    with pytest.raises(UserError, match=why):
        config(tmp_path, "neuron", mine=f"name: {path}\n").settings({"neuron": "mine"})


def test_a_name_without_dots_is_a_packaged_one() -> None:
    with pytest.raises(ValueError, match=r"There is no neuron 'lif'; choose one of refractory_lif, .* or name a class"):
        find_neuron("lif")
    with pytest.raises(UserError, match="There is no task 'lif'"):
        find_task("lif")


def test_a_file_without_a_class_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"must name a class by its dotted path, such as `name: my_module\.MyNeuron`"):
        config(tmp_path, "neuron", mine="threshold: 0.5\n").settings({"neuron": "mine"})


TASK = """
from dataclasses import dataclass
from spike_ssm.harness.data.tasks.listops import ListOps, ListOpsSettings

@dataclass
class EasySettings(ListOpsSettings):
    max_length: int = 12

class Easy(ListOps):
    pass
"""


def test_a_task_of_ones_own_needs_a_setup(module: Module, tmp_path: Path) -> None:
    module("named_task", TASK)
    composer = config(tmp_path, "task", easy="name: named_task.Easy\nmin_length: 3\n")
    with pytest.raises(UserError, match=r"task=easy has no setup at scale=laptop: write setup/laptop/easy\.yaml"):
        composer.settings({"task": "easy"})
    composer = config(tmp_path, "setup/laptop", easy="# @package _global_\nmodel: {layers: 1}\n")
    settings = composer.settings({"task": "easy", "task.train": 64})
    assert (settings.task.min_length, settings.task.max_length, settings.task.train) == (3, 12, 64)
    assert settings.model.layers == 1
    task = find_task(settings.task.name)[0](settings.task)
    folder = task.folder(tmp_path)
    assert folder.parent.name == "named_task.Easy"
    assert settings.identity()["task"]["source"]
