"""The seams of data: every kind of inputs and targets, or no targets, passes from a source to a task unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from dlexp import kinds
from dlexp.data.bundle import SPLITS, DataBundle, Split, blank_bundle, with_counts
from dlexp.data.columns import Column, Constant, Dense, Keyed, Piece, Ragged, column_of, read_all, tensor_of
from dlexp.data.images.image_set import ImageSet
from dlexp.data.images.placement import Placement
from dlexp.data.loaders import EvalBatches, TrainBatches
from dlexp.data.preprocess import Affine, Identity, Preprocess
from dlexp.data.splitting import held_out, rows_of_parts, split_rows
from dlexp.data.streaming import Stream, Streamed
from dlexp.data.tables.encoding import build_table
from dlexp.errors import ConfigError
from dlexp.runtime.seed import generator
from dlexp.sequence_specs import (
    CaptionSpec,
    ForecastSpec,
    NextTokenSpec,
    SeriesSpec,
    TagSpec,
    TokenSpec,
    TokenTargetSpec,
)
from dlexp.spec_base import InputSpec, TargetSpec
from dlexp.specs import (
    BoxSpec,
    ClassSpec,
    DataSpec,
    ImageSpec,
    ImageTargetSpec,
    LabelSpec,
    MaskSpec,
    TableSpec,
    ValueSpec,
)
from dlexp.tasks.base import forward
from dlexp.text.vocabulary import learn_vocabulary
from dlexp.types import Batch, Field, Mixed, Sequences, as_tensor
from dlexp.workflows.data.fingerprint import counts_of
from dlexp.workflows.train.crash import _batch, _parts

CPU = torch.device("cpu")
WORDS = learn_vocabulary(["a b"], "word")
INPUTS: list[InputSpec] = [
    ImageSpec(3, 6, 5),
    TableSpec(7, ((1, 3),)),
    TokenSpec(11, 9),
    TokenSpec(5, 9, WORDS),
    SeriesSpec(2, 8),
]
TARGETS: list[TargetSpec | None] = [
    ClassSpec(("a", "b"), (3, 4)),
    ValueSpec(("y", "z"), (0.5, 1e9), (1.0, 2.5), (-1.0, 1e-3)),
    LabelSpec(("p", "q", "r")),
    MaskSpec(("ground", "object"), 6, 5, 255),
    BoxSpec(("cat", "dog")),
    ImageTargetSpec(3, 12, 10, 255.0, 2),
    TokenTargetSpec(5, 4),
    TokenTargetSpec(5, 4, 1, 2, WORDS),
    NextTokenSpec(5, 4, WORDS),
    TagSpec(("O", "B"), 9, (3, 1)),
    CaptionSpec(WORDS, 4, ("cat", "dog"), ("a {}",)),
    ForecastSpec(
        ("load", "wind"), 3, (0.5, 1e9), (1.0, 2.5), 24, ("north", "south"), (0, 40), ((1.0, 2.0), (0.0, 3.0))
    ),
    None,
]
LENGTHS = [3, 1, 7, 2, 2, 5, 1, 4, 6, 3, 1, 2]


def ragged(lengths: list[int], dtype: torch.dtype = torch.int64, first: int = 1) -> Ragged:
    """Sequences that count on, so that each value is known by its place."""
    offsets = torch.tensor([0, *np.cumsum(lengths)])
    return Ragged(torch.arange(first, first + sum(lengths)).to(dtype), offsets)


def bundle_of(
    inputs: Column, targets: Column | None, spec: DataSpec, preprocess: Preprocess | None = None
) -> DataBundle:
    split = Split(inputs, targets, torch.arange(len(inputs)) + 100)
    return DataBundle(spec, dict.fromkeys(SPLITS, split), preprocess or Identity(), "", {})


def same(one: Field | None, other: Field | None) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, Sequences) and isinstance(other, Sequences):
        return same(one.values, other.values) and same(one.lengths, other.lengths)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    return one is None and other is None


FIELDS: dict[str, Field] = {
    "tensor": torch.arange(6.0).reshape(3, 2),
    "sequences": Sequences(torch.tensor([[1, 2], [3, 0], [4, 5]]), torch.tensor([2, 1, 2])),
    "mapping": {"nodes": torch.arange(3), "edges": torch.ones(3, 2, 2)},
}


# Batch and Field


def test_the_mask_of_sequences_marks_their_own_positions() -> None:
    found = Sequences(torch.zeros(3, 4, 2), torch.tensor([4, 1, 0])).mask
    assert found.tolist() == [[True] * 4, [True, False, False, False], [False] * 4]


@pytest.mark.parametrize("targets", [*FIELDS, "none"])
@pytest.mark.parametrize("inputs", FIELDS)
def test_a_batch_of_any_field_has_a_length_and_moves(inputs: str, targets: str) -> None:
    mixed = Mixed(torch.ones(3), 0.25)
    batch = Batch(FIELDS[inputs], FIELDS.get(targets), torch.tensor([4, 9, 2]), mixed)
    assert len(batch) == 3
    moved = batch.to(torch.device("meta"))
    assert len(moved) == 3
    assert moved.mixed is not None and moved.mixed.targets.is_meta and moved.mixed.share == 0.25
    for field in (moved.inputs, moved.targets, moved.indices):
        if isinstance(field, Sequences):
            assert field.values.is_meta and field.lengths.is_meta
        elif isinstance(field, Mapping):
            assert all(value.is_meta for value in field.values())
        else:
            assert field is None or field.is_meta
    assert (moved.targets is None) == (targets == "none")


@pytest.mark.parametrize("targets", [*FIELDS, "none"])
@pytest.mark.parametrize("inputs", FIELDS)
def test_a_batch_of_any_field_is_kept_in_a_crash_capsule(inputs: str, targets: str) -> None:
    batch = Batch(FIELDS[inputs], FIELDS.get(targets), torch.tensor([4, 9, 2]))
    found = _batch(_parts(batch), CPU)
    assert same(found.inputs, batch.inputs) and same(found.targets, batch.targets)
    assert torch.equal(found.indices, batch.indices) and found.mixed is None


class _Whole(nn.Module):
    def forward(self, values: Tensor, lengths: Tensor | None = None) -> Tensor:
        return values.sum() if lengths is None else values.sum() * 1000 + lengths.sum()


class _Named(nn.Module):
    def forward(self, edges: Tensor, nodes: Tensor) -> Tensor:
        return edges.sum() * 1000 + nodes.sum()


def test_forward_calls_a_network_as_its_inputs_are() -> None:
    assert forward(_Whole(), FIELDS["tensor"]).item() == 15
    assert forward(_Whole(), FIELDS["sequences"]).item() == 15_005
    assert forward(_Named(), FIELDS["mapping"]).item() == 12_003


# Columns


def columns() -> dict[str, Column]:
    values = torch.randn(len(LENGTHS), 3, 2, generator=generator(0, "columns"))
    reader = _Reader(values)
    return {
        "dense": Dense(values),
        "ragged": ragged(LENGTHS),
        "keyed": Keyed({"a": Dense(values), "b": Dense(torch.arange(len(LENGTHS)))}),
        "constant": Constant(Sequences(torch.ones(1, 4, 2), torch.tensor([4])), len(LENGTHS)),
        "streamed": Streamed(Stream(reader, 0), np.arange(len(LENGTHS)), (3, 2), torch.float32),
    }


@dataclass
class _Reader:
    values: Tensor

    def read(self, rows: NDArray[np.int64]) -> Tensor:
        return self.values[torch.from_numpy(rows)]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(list(columns())), st.lists(st.integers(0, len(LENGTHS) - 1), min_size=1, max_size=9))
def test_a_column_gives_each_sample_its_own_values_in_any_piece(name: str, positions: list[int]) -> None:
    column = columns()[name]
    (found,) = column.read([torch.tensor(positions)])
    for place, position in enumerate(positions):
        (alone,) = column.read([slice(position, position + 1)])
        assert same(_sample(found, place), _sample(alone, 0))


def _sample(field: Field, place: int) -> Field:
    """One sample of a batch, without its padding."""
    if isinstance(field, Tensor):
        return field[place]
    if isinstance(field, Sequences):
        length = int(field.lengths[place])
        assert not field.values[place, length:].any()
        return field.values[place, :length]
    return {name: value[place] for name, value in field.items()}


@pytest.mark.parametrize("name", columns())
def test_a_column_has_a_length_and_reads_many_pieces_in_order(name: str) -> None:
    column = columns()[name]
    assert len(column) == len(LENGTHS)
    pieces: list[Piece] = [slice(0, 5), torch.tensor([7, 2]), slice(5, 12)]
    many, alone = list(column.read(pieces)), [next(iter(column.read([piece]))) for piece in pieces]
    assert all(same(one, other) for one, other in zip(many, alone, strict=True))
    assert same(read_all(column), next(iter(column.read([torch.arange(len(column))]))))


@pytest.mark.parametrize("name", FIELDS)
def test_a_batch_becomes_a_column_and_a_batch_again(name: str) -> None:
    assert same(read_all(column_of(FIELDS[name])), FIELDS[name])


def test_sequences_without_any_position_are_read() -> None:
    (found,) = ragged([0, 0]).read([slice(0, 2)])
    assert found.values.shape == (2, 0)
    assert found.lengths.tolist() == [0, 0]


# No targets


def test_samples_are_split_without_labels() -> None:
    parts = split_rows(50, (0.1, 0.2, 3))
    assert [len(part) for part in parts] == [35, 5, 10]
    assert sorted(np.concatenate(parts).tolist()) == list(range(50))
    kept, held = held_out(np.arange(20), None, (), 0.25, 0)
    assert (len(kept), len(held)) == (15, 5)
    train, val, test = rows_of_parts({"train": 10, "test": 4}, (0.2, 0.1, 0))
    assert (len(train), len(val), test.tolist()) == (8, 2, [10, 11, 12, 13])


def unconditional() -> DataBundle:
    columns = {name: np.random.default_rng(n).normal(size=40) for n, name in enumerate("abc")}
    return build_table(columns, None, (), (), split_rows(40, (0.2, 0.2, 0)), True)


def test_data_without_targets_go_through_counts_fingerprints_and_batches() -> None:
    bundle = unconditional()
    assert bundle.spec.targets is None and bundle.spec.target_kind == kinds.NO_TARGETS
    assert with_counts(bundle).spec == bundle.spec
    assert len(bundle.split_hash) == 64 and bundle.fingerprint != ""
    assert counts_of(bundle, bundle.splits["val"]) == {"samples": 8}
    for batches in (TrainBatches(bundle, 5, 0, CPU).epoch(0), EvalBatches(bundle, "test", 3, CPU)):
        assert all(batch.targets is None and len(batch) == len(as_tensor(batch.inputs)) for batch in batches)
    assert len(bundle.with_split_subset("val", torch.tensor([1, 2])).splits["val"]) == 2


@pytest.mark.parametrize("in_memory", [True, False])
def test_images_without_targets_are_kept_or_streamed(in_memory: bool) -> None:
    images = ImageSet(_Images(), None, (), split_rows(20, (0.2, 0.2, 0)), "", {})
    bundle = images.bundle(Placement(in_memory, 0), (None, None), ("crop_flip", 1))
    assert (bundle.spec, bundle.is_streamed) == (DataSpec(ImageSpec(1, 4, 4), None), not in_memory)
    assert all(batch.targets is None for batch in TrainBatches(bundle, 5, 0, CPU).epoch(0))


class _Images:
    shape = (1, 4, 4)
    dtype = torch.uint8

    def read(self, rows: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(rows).to(torch.uint8)[:, None, None, None].expand(-1, 1, 4, 4)

    def attempt(self, rows: NDArray[np.int64]) -> tuple[Tensor, list[Any]]:
        return self.read(rows), []

    def refusal(self, failures: object) -> Any:
        raise AssertionError


# Whole numbers


@pytest.mark.parametrize("is_streamed", [False, True])
def test_token_ids_leave_the_loader_as_they_are(is_streamed: bool) -> None:
    ids = torch.randint(0, 11, (12, 5), generator=generator(0, "ids"))
    column: Column = Dense(ids)
    if is_streamed:
        column = Streamed(Stream(_Reader(ids), 0), np.arange(12), (5,), torch.int64)
    bundle = bundle_of(column, Dense(torch.arange(12)), DataSpec(TokenSpec(11, 5), ClassSpec.numbered(12)))
    for batch in (*TrainBatches(bundle, 4, 0, CPU).epoch(0), *EvalBatches(bundle, "val", 4, CPU)):
        assert torch.equal(as_tensor(batch.inputs), ids[batch.indices - 100])
        assert nn.Embedding(11, 3)(as_tensor(batch.inputs)).shape == (4, 5, 3)


def test_padding_stays_zero_where_series_are_standardized() -> None:
    affine = Affine(torch.tensor(2.0), torch.tensor(5.0))
    found = affine(Sequences(torch.ones(2, 3, 1), torch.tensor([3, 1])))
    assert isinstance(found, Sequences)
    assert found.values[..., 0].tolist() == [[7, 7, 7], [7, 0, 0]]


@pytest.mark.parametrize("given", [Identity(), Affine(torch.rand(3, 4, 5), torch.tensor(0.1))])
def test_preprocessing_is_written_down_and_read(given: Preprocess) -> None:
    found = Preprocess.from_plain(given.to_plain())
    numbers = torch.rand(2, 3, 4, 5)
    assert type(found) is type(given)
    assert torch.equal(as_tensor(found(numbers)), as_tensor(given(numbers)))


# Sequences of different lengths


@pytest.mark.parametrize("size", [1, 3, 5, 64])
def test_each_batch_of_sequences_is_padded_to_its_own_longest(size: int) -> None:
    spec = DataSpec(TokenSpec(100, 7), TokenTargetSpec(100, 7))
    bundle = bundle_of(ragged(LENGTHS), ragged(LENGTHS, first=50), spec)
    offsets = np.cumsum([0, *LENGTHS])
    longest = set()
    for batch in (*TrainBatches(bundle, size, 0, CPU).epoch(0), *EvalBatches(bundle, "val", size, CPU)):
        inputs, targets = batch.inputs, batch.targets
        assert isinstance(inputs, Sequences) and isinstance(targets, Sequences)
        assert inputs.values.shape[1] == inputs.lengths.max() == targets.values.shape[1]
        longest.add(inputs.values.shape[1])
        for place, index in enumerate((batch.indices - 100).tolist()):
            expected = torch.arange(offsets[index], offsets[index + 1]) + 1
            assert inputs.lengths[place] == LENGTHS[index]
            assert torch.equal(inputs.values[place, : LENGTHS[index]], expected)
            assert torch.equal(targets.values[place, : LENGTHS[index]], expected + 49)
            assert not inputs.values[place, LENGTHS[index] :].any()
    assert size == 64 or len(longest) > 1


def test_what_is_read_of_a_sequence_does_not_depend_on_its_neighbors() -> None:
    bundle = bundle_of(ragged(LENGTHS, torch.float32), None, DataSpec(SeriesSpec(1, 7), None))

    def by_index(size: int) -> dict[int, list[float]]:
        found = {}
        for batch in TrainBatches(bundle, size, 5, CPU).epoch(2):
            assert isinstance(batch.inputs, Sequences)
            for place, index in enumerate(batch.indices.tolist()):
                found[index] = as_tensor(_sample(batch.inputs, place)).tolist()
        return found

    assert by_index(2) == by_index(5) == by_index(64)


# Specs


def test_every_kind_has_a_name_and_words() -> None:
    assert {spec.kind for spec in INPUTS} == set(kinds.INPUTS)
    assert {DataSpec(INPUTS[0], spec).target_kind for spec in TARGETS} == set(kinds.TARGETS)
    assert kinds.describe_kind("image") == "images (channels, height, width)"
    assert kinds.describe_kind("graph") == "data of kind 'graph'"


@pytest.mark.parametrize("targets", TARGETS, ids=str)
@pytest.mark.parametrize("inputs", INPUTS, ids=str)
def test_a_spec_of_any_kind_is_written_down_and_read(inputs: InputSpec, targets: TargetSpec | None) -> None:
    spec = DataSpec(inputs, targets)
    assert DataSpec.from_plain(spec.to_plain()) == spec


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"kind": "graph"}, "unknown kind 'graph'"),
        ({"channels": "3"}, "`channels` must be int"),
        ({"channels": True}, "`channels` must be int"),
        ({"channels": [1]}, "`channels` must be int"),
        ({"depth": 4}, "unexpected keyword argument 'depth'"),
    ],
)
def test_a_spec_that_was_changed_by_hand_is_refused(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        InputSpec.from_plain(ImageSpec(3, 6, 5).to_plain() | change)


@pytest.mark.parametrize("targets", TARGETS, ids=str)
@pytest.mark.parametrize("inputs", INPUTS, ids=str)
def test_blank_data_of_any_kind_have_batches(inputs: InputSpec, targets: TargetSpec | None) -> None:
    bundle = with_counts(blank_bundle(DataSpec(inputs, targets), {"train": 5, "val": 2, "test": 1, "other": 9}))
    assert bundle.sizes() == {"train": 5, "val": 2, "test": 1}
    for name in SPLITS:
        batches = list(EvalBatches(bundle, name, 2, CPU))
        assert sum(map(len, batches)) == len(bundle.splits[name])
        assert all((batch.targets is None) == (targets is None) for batch in batches)
    (first, *_) = EvalBatches(bundle, "train", 2, CPU)
    assert same(first.inputs, next(iter(Constant(inputs.blank(), 2).read([slice(0, 2)]))))


def test_labels_are_counted_as_classes_are() -> None:
    targets = torch.tensor([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    bundle = bundle_of(Dense(torch.zeros(2, 4)), Dense(targets), DataSpec(TableSpec(4), LabelSpec(("p", "q", "r"))))
    assert with_counts(bundle).spec.targets == LabelSpec(("p", "q", "r"), (2, 0, 1))


@dataclass(frozen=True)
class RingSpec(InputSpec):
    """A kind of inputs that dlexp does not have."""

    num_nodes: int

    kind: ClassVar[str] = "ring"

    def blank(self) -> dict[str, Tensor]:
        return {"nodes": torch.zeros(1, self.num_nodes), "edges": torch.zeros(1, self.num_nodes)}

    def model_arguments(self) -> dict[str, Any]:
        return {"num_nodes": self.num_nodes}


def test_a_kind_of_the_users_own_is_written_down_and_read() -> None:
    spec = DataSpec(RingSpec(4), ClassSpec(("a", "b")))
    assert DataSpec.from_plain(spec.to_plain()) == spec
    assert spec.model_arguments() == {"num_nodes": 4, "num_outputs": 2, "num_classes": 2}
    (batch, *_) = EvalBatches(blank_bundle(spec, dict.fromkeys(SPLITS, 3)), "val", 3, CPU)
    assert isinstance(batch.inputs, Mapping)
    assert batch.inputs["edges"].shape == (3, 4)


def test_a_kind_belongs_to_one_class() -> None:
    with pytest.raises(TypeError, match="'image' belongs to ImageSpec"):
        type("Other", (InputSpec,), {"kind": "image"})


def test_augmentation_of_other_inputs_than_images_is_refused() -> None:
    spec = DataSpec(TokenSpec(5, 3), None)
    bundle = blank_bundle(spec, dict.fromkeys(SPLITS, 2))
    with pytest.raises(ConfigError, match="augmentation is for images"):
        DataBundle(spec, bundle.splits, Identity(), "", {}, augment="flip")


def test_a_tensor_is_asked_for_where_another_field_is_given() -> None:
    with pytest.raises(TypeError, match="must be a tensor, got Sequences"):
        tensor_of(ragged([1, 2]))
    with pytest.raises(TypeError, match="must be a tensor, got nothing"):
        tensor_of(None)
