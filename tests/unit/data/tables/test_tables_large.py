"""Tables that are read in several parts and encoded tile by tile: the same numbers as of one part."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dlexp.data.bundle import fingerprint_of
from dlexp.data.columns import tensor_of
from dlexp.data.sources.table_file import table_file
from dlexp.data.tables import encoding
from dlexp.data.tables.feature_array import ROWS, FeatureArray, fingerprint_in_order
from dlexp.data.tables.features.encodings import TextCells
from dlexp.data.tables.files import text_file
from dlexp.data.tables.files.table_form import TableForm
from dlexp.data.tables.files.text_columns import CheckedBytes, ReadColumn
from dlexp.data.tables.files.text_file import TextFile
from dlexp.data.tables.page_arrays import page_array
from dlexp.data.tables.raw_column import RawColumn
from dlexp.data.tables.spelling import MISSING, Marks


def _read(*parts: list[Any]) -> ReadColumn:
    column = ReadColumn(sum(map(len, parts)))
    for part in parts:
        column.add(pd.Series(part))
    return column


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        (([1, 2], [3, -4]), np.int8),
        (([1, 2], [300]), np.int16),
        (([1, 2], [2**40]), np.int64),
        (([1, -(2**63)], [2]), np.int64),
        (([1, 2], [0.5]), np.float64),
        (([np.nan], [1, 2]), np.float64),
        (([-1], [2**63 + 5]), np.float64),  # no integer type has both
    ],
)
def test_numbers_of_parts_have_the_smallest_type_that_has_them_all(parts: tuple[list[Any], ...], kind: type) -> None:
    numbers = _read(*parts).numbers()
    assert numbers is not None
    assert numbers.dtype == kind
    np.testing.assert_array_equal(numbers, np.concatenate([np.array(part) for part in parts]).astype(kind))


def test_texts_of_parts_share_their_codes_and_parts_without_a_value_are_missing() -> None:
    spelled = _read([np.nan, np.nan], ["b", None], [np.nan], ["a", "b"]).spelled()
    assert spelled is not None
    assert [*spelled.distinct] == ["b", "a"]
    assert spelled.codes.tolist() == [-1, -1, 0, -1, -1, 1, 0]


@pytest.mark.parametrize(
    "parts",
    [
        ([1, 2], ["a"]),  # the spelling of 1 is lost
        (["a"], [1.0]),
        ([1.0], [np.inf]),
        ([True, False],),
        (["+", None],),  # the missing cell may be a sign too
    ],
)
def test_a_column_whose_texts_are_lost_has_neither_numbers_nor_texts(parts: tuple[list[Any], ...]) -> None:
    column = _read(*parts)
    assert column.numbers() is None and column.spelled() is None


_LINES = [
    f"{n},{n / 8},{'+-'[n % 2]},{'0' * (n % 2)}{n % 5},{['red', 'n/a', ''][n % 3]},{n > 250 or ''}" for n in range(300)
]


@pytest.mark.parametrize("rows", [1, 7, 64, 300])
def test_the_number_of_rows_that_are_read_at_a_time_changes_nothing(
    rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["a,b,c,d,e,f", *_LINES]))
    marks = Marks(MISSING)

    def cells() -> dict[str, list[Any]]:
        columns, lines, _ = TextFile(path, TableForm(), marks).read(["a", "b", "c", "d", "e", "f"])
        texts = {name: [column.cell(row) for row in (0, 1, 299)] for name, column in columns.items()}
        return {name: [*column.cells().tolist(), *texts[name]] for name, column in columns.items()} | {
            "": lines.tolist()
        }

    whole = cells()
    monkeypatch.setattr(text_file, "_CELLS", 6 * rows)
    monkeypatch.setattr(text_file, "_FEWEST_ROWS", rows)
    assert repr(cells()) == repr(whole)


def test_a_byte_that_is_no_utf_8_is_named_by_its_place_in_the_stream() -> None:
    source = CheckedBytes(io.BytesIO(b"abc\xc3\xa4def\xff"))
    with pytest.raises(UnicodeDecodeError) as caught:
        while source.read(4):  # cuts a letter in two
            pass
    assert caught.value.start == 8
    cut = CheckedBytes(io.BytesIO(b"abc\xc3"))
    with pytest.raises(UnicodeDecodeError):
        while cut.read(4):
            pass


@pytest.mark.parametrize("count", [0, 5, ROWS // 16, ROWS, 2 * ROWS + 77])
def test_features_that_are_put_in_column_by_column_are_read_row_by_row(count: int) -> None:
    rng = np.random.default_rng(0)
    blocks = [rng.normal(size=(count, width)) for width in (1, 3, 0, 2)]
    made, first = FeatureArray(count, 6), 0
    for block in blocks:
        for start in range(0, count, ROWS):
            made.put(start, first, block[start : start + ROWS])
        first += block.shape[1]
    np.testing.assert_array_equal(made.finished(), np.concatenate(blocks, axis=1).astype(np.float32))


def test_the_fingerprint_is_that_of_the_order_of_the_file() -> None:
    rng = np.random.default_rng(0)
    features, order, targets = rng.normal(size=(5000, 3)).astype(np.float32), rng.permutation(5000), np.arange(5000)
    assert fingerprint_in_order(features[order], order, targets) == fingerprint_of(features, targets)


@pytest.mark.parametrize("size", [3, (5, 7), (1 << 20, 2)])
def test_page_arrays_are_written_and_read_like_others(size: int | tuple[int, ...]) -> None:
    for in_turn in (True, False):
        made = page_array(size, np.float32, in_turn)
        made[:] = 2.5
        assert made.shape == (size if isinstance(size, tuple) else (size,))
        assert made.dtype == np.float32 and (made == 2.5).all()


@pytest.mark.parametrize("kind", ["normal", "sorted", "equal", "two values", "periodic", "whole"])
@pytest.mark.parametrize("count", [200_000, 200_001])
def test_the_median_of_many_numbers_is_that_of_numpy(kind: str, count: int) -> None:
    rng = np.random.default_rng(0)
    makers: dict[str, Any] = {
        "normal": lambda: rng.normal(size=count),
        "sorted": lambda: np.sort(rng.lognormal(size=count)),
        "equal": lambda: np.full(count, 3.0),
        "two values": lambda: np.where(np.arange(count) < count // 2, 1.0, 2.0),
        "periodic": lambda: np.where(np.arange(count) % (count // 1024), rng.normal(size=count), 1e9),
        "whole": lambda: rng.integers(0, 4, count).astype(np.float64),
    }
    numbers = makers[kind]()
    assert encoding._median(numbers.copy()) == np.median(numbers)


def test_integers_stay_in_their_type_and_become_the_features_of_floats(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    whole = rng.integers(-3, 9, 400)
    frame = pd.DataFrame({"n": whole, "y": rng.normal(size=400)})
    frame.to_csv(tmp_path / "whole.csv", index=False)
    frame.assign(n=whole.astype(float)).to_csv(tmp_path / "float.csv", index=False)
    one, other = (table_file(path=str(tmp_path / f"{name}.csv"), target="y") for name in ("whole", "float"))
    assert one.fingerprint == other.fingerprint
    assert tensor_of(one.splits["train"].inputs).std() == pytest.approx(1.0, abs=1e-2)
    column = RawColumn(lambda: pytest.fail("not spelled"), Marks(["8"]), np.array([1, 2, 3], dtype=np.int8))
    assert column.integers is not None and column.numbers[0].dtype == np.float64
    marked = RawColumn(lambda: pytest.fail("not spelled"), Marks(["2"]), np.array([1, 2, 3], dtype=np.int8))
    assert marked.integers is None
    np.testing.assert_array_equal(marked.cells(), [1.0, np.nan, 3.0])


def test_text_cells_know_which_texts_occur() -> None:
    cells = TextCells.of(np.array(["b", None, "a", "b"], dtype=object))
    assert (cells.codes.tolist(), cells.texts) == ([0, -1, 1, 0], ("b", "a"))
    some = TextCells(cells.codes[:2], cells.texts)
    assert some.used() == ["b"]
    assert some.places({"b": 7}.__getitem__).tolist() == [7, -1]  # not asked for a text that does not occur


@pytest.mark.parametrize(("count", "kind"), [(1, np.int8), (128, np.int8), (129, np.int16), (40_000, np.int32)])
def test_compact_cells_have_a_code_for_each_text_and_for_a_missing_one(count: int, kind: type) -> None:
    codes = np.arange(-1, count)
    found = TextCells.compact(codes, tuple(map(str, range(count))))
    assert found.codes.dtype == kind
    np.testing.assert_array_equal(found.codes, codes)
