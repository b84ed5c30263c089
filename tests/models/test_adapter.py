"""Neurons of SpikingJelly and snnTorch as ours: their own spikes and gradients, and what is no neuron is refused."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import snntorch
import torch
from snntorch import surrogate as snntorch_surrogate
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn

from spike_ssm.models.network import Classifier, Inputs, ModelSettings
from spike_ssm.models.neurons import NEURONS
from spike_ssm.models.neurons.adapter import Adapter
from spike_ssm.models.neurons.base import NeuronSettings
from spike_ssm.models.neurons.conformance import check_neuron

SHAPE = (3, 4, 24)  # B, H, L

Build = Callable[[int], nn.Module]
Adapted = Callable[..., "Theirs"]


@dataclass
class TheirsSettings(NeuronSettings):
    name: str = "theirs"
    tau: float = 2.0


class Theirs(Adapter):
    """The neuron under test: `made` makes its module."""

    made: Build = neuron.LIFNode

    def build(self, channels: int) -> nn.Module:
        return type(self).made(channels)


JELLY: dict[str, Build] = {
    "LIF, step by step": lambda _: neuron.LIFNode(step_mode="s"),
    "LIF, all steps": lambda _: neuron.LIFNode(step_mode="m"),
    "IF": lambda _: neuron.IFNode(surrogate_function=surrogate.ATan()),
    "parametric LIF": lambda _: neuron.ParametricLIFNode(step_mode="s"),
    "soft reset, detached": lambda _: neuron.LIFNode(v_reset=None, detach_reset=True),
    "sliding PSN": lambda _: neuron.SlidingPSN(k=4, step_mode="m"),
}
TORCH: dict[str, Build] = {
    "Leaky": lambda _: snntorch.Leaky(beta=0.8),
    "Leaky, trained": lambda _: snntorch.Leaky(beta=0.8, learn_beta=True, learn_threshold=True),
    "Leaky, zero": lambda _: snntorch.Leaky(
        beta=0.5, reset_mechanism="zero", spike_grad=snntorch_surrogate.fast_sigmoid()
    ),
    "Leaky, hidden": lambda _: snntorch.Leaky(beta=0.8, init_hidden=True),
    "Lapicque": lambda _: snntorch.Lapicque(beta=0.7),
    "Synaptic": lambda _: snntorch.Synaptic(alpha=0.7, beta=0.8),
    "RLeaky": lambda _: snntorch.RLeaky(beta=0.8, all_to_all=False),
}
EVERY = {
    **{f"spikingjelly {name}": each for name, each in JELLY.items()},
    **{f"snntorch {n}": e for n, e in TORCH.items()},
}


@pytest.fixture
def adapted(monkeypatch: pytest.MonkeyPatch) -> Adapted:
    """The neuron of a module, by the name `theirs`, whose class says what it takes where `steps` is given."""

    def adapted(made: Build, steps: bool | None = None) -> Theirs:
        monkeypatch.setattr(Theirs, "made", staticmethod(made))
        monkeypatch.setattr(Theirs, "steps", steps)
        monkeypatch.setitem(NEURONS, "theirs", (Theirs, TheirsSettings))
        torch.manual_seed(0)
        return Theirs(SHAPE[1], TheirsSettings())

    return adapted


def given() -> Tensor:
    return 2 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))


def by_their_loop(module: nn.Module, x: Tensor) -> Tensor:
    """Spikes [B, H, L] as the library's own documentation computes them."""
    if isinstance(module, snntorch.SpikingNeuron):
        module.reset_mem()
        outputs = [module(x_t) for x_t in x.unbind(-1)]
        return torch.stack([each[0] if isinstance(each, tuple) else each for each in outputs], -1)
    functional.reset_net(module)
    if module.step_mode == "m":
        spikes: Tensor = module(x.movedim(-1, 0))
        return spikes.movedim(0, -1)
    return torch.stack([module(x_t) for x_t in x.unbind(-1)], -1)


@pytest.mark.parametrize("name", EVERY)
def test_spikes_and_gradients_are_those_of_the_librarys_own_loop(name: str, adapted: Adapted) -> None:
    ours = adapted(EVERY[name])
    theirs, weights = copy.deepcopy(ours.module), torch.randn(SHAPE)
    results = []
    for run, module in ((ours, ours.module), (lambda x: by_their_loop(theirs, x), theirs)):
        x = given().requires_grad_()
        spikes = run(x)
        (spikes * weights).sum().backward()
        gradients = [each.grad for each in module.parameters() if each.requires_grad]
        results.append([spikes.detach(), x.grad, *gradients])
    assert 0 < results[0][0].mean() < 1
    assert results[0][1].abs().sum() > 0
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", EVERY)
def test_it_keeps_the_contract_of_all_neurons(name: str, adapted: Adapted) -> None:
    adapted(EVERY[name])
    check_neuron("theirs")


@pytest.mark.parametrize("name", [name for name in EVERY if "all steps" not in name and "PSN" not in name])
def test_a_module_of_single_steps_streams(name: str, adapted: Adapted) -> None:
    ours, x = adapted(EVERY[name]), given()
    if "hidden" in name:
        with pytest.raises(ValueError, match="hides its state"):
            ours.step(x[..., 0], None)
        return
    state, spikes = None, []
    for x_t in x.unbind(-1):
        spike, state = ours.step(x_t, state)
        spikes.append(spike)
        ours.step(torch.ones_like(x_t), None)  # another stream of the same neuron
    assert torch.equal(torch.stack(spikes, -1), ours(x))


@pytest.mark.parametrize("name", ["spikingjelly LIF, all steps", "spikingjelly sliding PSN"])
def test_a_module_of_whole_sequences_says_that_it_cannot_be_streamed(name: str, adapted: Adapted) -> None:
    with pytest.raises(ValueError, match=r"Theirs cannot be streamed: its module takes whole sequences\."):
        adapted(EVERY[name]).step(given()[..., 0], None)


@pytest.mark.parametrize("name", EVERY)
def test_no_batch_knows_of_the_one_before(name: str, adapted: Adapted) -> None:
    ours, x = adapted(EVERY[name]), given()
    buffers = {name: each.shape for name, each in ours.named_buffers()}
    before = ours(x).detach()
    ours(x.abs() + 1)
    assert torch.equal(ours(x), before)
    assert torch.equal(ours(x[:1]), before[:1]), "nor of its size"
    assert torch.equal(copy.deepcopy(ours)(x), before), "and nothing of its graph is left"
    assert {name: each.shape for name, each in ours.named_buffers()} == buffers


@pytest.mark.parametrize("name", ["spikingjelly LIF, step by step", "snntorch Leaky"])
def test_it_trains_in_a_network_and_is_stored(name: str, adapted: Adapted) -> None:
    adapted(EVERY[name])
    settings = ModelSettings(layers=2, channels=8, state_size=4)
    network, again = (Classifier(Inputs(20), 3, settings, TheirsSettings()) for _ in range(2))
    tokens, lengths = torch.randint(3, 20, (2, 40)), torch.tensor([40, 25])
    for _ in range(2):  # a second backward needs a graph of its own
        network(tokens, lengths).sum().backward()
    again.load_state_dict(network.state_dict())
    network.eval(), again.eval()
    assert torch.equal(network(tokens, lengths), again(tokens, lengths))


def test_half_precision_gives_the_spikes_of_single(adapted: Adapted) -> None:
    ours, x = adapted(EVERY["snntorch Leaky"]), given().bfloat16()
    assert ours(x).dtype == torch.bfloat16
    assert torch.equal(ours(x).float(), ours(x.float()))
    assert ours(x[..., :0]).shape == (*SHAPE[:2], 0)


class Loop(nn.Module):
    """A module of a user's own, which goes through the steps [L, B, H] itself, around one that takes [B, H]."""

    def __init__(self, _channels: int) -> None:
        super().__init__()
        self.inner = snntorch.Leaky(beta=0.8)

    def forward(self, x: Tensor) -> Tensor:
        memory, spikes = self.inner.reset_mem(), []
        for x_t in x:
            spike, memory = self.inner(x_t, memory)
            spikes.append(spike)
        return torch.stack(spikes)


class LoopWithReset(Loop):
    """Seems to be one of snnTorch's, which take [B, H]."""

    def reset_mem(self) -> None:
        """Nothing: each sequence starts anew."""


class Stateful(nn.Module):
    """A module of a user's own that takes [B, H], and keeps its state."""

    def __init__(self, _channels: int) -> None:
        super().__init__()
        self.inner, self.sum = neuron.IFNode(), 0.0

    def forward(self, x: Tensor) -> Tensor:
        self.sum = self.sum + x
        return self.inner(self.sum)  # type: ignore[no-any-return]

    def reset(self) -> None:
        self.sum = 0.0


def hidden(channels: int) -> nn.Module:
    """The module of snnTorch's tutorials: layers in a row, which take [B, H] and keep their state."""
    return nn.Sequential(nn.Linear(channels, channels), snntorch.Leaky(beta=0.8, init_hidden=True))


def test_a_module_around_one_that_takes_steps_must_be_said_to_take_them_or_not(adapted: Adapted) -> None:
    said = (
        r"Theirs does not say what its module takes: Loop has Leaky in it.* Set steps = True .*\[B, H\].* steps = False"
    )
    with pytest.raises(ValueError, match=said):
        adapted(Loop)
    x, leaky = given(), snntorch.Leaky(beta=0.8)
    assert torch.equal(adapted(Loop, steps=False)(x), by_their_loop(leaky, x))
    check_neuron("theirs")


def test_layers_in_a_row_take_steps_where_that_is_said(adapted: Adapted) -> None:
    with pytest.raises(ValueError, match="Sequential has Leaky in it"):
        adapted(hidden)
    ours, x = adapted(hidden, steps=True), given()
    linear, leaky = copy.deepcopy(ours.module)
    assert torch.equal(ours(x), by_their_loop(leaky, torch.stack([linear(x_t) for x_t in x.unbind(-1)], -1)))
    check_neuron("theirs")


def test_a_container_for_all_steps_is_given_all_steps(adapted: Adapted) -> None:
    ours, x = adapted(lambda _: layer.MultiStepContainer(neuron.LIFNode(step_mode="s"))), given()
    assert torch.equal(ours(x), by_their_loop(neuron.LIFNode(step_mode="s"), x))
    check_neuron("theirs")


@pytest.mark.parametrize(("made", "steps"), [(Loop, True), (LoopWithReset, None)])
def test_a_module_that_takes_the_batch_for_time_is_refused_with_the_way_out(
    made: Build, steps: bool | None, adapted: Adapted
) -> None:
    ours = adapted(made, steps)
    with pytest.raises(ValueError, match=r"mixes the examples of a batch.* is given \[B, H\] .*; set steps = False"):
        ours(given())
    assert torch.equal(adapted(made, steps=False)(given()), by_their_loop(snntorch.Leaky(beta=0.8), given()))


@pytest.mark.parametrize("made", [hidden, Stateful])
def test_a_module_with_state_that_is_not_shown_cannot_be_streamed(made: Build, adapted: Adapted) -> None:
    ours = adapted(lambda channels: layer.StepModeContainer(True, "s", made(channels), neuron.IFNode(0.5)))
    assert 0 < ours(given()).mean() < 1
    with pytest.raises(ValueError, match=r"cannot be streamed: (Leaky|Stateful) in it hides its state"):
        ours.step(given()[..., 0], None)


class Normalised(nn.Module):
    """A batch norm before the threshold; in training its examples do depend on one another."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm, self.spikes = nn.BatchNorm1d(channels), surrogate.ATan()

    def forward(self, x: Tensor) -> Tensor:
        return self.spikes(self.norm(x.flatten(0, 1)).view(x.shape))  # type: ignore[no-any-return]


def test_the_check_of_the_first_batch_leaves_no_trace(adapted: Adapted) -> None:
    ours, x = adapted(Normalised), given()
    alone = copy.deepcopy(ours.module)
    before = torch.get_rng_state()
    assert torch.equal(ours(x), alone(x.movedim(-1, 0)).movedim(0, -1))
    assert torch.equal(torch.get_rng_state(), before)
    assert int(ours.module.norm.num_batches_tracked) == 1
    for one, other in zip(ours.module.buffers(), alone.buffers(), strict=True):
        assert torch.equal(one, other)


def test_running_statistics_count_a_batch_once_though_it_is_computed_again_for_the_backward(adapted: Adapted) -> None:
    adapted(Normalised)
    tokens, lengths, found = torch.randint(3, 20, (2, 40)), torch.tensor([40, 25]), []
    for again in (False, True):
        torch.manual_seed(0)
        settings = ModelSettings(layers=2, channels=4, state_size=4)
        network = Classifier(Inputs(20), 3, settings, TheirsSettings())
        network.backbone.recomputes = again
        network(tokens, lengths).sum().backward()
        found.append([*network.buffers(), *(each.grad for each in network.parameters() if each.requires_grad)])
    for once, twice in zip(*found, strict=True):
        torch.testing.assert_close(once, twice)


class Forgetful(nn.Module):
    """Adds up all it has ever seen; `reset` forgets nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.sum = 0.0

    def forward(self, x: Tensor) -> Tensor:
        self.sum += float(x.abs().sum())
        return (x > self.sum % 1).to(x.dtype)

    def reset(self) -> None:
        """Nothing."""


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (
            lambda channels: nn.Linear(channels, channels + 1),
            r"takes \[L, B, H\], time first, .* but gave \[24, 4, 5\]",
        ),
        (lambda channels: nn.LSTM(channels, channels + 2), r"and must give the same shape, but gave \[24, 4, 6\]"),
        (
            lambda _: layer.StepModeContainer(False, "s", neuron.LIFNode(), nn.Flatten(0)),
            r"takes \[B, H\] at each step, .* gave \[16\]",
        ),
        (lambda _: Forgetful(), "Theirs keeps state from one batch to the next: after its reset the same input"),
    ],
)
def test_what_is_no_neuron_for_sequences_is_refused(made: Build, said: str, adapted: Adapted) -> None:
    ours = adapted(made)
    with pytest.raises(ValueError, match=said):
        ours(given())


def test_state_is_found_though_the_first_batch_is_quiet(adapted: Adapted) -> None:
    with pytest.raises(ValueError, match="keeps state from one batch to the next"):
        adapted(lambda _: Forgetful())(torch.zeros(SHAPE))


def test_what_is_not_a_number_is_no_state(adapted: Adapted) -> None:
    assert adapted(lambda _: nn.Identity())(torch.full(SHAPE, torch.nan)).isnan().all()


def test_what_is_no_module_is_refused(adapted: Adapted) -> None:
    def none(channels: int) -> Any:
        return channels

    with pytest.raises(ValueError, match=r"Theirs\.build must give a torch module, but gave int\."):
        adapted(none)
