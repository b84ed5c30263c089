"""What is answered to words that are not ours, or are mistyped; and that every flag is explained where it is taken."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from dataclasses import fields
from typing import Any

import pytest

from spike_ssm.harness.config.command_line import FLAGS, CommandLine, Flags, flags_of, parse_command_line
from spike_ssm.harness.config.compose import TASK_SETTINGS
from spike_ssm.harness.config.documents import SWEEPS, Documents
from spike_ssm.harness.config.groups import GROUPS
from spike_ssm.harness.config.keys import check_words, known_keys, labels_of
from spike_ssm.harness.config.robustness import RobustnessSettings
from spike_ssm.harness.config.settings import LauncherSettings, OptimSettings, PathSettings, ScaleSettings, Settings
from spike_ssm.models.network import ModelSettings
from spike_ssm.models.neurons import NEURONS
from spike_ssm.results.errors import UserError
from spike_ssm.results.names import instead

HABITS = {
    "--cfg job": "The option --cfg is not known: show=config prints the composed settings of a run",
    "-c job": "show=config prints the composed settings of a run",
    "--info": "show=config prints the composed settings of a run",
    "--info all": "show=config prints the composed settings of a run",
    "--resolve": "show=config prints the composed settings of a run",
    "--multirun": "a sweep runs all its combinations by itself, so leave --multirun out",
    "-m": "a sweep runs all its combinations by itself, so leave -m out",
    "--config-path=conf": "--config-dir FOLDER adds your files",
    "--config-name run": "a sweep is named with +sweep=NAME",
    "--hydra-help": "--help lists what can be given",
    "--shell-completion install=bash": "docs/running.md",
    "--dry-run": "words of a command have no dashes, such as dry_run=true; --help lists them",
    "--task=listops": "such as task=listops;",
    "--seed 0": "such as seed=VALUE;",
    "hydra/launcher=submitit_slurm": "hydra/launcher is not known: launcher=local, slurm or debug",
    "hydra/sweeper=optuna": "python -m harness.tune tunes",
    "hydra.sweep.dir=x": "paths.results=FOLDER",
    "hydra.run.dir=x": "paths.results=FOLDER",
    "hydra.verbose=true": "its own settings have no effect",
    "+experiment=lra": "a sweep is named with +sweep=lra.",
    "experiment=lra": "a sweep is named with +sweep=lra.",
    "+sweep lra": "write +sweep=NAME, with an equals sign and no spaces.",
    "ablation_refractory": "write +sweep=ablation_refractory for a sweep",
    "dry_run": "dry_run lacks its value: write dry_run=true.",
    "show": "show lacks its value: write show=config.",
}
"""Words of Hydra, and of other command lines -> what is answered."""

MEANT = {
    "+sweep=ablation_refractry": "There is no sweep 'ablation_refractry'; did you mean ablation_refractory",
    "+sweep=ablation_refractory refractory=fixd": "refractory=fixd is not on this sweep's axis; did you mean fixed?",
    "+sweep=robustness of=lenght": "There is no sweep 'lenght'; did you mean length?",
    "neuron=lif_sotf": "neuron=lif_sotf does not exist; did you mean lif_soft?",
    "+sweep=ablation_neuron neuron=lif_hrd": "neuron=lif_hrd is not on this sweep's axis; did you mean lif_hard?",
    "task=listop": "task=listop does not exist; did you mean listops?",
    "scale=papr": "scale=papr does not exist; did you mean paper? Choose one of gpu, laptop, paper, workstation.",
    "launcher=slum": "launcher=slum does not exist; did you mean slurm? Choose one of auto, debug, local, slurm.",
    "protocol=spikingsm": "did you mean spikingssm? Choose one of ours, ",
    "neuron.lek=0.5": "neuron.lek is not a setting; did you mean neuron.leak?",
    "optim.epoch=3": "optim.epoch is not a setting; did you mean optim.epochs?",
    "optm.lr=3": "optm.lr is not a setting; did you mean optim.lr?",
    "lr=0.1": "lr is not a setting; did you mean optim.lr?",
    "launcher.memory=4": "did you mean launcher.memory_gb?",
    "dryrun=true": "dryrun is not a setting; did you mean dry_run?",
    "budjet=3": "budjet is not a setting; did you mean budget?",
    "tasks=listops": "tasks is not a setting; did you mean task?",
    "show=confg": "show 'confg' does not exist; did you mean config? Choose one of config.",
}
"""Mistyped words -> what is answered."""

CODE = """
import contextlib, io, json, sys
from spike_ssm.harness.sweep import main
answers = {}
for words in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        status = main(words.split())
    answers[words] = [status, out.getvalue(), err.getvalue()]
print(json.dumps([answers, sorted({"torch", "numba", "pandas"} & set(sys.modules))]))
"""


def test_words_of_others_and_mistyped_ones_get_one_sentence_each_before_torch_is_loaded() -> None:
    asked = {**HABITS, **MEANT}
    command = [sys.executable, "-c", CODE, json.dumps(list(asked))]
    answers, loaded = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert loaded == []
    for words, (status, out, err) in answers.items():
        assert (status, out, err.count("\n")) == (1, "", 1), words
        assert asked[words] in err


def test_the_keys_that_are_known_without_torch_are_those_of_the_settings() -> None:
    classes: dict[str, list[type]] = {
        "task": list(TASK_SETTINGS.values()),
        "neuron": [settings for _, settings in NEURONS.values()],
        "model": [ModelSettings],
        "optim": [OptimSettings],
        "launcher": [LauncherSettings],
        "robustness": [RobustnessSettings],
        "paths": [PathSettings],
        "scale": [ScaleSettings],
    }
    dotted = {f"{group}.{each.name}" for group, kinds in classes.items() for kind in kinds for each in fields(kind)}
    plain = {each.name for each in fields(Settings)} - {*GROUPS, "paths"}
    assert set(known_keys(Documents([SWEEPS]))) == {key for key in dotted if not key.endswith(".name")} | plain


def test_the_files_that_tell_the_settings_are_read_once_for_all_words(monkeypatch: pytest.MonkeyPatch) -> None:
    read, plain = [], Documents.plain

    def counted(documents: Documents, group: str, name: str) -> dict[str, Any]:
        read.append((group, name))
        return plain(documents, group, name)

    monkeypatch.setattr(Documents, "plain", counted)
    check_words(Documents([SWEEPS]), parse_command_line(["seed=1", "optim.lr=0.1", "optim.epochs=3"]))
    assert len(read) == len(set(read)) > 0


def test_the_axes_of_every_sweep_are_known_with_their_labels() -> None:
    documents = Documents([SWEEPS])
    assert labels_of(documents, "ablation_refractory")["threshold"] == ["trainable", "fixed"]  # of another scale
    assert labels_of(documents, "robustness") == labels_of(documents, "ablation_neuron")
    for sweep in documents.options("sweep"):
        assert labels_of(documents, sweep)


@pytest.mark.parametrize("flag", fields(Flags), ids=lambda flag: flag.name)
def test_a_flag_is_explained_in_the_help_of_the_commands_that_take_it(
    flag: object, capsys: pytest.CaptureFixture[str]
) -> None:
    said = flag.metadata
    assert {"form", "explained", "programs"} <= said.keys(), "say with `_said` what the flag does, and who takes it"
    assert said["programs"]
    for program in said["programs"]:
        with pytest.raises(SystemExit):
            importlib.import_module(f"spike_ssm.harness.{program}").main(["--help"])
        (line,) = (line for line in capsys.readouterr().out.splitlines() if line.endswith(said["explained"]))
        assert line.split()[0] == said["form"]


@pytest.mark.parametrize("program", ["harness.sweep", "harness.tune", "harness.train", "harness.tasks"])
def test_a_command_refuses_the_flags_of_others_by_name(program: str) -> None:
    taken = flags_of(program)
    for flag in FLAGS:
        command = CommandLine(None, given=(flag,))
        if flag in taken:
            command.refuse(program, takes="settings")
        else:
            with pytest.raises(UserError, match=f"^{program} takes no {flag}; it takes settings"):
                command.refuse(program, takes="settings")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("lif_sotf", "did you mean lif_soft? Choose one of lif_soft, gelu."),
        ("squid", "choose one of lif_soft, gelu."),
        ("", "choose one of lif_soft, gelu."),
    ],
)
def test_a_name_that_is_not_there_gets_the_one_that_was_meant(given: str, sentence: str) -> None:
    assert instead(given, ["lif_soft", "gelu"]) == sentence


def test_many_names_are_not_listed_beside_the_one_that_was_meant() -> None:
    many = [f"name_{letter}{letter}{letter}" for letter in "abcdefghijklmnop"]
    assert instead("name_bbbb", many) == "did you mean name_bbb?"
    assert instead("other", many) == f"choose one of {', '.join(many)}."
