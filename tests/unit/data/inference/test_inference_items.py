"""What is read of the samples that somebody asks about, before any network sees them."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from image_toys import picture, write
from refusals import refused

from dlexp.data.batches import bounds
from dlexp.data.columns import tensor_of
from dlexp.data.inference.arrays import ArrayInput
from dlexp.data.inference.images import ImageInput
from dlexp.data.inference.items import InputItems, concatenate, files_of, in_batches
from dlexp.data.inference.tables import TableInput
from dlexp.data.sources.image_folder import image_folder
from dlexp.data.sources.table_file import table_file
from dlexp.data.tables.files.table_form import TableForm
from dlexp.errors import DataError
from dlexp.specs import ClassSpec, DataSpec, ImageSpec, TableSpec
from dlexp.types import Sequences


def items(problems: Sequence[str], first: int = 0) -> InputItems:
    """InputItems numbered from `first` on; the inputs of those without a problem are their numbers."""
    numbers = list(range(first, first + len(problems)))
    good = [float(number) for number, problem in zip(numbers, problems, strict=True) if not problem]
    return InputItems({"row": numbers}, list(problems), torch.tensor(good)[:, None].reshape(-1, 1))


def pieces(problems: Sequence[str], size: int) -> list[InputItems]:
    return [items(problems[start : start + size], start) for start in range(0, len(problems), size)]


@pytest.mark.parametrize("piece", [1, 3, 50])
@pytest.mark.parametrize("batch", [1, 2, 4, 7])
def test_batches_have_the_bounds_of_an_evaluation_however_the_samples_come(batch: int, piece: int) -> None:
    for count in range(1, 23):
        groups = list(in_batches(pieces([""] * count, piece), batch))
        found = [(int(group.tensor[0]), int(group.tensor[-1]) + 1) for group in groups]
        assert found == bounds(count, batch), (count, batch)


@pytest.mark.parametrize("piece", [1, 2, 5, 40])
def test_bad_items_keep_their_places_and_take_none_in_a_batch(piece: int) -> None:
    rng = np.random.default_rng(piece)
    for share in (0.2, 0.5, 0.95, 1.0):
        problems = ["broken" if value < share else "" for value in rng.random(40)]
        groups = list(in_batches(pieces(problems, piece), 4))
        whole = concatenate(groups)
        assert whole.names["row"] == list(range(40)) and whole.problems == problems
        good = [number for number, problem in enumerate(problems) if not problem]
        assert whole.tensor[:, 0].tolist() == good
        sizes = [len(group.inputs) for group in groups if len(group.inputs)]
        assert sizes == [end - start for start, end in (bounds(len(good), 4) if good else [])]
        for group in groups:
            kept = [n for n, problem in zip(group.names["row"], group.problems, strict=True) if not problem]
            assert group.tensor[:, 0].tolist() == kept


def test_items_that_are_all_bad_are_not_kept_until_the_end() -> None:
    groups = in_batches((items(["broken"], number) for number in range(10**9)), 4)
    assert len(next(groups).problems) == 5


def test_words_are_files_folders_and_patterns() -> None:
    for name in ("b.png", "a/2.png", "a/1.JPG", "a/note.md", "a/.hidden/3.png", "a/deep/4.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    assert files_of(["b.png", "a", "gone.png"]) == (
        ["b.png", "a/1.JPG", "a/2.png", "a/deep/4.png", "gone.png"],
        ["a/note.md"],
    )
    assert files_of(["a/*.png"])[0] == ["a/2.png"] and files_of(["a/**/[24].png"])[0] == ["a/2.png", "a/deep/4.png"]
    Path("odd[1].png").touch()
    assert files_of(["odd[1].png"])[0] == ["odd[1].png"]
    with pytest.raises(DataError) as caught:
        files_of(["a/*.bmp"])
    refused(caught.value, "not-found", "a/*.bmp")
    with pytest.raises(DataError) as caught:
        files_of(["a/deep"], (".csv",))
    refused(caught.value, "not-found", "a/deep")


def table(text: str = "") -> TableInput:
    """A table of numbers `size`, categories `kind`, a constant column and the target, as training leaves it."""
    rows = [f"{n},{'red' if n % 3 else 'blue'},1,{n % 2},{100 + n}" for n in range(20)]
    Path("train.csv").write_text("\n".join(["size,kind,same,id,price", *rows, ",,1,0,7", text]) + "\n")
    bundle = table_file(
        path="train.csv", target="price", target_kind="value", columns={"id": "drop"}, missing_values=["NA"]
    )
    return TableInput.of(bundle.preprocessing, {"target": "price", "missing_values": ["NA"]}, lenient=False)


def test_rows_are_encoded_to_the_bits_of_training() -> None:
    reader = table()
    bundle = table_file(
        path="train.csv", target="price", target_kind="value", columns={"id": "drop"}, missing_values=["NA"]
    )
    (found,) = reader.read("train.csv")
    assert found.problems == [""] * 21 and found.names["row"] == list(range(21))
    for split in bundle.splits.values():
        assert torch.equal(found.tensor[split.indices], tensor_of(split.inputs))


def read(reader: TableInput, text: str, name: str = "new.csv") -> InputItems:
    Path(name).write_text(text)
    return concatenate(list(reader.read(name)))


def test_a_bad_row_is_named_by_its_line_and_the_others_go_on() -> None:
    text = 'kind,size\nred,4\n"blue\n",1e301\nred,x\n\nred,inf\n5,3\ngreen,NA\n , \nred,1,2\nblue'
    found = read(table(), text)
    wanted = [
        ("", ""),
        ("line 3, column 'size'", "'1e301'"),
        ("line 5, column 'size'", "'x'"),
        ("line 7, column 'size'", "'inf'"),
        ("line 8, column 'kind'", "blue, red"),
        ("", ""),
        ("line 10, ", "empty"),
        ("line 11, ", "3 cells"),
        ("", ""),
    ]
    for problem, (place, value) in zip(found.problems, wanted, strict=True):
        assert bool(problem) == bool(place) and problem.startswith(place) and value in problem
    assert found.tensor[1].tolist()[1:] == [0, 0]  # a category never seen is none of the known ones
    assert found.tensor[2].tolist()[1:] == [1, 0] and found.tensor[1][0] == found.tensor[2][0]  # the median, twice


def test_categories_never_seen_are_counted_and_told() -> None:
    reader = table()
    read(reader, "kind,size\ngreen,1\ngreen,2\npink,3\nred,4\n")
    (note,) = reader.notes()
    assert "'kind'" in note and "3 times" in note and "'green', 'pink'" in note


def test_text_that_is_no_utf8_is_a_bad_row() -> None:
    Path("new.csv").write_bytes(b"\xef\xbb\xbfkind,size\nred,1\nr\xe9d,2\nblue,3\n")
    (found,) = table().read("new.csv")
    assert [problem.split(", ")[0] for problem in found.problems] == ["", "line 3", ""] and "UTF-8" in found.problems[1]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("size", ["missing: 'kind'", "size, kind"]),
        ("siez,kind", ["missing: 'size'", "did you mean 'siez'", "unknown: 'siez'"]),
        ("size,kind,color", ["unknown: 'color'", "--ignore-extra"]),
        ("size,kind,size", ["more than once: 'size'"]),
        ("size;kind", ["'size;kind'", "--separator"]),
    ],
)
def test_other_columns_are_refused_by_name(header: str, message: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        read(table(), f"{header}\n1,red,1\n")
    for text in message:
        refused(caught.value, "incompatible-data", text)


def test_known_columns_may_be_there_in_any_order_and_extra_ones_when_asked_for() -> None:
    plain = read(table(), "size,kind\n3,red\n")
    more = read(table(), "same,kind,price,id,size\n9,red,9,9,3\n")
    lenient = TableInput(table().columns, frozenset(), frozenset([""]), TableForm(), lenient=True)
    extra = read(lenient, "kind,what,size\nred,x,3\n")
    assert torch.equal(plain.tensor, more.tensor) and torch.equal(plain.tensor, extra.tensor)


@pytest.mark.parametrize("text", ["", "size,kind\n"])
def test_a_table_without_rows_is_refused(text: str) -> None:
    with pytest.raises(DataError) as caught:
        read(table(), text)
    refused(caught.value, "too-few-samples", "new.csv")


def test_standard_input_and_other_separators(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = table()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"kind,size\nred,3\n")))
    (found,) = reader.read("-")
    assert torch.equal(found.tensor, read(reader, "kind\tsize\nred\t3\n", "new.tsv").tensor)
    assert found.names == {"input": ["-"], "row": [0]}


def test_a_file_larger_than_a_piece_is_read_in_pieces_and_counted_through() -> None:
    text = "size,kind\n" + "".join(f"{n % 20},red\n" for n in range(9000)) + "x,red\n"
    Path("new.csv").write_text(text)
    parts = list(table().read("new.csv"))
    whole = concatenate(parts)
    assert len(parts) == 3 and whole.names["row"] == list(range(9001))
    assert whole.problems[-1].startswith("line 9002,")


def test_parquet_gives_the_bits_of_csv() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns: dict[str, list[Any]] = {"kind": ["red", None, "blue"], "size": [0.1, 2.5, None], "price": [1, 2, 3]}
    parquet.write_table(pyarrow.table(columns), "new.parquet")
    reader = table()
    (found,) = reader.read("new.parquet")
    assert torch.equal(found.tensor, read(reader, "kind,size\nred,0.1\n,2.5\nblue,\n").tensor)
    Path("bad.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError) as caught:
        next(reader.read("bad.parquet"))
    refused(caught.value, "invalid-data", "bad.parquet")
    parquet.write_table(pyarrow.table({"kind": [1, 2], "size": ["x", "3"]}), "odd.parquet")
    (odd,) = reader.read("odd.parquet")
    assert odd.problems[0].startswith("row 0, column 'size': 'x' ")
    assert odd.problems[1].startswith("row 1, column 'kind': 2 ")


def test_images_come_as_training_decoded_them_and_bad_ones_are_named() -> None:
    for number, name in enumerate(("x", "y")):
        for index in range(12):
            write(Path("pets", name, f"{index}.png"), picture(12 * number + index, 11, 17))
    bundle = image_folder(path="pets", image_size=6)
    names = [f"pets/{name}/{index}.png" for name in ("x", "y") for index in (0, 1, 10, 11, *range(2, 10))]
    Path("broken.png").write_bytes(Path("pets/x/0.png").read_bytes()[:60])
    paths = [*names[:5], "broken.png", "pets/x/00.png", *names[5:]]
    found = concatenate(list(ImageInput.of(bundle.spec, bundle.preprocessing).read(iter(paths))))
    assert found.names["input"] == paths
    assert "did you mean 0.png?" in found.problems[6].lower() and found.problems[5]
    assert [bool(problem) for problem in found.problems] == [False] * 5 + [True] * 2 + [False] * 19
    for split in bundle.splits.values():
        assert torch.equal(found.tensor[split.indices], tensor_of(split.inputs))


def test_pixels_of_files_are_scaled_to_what_training_counted() -> None:
    write(Path("one.png"), np.array([[0, 255], [51, 102]], dtype=np.uint8))
    spec = DataSpec(ImageSpec(1, 2, 2), ClassSpec.numbered(2))
    (found,) = ImageInput.of(spec, {"white": 16}).read(["one.png"])
    assert torch.allclose(found.tensor[0, 0], torch.tensor([[0.0, 16.0], [3.2, 6.4]]))


def test_where_training_saw_parts_of_larger_images_the_middle_is_read() -> None:
    write(Path("one.png"), picture(3, 20, 26))
    spec = DataSpec(ImageSpec(3, 6, 6), ClassSpec.numbered(2))
    (found,) = ImageInput.of(spec, {"white": 255, "resize": "crop", "resize_to": 11}).read(["one.png"])
    whole = ImageInput.of(DataSpec(ImageSpec(3, 11, 11), ClassSpec.numbered(2)), {"white": 255}).read(["one.png"])
    assert torch.equal(found.tensor, next(whole).tensor[:, :, 2:8, 2:8])


@pytest.mark.parametrize(
    ("spec", "white"),
    [
        (DataSpec(ImageSpec(1, 2, 3), ClassSpec.numbered(2)), 255),
        (DataSpec(ImageSpec(3, 2, 2), ClassSpec.numbered(2)), 1),
    ],
)
def test_a_network_of_arrays_takes_no_image_files(spec: DataSpec, white: int) -> None:
    with pytest.raises(DataError) as caught:
        ImageInput.of(spec, {"white": white})
    refused(caught.value, "incompatible-data", remedy=".npy")


def test_arrays_are_found_by_the_shape_of_their_samples() -> None:
    pixels = np.arange(2 * 12, dtype=np.uint8).reshape(2, 3, 4) % 17
    spec, found = DataSpec(ImageSpec(1, 3, 4), ClassSpec.numbered(2)), []
    np.save("a.npy", pixels)
    np.savez("b.npz", x=pixels[:, None], y=np.arange(2))
    np.save("c.npy", pixels[..., None].astype(np.int64))
    for name in ("a.npy", "b.npz", "c.npy"):
        (part,) = ArrayInput.of(spec, {"white": 16}).read(name)
        assert part.tensor.dtype == torch.uint8 and part.tensor.shape == (2, 1, 3, 4)
        found.append(part.tensor)
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


@pytest.mark.parametrize("content", [{"x": np.zeros((2, 5))}, {"x": np.zeros((2, 3, 4)), "y": np.zeros((1, 1, 3, 4))}])
def test_no_array_or_two_that_fit_are_refused(content: dict[str, Any]) -> None:
    np.savez("bad.npz", **content)
    with pytest.raises(DataError) as caught:
        list(ArrayInput.of(DataSpec(ImageSpec(1, 3, 4), ClassSpec.numbered(2)), {"white": 16}).read("bad.npz"))
    refused(caught.value, "incompatible-data", "bad.npz", ".npy")


def test_pickles_are_not_opened() -> None:
    np.save("bad.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError) as caught:
        list(ArrayInput.of(DataSpec(TableSpec(1), ClassSpec.numbered(2)), {}).read("bad.npy"))
    refused(caught.value, "untrusted", "bad.npy")


def test_bad_samples_of_an_array_are_named() -> None:
    values = np.array([[0.0, 1.0], [np.nan, 1.0], [2.0, 17.0], [3.0, 4.0]]).reshape(4, 1, 1, 2)
    np.save("a.npy", values)
    (found,) = ArrayInput.of(DataSpec(ImageSpec(1, 1, 2), ClassSpec.numbered(2)), {"white": 16}).read("a.npy")
    assert [problem.split(", ")[0] for problem in found.problems] == ["", "sample 1", "sample 2", ""]
    assert "0 to 16" in found.problems[2]
    assert found.tensor.flatten(1).tolist() == [[0, 1], [3, 4]]


def test_an_array_of_rows_is_encoded_as_their_columns() -> None:
    columns = [{"kind": "number", "name": name, "fill": 5.0, "mean": 1.0, "std": 2.0} for name in "ab"]
    np.save("rows.npy", np.array([[1.0, 3.0], [np.nan, 7.0]]))
    (found,) = ArrayInput.of(DataSpec(TableSpec(2), ClassSpec.numbered(2)), {"columns": columns}).read("rows.npy")
    assert found.tensor.tolist() == [[0.0, 1.0], [2.0, 3.0]]
    columns[0] = {"kind": "category", "name": "a", "categories": ["x"]}
    with pytest.raises(DataError) as caught:
        ArrayInput.of(DataSpec(TableSpec(2), ClassSpec.numbered(2)), {"columns": columns})
    refused(caught.value, "incompatible-data", "'a'", "CSV")


def test_sequences_are_cut_and_joined_like_other_inputs() -> None:
    lengths = [3, 1, 0, 4, 2, 1]
    parts = []
    for number, length in enumerate(lengths):
        values = torch.full((1, length), number, dtype=torch.int64)
        parts.append(InputItems({"row": [number]}, [""], Sequences(values, torch.tensor([length]))))
    parts.insert(
        2, InputItems({"row": [9]}, ["broken"], Sequences(torch.zeros(0, 0, dtype=torch.int64), torch.zeros(0).long()))
    )
    groups = list(in_batches(parts, 2))
    found = []
    for group in groups:
        assert isinstance(group.inputs, Sequences)
        assert group.inputs.values.shape == (len(group.inputs.lengths), int(group.inputs.lengths.max()))
        found += group.inputs.lengths.tolist()
        numbers = [row for row, problem in zip(group.names["row"], group.problems, strict=True) if not problem]
        for number, values, length in zip(numbers, group.inputs.values, group.inputs.lengths, strict=True):
            assert (values[:length] == number).all() and not values[length:].any()
    assert found == lengths and [len(group.inputs) for group in groups] == [2, 2, 2]
    assert [text for group in groups for text in group.problems] == ["", "", "broken", "", "", "", ""]
