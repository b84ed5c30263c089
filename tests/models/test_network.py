"""The classifier: padding changes nothing, norms act, the threshold is a gauge, groups are decayed as documented."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from models.activity import record_activity
from models.block import Block
from models.network import Classifier, ModelSettings, parameter_groups
from models.neurons import RefractoryLIFSettings
from models.norm import MaskedBatchNorm

MODEL = ModelSettings(layers=2, channels=12, state_size=4)


def network(model: ModelSettings = MODEL, **neuron: object) -> Classifier:
    torch.manual_seed(0)
    return Classifier(18, 10, model, RefractoryLIFSettings(**neuron))  # type: ignore[arg-type]


def tokens(batch: int, length: int) -> torch.Tensor:
    return torch.randint(3, 18, (batch, length), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("prenorm", [False, True])
def test_padding_changes_no_score_no_gradient_and_no_running_statistic(
    prenorm: bool, norm: str, bidirectional: bool, training: bool
) -> None:
    model = replace(MODEL, prenorm=prenorm, norm=norm, bidirectional=bidirectional)
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
        grads["encoder.weight"] = net.encoder.weight.grad[6:]  # type: ignore[index]
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
@pytest.mark.parametrize("prenorm", [False, True])
def test_the_norm_really_acts(prenorm: bool, norm: str) -> None:
    net = network(replace(MODEL, prenorm=prenorm, norm=norm)).eval()
    before = net(tokens(2, 30), torch.tensor([30, 30]))
    for block in net.blocks:
        assert isinstance(block, Block)
        nn.init.constant_(block.norm.weight, 3.0)
    assert not torch.allclose(before, net(tokens(2, 30), torch.tensor([30, 30])))


def test_the_threshold_is_a_gauge_of_the_network() -> None:
    """(threshold, magnitude, C, D) -> c (...) leaves every score as it is: a trained threshold adds no capacity."""
    plain, scaled = network().eval(), network().eval()
    with torch.no_grad():
        for block in scaled.blocks:
            assert isinstance(block, Block)
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


def test_parameter_groups_have_the_documented_rates_and_decays() -> None:
    net = network(decay_trainable=True, leak_trainable=True)
    groups = {group["name"]: group for group in parameter_groups(net, lr=0.01, ssm_lr=0.001, weight_decay=0.05)}
    names = {id(p): name for name, p in net.named_parameters()}
    members = {name: sorted({names[id(p)].split(".", 2)[-1] for p in g["params"]}) for name, g in groups.items()}
    assert members == {
        "ssm": ["ssm.b", "ssm.frequency", "ssm.log_decay", "ssm.log_dt"],
        "neuron": [
            "neuron._decay._stored",
            "neuron._refractory._stored",
            "neuron.leak._stored",
            "neuron.threshold._stored",
        ],
        "plain": ["bias", "mixing.bias", "norm.bias", "norm.weight", "weight"],
        "decayed": ["mixing.weight", "ssm.c", "ssm.d", "weight"],
    }
    assert any(p is net.encoder.weight for p in groups["plain"]["params"])
    assert any(p is net.head.weight for p in groups["decayed"]["params"])
    assert {name: (g["lr"], g["weight_decay"]) for name, g in groups.items()} == {
        "ssm": (0.001, 0.0),
        "neuron": (0.01, 0.0),
        "plain": (0.01, 0.0),
        "decayed": (0.01, 0.05),
    }
    trainable = [p for p in net.parameters() if p.requires_grad]
    assert sum(len(g["params"]) for g in groups.values()) == len(trainable)


def test_a_refractory_current_costs_one_mac_and_one_ac_a_channel_more() -> None:
    plain = network(refractory=0.0, refractory_trainable=False).operations_per_step()
    refractory = network().operations_per_step()
    for without, with_current in zip(plain, refractory, strict=True):
        assert with_current.multiply_accumulates - without.multiply_accumulates == 12
        assert with_current.accumulates - without.accumulates == 12


@pytest.mark.parametrize(
    "changes",
    [
        {"norm": "none"},
        {"initialisation": "hippo"},
        {"layers": 0},
        {"channels": 0},
        {"dropout": 1.0},
        {"state_size": 3},
        {"dt_min": 0.0},
    ],
)
def test_model_settings_that_make_no_sense_get_a_sentence(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must |does not exist"):
        replace(MODEL, **changes)  # type: ignore[arg-type]
