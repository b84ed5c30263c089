"""The language model: it does not see what it predicts, its loss is the cross entropy, its softmax is a softmax."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from spike_ssm.models.heads import WordSoftmax
from spike_ssm.models.network import IGNORED, Inputs, LanguageModel, ModelSettings
from spike_ssm.models.neurons import NEURONS

MODEL = ModelSettings(layers=2, channels=16, state_size=4, bidirectional=False, softmax_cutoffs=[5, 12])
WORDS = 20


def network(model: ModelSettings = MODEL, neuron: str = "refractory_lif", **changes: Any) -> LanguageModel:
    torch.manual_seed(0)
    return LanguageModel(Inputs(WORDS), model, NEURONS[neuron][1](**changes))


def text(batch: int, length: int, seed: int = 1) -> Tensor:
    return torch.randint(WORDS, (batch, length), generator=torch.Generator().manual_seed(seed))


def softmax(words: int, seed: int = 0, **changes: Any) -> WordSoftmax:
    """In double precision, its logits far from equal."""
    torch.manual_seed(seed)
    made = WordSoftmax(words, replace(MODEL, **changes)).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(4)
    return made


def hidden_states(count: int) -> Tensor:
    return torch.randn(count, 16, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


# --- causality


@pytest.mark.parametrize("prenorm", [False, True])
@pytest.mark.parametrize("neuron", NEURONS)
def test_a_later_word_changes_no_earlier_hidden_state(neuron: str, prenorm: bool) -> None:
    net = network(replace(MODEL, prenorm=prenorm), neuron).double().eval()
    one, lengths = text(2, 30), torch.tensor([30, 30])
    other = one.clone()
    other[:, 17:] = (other[:, 17:] + 1) % WORDS
    hidden = []
    for each in (one, other):
        torch.manual_seed(5)  # of stochastic neurons
        hidden.append(net(each, lengths))
    assert hidden[0].shape == (2, 30, 16)
    torch.testing.assert_close(hidden[0][:, :17], hidden[1][:, :17])
    assert not torch.allclose(hidden[0][:, 17], hidden[1][:, 17]), "and it does change its own"


@pytest.mark.parametrize(
    ("model", "neuron", "changes", "sentence"),
    [
        (replace(MODEL, bidirectional=True), "refractory_lif", {}, "set model.bidirectional=false"),
        (MODEL, "psn", {"causal": False}, "must not see the words it predicts.*set neuron.causal=true"),
    ],
)
def test_what_looks_ahead_is_refused(model: ModelSettings, neuron: str, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        network(model, neuron, **changes)


def test_values_are_refused() -> None:
    with pytest.raises(ValueError, match="must have a vocabulary"):
        LanguageModel(Inputs(None), MODEL, NEURONS["refractory_lif"][1]())


@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("prenorm", [False, True])
def test_streaming_gives_the_hidden_states_of_the_sequence(norm: str, prenorm: bool) -> None:
    net = network(replace(MODEL, norm=norm, prenorm=prenorm)).double().eval()
    words, state, streamed = text(3, 80), None, []
    for step in words.unbind(1):
        hidden, state = net.step(step, state)
        streamed.append(hidden)
    torch.testing.assert_close(torch.stack(streamed, 1), net(words, torch.full((3,), 80)).detach())


def test_it_can_be_streamed_in_evaluation_mode_only() -> None:
    with pytest.raises(ValueError, match=r"call its \.eval\(\) first"):
        network().train().step(text(2, 1)[:, 0], None)


# --- scoring


@settings(max_examples=20, deadline=None)
@given(asked=st.lists(st.booleans(), min_size=30, max_size=30), cutoffs=st.sampled_from([[5, 12], [19], [], [20, 40]]))
@example(asked=[False] * 30, cutoffs=[5, 12])
@example(asked=[True] + [False] * 29, cutoffs=[5, 12])
def test_its_loss_is_the_mean_cross_entropy_of_the_words_that_are_asked_for(
    asked: list[bool], cutoffs: list[int]
) -> None:
    net = network(replace(MODEL, softmax_cutoffs=cutoffs)).double().eval()
    inputs, lengths, targets = text(3, 10), torch.tensor([10, 10, 10]), text(3, 10, seed=2)
    mask = torch.tensor(asked).reshape(3, 10)
    scored = net.score(inputs, lengths, targets.masked_fill(~mask, IGNORED))
    log_probs = net.words.log_prob(net(inputs, lengths).flatten(0, 1)).reshape(3, 10, WORDS)
    by_hand = [-log_probs[b, t, targets[b, t]] for b, t in mask.nonzero().tolist()]
    assert scored.count == len(by_hand)
    expected = sum(by_hand) / len(by_hand) if by_hand else torch.tensor(0.0, dtype=torch.float64)
    torch.testing.assert_close(scored.loss, expected)
    assert torch.equal(scored.predictions, log_probs[mask].argmax(-1))
    torch.testing.assert_close(scored.scores, log_probs[mask].detach().exp().amax(-1))


def test_a_batch_without_a_word_to_predict_has_no_loss_and_no_gradient() -> None:
    net = network()
    scored = net.score(text(2, 5), torch.tensor([5, 5]), torch.full((2, 5), IGNORED))
    scored.loss.backward()
    assert float(scored.loss.detach()) == scored.count == len(scored.predictions) == 0
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in net.parameters())


@pytest.mark.parametrize("training", [True, False])
def test_padding_changes_neither_loss_nor_gradients(training: bool) -> None:
    lengths, outcomes = torch.tensor([20, 13, 7]), []
    inputs, labels = text(3, 20), text(3, 20, seed=2)
    labels[torch.arange(20) >= lengths[:, None]] = IGNORED
    for padding in (0, 5):
        net = network(replace(MODEL, prenorm=True)).train(training)
        padded = torch.cat((inputs, torch.zeros(3, 9, dtype=torch.int64)), 1)
        padded[torch.arange(29) >= lengths[:, None]] = padding
        scored = net.score(padded, lengths, nn.functional.pad(labels, (0, 9), value=IGNORED))
        scored.loss.backward()
        gradients = {name: p.grad for name, p in net.named_parameters() if p.requires_grad}
        outcomes.append((scored.loss, gradients))
    torch.testing.assert_close(outcomes[0], outcomes[1], rtol=1e-3, atol=1e-5)


def test_it_learns_a_text_that_repeats_itself() -> None:
    net = network(replace(MODEL, norm="layer"))
    words = torch.arange(41).remainder(7).repeat(2, 1)
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.02)
    for _ in range(40):
        scored = net.score(words[:, :-1], torch.tensor([40, 40]), words[:, 1:])
        optimiser.zero_grad()
        scored.loss.backward()
        optimiser.step()
    assert float((scored.predictions == words[:, 1:].flatten()).double().mean()) > 0.9


# --- the softmax over words


@settings(max_examples=30, deadline=None)
@given(words=st.integers(1, 40), cutoffs=st.sets(st.integers(1, 60), max_size=3), seed=st.integers(0, 99))
def test_the_probabilities_of_all_words_add_up_to_one_and_are_those_of_each(
    words: int, cutoffs: set[int], seed: int
) -> None:
    made, hidden = softmax(words, seed, softmax_cutoffs=sorted(cutoffs), softmax_divisor=2.0), hidden_states(words)
    log_probs = made.log_prob(hidden)
    assert log_probs.shape == (words, words)
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(words, dtype=torch.float64))
    torch.testing.assert_close(made(hidden, torch.arange(words)), log_probs.diagonal())
    best, probability = made.most_probable(hidden)
    assert torch.equal(best, log_probs.argmax(-1))
    torch.testing.assert_close(probability, log_probs.exp().amax(-1))


def test_the_most_probable_words_are_found_piece_by_piece() -> None:
    made, hidden = softmax(WORDS), hidden_states(2500)
    best, _ = made.most_probable(hidden)
    assert torch.equal(best, made.log_prob(hidden).argmax(-1))


@pytest.mark.parametrize(("words", "kept"), [(4, []), (5, []), (6, [5]), (12, [5]), (13, [5, 12]), (1000, [5, 12])])
def test_cutoffs_beyond_the_vocabulary_are_left_out(words: int, kept: list[int]) -> None:
    output = softmax(words).output
    if kept:
        assert isinstance(output, nn.AdaptiveLogSoftmaxWithLoss)
        assert output.cutoffs == [*kept, words]
    else:
        assert isinstance(output, nn.Linear)
        assert output.out_features == words


def test_the_divisor_says_how_many_channels_a_cluster_sees() -> None:
    for divisor, channels in ((1.0, [16, 16]), (4.0, [4, 1])):
        output = softmax(WORDS, softmax_divisor=divisor).output
        assert isinstance(output, nn.AdaptiveLogSoftmaxWithLoss)
        assert [cluster[0].out_features for cluster in output.tail] == channels  # type: ignore[index]


def test_a_cluster_without_channels_gets_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"rarest of 300000 words would see less than one of the 16 channels"):
        WordSoftmax(300_000, ModelSettings(channels=16))
