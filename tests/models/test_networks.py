"""What every network is held to, whatever its task: any neuron, one way of scoring, values as well as tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from spike_ssm.models.activity import collect_firing_rates, record_activity
from spike_ssm.models.calibration import TOLERANCE, calibrate_thresholds
from spike_ssm.models.network import (
    IGNORED,
    KINDS,
    Classifier,
    Inputs,
    LanguageModel,
    ModelSettings,
    Network,
    PairClassifier,
    build_network,
    parameter_groups,
)
from spike_ssm.models.neurons import NEURONS, RefractoryLIFSettings

MODEL = ModelSettings(layers=2, channels=16, state_size=4, bidirectional=False, softmax_cutoffs=[6, 12])
WORDS, CLASSES, LENGTHS = 18, 5, torch.tensor([20, 13, 7, 16])
TOKENS, VALUES = Inputs(WORDS), Inputs(None)

every_kind = pytest.mark.parametrize("kind", KINDS)


def build(kind: str, inputs: Inputs = TOKENS, model: ModelSettings = MODEL, neuron: str = "refractory_lif") -> Network:
    torch.manual_seed(0)
    return build_network(kind, inputs, CLASSES, model, NEURONS[neuron][1]())


def batch(kind: str) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, lengths and labels; in a text, all words are to be predicted."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(WORDS, (4, 20), generator=generator)
    if kind == "language":
        labels = torch.randint(WORDS, (4, 20), generator=generator)
        return tokens, LENGTHS, labels.where(torch.arange(20) < LENGTHS[:, None], torch.tensor(IGNORED))
    return tokens, LENGTHS, torch.randint(CLASSES, (2 if kind == "pairs" else 4,), generator=generator)


def values(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2))


# --- kinds


def test_every_kind_has_its_network() -> None:
    assert {kind: type(build(kind)) for kind in KINDS} == {
        "classification": Classifier,
        "pairs": PairClassifier,
        "language": LanguageModel,
    }


def test_an_unknown_kind_gets_a_sentence() -> None:
    with pytest.raises(ValueError, match="kind 'regression'; choose one of classification, pairs, language"):
        build("regression")


@pytest.mark.parametrize(("vocabulary", "features"), [(0, 1), (None, 0)])
def test_inputs_of_no_size_get_a_sentence(vocabulary: int | None, features: int) -> None:
    with pytest.raises(ValueError, match="must be at least 1, but it is 0"):
        Inputs(vocabulary, features)


@every_kind
@pytest.mark.parametrize("neuron", NEURONS)
def test_every_neuron_trains_in_every_network(neuron: str, kind: str) -> None:
    net = build(kind, neuron=neuron)
    scored = net.score(*batch(kind))
    scored.loss.backward()
    assert 0 < float(scored.loss.detach()) < 100
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


# --- scoring


@pytest.mark.parametrize("kind", ["classification", "pairs"])
def test_a_classifiers_loss_and_answers_are_those_of_its_class_scores(kind: str) -> None:
    net = build(kind).eval()
    inputs, lengths, labels = batch(kind)
    scored, logits = net.score(inputs, lengths, labels), net(inputs, lengths)
    assert logits.shape == (len(labels), CLASSES)
    torch.testing.assert_close(scored.loss, cross_entropy(logits, labels))
    assert torch.equal(scored.predictions, logits.argmax(-1))
    torch.testing.assert_close(scored.scores, logits.detach().softmax(-1).amax(-1))
    assert scored.count == len(labels)


@every_kind
def test_answers_are_detached_and_cost_nothing_where_they_are_not_asked_for(kind: str) -> None:
    net = build(kind).eval()
    asked, unasked = (net.score(*batch(kind), predict=predict) for predict in (True, False))
    assert torch.equal(asked.loss, unasked.loss)
    assert asked.count == unasked.count == len(asked.predictions) == len(asked.scores)
    assert len(unasked.predictions) == len(unasked.scores) == 0
    for scored in (asked, unasked):
        assert scored.loss.requires_grad
        assert not scored.scores.requires_grad
        assert scored.predictions.dtype == torch.int64


# --- values


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", ["classification", "pairs"])
@pytest.mark.parametrize(("bidirectional", "pooling"), [(True, "mean"), (False, "mean"), (False, "last")])
def test_padding_changes_nothing_for_values(bidirectional: bool, pooling: str, kind: str, training: bool) -> None:
    short, outcomes = values(4, 20), []
    for padding in (0.0, 7.0):
        model = replace(MODEL, bidirectional=bidirectional, prenorm=True, pooling=pooling)
        net = build(kind, VALUES, model).train(training)
        padded = torch.cat((short, torch.zeros(4, 9)), 1)
        padded[torch.arange(29) >= LENGTHS[:, None]] = padding
        scores = net(padded, LENGTHS)
        scores.square().sum().backward()
        gradients = {name: parameter.grad for name, parameter in net.named_parameters() if parameter.requires_grad}
        outcomes.append((scores, gradients))
        alone = net(short[:, : int(LENGTHS.max())], LENGTHS)
        torch.testing.assert_close(scores, alone, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(outcomes[0], outcomes[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("prenorm", [True, False])
@pytest.mark.parametrize("lengths", [LENGTHS, torch.full((4,), 20)])
def test_pooling_is_the_mean_of_the_real_steps_or_the_last_of_them(lengths: Tensor, prenorm: bool) -> None:
    x = values(4, 20)
    for pooling in ("mean", "last"):
        net = build("classification", VALUES, replace(MODEL, pooling=pooling, prenorm=prenorm)).eval()
        steps, _ = net.backbone(x, lengths)
        real = [row[:, :length] for row, length in zip(steps, lengths.tolist(), strict=True)]
        expected = torch.stack([row.mean(-1) if pooling == "mean" else row[:, -1] for row in real])
        torch.testing.assert_close(net.backbone.pooled(x, lengths), expected)


def test_the_last_step_alone_costs_no_mean() -> None:
    def accumulates(pooling: str) -> float:
        (head,) = (
            part
            for part in build("classification", VALUES, replace(MODEL, pooling=pooling)).operations_per_step(20)
            if part.name == "head"
        )
        return head.operations.accumulates

    assert accumulates("mean") - accumulates("last") == MODEL.channels


def test_one_value_a_step_may_have_an_axis_of_its_own_and_several_must() -> None:
    one, several = build("classification", VALUES).eval(), build("classification", Inputs(None, 3)).eval()
    x = values(4, 20, 3)
    assert torch.equal(one(x[..., 0], LENGTHS), one(x[..., :1], LENGTHS))
    scores = several(x, LENGTHS)
    for feature in range(3):
        changed = x.clone()
        changed[..., feature] += 3
        assert not torch.allclose(several(changed, LENGTHS), scores), "every feature counts"


@pytest.mark.parametrize("features", [1, 3])
def test_values_can_be_streamed(features: int) -> None:
    net = build("classification", Inputs(None, features)).double().eval()
    x, state = values(4, 30, features).double(), None
    for t in range(30):
        scores, state = net.step(x[:, t], state)
    torch.testing.assert_close(scores, net(x, torch.full((4,), 30)))


def test_a_network_for_values_learns_whether_the_second_half_is_louder() -> None:
    torch.manual_seed(3)
    net = Classifier(VALUES, 2, replace(MODEL, bidirectional=True), RefractoryLIFSettings())
    labels = torch.randint(2, (64,))
    x = torch.randn(64, 32)
    x[:, 16:] *= 0.3 + 2.7 * labels[:, None]
    optimiser = torch.optim.AdamW(parameter_groups(net, 0.01, 0.001, 0.05))
    for _ in range(40):
        scored = net.score(x, torch.full((64,), 32), labels)
        optimiser.zero_grad()
        scored.loss.backward()
        optimiser.step()
    assert float((scored.predictions == labels).double().mean()) > 0.95
    assert float(scored.loss.detach()) < 0.3


# --- what is measured on, and done to, any network


@every_kind
def test_activity_is_that_of_all_sequences(kind: str) -> None:
    net = build(kind).eval()
    inputs, lengths, labels = batch(kind)
    with record_activity(net) as layers:
        net.score(inputs, lengths, labels)
    with collect_firing_rates(net) as rates:
        net.score(inputs, lengths, labels)
    assert [layer.tokens for layer in layers] == [int(lengths.sum())] * 2
    assert [float(rate.detach()) for rate in rates] == pytest.approx([layer.firing_rate for layer in layers])
    parts = net.operations_per_step(10)
    assert {part.name for part in parts if part.layer is None} == {"encoder", "norm", "head"}
    assert {part.layer for part in parts} == {0, 1, None}


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [(kind, TOKENS) for kind in KINDS]
    + [(kind, Inputs(None, n)) for kind in ("classification", "pairs") for n in (1, 3)],
    ids=str,
)
def test_thresholds_are_calibrated(kind: str, inputs: Inputs) -> None:
    net = build(kind, inputs).eval()
    x = values(4, 20, inputs.features) if inputs.vocabulary is None else batch(kind)[0]
    calibrate_thresholds(net, x, LENGTHS, 0.15)
    with record_activity(net) as layers:
        net(x, LENGTHS)
    assert [layer.firing_rate for layer in layers] == pytest.approx([0.15] * 2, rel=TOLERANCE)


HEADS: dict[str, tuple[Inputs, set[str], set[str]]] = {
    "classification": (VALUES, {"backbone.encoder.weight", "head.weight"}, {"backbone.encoder.bias", "head.bias"}),
    "pairs": (TOKENS, {"head.mlp.0.weight", "head.mlp.2.weight"}, {"head.mlp.0.bias", "head.mlp.2.bias"}),
    "language": (
        TOKENS,
        {"words.output.head.weight", *(f"words.output.tail.{i}.{j}.weight" for i in (0, 1) for j in (0, 1))},
        set(),
    ),
}


@pytest.mark.parametrize("kind", HEADS)
def test_heads_are_decayed_but_for_biases_and_so_is_an_encoder_of_values_but_no_embedding(kind: str) -> None:
    inputs, decayed, plain = HEADS[kind]
    net = build(kind, inputs)
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    members = {
        group["name"]: {names[id(parameter)] for parameter in group["params"]}
        for group in parameter_groups(net, 0.01, 0.001, 0.05)
    }
    assert {name for name in members["decayed"] if ".blocks." not in name} == decayed
    embedding = set() if isinstance(net.backbone.encoder, nn.Linear) else {"backbone.encoder.weight"}
    assert {name for name in members["plain"] if ".blocks." not in name} == plain | embedding
    trainable = [name for name, parameter in net.named_parameters() if parameter.requires_grad]
    assert sorted(name for group in members.values() for name in group) == sorted(trainable)
