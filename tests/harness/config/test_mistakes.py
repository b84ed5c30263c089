"""Typical mistakes in words and in files, each with the sentence that it gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.sweep import main
from spike_ssm.results.errors import UserError

WORDS = {
    "optim.epochs=many": "optim.epochs=many is not allowed: it must be a whole number.",
    "optim.epochs=3.5": "optim.epochs=3.5 is not allowed: it must be a whole number.",
    "launcher.memory_gb=16GB": "launcher.memory_gb=16GB is not allowed: it must be a whole number.",
    "optim.lr=1e": "optim.lr=1e is not allowed: it must be a number.",
    "model.prenorm=maybe": "model.prenorm=maybe is not allowed: it must be true or false.",
    "optim.lr=null": "optim.lr=null is not allowed: it must have a value, so it cannot be null.",
    "model.dropout_places=x": "model.dropout_places=x is not allowed: it must be a list, such as [A,B].",
    "optim.lr=0,01": "(its axes are neuron.leak, seed), so it takes one value.",
    "optim=null": "optim=null does not exist; choose one of adamw.",
    "task=[]": "task is not an axis of sweep",
    "launcher.resources={laptop:3}": "launcher.resources is a group of settings; set one of launcher.resources.",
    "task=[listops": "cannot be read: a bracket is not closed, or the shell took a part; put the word in quotes.",
    "launcher.extra={a:b": "cannot be read: a bracket is not closed",
    'paths.results="my': "cannot be read: a quote is not closed.",
    "optim.lr =0.1": "write optim.lr=0.1, with one equals sign and no spaces.",
    "optim.lr==0.1": "write optim.lr=0.1, with one equals sign and no spaces.",
    "optim.lr:0.1": "write optim.lr=0.1, with an equals sign.",
    "optim.lr=\u201d0.1\u201d": "it holds typographic quotes; type plain ones.",
    "seed=0 optim.lr=0.1": "it is several words in one; leave out the quotes around them.",
    "": "A word is empty: leave it out",
    "+sweep=lra,mnist": "+sweep=lra,mnist names several sweeps: run one after the other.",
    "runs": "'runs' is no key=value: write +sweep=runs for a sweep, runs=VALUE for a setting.",
}
"""A word of the command line -> what is answered."""

FILES = {
    "defaults: [lifs_settings]": "neuron/mine.yaml: its `defaults` name neuron/lifs_settings, which there is not.",
    "defaults: [lif_soft_settings]\nleak: much": "neuron/mine.yaml: neuron.leak must be a number, but it is 'much'.",
    "defaults: [lif_soft_settings]\nleaks: 0.5": "neuron/mine.yaml: neuron.leaks is not a setting.",
    "defaults: [lif_soft_settings]\nleak: ${optim.nope}": "a value refers to ${optim.nope}, which is no setting.",
}
"""The content of a neuron's file -> what is answered."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the user's with a sweep."""
    (tmp_path / "sweep").mkdir()
    (tmp_path / "neuron").mkdir()
    (tmp_path / "sweep" / "mini.yaml").write_text(
        "title: T\nquestion: Q?\nseeds: [0]\nbase: {task: listops}\ngrid: {neuron.leak: [0.5]}\n"
    )
    return tmp_path


@pytest.mark.parametrize("word", WORDS)
def test_a_mistake_in_a_word_is_one_sentence(word: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = [] if word.startswith("+") else ["+sweep=mini"]
    assert main(["--config-dir", str(folder), *sweep, word, "dry_run=true"]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert WORDS[word] in said.err


@pytest.mark.parametrize("content", FILES)
def test_a_mistake_in_a_file_of_a_group_is_one_sentence(content: str, folder: Path) -> None:
    (folder / "neuron" / "mine.yaml").write_text(content)
    with pytest.raises(UserError) as caught:
        Composer(folder).settings({"neuron": "mine"})
    assert str(caught.value) == f"The configuration cannot be composed: {FILES[content]}"


def test_a_sweep_file_that_refers_to_nothing_is_one_sentence(folder: Path) -> None:
    (folder / "sweep" / "mini.yaml").write_text("base: {optim.lr: '${optim.nope}'}")
    with pytest.raises(UserError, match=r"cannot be read: a value refers to \$\{optim\.nope\}, which is no setting\.$"):
        Composer(folder).load("sweep", "mini")


def test_a_file_that_the_shell_put_in_place_of_a_star_is_known(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder / "sweep")
    assert main(["mini.yaml"]) == 1
    assert "'mini.yaml' is a file, no key=value. Where the shell put it in place of a *" in capsys.readouterr().err
