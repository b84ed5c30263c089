"""The classifier: padding changes nothing, norms act, the threshold is a gauge, groups are decayed as documented.

Also: spikes of each direction, firing rates that a loss may use, and blocks whose neurons do not spike.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from spike_ssm.models.activity import collect_firing_rates, record_activity
from spike_ssm.models.network import Classifier, Inputs, ModelSettings, parameter_groups, real_tokens
from spike_ssm.models.neurons import RefractoryLIFSettings
from spike_ssm.models.neurons.gelu import GELUSettings
from spike_ssm.models.norm import MaskedBatchNorm

MODEL = ModelSettings(layers=2, channels=12, state_size=4)
CAUSAL = replace(MODEL, bidirectional=False)
APART = replace(MODEL, spikes_per_direction=True)


def network(model: ModelSettings = MODEL, **neuron: object) -> Classifier:
    torch.manual_seed(0)
    return Classifier(Inputs(18), 10, model, RefractoryLIFSettings(**neuron))  # type: ignore[arg-type]


def tokens(batch: int, length: int) -> torch.Tensor:
    return torch.randint(3, 18, (batch, length), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("model", [CAUSAL, MODEL, APART], ids=["causal", "bidirectional", "spikes_per_direction"])
@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("prenorm", [False, True])
def test_padding_changes_no_score_no_gradient_and_no_running_statistic(
    prenorm: bool, norm: str, model: ModelSettings, training: bool
) -> None:
    model = replace(model, prenorm=prenorm, norm=norm)
    lengths = torch.tensor([20, 13, 7])
    short = tokens(3, 20)
    for row, length in enumerate(lengths):
        short[row, length:] = 0
    long = torch.cat((short, torch.full((3, 9), 5)), 1)  # what stands in the padding must not matter
    outcomes = []
    for padded in (short, long):
        net = network(model).train(training)
        scores = net(padded, lengths)
        scores.square().sum().backward()
        state = {name: value for name, value in net.state_dict().items() if "running" in name}
        grads = {name: p.grad for name, p in net.named_parameters() if p.grad is not None}
        grads["backbone.encoder.weight"] = net.backbone.encoder.weight.grad[6:]  # type: ignore[index]
        outcomes.append((scores, state, grads))
    torch.testing.assert_close(outcomes[0], outcomes[1], rtol=1e-3, atol=1e-4)


def test_padding_does_not_count_in_firing_rates() -> None:
    net = network().eval()
    lengths = torch.tensor([20, 13, 7])
    rates = []
    for length in (20, 40):
        padded = torch.zeros(3, length, dtype=torch.int64)
        padded[:, :20] = tokens(3, 20)
        with record_activity(net) as layers:
            net(padded, lengths)
        assert [layer.tokens for layer in layers] == [40, 40]
        rates.append(torch.stack([layer.rates for layer in layers]))
    torch.testing.assert_close(rates[0], rates[1])
    assert 0 < float(rates[0].mean()) < 1


def test_activity_is_counted_only_while_it_is_recorded() -> None:
    net = network().eval()
    with record_activity(net) as layers:
        net(tokens(2, 10), torch.tensor([10, 10]))
    net(tokens(2, 10), torch.tensor([10, 10]))
    assert layers[0].tokens == 20
    assert layers[0].firing_rate == pytest.approx(float(layers[0].rates.mean()))


def test_masked_batch_norm_is_batch_norm_of_the_real_tokens_alone() -> None:
    x = torch.randn(4, 6, 15)
    mask = torch.arange(15) < torch.tensor([15, 3, 8, 1])[:, None]
    ours, theirs = MaskedBatchNorm(6), nn.BatchNorm1d(6)
    for norm in (ours, theirs):
        nn.init.constant_(norm.weight, 1.5)
        nn.init.constant_(norm.bias, 0.3)
    got = ours(x, mask[:, None]).transpose(1, 2)[mask]
    expected = theirs(x.transpose(1, 2)[mask])
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_a_batch_without_padding_is_computed_without_a_mask_and_comes_out_the_same(
    norm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, nets = torch.tensor([25, 25]), [network(replace(MODEL, norm=norm)) for _ in range(2)]
    assert real_tokens(tokens(2, 25), full) is None
    scores = [nets[0](tokens(2, 25), full)]
    everywhere = torch.ones(2, 1, 25, dtype=torch.bool)
    monkeypatch.setattr("spike_ssm.models.backbone.real_tokens", lambda *_: everywhere)
    scores.append(nets[1](tokens(2, 25), full))
    torch.testing.assert_close(*scores)
    for one, other in zip(nets[0].buffers(), nets[1].buffers(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.slow
def test_a_compiled_network_is_one_graph_and_computes_the_same() -> None:
    net, compiled = (network() for _ in range(2))
    score = torch.compile(compiled.score, fullgraph=True, backend="aot_eager")
    inputs, lengths, labels = tokens(3, 40), torch.tensor([40, 13, 7]), torch.tensor([0, 1, 2])
    for scored in (net.score(inputs, lengths, labels), score(inputs, lengths, labels)):
        scored.loss.backward()
    for one, other in zip(net.parameters(), compiled.parameters(), strict=True):
        assert one.requires_grad == (one.grad is not None)
        torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("prenorm", [False, True])
def test_the_norm_really_acts(prenorm: bool, norm: str) -> None:
    net = network(replace(MODEL, prenorm=prenorm, norm=norm)).eval()
    before = net(tokens(2, 30), torch.tensor([30, 30]))
    for block in net.blocks:
        nn.init.constant_(block.norm.weight, 3.0)
    assert not torch.allclose(before, net(tokens(2, 30), torch.tensor([30, 30])))


def test_the_threshold_is_a_gauge_of_the_network() -> None:
    """(threshold, magnitude, C, D) -> c (...) leaves every score as it is: a trained threshold adds no capacity."""
    plain, scaled = network().eval(), network().eval()
    with torch.no_grad():
        for block in scaled.blocks:
            block.ssm.c *= 4
            block.ssm.d *= 4
            block.neuron.threshold.scale(4.0)  # type: ignore[union-attr]
    lengths = torch.tensor([40, 25])
    with record_activity(plain) as a, record_activity(scaled) as b:
        torch.testing.assert_close(plain(tokens(2, 40), lengths), scaled(tokens(2, 40), lengths))
    for one, four in zip(a, b, strict=True):
        assert torch.equal(one.rates, four.rates)
        assert four.input_std == pytest.approx(4 * one.input_std)


def test_a_causal_network_does_not_look_ahead_and_a_bidirectional_one_does() -> None:
    seen = {}
    for bidirectional in (False, True):
        net = network(replace(MODEL, bidirectional=bidirectional)).eval()
        spikes: list[torch.Tensor] = []
        hook = net.blocks[-1].neuron.register_forward_hook(lambda _m, _i, out, spikes=spikes: spikes.append(out))
        changed = tokens(1, 30)
        net(changed, torch.tensor([30]))
        changed[:, 20:] = 3 + (changed[:, 20:] + 4) % 15
        net(changed, torch.tensor([30]))
        hook.remove()
        seen[bidirectional] = torch.equal(spikes[0][..., :20], spikes[1][..., :20])
    assert seen == {False: True, True: False}


def test_the_two_directions_apart_add_up_to_the_summed_form() -> None:
    ssm = network().blocks[0].ssm
    x = torch.randn(3, 12, 40)
    ssm.directions_apart = True
    apart = ssm(x)
    ssm.directions_apart = False
    assert apart.shape == (3, 24, 40)
    torch.testing.assert_close(apart[:, :12] + apart[:, 12:], ssm(x), rtol=1e-4, atol=1e-5)


def test_the_first_half_of_the_neurons_sees_the_present_and_past_the_second_half_the_future() -> None:
    block = network(APART).blocks[0]
    seen: list[Tensor] = []
    block.neuron.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    x = torch.randn(1, 12, 30)
    changed = x.clone()
    changed[..., 20] += 1
    for each in (x, changed):
        block(each, None)
    moved = (seen[1] - seen[0]).abs() > 1e-4
    past, future = moved[0, :12].any(0), moved[0, 12:].any(0)
    assert past.nonzero().min() == 20
    assert future.nonzero().max() == 19


def test_each_direction_has_neurons_of_its_own_and_mixing_takes_both() -> None:
    net = network(APART)
    assert [neuron.channels for neuron in net.neurons] == [24, 24]
    with record_activity(net) as layers:
        assert net(tokens(2, 30), torch.tensor([30, 30])).shape == (2, 10)
    assert [layer.rates.shape for layer in layers] == [(24,), (24,)]


@pytest.mark.parametrize(
    ("placement", "spiking"),
    [("after_ssm", (False, False)), ("around_ssm", (True, False)), ("after_mixing", (False, True))],
)
def test_spikes_also_enter_the_ssm_or_the_residual_where_neurons_are_placed_so(
    placement: str, spiking: tuple[bool, bool]
) -> None:
    net = network(replace(MODEL, neuron_placement=placement, norm="layer"))
    block = net.blocks[0]
    block.prenorm = True  # so that nothing comes after the sum
    driven: list[Tensor] = []
    block.ssm.register_forward_pre_hook(lambda _, args: driven.append(args[0]))
    x = 3 * torch.randn(2, 12, 30)
    added = block(x, None) - x
    is_binary = [bool(((each - each.round()).abs() < 1e-5).all()) for each in (driven[0], added)]
    assert is_binary == list(spiking)


@pytest.mark.parametrize("placement", ["around_ssm", "after_mixing"])
def test_every_neuron_of_a_block_is_a_layer_of_its_own_in_the_order_of_computing(placement: str) -> None:
    net = network(replace(MODEL, neuron_placement=placement))
    called: list[nn.Module] = []
    for neuron in net.neurons:
        neuron.register_forward_hook(lambda module, *_: called.append(module))
    with record_activity(net) as layers, collect_firing_rates(net):
        net(tokens(2, 30), torch.tensor([30, 30]))
    assert called == net.neurons
    assert len(layers) == len(net.neurons) == 4
    parts = {(part.layer, part.name) for part in net.operations_per_step(30)}
    assert {layer for layer, name in parts if name == "neuron"} == {0, 1, 2, 3}
    assert {layer for layer, name in parts if name == "projection"} == ({1, 3} if placement == "around_ssm" else {0, 2})


@pytest.mark.parametrize("lengths", [(20, 20, 20), (20, 13, 7)], ids=["full", "padded"])
def test_recomputed_activations_change_no_number_and_are_not_kept(lengths: tuple[int, ...]) -> None:
    outcomes, calls = [], [0, 0]
    for recomputes in (False, True):
        net = network(replace(MODEL, dropout=0.3)).train()
        net.backbone.recomputes = recomputes
        net.blocks[0].register_forward_pre_hook(
            lambda *_, which=int(recomputes): calls.__setitem__(which, calls[which] + 1)
        )
        torch.manual_seed(2)
        with collect_firing_rates(net) as rates:
            scores = net(tokens(3, 20), torch.tensor(lengths))
        (scores.square().sum() + sum(rate.square() for rate in rates)).backward()
        assert len(rates) == 2
        grads = {name: p.grad for name, p in net.named_parameters() if p.grad is not None}
        outcomes.append((scores, grads, dict(net.named_buffers())))
    torch.testing.assert_close(*outcomes, rtol=0, atol=0)
    assert calls == [1, 2]


@pytest.mark.parametrize("model", [MODEL, APART], ids=["summed", "spikes_per_direction"])
def test_parameter_groups_have_the_documented_rates_and_decays(model: ModelSettings) -> None:
    net = network(model, decay_trainable=True, leak_trainable=True)
    groups = {group["name"]: group for group in parameter_groups(net, lr=0.01, ssm_lr=0.001, weight_decay=0.05)}
    names = {id(p): name for name, p in net.named_parameters()}
    members = {name: sorted({names[id(p)].split(".", 3)[-1] for p in g["params"]}) for name, g in groups.items()}
    assert members == {
        "ssm": ["ssm.b", "ssm.frequency", "ssm.log_decay"],
        "dt": ["ssm.log_dt"],
        "neuron": [
            "neuron_at.after_ssm._decay.logit",
            "neuron_at.after_ssm._refractory.inverse_softplus",
            "neuron_at.after_ssm.leak.logit",
            "neuron_at.after_ssm.threshold.logarithm",
        ],
        "plain": ["bias", "mixing.bias", "norm.bias", "norm.weight", "weight"],
        "decayed": ["mixing.weight", "ssm.c", "ssm.d", "weight"],
    }
    assert any(p is net.backbone.encoder.weight for p in groups["plain"]["params"])
    assert any(p is net.head.weight for p in groups["decayed"]["params"])
    assert {name: (g["lr"], g["weight_decay"]) for name, g in groups.items()} == {
        "ssm": (0.001, 0.0),
        "dt": (0.001, 0.0),
        "neuron": (0.01, 0.0),
        "plain": (0.01, 0.0),
        "decayed": (0.01, 0.05),
    }
    trainable = [p for p in net.parameters() if p.requires_grad]
    assert sum(len(g["params"]) for g in groups.values()) == len(trainable)


def test_dt_may_have_a_rate_of_its_own_and_thresholds_may_decay() -> None:
    groups = parameter_groups(network(), 0.01, 0.001, 0.05, dt_lr=0.01, neuron_weight_decay=0.02)
    chosen = {group["name"]: (group["lr"], group["weight_decay"]) for group in groups}
    assert (chosen["dt"], chosen["ssm"], chosen["neuron"]) == ((0.01, 0.0), (0.001, 0.0), (0.01, 0.02))


def test_a_b_that_is_not_trained_is_in_no_group() -> None:
    net = network(replace(MODEL, b_trainable=False))
    grouped = {id(p) for group in parameter_groups(net, 0.01, 0.001, 0.05) for p in group["params"]}
    assert not {id(block.ssm.b) for block in net.blocks} & grouped


def dense() -> Classifier:
    torch.manual_seed(0)
    return Classifier(Inputs(18), 10, MODEL, GELUSettings())


def test_collected_firing_rates_are_those_of_the_layers_and_pull_at_what_comes_before_the_spikes() -> None:
    net, lengths = network(), torch.tensor([20, 13, 7])
    with record_activity(net) as layers:
        net(tokens(3, 20), lengths)
    with collect_firing_rates(net) as rates:
        net(tokens(3, 20), lengths)
    assert [float(rate.detach()) for rate in rates] == pytest.approx([layer.firing_rate for layer in layers])
    rates[1].backward()
    for block in net.blocks:
        (threshold,) = block.neuron.threshold.parameters()  # type: ignore[union-attr]
        assert threshold.grad is not None
        assert threshold.grad.abs().sum() > 0
    assert net.head.weight.grad is None
    net(tokens(3, 20), lengths)
    assert len(rates) == 2, "nothing is collected once the context is closed"


def test_neurons_that_do_not_spike_have_no_rate_to_collect() -> None:
    net = dense()
    with collect_firing_rates(net) as rates:
        net(tokens(2, 10), torch.tensor([10, 10]))
    assert rates == []


@pytest.mark.parametrize(
    "changes",
    [
        {"norm": "group"},
        {"initialisation": "hippo"},
        {"layers": 0},
        {"channels": 0},
        {"dropout": 1.0},
        {"embedding_dropout": 1.0},
        {"softmax_dropout": -0.1},
        {"dropout_places": ["everywhere"]},
        {"dropout_places": []},
        {"softmax_cutoffs": [10, 10]},
        {"softmax_cutoffs": [0, 10]},
        {"softmax_divisor": 0.5},
        {"state_size": 3},
        {"dt_min": 0.0},
        {"initial_firing_rate": 0.0},
        {"initial_firing_rate": 1.0},
        {"spikes_per_direction": True, "bidirectional": False},
    ],
)
def test_model_settings_that_make_no_sense_get_a_sentence(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must |does not exist"):
        replace(MODEL, **changes)  # type: ignore[arg-type]
