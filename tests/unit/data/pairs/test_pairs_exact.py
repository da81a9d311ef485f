"""Exact tasks: targets follow the rule, sources differ, the same keys give the same data."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

import pytest
import torch

from dlexp.data.bundle import DataBundle
from dlexp.data.columns import read_all
from dlexp.data.pairs.adding import adding
from dlexp.data.pairs.exact import addition, copy, dates, reverse, sort, spelled_numbers
from dlexp.data.pairs.written_dates import NUM_FORMATS, in_format
from dlexp.data.pairs.written_numbers import number_words
from dlexp.errors import ConfigError, DataError
from dlexp.sequence_specs import TokenTargetSpec
from dlexp.types import Sequences


def _texts(bundle: DataBundle, split: str) -> list[tuple[str, str]]:
    part, spec = bundle.splits[split], bundle.spec
    assert isinstance(spec.targets, TokenTargetSpec) and part.targets is not None
    sides = []
    for column, vocabulary in ((part.inputs, spec.inputs.vocabulary), (part.targets, spec.targets.vocabulary)):  # type: ignore[attr-defined]
        field = read_all(column)
        assert isinstance(field, Sequences) and vocabulary is not None
        rows = zip(field.values.tolist(), field.lengths.tolist(), strict=True)
        sides.append([vocabulary.decode(values[:length]) for values, length in rows])
    return list(zip(*sides, strict=True))


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (copy, list),
        (reverse, lambda given: given[::-1]),
        (sort, lambda given: sorted(given, key=int)),
    ],
)
def test_targets_follow_from_symbols(make: Callable[..., DataBundle], rule: Callable[[list[str]], list[str]]) -> None:
    bundle = make(length=6, vocabulary=12, num_samples=300)
    pairs = [pair for split in ("train", "val", "test") for pair in _texts(bundle, split)]
    assert len({source for source, _ in pairs}) == 300
    assert {len(source.split()) for source, _ in pairs} == set(range(1, 7))
    for source, target in pairs:
        assert target.split() == rule(source.split())


def test_a_target_ends_with_the_end_and_begins_with_no_begin() -> None:
    bundle = reverse(length=4, vocabulary=9, num_samples=50)
    spec = bundle.spec.targets
    assert isinstance(spec, TokenTargetSpec) and bundle.splits["train"].targets is not None
    field = read_all(bundle.splits["train"].targets)
    assert isinstance(field, Sequences)
    last = field.values[torch.arange(len(field)), field.lengths - 1]
    own = field.values[field.mask].tolist()
    assert set(last.tolist()) == {spec.end}
    assert spec.begin not in own
    assert own.count(spec.end) == len(field)
    assert spec.max_length == 5


def test_the_data_are_a_function_of_their_seed() -> None:
    one, same, other = (reverse(num_samples=100, data_seed=seed).fingerprint for seed in (0, 0, 1))
    assert one == same != other
    assert adding(num_samples=50).fingerprint == adding(num_samples=50).fingerprint
    assert adding(num_samples=50).fingerprint != adding(num_samples=50, data_seed=1).fingerprint


def test_sums_are_right() -> None:
    for source, target in _texts(addition(digits=3, num_samples=200), "train"):
        first, second = source.split("+")
        assert int(first) + int(second) == int(target)


def test_no_date_is_in_two_splits_and_each_format_is_read_back() -> None:
    bundle = dates(num_samples=500)
    seen = {split: {target for _, target in _texts(bundle, split)} for split in ("train", "val", "test")}
    assert sum(map(len, seen.values())) == 500 == len(set.union(*seen.values()))
    reads = (
        *("%d %B %Y", "%B %d, %Y", "%d.%m.%Y", "%m/%d/%Y", "%a, %d %b %Y"),
        *("%d of %B %Y", "%Y %b %d"),
    )
    assert NUM_FORMATS == len(reads) >= 5
    for day in (date(1998, 3, 1), date(2012, 12, 22), date(1900, 1, 13), date(2099, 5, 3)):
        for number, read in enumerate(reads):
            text = in_format(day, number)
            for ending in ("st", "nd", "rd", "th"):
                text = text.replace(f"{ending} of", " of")
            assert datetime.strptime(text, read).date() == day


def test_words_of_numbers() -> None:
    known = {
        0: "zero",
        13: "thirteen",
        40: "forty",
        99: "ninety nine",
        100: "one hundred",
        1204: "one thousand two hundred and four",
        1_000_001: "one million and one",
        999_999_999: "nine hundred and ninety nine million nine hundred and ninety nine thousand nine hundred and "
        "ninety nine",
    }
    assert {number: number_words(number) for number in known} == known
    assert len({number_words(number) for number in range(10_000)}) == 10_000
    with pytest.raises(ValueError, match="10\\^9"):
        number_words(10**9)
    pairs = _texts(spelled_numbers(num_samples=100), "train")
    assert all(number_words(int(source)) == target for source, target in pairs)


def test_more_samples_than_there_are_is_an_error() -> None:
    with pytest.raises(DataError, match="30 were found") as caught:
        sort(length=2, vocabulary=5, num_samples=31)
    assert caught.value.code == "too-few-samples"
    with pytest.raises(ConfigError, match="73049"):
        dates(num_samples=80_000)


def test_the_sum_of_the_two_marked_numbers_is_the_target() -> None:
    bundle = adding(length=11, num_samples=60)
    part = bundle.splits["train"]
    assert part.targets is not None
    series, targets = read_all(part.inputs), read_all(part.targets)
    assert isinstance(series, Sequences) and isinstance(targets, torch.Tensor)
    values, marks = series.values.double().unbind(2)
    assert (marks[:, :5].sum(1) == 1).all() and (marks[:, 5:].sum(1) == 1).all()
    torch.testing.assert_close((values * marks).sum(1), targets[:, 0])
