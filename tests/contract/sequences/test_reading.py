"""What an output may depend on: never on padding or other rows, of causal networks never on what follows."""

from __future__ import annotations

from contextlib import AbstractContextManager

import pytest
import torch
from sequence_models import (
    BY_POSITION,
    CAUSAL,
    LENGTHS,
    MODELS,
    OUTPUTS,
    POOLED,
    TWO_DIRECTIONS,
    WAYS,
    built,
    facts,
    own_values,
    sequences,
)  # fmt: skip
from torch import Tensor, nn

KINDS = ("tokens", "series")
TOLERANCE = {"fp32": 1e-6, "bf16": 2e-2}


def precision(name: str) -> AbstractContextManager[object]:
    return torch.autocast("cpu", torch.bfloat16, enabled=name == "bf16")


def test_every_model_of_sequences_is_here() -> None:
    assert MODELS == ("gru", "lstm", "recurrent_cells", "rnn", "tcn", "text_cnn")
    assert {way[0] for way in WAYS.values()} == set(MODELS)
    assert len(BY_POSITION) == 19 and len(POOLED) == 13


def close(found: Tensor, expected: Tensor, kind: str) -> bool:
    return bool(found.dtype == expected.dtype and ((found - expected).abs().float() <= TOLERANCE[kind]).all())


@pytest.mark.parametrize("kind", TOLERANCE)
@pytest.mark.parametrize("inputs", KINDS)
@pytest.mark.parametrize("way", (WAYS | TWO_DIRECTIONS | POOLED).items(), ids=lambda way: way[0])
def test_padding_and_other_rows_change_no_pooled_output(way: tuple[str, tuple], inputs: str, kind: str) -> None:  # type: ignore[type-arg]
    network = built(way[1], **facts(inputs))
    values, lengths = sequences(inputs)
    with precision(kind), torch.no_grad():
        whole = network(values, lengths)
        assert isinstance(whole, Tensor) and whole.shape == (len(LENGTHS), OUTPUTS) and whole.isfinite().all()
        more = torch.cat([values, torch.ones_like(values)], 1)  # padding is whatever it is
        assert close(network(more, lengths), whole, kind)
        order = torch.tensor([3, 5, 0, 2, 4, 1])
        assert close(network(values[order], lengths[order]), whole[order], kind)
        for row, length in enumerate(LENGTHS):
            alone = network(values[row : row + 1, :length], lengths[row : row + 1])
            assert close(alone[0], whole[row], kind), row
        full = values[[0, 4]]
        assert close(network(full, None), whole[[0, 4]], kind)
    assert not torch.allclose(whole[0], whole[1], atol=1e-4)


@pytest.mark.parametrize("kind", TOLERANCE)
@pytest.mark.parametrize("inputs", KINDS)
@pytest.mark.parametrize("way", BY_POSITION.items(), ids=lambda way: way[0])
def test_padding_and_other_rows_change_no_output_at_a_position(
    way: tuple[str, tuple],  # type: ignore[type-arg]
    inputs: str,
    kind: str,
) -> None:
    network = built(way[1], per_position=True, **facts(inputs))
    values, lengths = sequences(inputs)
    with precision(kind), torch.no_grad():
        whole = network(values, lengths)
        assert isinstance(whole, Tensor) and whole.shape == (*values.shape[:2], OUTPUTS) and whole.isfinite().all()
        longer = network(torch.cat([values, torch.ones_like(values)], 1), lengths)
        for row, length in enumerate(LENGTHS):
            assert close(longer[row, :length], whole[row, :length], kind)
            alone = network(values[row : row + 1, :length], lengths[row : row + 1])
            assert alone.shape == (1, length, OUTPUTS)
            assert close(alone[0], whole[row, :length], kind)


@pytest.mark.parametrize("kind", TOLERANCE)
@pytest.mark.parametrize("inputs", KINDS)
@pytest.mark.parametrize("way", CAUSAL.items(), ids=lambda way: way[0])
def test_what_follows_changes_nothing_before_it(way: tuple[str, tuple], inputs: str, kind: str) -> None:  # type: ignore[type-arg]
    network = built(way[1], per_position=True, **facts(inputs))
    assert network.is_causal
    assert not built(way[1], **facts(inputs)).is_causal
    values, lengths = sequences(inputs)
    with precision(kind), torch.no_grad():
        whole = network(values, lengths)
        for place in range(values.shape[1]):
            changed = values.clone()
            changed[:, place:] = 1 if inputs == "tokens" else 9.0
            found = network(changed, lengths)
            assert torch.equal(found[:, :place], whole[:, :place])
            assert not torch.equal(found[:, place], whole[:, place])


@pytest.mark.parametrize("way", TWO_DIRECTIONS.items(), ids=lambda way: way[0])
def test_the_other_direction_reads_what_follows(way: tuple[str, tuple]) -> None:  # type: ignore[type-arg]
    network = built(way[1], per_position=True)
    assert not network.is_causal
    values, lengths = sequences("tokens")
    changed = values.clone()
    changed[:, -1] = values[:, -1] % 10 + 1
    assert not torch.equal(network(changed, lengths)[0, 0], network(values, lengths)[0, 0])
    assert torch.equal(network(changed, lengths)[2, :5], network(values, lengths)[2, :5])  # padding there


@pytest.mark.parametrize("pooling", ["final", "mean", "max", "attention"])
@pytest.mark.parametrize("way", TWO_DIRECTIONS.items(), ids=lambda way: way[0])
def test_both_halves_have_a_gradient_to_every_own_step_and_to_no_padding(
    way: tuple[str, tuple],  # type: ignore[type-arg]
    pooling: str,
) -> None:
    option, keys = way[1]
    network = built((option, {**keys, "pooling": pooling}), in_channels=3)
    assert isinstance(network.output, nn.Linear)
    half = network.output.in_features // 2
    for part in (slice(None, half), slice(half, None)):
        values, lengths = sequences("series")
        values.requires_grad_(True)
        pooled = network.pooling(network.states(values, lengths), lengths)  # type: ignore[operator]
        pooled[:, part].sum().backward()
        assert values.grad is not None
        reached = values.grad.abs().sum(-1) > 0
        kept = torch.arange(7) < lengths[:, None]
        assert not reached[~kept].any()
        assert reached[kept].all() or pooling == "max"


@pytest.mark.parametrize("way", CAUSAL.items(), ids=lambda way: way[0])
@pytest.mark.parametrize("kind", TOLERANCE)
def test_step_by_step_is_the_whole(way: tuple[str, tuple], kind: str) -> None:  # type: ignore[type-arg]
    """Prompts of unlike lengths, an empty one too; and a state whose rows are chosen anew."""
    network = built(way[1], per_position=True, num_outputs=11)
    values, lengths = sequences("tokens")
    with precision(kind), torch.no_grad():
        found, state = network.start(values, lengths)  # type: ignore[operator]
        prompts = [row[:length].tolist() for row, length in zip(values, LENGTHS, strict=True)]
        for number, prompt in enumerate(prompts[:-1]):
            assert close(found[number], network(torch.tensor([prompt]))[0, -1], kind)
        assert found.isfinite().all()
        rows = torch.tensor([2, 2, 0, 5])
        state, prompts = state.select(rows), [list(prompts[row]) for row in rows]
        for tokens in torch.randint(1, 11, (20, 4), generator=torch.Generator().manual_seed(3)):
            found, state = network.step(tokens, state)  # type: ignore[operator]
            for number, token in enumerate(tokens.tolist()):
                prompts[number].append(token)
                whole = network(torch.tensor([prompts[number]]))[0, -1]
                assert close(found[number], whole, kind)


def test_what_cannot_be_continued_says_why() -> None:
    values, lengths = sequences("tokens")
    for way, facts_of, word in (
        (("lstm", {}), {}, "one output for each sequence"),
        (("tcn", {}), {}, "one output for each sequence"),
        (("gru", {"bidirectional": True}), {"per_position": True}, "bidirectional=false"),
        (("rnn", {}), {"per_position": True, "in_channels": 3}, "no tokens"),
        (("tcn", {}), {"per_position": True, "in_channels": 3}, "no tokens"),
    ):
        with pytest.raises(ValueError, match=word):
            built(way, **facts_of).start(values, lengths)  # type: ignore[operator]
    assert not hasattr(built(("text_cnn", {})), "start")


@pytest.mark.parametrize("option", [name for name in MODELS if "pooling" in own_values(name)])
def test_the_weights_of_the_positions_are_a_map(option: str) -> None:
    values, lengths = sequences("tokens")
    network = built((option, {"pooling": "attention"}))
    found = network.attention_maps(values, lengths)["pooling"]  # type: ignore[operator]
    assert found.shape == (len(LENGTHS), 1, 1, 7)
    kept = torch.arange(7) < lengths[:, None]
    assert (found[:, 0, 0][~kept] == 0).all()
    torch.testing.assert_close(found.sum((1, 2, 3)), torch.tensor([1.0, 1, 1, 1, 1, 0]))
    states = network.states(values, *([] if option == "tcn" else [lengths]))  # type: ignore[operator]
    torch.testing.assert_close(network.output((found[:, 0] @ states)[:, 0]), network(values, lengths))  # type: ignore[operator]
    assert built((option, {"pooling": "mean"})).attention_maps(values, lengths) == {}  # type: ignore[operator]
