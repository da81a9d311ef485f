"""Every option of conf/model that reads sequences, and every transformer: what an output may depend on, and must.

The options are found by what their files say they read, so a new one is tested here or named as untested.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import torch
from sequence_models import CATALOG, CHANNELS, VOCABULARY, own_values, sequences
from torch import Tensor, nn

from dlexp.config.nodes import resolve

LENGTHS, BEGIN = [7, 2, 5, 1, 7], 1
# Sizes of the keys that have one: 2 layers of 16 units instead of 12 of 768.
SMALL: dict[str, Any] = {
    "token": 16, "units": 6, "channels": [6, 8, 6], "filters": 4, "kernel": 3, "hidden": [12], "heads": 4, "blocks": 2,
    "decoder_blocks": 2, "dropout": 0.0, "attention_dropout": 0.0, "max_positions": 40, "patch": 2,
}  # fmt: skip
PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True)
class Case:
    """An option in one of its uses.

    inputs  tokens or series
    use     pooled, position (an output at each), next (a language model) or target (sequence to sequence)
    """

    option: str
    inputs: str
    use: str

    def __str__(self) -> str:
        return f"{self.option}-{self.inputs}-{self.use}"


def builder(option: str) -> Callable[..., nn.Module]:
    found: Callable[..., nn.Module] = resolve(own_values(option)["_target_"], ())
    return found


def reads(option: str) -> tuple[str, ...]:
    """The kinds of sequences that an option reads; one without a word takes series if its builder has their sizes."""
    given = own_values(option).get("_inputs_")
    if given is None:
        return (
            ("series",) if {"in_channels", "max_length"} <= set(inspect.signature(builder(option)).parameters) else ()
        )
    return tuple(kind for kind in ([given] if isinstance(given, str) else given) if kind in ("tokens", "series"))


def uses(option: str) -> Iterator[str]:
    names = inspect.signature(builder(option)).parameters
    if "begin" in names:
        yield "target"
    elif "tied" in names:
        yield "next"
    elif "latent" in names:  # gives each step back
        yield "position"
    else:
        yield "pooled"
        if "per_position" in names and option != "text_cnn":
            yield "position"


READERS = tuple(option for option in CATALOG.options("model") if reads(option))
CASES = [Case(option, kind, use) for option in READERS for kind in reads(option) for use in uses(option)]
IMAGES = tuple(option for option in CATALOG.options("model") if own_values(option)["_target_"].endswith("vit.vit"))
FIRST = {own_values(option)["_target_"]: option for option in reversed(READERS)}  # of each builder


def parametrize(cases: Iterable[Case]) -> pytest.MarkDecorator:
    """The first option of each builder always, its other sizes among the slow tests."""
    marks = {case: [] if case.option in FIRST.values() else [pytest.mark.slow] for case in cases}
    return pytest.mark.parametrize("case", [pytest.param(case, marks=own) for case, own in marks.items()], ids=str)


of_every_case = parametrize(CASES)
in_both = pytest.mark.parametrize("precision", PRECISIONS)


@cache
def network_of(case: Case) -> nn.Module:
    """The network, in evaluation mode, with weights so large that every part of it shows."""
    option = case.option
    values = {key: value for key, value in own_values(option).items() if not key.startswith("_")}
    facts = {"num_outputs": VOCABULARY, "max_length": 10, "target_max_length": 10, "begin": BEGIN}
    facts |= {"vocabulary_size": VOCABULARY} if case.inputs == "tokens" else {"in_channels": CHANNELS}
    facts |= {"per_position": True} if case.use == "position" else {}
    known = inspect.signature(builder(option)).parameters
    arguments = values | {key: value for key, value in SMALL.items() if key in values} | facts
    torch.manual_seed(0)
    network = builder(option)(**{key: value for key, value in arguments.items() if key in known}).eval()
    if case.use == "next":  # begins with small weights
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(10 if parameter.ndim == 2 else 1)
    return network


def inputs_of(case: Case) -> tuple[Tensor, Tensor]:
    return sequences(case.inputs, LENGTHS)


def targets(seed: int = 5) -> Tensor:
    """Previous tokens (B, 4), beginning with `begin`."""
    found = torch.randint(2, VOCABULARY, (len(LENGTHS), 4), generator=torch.Generator().manual_seed(seed))
    found[:, 0] = BEGIN
    return found


def output(case: Case, values: Tensor, lengths: Tensor | None, previous: Tensor | None = None) -> Tensor:
    """What the network says of sequences, (B, ...)."""
    network = network_of(case)
    if case.use != "target":
        found = network(values, lengths)
    else:
        previous = targets()[: len(values)] if previous is None else previous
        found = network(values, lengths, previous, torch.full((len(values),), previous.shape[1]))
    assert isinstance(found, Tensor) and found.isfinite().all()
    return found


def own(case: Case, found: Tensor, row: int) -> Tensor:
    """The outputs of a row that belong to its sequence."""
    return found[row, : LENGTHS[row]] if case.use in ("position", "next") else found[row]


def at(precision: str) -> AbstractContextManager[object]:
    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")


def assert_close(found: Tensor, expected: Tensor, precision: str, other_shape: bool = False) -> None:
    """To 1e-6 of the largest output; in bf16 sums of other shapes are rounded otherwise."""
    limit = 0.03 if precision == "bf16" and other_shape else 1e-6
    scale = expected.float().abs().max().clamp(min=1)
    torch.testing.assert_close(found.float(), expected.float(), atol=float(limit * scale), rtol=0)


def test_no_model_is_left_out() -> None:
    """A model that calls itself one of sequences in its signature is one of the cases."""
    named = {
        option
        for option in CATALOG.options("model")
        if {"vocabulary_size", "in_channels"} & set(inspect.signature(builder(option)).parameters)
    }
    assert named == set(READERS) and len(READERS) >= 19
    assert IMAGES == ("vit", "vit_b16")
    assert {case.use for case in CASES} == {"pooled", "position", "next", "target"}


@in_both
@of_every_case
def test_padding_changes_nothing(case: Case, precision: str) -> None:
    """A padded step read as the last, an inverted mask, and a mean over padding fail here."""
    values, lengths = inputs_of(case)
    padding = torch.arange(7) >= lengths[:, None]
    dirty = values.clone()
    dirty[padding] = 3 if case.inputs == "tokens" else 9.0
    longer = torch.cat([dirty, dirty[:, :3]], 1)
    with torch.no_grad(), at(precision):
        whole, unclean, more = (output(case, x, lengths) for x in (values, dirty, longer))
        for row, length in enumerate(LENGTHS):
            assert_close(own(case, unclean, row), own(case, whole, row), precision)
            assert_close(own(case, more, row), own(case, whole, row), precision, other_shape=True)
            previous = targets()[row : row + 1]
            alone = output(case, values[row : row + 1, :length], lengths[row : row + 1], previous)
            assert_close(alone[0], own(case, whole, row), precision, other_shape=True)


@in_both
@of_every_case
def test_other_rows_and_their_order_change_nothing(case: Case, precision: str) -> None:
    """Attention over the axis of the batch fails here."""
    values, lengths = inputs_of(case)
    order = [3, 0, 4, 2, 1]
    others = values.clone()
    others[1:] = (others[1:] + 3) % 9 if case.inputs == "tokens" else others[1:] + 3
    with torch.no_grad(), at(precision):
        whole, beside = output(case, values, lengths), output(case, others, lengths)
        moved = output(case, values[order], lengths[order], targets()[order])
        for place, row in enumerate(order):
            kept = moved[place, : LENGTHS[row]] if case.use in ("position", "next") else moved[place]
            assert_close(kept, own(case, whole, row), precision)
    assert_close(own(case, beside, 0), own(case, whole, 0), precision)
    assert not torch.equal(own(case, beside, 1), own(case, whole, 1))


@in_both
@of_every_case
def test_every_own_position_and_their_order_count(case: Case, precision: str) -> None:
    """Attention that is thrown away, and inputs that are not looked at, fail here."""
    values, lengths = inputs_of(case)
    with torch.no_grad(), at(precision):
        whole = output(case, values, lengths)
        for place in range(7):
            changed = values.clone()
            changed[0, place] = changed[0, place] % 9 + 1 if case.inputs == "tokens" else changed[0, place] + 2
            assert not torch.equal(output(case, changed, lengths)[0], whole[0]), place
        swapped = values[:, [1, 0, 2, 3, 4, 5, 6]]
        assert (output(case, swapped, lengths)[0] - whole[0]).abs().max() > 1e-5


@of_every_case
def test_every_parameter_learns(case: Case) -> None:
    """A layer whose result is thrown away, such as attention that is computed and not used, has no gradient."""
    values, lengths = inputs_of(case)
    network = network_of(case)
    found = output(case, values, lengths)
    factor = torch.randn(found.shape, generator=torch.Generator().manual_seed(3))
    gradients = torch.autograd.grad((found * factor).sum(), [*network.parameters()], allow_unused=True)
    names = [name for name, _ in network.named_parameters()]
    silent = [name for name, given in zip(names, gradients, strict=True) if given is None or not given.any()]
    assert silent == []


CAUSAL = [case for case in CASES if case.use == "next" or getattr(network_of(case), "is_causal", False)]
TARGETS = [case for case in CASES if case.use == "target"]


def test_language_models_are_causal() -> None:
    assert {case.option for case in CAUSAL} >= {"gpt", "gpt2", "rnn", "lstm", "gru", "recurrent_cells", "tcn"}
    assert {case.use for case in CAUSAL} == {"position", "next"}


@in_both
@parametrize(CAUSAL)
def test_the_future_changes_nothing(case: Case, precision: str) -> None:
    """Not even the last bit."""
    values, lengths = inputs_of(case)
    with torch.no_grad(), at(precision):
        whole = output(case, values, lengths)
        for place in range(1, 7):
            changed = values.clone()
            changed[:, place:] = changed[:, place:] % 9 + 1 if case.inputs == "tokens" else 9.0
            found = output(case, changed, lengths)
            assert torch.equal(found[:, :place], whole[:, :place]), place
            assert not torch.equal(found[0, place], whole[0, place]), place


@in_both
@parametrize(TARGETS)
def test_the_future_of_a_target_changes_nothing(case: Case, precision: str) -> None:
    values, lengths = inputs_of(case)
    previous = targets()
    with torch.no_grad(), at(precision):
        whole = output(case, values, lengths, previous)
        for place in range(1, 4):
            changed = previous.clone()
            changed[:, place:] = (changed[:, place:] - 1) % 9 + 2
            found = output(case, values, lengths, changed)
            assert torch.equal(found[:, :place], whole[:, :place]), place
            assert not torch.equal(found[:, place], whole[:, place]), place


@in_both
@parametrize(case for case in CASES if case.use in ("next", "target"))
def test_steps_are_the_whole(case: Case, precision: str) -> None:
    """One token after the other, with what is kept, and prompts or sources of unlike lengths."""
    values, lengths = inputs_of(case)
    network: Any = network_of(case)
    previous = targets()
    with torch.no_grad(), at(precision):
        found, state = network.start(values, lengths)
        rows = torch.tensor([2, 0, 3])
        state, given = state.select(rows), previous[rows]
        assert_close(
            found, _whole(case, values, lengths, previous[:, :1], torch.arange(5)), precision, other_shape=True
        )
        for number in range(1, 4):
            found, state = network.step(given[:, number], state)
            expected = _whole(case, values, lengths, previous[:, : number + 1], rows)
            assert_close(found, expected, precision, other_shape=True)


def _whole(case: Case, values: Tensor, lengths: Tensor, previous: Tensor, rows: Tensor) -> Tensor:
    """The last output (K, V) of each row, read in one piece."""
    found = []
    for row in rows.tolist():
        prompt, size = values[row : row + 1, : LENGTHS[row]], lengths[row : row + 1]
        if case.use == "target":
            found.append(output(case, prompt, size, previous[row : row + 1])[0, -1])
        else:
            x = torch.cat([prompt, previous[row : row + 1, 1:]], 1)
            found.append(output(case, x, torch.tensor([x.shape[1]]))[0, -1])
    return torch.stack(found)


@cache
def image_network(option: str) -> nn.Module:
    values = {key: value for key, value in own_values(option).items() if not key.startswith("_")}
    torch.manual_seed(0)
    small = {key: value for key, value in SMALL.items() if key in values}
    return builder(option)(**values | small, input_shape=(2, 8, 6), num_outputs=5).eval()


@in_both
@pytest.mark.parametrize("option", IMAGES)
def test_patches_have_their_places_and_images_their_rows(option: str, precision: str) -> None:
    """Scrambled patches, an image that is not looked at, and attention over the batch fail here."""
    network = image_network(option)
    x = torch.randn(3, 2, 8, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), at(precision):
        whole = network(x)
        assert_close(network(x[[2, 0, 1]]), whole[[2, 0, 1]], precision)
        other = x.clone()
        other[1:] += 1
        assert_close(network(other)[0], whole[0], precision)
        assert_close(network(x[:1]), whole[:1], precision, other_shape=True)
        for row, column in ((0, 2), (4, 2), (6, 4)):  # each patch in exchange with the first
            moved = x.clone()
            here, there = (..., slice(0, 2), slice(0, 2)), (..., slice(row, row + 2), slice(column, column + 2))
            moved[here], moved[there] = x[there], x[here]
            assert (network(moved) - whole).abs().max() > 1e-3
            within = x.clone()
            within[there] = x[there].flip(-1)
            assert (network(within) - whole).abs().max() > 1e-3
