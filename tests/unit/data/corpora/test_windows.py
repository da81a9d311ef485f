"""Windows of a text: each token counts once, and is the one after its input."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from dlexp.data.columns import read_all
from dlexp.data.corpora.windows import IGNORED, evaluation_windows, training_windows
from dlexp.types import Sequences


def everything(column: object) -> Sequences:
    found = read_all(column)  # type: ignore[arg-type]
    assert isinstance(found, Sequences)
    return found


@given(count=st.integers(2, 60), window=st.integers(2, 12), data=st.data())
def test_every_token_but_the_first_counts_once_in_evaluation(count: int, window: int, data: st.DataObject) -> None:
    context = data.draw(st.integers(0, window - 1))
    inputs, targets = map(everything, evaluation_windows(torch.arange(100, 100 + count), window, context))
    assert torch.equal(inputs.lengths, targets.lengths)
    counted = targets.values[targets.mask & (targets.values != IGNORED)]
    assert sorted(counted.tolist()) == list(range(101, 100 + count))
    own = inputs.mask & (targets.values != IGNORED)
    assert torch.equal(inputs.values[own] + 1, targets.values[own])
    assert int(inputs.lengths.max()) <= window
    if len(inputs) > 1:  # all but the first window have their context
        assert bool((targets.values[1:, :context] == IGNORED).all())


@given(count=st.integers(2, 60), window=st.integers(2, 12), data=st.data())
def test_training_windows_hold_every_token(count: int, window: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, window))
    inputs, targets = map(everything, training_windows(torch.arange(count), window, stride))
    assert set(targets.values[targets.mask].tolist()) == set(range(1, count))
    assert torch.equal(inputs.values[inputs.mask] + 1, targets.values[targets.mask])
    if stride == window:
        assert int(targets.lengths.sum()) == count - 1


def test_a_piece_is_padded_to_its_own_longest() -> None:
    inputs, _ = training_windows(torch.arange(10), 4, 4)
    (last,) = inputs.read([torch.tensor([2])])
    assert last.values.tolist() == [[8]]
    (both,) = inputs.read([torch.tensor([2, 0])])
    assert both.values.tolist() == [[8, 0, 0, 0], [0, 1, 2, 3]]
    assert both.lengths.tolist() == [1, 4]
