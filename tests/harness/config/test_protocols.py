"""The published protocols: what their authors' configurations say, and what is refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.system.root import ROOT
from spike_ssm.models.network import Inputs, build_network
from spike_ssm.results.errors import UserError
from tests.harness.config.write_protocols import FILE, composed, text_of

NEURONS = {"s4d_lra": "gelu", "spikingssm": "sdn", "pspikessm": "pspike"}

# layers, channels, state size, norm, before the block, dropout, rate, decay, batch, epochs
TABLE = {
    "s4d_lra": {
        "listops": (6, 256, 4, "batch", False, 0.0, 0.01, 0.05, 32, 40),
        "text": (6, 256, 4, "batch", True, 0.0, 0.01, 0.05, 16, 32),
        "retrieval": (6, 256, 64, "batch", True, 0.0, 0.01, 0.05, 64, 20),
        "image": (6, 512, 64, "batch", False, 0.1, 0.01, 0.05, 50, 200),
        "pathfinder": (6, 256, 64, "batch", True, 0.0, 0.004, 0.05, 64, 200),
        "pathx": (6, 256, 64, "batch", True, 0.0, 0.001, 0.05, 16, 50),
    },
    "spikingssm": {  # norms that follow a block are computed and dropped there
        "listops": (6, 256, 4, "none", False, 0.0, 0.01, 0.01, 32, 40),
        "text": (6, 256, 4, "batch", True, 0.0, 0.01, 0.05, 16, 32),
        "retrieval": (6, 256, 64, "batch", True, 0.0, 0.01, 0.01, 64, 20),
        "image": (6, 512, 64, "none", False, 0.1, 0.01, 0.01, 50, 200),
        "pathfinder": (6, 256, 64, "batch", True, 0.0, 0.004, 0.01, 64, 200),
        "pathx": (6, 256, 64, "batch", True, 0.0, 0.001, 0.01, 16, 50),
        "smnist": (2, 400, 64, "none", False, 0.1, 0.01, 0.01, 50, 100),
        "psmnist": (4, 256, 64, "none", False, 0.1, 0.01, 0.01, 50, 100),
        "wikitext103": (16, 1024, 64, "layer", True, 0.1, 0.0005, 0.1, 1, 63),
    },
    "pspikessm": {
        "listops": (4, 128, 16, "batch", False, 0.0, 0.0008, 0.01, 32, 200),
        "text": (4, 128, 16, "batch", True, 0.05, 0.005, 0.05, 32, 200),
        "retrieval": (4, 200, 24, "batch", True, 0.0, 0.003, 0.05, 36, 20),
        "image": (6, 512, 64, "layer", False, 0.1, 0.005, 0.01, 50, 200),
        "pathfinder": (6, 256, 64, "batch", True, 0.1, 0.0002, 0.0, 100, 500),
        "smnist": (2, 400, 64, "batch", True, 0.1, 0.0005, 0.01, 64, 200),
        "psmnist": (2, 400, 64, "batch", True, 0.1, 0.0005, 0.01, 64, 200),
    },
}
WARM_UP = {  # steps of it, and steps an epoch
    ("s4d_lra", "listops"): (12_000, 96_000 / 32),
    ("s4d_lra", "text"): (5_000, 25_000 / 16),
    ("spikingssm", "image"): (18_000, 45_000 / 50),
    ("spikingssm", "pathx"): (50_000, 160_000 / 16),
    ("spikingssm", "smnist"): (1_000, 54_000 / 50),
    ("pspikessm", "retrieval"): (5_000, 147_086 / 36),
    ("pspikessm", "pathfinder"): (50_000, 160_000 / 100),
}
CELLS = [(protocol, task) for protocol, tasks in TABLE.items() for task in tasks]


def settings(composer: Composer, protocol: str, task: str, **more: Any) -> Settings:
    return composer.settings({"scale": "paper", "protocol": protocol, "task": task, "neuron": NEURONS[protocol]} | more)


def test_the_protocols_cover_these_tasks(composer: Composer) -> None:
    assert set(composer.options("protocol")) == {"ours", *TABLE}
    for protocol, tasks in TABLE.items():
        assert set(composer.options(f"protocol/{protocol}")) == set(tasks)


@pytest.mark.parametrize(("protocol", "task"), CELLS)
def test_network_and_budget_are_the_published_ones(composer: Composer, protocol: str, task: str) -> None:
    found = settings(composer, protocol, task)
    model, optim = found.model, found.optim
    network = (model.layers, model.channels, model.state_size, model.norm, model.prenorm, model.dropout)
    budget = (optim.lr, optim.weight_decay, optim.batch_size, optim.epochs)
    assert (*network, *budget) == TABLE[protocol][task]
    assert optim.ssm_lr == 0.001
    assert (model.dt_min, model.dt_max) == (1e-4 if task == "pathx" else 1e-3, 0.1)


@pytest.mark.parametrize(("protocol", "task"), WARM_UP)
def test_the_warm_up_is_of_the_published_number_of_steps(composer: Composer, protocol: str, task: str) -> None:
    steps, an_epoch = WARM_UP[protocol, task]
    assert settings(composer, protocol, task).optim.warmup_epochs * an_epoch == pytest.approx(steps, rel=0.02)


@pytest.mark.parametrize(("protocol", "task"), CELLS)
def test_step_sizes_and_thresholds_learn_as_published(composer: Composer, protocol: str, task: str) -> None:
    found = settings(composer, protocol, task)
    apart = ("image", "pathfinder", "pathx")  # there the step size is in the group of A and B
    main = protocol != "spikingssm" and task not in apart
    assert found.optim.dt_lr == (found.optim.lr if main else None)
    decays = found.optim.weight_decay if protocol == "spikingssm" else 0.0
    assert found.optim.neuron_weight_decay == decays


def test_what_follows_the_main_rate_and_decay_follows_a_changed_one(composer: Composer) -> None:
    changed = {"optim.lr": 0.02, "optim.weight_decay": 0.3}
    assert settings(composer, "s4d_lra", "text", **changed).optim.dt_lr == 0.02
    assert settings(composer, "spikingssm", "text", **changed).optim.neuron_weight_decay == 0.3
    assert settings(composer, "spikingssm", "text", **{"optim.neuron_weight_decay": 0}).optim.neuron_weight_decay == 0


def test_spikingssms_details(composer: Composer) -> None:
    models = {task: settings(composer, "spikingssm", task).model for task in TABLE["spikingssm"]}
    assert {task for task, model in models.items() if model.b_trainable} == {"listops", "text", "pathx"}
    assert {task for task, model in models.items() if not model.bidirectional} == {"smnist", "psmnist", "wikitext103"}
    assert {model.initialisation for model in models.values()} == {"lin"}
    for model in models.values():
        assert (model.dropout_places, model.dropout_tied) == (["after_neuron", "after_block"], True)
        assert not model.final_norm
    words = models["wikitext103"]
    assert (words.embedding_dropout, words.softmax_dropout, words.softmax_divisor) == (0.25, 0.25, 4.0)
    assert settings(composer, "spikingssm", "wikitext103").task.context == 8192


def test_s4ds_details(composer: Composer) -> None:
    models = {task: settings(composer, "s4d_lra", task).model for task in TABLE["s4d_lra"]}
    assert {task for task, model in models.items() if model.initialisation == "inv"} == {"pathx"}
    for model in models.values():
        assert model.dropout_places == ["before_neuron", "after_neuron", "after_block"]
        assert model.dropout_tied
        assert model.final_norm
        assert model.b_trainable


@pytest.mark.parametrize("protocol", TABLE)
def test_the_network_of_a_protocol_trains(composer: Composer, protocol: str) -> None:
    for task in ("listops", "image"):  # without dropout and with
        found = settings(composer, protocol, task)
        small = replace(found.model, layers=2, channels=8, state_size=4)
        network = build_network("classification", Inputs(20), 10, small, found.neuron)
        tokens, lengths = torch.randint(3, 20, (3, 30)), torch.tensor([30, 30, 12])
        network.score(tokens, lengths, torch.tensor([1, 2, 3])).loss.backward()
        assert all(parameter.grad is not None for parameter in network.parameters() if parameter.requires_grad)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            {"protocol": "spikingssm"},
            ["protocol=spikingssm has no settings for task=listops at scale=laptop", "scale=paper for task=image,"],
        ),
        (
            {"protocol": "pspikessm", "scale": "paper", "task": "pathx"},
            [
                "no settings for task=pathx at scale=paper",
                "task=image,listops,pathfinder,psmnist,retrieval,smnist,text.",
            ],
        ),
        ({"protocol": "s4d_lra", "scale": "gpu", "task": "text"}, ["task=text at scale=gpu", "or protocol=ours"]),
        ({"protocol": "mamba"}, ["protocol=mamba does not exist", "ours, pspikessm, s4d_lra, spikingssm"]),
    ],
)
def test_a_protocol_without_settings_is_refused_with_those_that_there_are(
    composer: Composer, overrides: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(UserError) as caught:
        composer.settings(overrides)
    assert [word for word in words if word not in str(caught.value)] == []


def test_ours_changes_nothing(composer: Composer) -> None:
    for overrides in ({}, {"scale": "gpu", "task": "text"}, {"scale": "paper", "task": "pathx"}):
        assert composer.settings({**overrides, "protocol": "ours"}).run_id() == composer.settings(overrides).run_id()


def test_a_protocol_of_a_users_folder_has_what_its_tasks_share_and_what_each_has(tmp_path: Path) -> None:
    (tmp_path / "protocol" / "mine").mkdir(parents=True)
    (tmp_path / "protocol" / "mine.yaml").write_text("# @package _global_\nmodel: {dropout: 0.3, layers: 3}\n")
    (tmp_path / "protocol" / "mine" / "text.yaml").write_text("# @package _global_\nmodel: {layers: 5}\n")
    composer = Composer(tmp_path)
    found = composer.settings({"protocol": "mine", "scale": "paper", "task": "text"})
    assert (found.model.dropout, found.model.layers, found.model.channels) == (0.3, 5, 256)
    with pytest.raises(UserError, match="it has settings at scale=paper for task=text"):
        composer.settings({"protocol": "mine", "scale": "paper"})


def test_the_documentation_names_every_protocol_with_its_tasks(composer: Composer) -> None:
    page = (ROOT / "docs" / "reports.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| (`[^|]+`) \| `configs/", page, re.MULTILINE)
    assert {name: re.findall(r"`(\w+)`", tasks) for name, tasks in rows} == {
        protocol: composer.options(f"protocol/{protocol}") for protocol in TABLE
    }


def test_the_protocols_that_reports_know_are_those_of_the_sweeps(composer: Composer) -> None:
    wanted = text_of(composed(composer))
    assert json.loads(FILE.read_text()) == json.loads(wanted), (
        "write it anew: python -m tests.harness.config.write_protocols"
    )
    assert FILE.read_text() == wanted
