"""The conditional random field against all sequences of tags, one by one."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
import torch
from torch import Tensor

from dlexp.losses.crf import LinearChain

LENGTHS = torch.tensor([5, 3, 1, 0])


@pytest.fixture
def chain() -> LinearChain:
    torch.manual_seed(0)
    made = LinearChain(3).double()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter)
    return made


@pytest.fixture
def scores() -> Tensor:
    return torch.randn(4, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def score(chain: LinearChain, scores: Tensor, tags: tuple[int, ...]) -> Tensor:
    found = torch.zeros((), dtype=torch.float64)
    for place, tag in enumerate(tags):
        found = found + scores[place, tag]
    for one, other in pairwise(tags):
        found = found + chain.transitions[one, other]
    return found + chain.first[tags[0]] + chain.last[tags[-1]] if tags else found


def test_the_partition_and_the_best_sequence_are_those_of_all_sequences(chain: LinearChain, scores: Tensor) -> None:
    found, best = chain.log_partition(scores, LENGTHS), chain.best(scores, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        every = {tags: score(chain, scores[row], tags) for tags in product(range(3), repeat=length)}
        total = torch.logsumexp(torch.stack(list(every.values())), 0)
        assert float((found[row] - total).detach()) == pytest.approx(0, abs=1e-10)
        top = max(every, key=lambda tags: float(every[tags].detach()))
        assert best[row].tolist() == [*top, *(0,) * (5 - length)]


def test_the_likelihood_of_all_sequences_adds_up_to_one(chain: LinearChain, scores: Tensor) -> None:
    tags = torch.tensor(list(product(range(3), repeat=3)))
    many = scores[1:2, :3].expand(len(tags), -1, -1)
    likelihood = (-chain(many, tags, torch.full((len(tags),), 3))).exp()
    assert float(likelihood.sum().detach()) == pytest.approx(1)
    one = score(chain, scores[1], tuple(tags[4].tolist())) - chain.log_partition(scores, LENGTHS)[1]
    torch.testing.assert_close(likelihood[4], one.exp())


def test_padding_and_other_rows_change_nothing(chain: LinearChain, scores: Tensor) -> None:
    tags = torch.randint(0, 3, (4, 5), generator=torch.Generator().manual_seed(2))
    whole, best = chain(scores, tags, LENGTHS), chain.best(scores, LENGTHS)
    noisy = scores.masked_fill(torch.arange(5)[:, None] >= LENGTHS[:, None, None], 1e6)
    assert torch.equal(chain(noisy, tags.masked_fill(torch.arange(5) >= LENGTHS[:, None], 2), LENGTHS), whole)
    assert torch.equal(chain.best(noisy, LENGTHS), best)
    for row, length in enumerate(LENGTHS.tolist()):
        one = slice(row, row + 1)
        alone = chain(scores[one, :length], tags[one, :length], LENGTHS[one])
        torch.testing.assert_close(alone, whole[one])


def test_every_parameter_has_a_gradient_and_half_precision_is_widened(chain: LinearChain, scores: Tensor) -> None:
    tags = torch.zeros(4, 5, dtype=torch.int64)
    chain(scores, tags, LENGTHS).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in chain.parameters())
    plain = LinearChain(3)
    assert plain(scores.bfloat16(), tags, LENGTHS).dtype == torch.float32
