"""One token after another with kept keys and values: the same as all at once, whatever the lengths of the prompts."""

from __future__ import annotations

import pytest
import torch
from small_transformers import BEGIN, LENGTHS, WAYS, language_model, tokens, translator
from torch import Tensor, nn

from dlexp.models.stepwise import StepwiseNetwork
from dlexp.models.transformer.cache import KeyValueCache

NEXT = torch.randint(2, 9, (5, 4), generator=torch.Generator().manual_seed(5))


def stepped(network: nn.Module, values: Tensor, lengths: Tensor, following: Tensor) -> Tensor:
    """(B, 1 + steps, V): scores of the first token and of those behind `following` (B, steps)."""
    assert isinstance(network, StepwiseNetwork)
    scores, state = network.start(values, lengths)
    found = [scores]
    for tokens_now in following.unbind(1):
        scores, state = network.step(tokens_now, state)
        found.append(scores)
    return torch.stack(found, 1)


@pytest.mark.parametrize("way", WAYS)
def test_a_language_model_goes_on_as_if_it_read_all_again(way: str) -> None:
    """Prompts of unlike lengths in one batch are as one by one."""
    network = language_model(**WAYS[way]).eval()
    values, lengths = tokens()
    with torch.no_grad():
        found = stepped(network, values, lengths, NEXT)
        padded = stepped(network, torch.cat([values, values], 1), lengths, NEXT)
        for row, length in enumerate(LENGTHS):
            whole = torch.cat([values[row, :length], NEXT[row]])[None]
            expected = network(whole)[:, length - 1 :]
            torch.testing.assert_close(found[row : row + 1], expected, atol=1e-5, rtol=1e-5)
            alone = stepped(network, values[row : row + 1, :length], lengths[row : row + 1], NEXT[row : row + 1])
            torch.testing.assert_close(alone, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(padded, found, atol=1e-6, rtol=0)


@pytest.mark.parametrize("way", WAYS)
def test_a_translator_goes_on_as_if_it_read_all_again(way: str) -> None:
    network = translator(**WAYS[way]).eval()
    values, lengths = tokens([7, 2, 5, 0, 7])
    with torch.no_grad():
        found = stepped(network, values, lengths, NEXT)
        previous = torch.cat([torch.full((5, 1), BEGIN), NEXT], 1)
        expected = network(values, lengths, previous)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert found.isfinite().all()


@pytest.mark.parametrize("make", [language_model, translator])
def test_rows_of_a_state_are_chosen_and_repeated(make: type[nn.Module]) -> None:
    network = make().eval()
    values, lengths = tokens()
    chosen = torch.tensor([4, 1, 1, 3])
    with torch.no_grad():
        expected = stepped(network, values[chosen], lengths[chosen], NEXT[:4])
        _, state = network.start(values, lengths)  # type: ignore[operator]
        state = state.select(chosen)
        scores, _ = network.step(NEXT[:4, 0], state)  # type: ignore[operator]
        torch.testing.assert_close(scores, expected[:, 1], atol=1e-5, rtol=1e-5)
        # A state is not changed by a step, so that two continuations may start from it.
        _, other = network.step(NEXT[:4, 3], state)  # type: ignore[operator]
        again, _ = network.step(NEXT[:4, 0], state)  # type: ignore[operator]
    assert torch.equal(again, scores) and isinstance(other, KeyValueCache)


@pytest.mark.parametrize("has_gradients", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_branches_of_one_state_do_not_disturb_each_other(way: str, has_gradients: bool) -> None:
    """Two continuations of one state, in turn: each is as if it were alone, though they share what they agree in."""
    network = language_model(**WAYS[way]).eval()
    values, lengths = tokens()
    with torch.set_grad_enabled(has_gradients):
        expected = [stepped(network, values, lengths, following) for following in (NEXT, NEXT.flip(1))]
        _, first = network.start(values, lengths)
        second = first
        for place, (one, other) in enumerate(zip(NEXT.unbind(1), NEXT.flip(1).unbind(1), strict=True)):
            scores, first = network.step(one, first)
            torch.testing.assert_close(scores, expected[0][:, place + 1], atol=1e-6, rtol=0)
            scores, second = network.step(other, second)
            torch.testing.assert_close(scores, expected[1][:, place + 1], atol=1e-6, rtol=0)


@pytest.mark.parametrize("way", WAYS)
def test_many_tokens_are_as_if_all_were_read_again(way: str) -> None:
    """More than there is room for at first."""
    network = language_model(**WAYS[way], max_positions=220).eval()
    text = torch.randint(2, 9, (2, 210), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        found = stepped(network, text[:, :5], torch.tensor([5, 5]), text[:, 5:])
        torch.testing.assert_close(found, network(text)[:, 4:], atol=1e-5, rtol=1e-5)
        _, state = network.start(text[:, :5], torch.tensor([5, 5]))
        _, state = network.step(text[:, 5], state)
        place = state.store.layers[0].data_ptr()
        _, state = network.step(text[:, 6], state)
    assert state.store.layers[0].data_ptr() == place  # written in place, not copied


def test_a_gradient_goes_through_all_steps() -> None:
    """As where a translator is shown what it puts out itself."""
    network = translator().eval()
    values, lengths = tokens([7, 2, 5, 1, 7])
    stepped(network, values, lengths, NEXT).square().sum().backward()
    found = {name: parameter.grad for name, parameter in network.named_parameters()}
    network.zero_grad()
    previous = torch.cat([torch.full((5, 1), BEGIN), NEXT], 1)
    network(values, lengths, previous).square().sum().backward()
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, atol=1e-4, rtol=1e-4, msg=name)


def test_what_cannot_be_continued_is_named() -> None:
    with pytest.raises(ValueError, match="prompt 1 has no token"):
        language_model().start(*tokens([2, 0]))
    with pytest.raises(ValueError, match="begin with"):
        translator(begin=None).start(*tokens())
    network = language_model(max_positions=12)
    _, state = network.start(*tokens([12, 3]))
    with pytest.raises(ValueError, match="13 positions is longer than max_positions=12"):
        network.step(torch.tensor([1, 2]), state)
