"""What the tab key completes: asked as a shell asks, and of every kind of word."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spike_ssm.harness.config.completion import completions
from spike_ssm.harness.config.documents import SWEEPS, Documents

WITHOUT_TORCH = (
    "import sys; sys.modules.update(torch=None, numba=None, pandas=None); "
    "from spike_ssm.harness.{} import main; sys.exit(main())"
)


def asked_by_a_shell(line: str, folder: Path) -> list[str]:
    """What the command prints for bash, which breaks words at = too and replaces the last part of the line."""
    asked = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_COMP_WORDBREAKS": " \t\n\"'><=;|&(:",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(folder / "completions"),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    program = line.split()[0].removeprefix("spike-ssm-")
    command = [sys.executable, "-c", WITHOUT_TORCH.format(program)]
    subprocess.run(command, env={**os.environ, **asked}, check=True, cwd=folder)
    return (folder / "completions").read_text().splitlines()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("spike-ssm-sweep +sweep=ablation_ref", ["ablation_refractory", "ablation_refractory_sparse"]),
        ("spike-ssm-sweep +sweep=ablation_refractory refractory=none,fi", ["none,fixed "]),
        ("spike-ssm-train neuron.lea", ["neuron.leak=", "neuron.leak_trainable="]),
        ("spike-ssm-study neu", ["neuron=", "neurons"]),
    ],
)
def test_a_shell_gets_the_words_that_may_follow_without_torch(line: str, expected: list[str], tmp_path: Path) -> None:
    found = asked_by_a_shell(line, tmp_path)
    assert [word for word in found if "." not in word or "." in line] == expected


@pytest.mark.parametrize(
    ("program", "before", "prefix", "expected"),
    [
        ("harness.sweep", "", "+s", ["+sweep="]),
        ("harness.sweep", "", "of=ablation_res", ["of=ablation_reset"]),
        ("harness.sweep", "", "protoc", ["protocol="]),
        ("harness.sweep", "", "scale=", ["scale=gpu", "scale=laptop", "scale=paper", "scale=workstation"]),
        ("harness.sweep", "", "launcher=sl", ["launcher=slurm"]),
        ("harness.sweep", "", "dr", ["dry_run=true"]),
        ("harness.sweep", "", "show=c", ["show=config"]),
        ("harness.sweep", "", "bud", []),
        ("harness.tune", "", "bud", ["budget="]),
        ("harness.train", "", "+s", []),
        ("harness.sweep", "+sweep=ablation_refractory", "refr", ["refractory="]),
        ("harness.sweep", "+sweep=robustness of=ablation_reset", "reset=s", ["reset=soft"]),
        ("harness.sweep", "+sweep=ablation_refractory", "+s", []),
        ("harness.sweep", "+sweep=not_yet_whole", "task=listo", ["task=listops"]),
        ("harness.sweep", "seed=0", "seed", []),
        ("harness.train", "", "optim.ep", ["optim.epochs="]),
    ],
)
def test_every_kind_of_word_is_completed(program: str, before: str, prefix: str, expected: list[str]) -> None:
    assert completions(Documents([SWEEPS]), program, prefix, before.split()) == expected


def test_files_of_a_folder_of_the_users_are_completed_too(tmp_path: Path) -> None:
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "mine.yaml").write_text("grid: {size: {small: {model.channels: 8}}}")
    documents = Documents([tmp_path, SWEEPS])
    assert completions(documents, "harness.sweep", "+sweep=mi", []) == ["+sweep=mine"]
    assert completions(documents, "harness.sweep", "size=", ["+sweep=mine"]) == ["size=small"]
