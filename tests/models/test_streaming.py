"""A network one time step at a time: the spikes of the whole sequence, bit for bit, and its scores so far."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from spike_ssm.models.network import Classifier, Inputs, ModelSettings
from spike_ssm.models.neurons import RefractoryLIFSettings

MODEL = ModelSettings(layers=2, channels=12, state_size=4)
CAUSAL = replace(MODEL, bidirectional=False)


def network(model: ModelSettings = MODEL) -> Classifier:
    torch.manual_seed(0)
    return Classifier(Inputs(18), 10, model, RefractoryLIFSettings())


def tokens(batch: int, length: int) -> torch.Tensor:
    return torch.randint(3, 18, (batch, length), generator=torch.Generator().manual_seed(1))


def spikes_of(net: Classifier, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes [layers, B, H, L] of a sequence that is streamed, and of the sequence as a whole."""
    streamed, whole, state = [], [], None
    hooks = [
        neuron.register_forward_hook(lambda _module, _inputs, spikes: whole.append(spikes)) for neuron in net.neurons
    ]
    net(inputs, torch.full((len(inputs),), inputs.shape[1]))
    for hook in hooks:
        hook.remove()
    for x_t in inputs.unbind(1):
        _, state = net.step(x_t, state)
        streamed.append(torch.stack([block.spikes for block in state.backbone]))  # type: ignore[union-attr]
    return torch.stack(streamed, -1), torch.stack(whole)


def test_streaming_sends_the_spikes_of_the_sequence_over_ten_thousand_steps() -> None:
    streamed, whole = spikes_of(network(replace(CAUSAL, state_size=8)).eval(), tokens(1, 10_000))
    assert 0.01 < float(whole.detach().mean()) < 0.9
    assert torch.equal(streamed, whole)


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
@pytest.mark.parametrize("prenorm", [False, True])
@pytest.mark.parametrize(
    "changes", [{"initialisation": "real"}, {"state_size": 64, "channels": 5}], ids=["real", "many"]
)
def test_they_are_the_same_bits_whatever_the_network(norm: str, prenorm: bool, changes: dict[str, Any]) -> None:
    model = replace(CAUSAL, norm=norm, prenorm=prenorm, convolution="scan", **changes)
    net = Classifier(Inputs(None, 3), 4, model, RefractoryLIFSettings(threshold=0.3)).train()
    x = torch.randn(3, 100, 3)
    for _ in range(5):
        net(x, torch.full((3,), 100))  # so that running statistics are those of something
    streamed, whole = spikes_of(net.eval(), x)
    assert 0 < float(whole.detach().mean()) < 1
    assert torch.equal(streamed, whole)


@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize(("prenorm", "pooling"), [(False, "mean"), (True, "mean"), (True, "last")])
def test_streaming_gives_the_scores_of_the_sequence_so_far(norm: str, prenorm: bool, pooling: str) -> None:
    net = network(replace(CAUSAL, norm=norm, prenorm=prenorm, pooling=pooling)).double().eval()
    sequence, state = tokens(3, 150), None
    for t in range(150):
        scores, state = net.step(sequence[:, t], state)
        if t in (0, 70, 149):
            torch.testing.assert_close(scores, net(sequence[:, : t + 1], torch.full((3,), t + 1)))


@pytest.mark.parametrize(
    ("model", "training", "sentence"),
    [(MODEL, False, "set model.bidirectional=false"), (CAUSAL, True, r"call its \.eval\(\) first")],
)
def test_a_network_that_cannot_be_streamed_says_so(model: ModelSettings, training: bool, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        network(model).train(training).step(tokens(2, 1)[:, 0], None)


@pytest.mark.parametrize("placement", ["around_ssm", "after_mixing"])
def test_streaming_agrees_wherever_neurons_sit(placement: str) -> None:
    net = network(replace(CAUSAL, neuron_placement=placement)).double().eval()
    sequence, state = tokens(3, 60), None
    for t in range(60):
        scores, state = net.step(sequence[:, t], state)
    torch.testing.assert_close(scores, net(sequence, torch.full((3,), 60)))


@pytest.mark.parametrize("norm", ["batch", "layer"])  # in one kernel, and part by part
def test_no_gradient_flows_through_a_step_of_a_block(norm: str) -> None:
    block = network(replace(CAUSAL, norm=norm)).eval().blocks[0]
    x, state = torch.randn(3, 12, requires_grad=True), None
    for _ in range(2):
        y, state = block.step(x, state)
        assert not y.requires_grad
        assert not state.spikes.requires_grad
