"""The classifier of pairs: its head compares two representations as documented; pairs do not see each other."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spike_ssm.models.heads import PairHead
from spike_ssm.models.network import Inputs, ModelSettings, PairClassifier
from spike_ssm.models.neurons import RefractoryLIFSettings

MODEL = ModelSettings(layers=2, channels=12, state_size=4, prenorm=True)


def network() -> PairClassifier:
    torch.manual_seed(0)
    return PairClassifier(Inputs(18), 3, MODEL, RefractoryLIFSettings())


def pairs(count: int, length: int = 20) -> tuple[Tensor, Tensor]:
    """2 `count` sequences of tokens and their lengths."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(3, 18, (2 * count, length), generator=generator)
    return tokens, torch.randint(1, length + 1, (2 * count,), generator=generator)


def head_inputs(net: PairClassifier, tokens: Tensor, lengths: Tensor) -> Tensor:
    """What the head's MLP is given: [a, b, a - b, a * b], [B, 4H]."""
    seen: list[Tensor] = []
    hook = net.head.mlp.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    net(tokens, lengths)
    hook.remove()
    return seen[0]


@pytest.mark.parametrize("training", [True, False])
def test_padding_changes_no_score_and_no_gradient(training: bool) -> None:
    tokens, lengths = pairs(3)
    outcomes = []
    for padding in (0, 5):
        padded = torch.cat((tokens, torch.zeros(6, 9, dtype=torch.int64)), 1)
        padded[torch.arange(29) >= lengths[:, None]] = padding
        net = network().train(training)
        scores = net(padded, lengths)
        scores.square().sum().backward()
        gradients = {name: parameter.grad for name, parameter in net.named_parameters() if parameter.requires_grad}
        gradients["backbone.encoder.weight"] = gradients["backbone.encoder.weight"][6:]  # type: ignore[index]
        outcomes.append((scores, gradients))
    torch.testing.assert_close(outcomes[0], outcomes[1], rtol=1e-3, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(5)), st.integers(1, 5))
def test_a_pairs_scores_do_not_depend_on_the_other_pairs(order: list[int], kept: int) -> None:
    net = network().double().eval()
    tokens, lengths = pairs(5)
    chosen = torch.tensor(order[:kept])
    rows = torch.cat((chosen, chosen + 5))
    torch.testing.assert_close(net(tokens[rows], lengths[rows]), net(tokens, lengths)[chosen])


def test_the_head_sees_both_means_their_difference_and_their_product() -> None:
    net = network().double().eval()
    tokens, lengths = pairs(4)
    a, b, difference, product = head_inputs(net, tokens, lengths).chunk(4, -1)
    torch.testing.assert_close(a, net.backbone.pooled(tokens[:4], lengths[:4]))
    torch.testing.assert_close(b, net.backbone.pooled(tokens[4:], lengths[4:]))
    torch.testing.assert_close(difference, a - b)
    torch.testing.assert_close(product, a * b)


def test_equal_sequences_differ_by_nothing_however_they_are_padded() -> None:
    net = network().double().eval()
    tokens, lengths = pairs(4)
    tokens[4:], lengths[4:] = tokens[:4], lengths[:4]
    tokens[4:][torch.arange(20) >= lengths[4:, None]] = 0
    difference = head_inputs(net, tokens, lengths).chunk(4, -1)[2]
    torch.testing.assert_close(difference, torch.zeros_like(difference))


def test_to_swap_the_pair_is_to_swap_the_weights_of_its_halves_and_turn_the_differences() -> None:
    head, swapped = PairHead(6, 3), PairHead(6, 3)
    swapped.load_state_dict(head.state_dict())
    with torch.no_grad():
        a, b, difference, product = head.mlp[0].weight.chunk(4, 1)  # type: ignore[operator]
        swapped.mlp[0].weight.copy_(torch.cat((b, a, -difference, product), 1))  # type: ignore[operator]
    one, other = torch.randn(2, 5, 6)
    torch.testing.assert_close(swapped(other, one), head(one, other))
    assert not torch.allclose(head(other, one), head(one, other))


def test_half_a_pair_gets_a_sentence() -> None:
    tokens, lengths = pairs(2)
    with pytest.raises(ValueError, match="an even number of sequences, but there are 3"):
        network()(tokens[:3], lengths[:3])


def test_it_says_that_it_cannot_be_streamed() -> None:
    with pytest.raises(ValueError, match="pairs cannot be streamed"):
        network().eval().step(pairs(2)[0][:, 0], None)
