"""CSV files, thousands of them: a table that is read is whole and finite, and all else is refused as data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from bad_input import Judge, fuzz, part
from hypothesis import given
from hypothesis import strategies as st
from typed_specs import values_of

from dlexp.data.bundle import SPLITS
from dlexp.data.columns import tensor_of
from dlexp.data.sources.table_file import table_file, target_kind
from dlexp.data.tables.features.kinds import KINDS

CELLS = (
    *(
        "1",
        "0",
        "2.5",
        "-3",
        "1e308",
        "-1e308",
        "1e400",
        "1e-320",
        "inf",
        "-Infinity",
        "nan",
        "NA",
        "",
        " ",
        "?",
        "true",
        "1_0",
    ),
    *(
        "9" * 30,
        "9" * 400,
        "0x1f",
        "1,5",
        "1;5",
        "a",
        "b",
        "é",
        "漢",
        "\u0000",
        "\ufeff",
        '"',
        '""',
        '"a',
        'a"b',
        '"a,b"',
    ),
    *(
        '"a\nb"',
        "\t",
        "\\",
        "'",
        "#",
        "=1+1",
        "\u2028",
        "\r",
        "٣",
        "1 ",
        "1e5",
        "None",
        "null",
        "a b",
        "2020-01-01",
        "a" * 300,
    ),
)
cells = st.one_of(st.sampled_from(CELLS), st.integers(-5, 5).map(str), st.floats().map(repr), st.text(max_size=5))
plain_cells = st.one_of(
    st.integers(0, 4).map(str), st.floats(-1e6, 1e6).map(repr), st.sampled_from(["a", "b", "c", ""])
)
names = st.one_of(
    st.sampled_from(["a", "b", "c", "y", "y", "a", "", " a", "id", "é", "a.b", '"y"', "0"]), st.text(max_size=4)
)


arguments = st.fixed_dictionaries(
    {},
    optional={
        "target_kind": st.sampled_from(["auto", "class", "value"]),
        "separator": st.sampled_from([",", ",", ";", "\t", "|", " ", "", "ab", "\n", '"', "\u0000", "é", "\\s+", "."]),
        "columns": st.dictionaries(st.sampled_from(["a", "b", "y", "nothing"]), st.sampled_from(KINDS), max_size=2),
        "rare": st.sampled_from(["other", "hash", "refuse"]),
        "missing_values": st.lists(st.sampled_from(["NA", "?", "0", "x"]), max_size=2),
        "max_categories": st.sampled_from([2, 50]),
        "standardize": st.booleans(),
        "val_fraction": st.sampled_from([0.2, 0.01, 0.9]),
        "split_seed": st.sampled_from([0, 1, 2**63 - 1]),
    },
)
targets = st.sampled_from([*["y"] * 12, "a", "b", "z", ""])


@st.composite
def tables(draw: st.DrawFn) -> tuple[bytes, str, dict[str, Any]]:
    """(bytes of a file, target, arguments): from a plain table with a few odd cells to no table at all."""
    chance = draw(st.integers(0, 99))
    if chance < 4:
        return draw(st.binary(max_size=60)), "y", draw(arguments)
    odd = draw(st.sampled_from([0, 0, 0, 1, 1, 2, 4]))
    header = ["a", "b", "c", "y"][draw(st.integers(0, 2)) :] if chance > 15 else draw(st.lists(names, max_size=5))
    kinds = [draw(st.sampled_from(["class", "number", "whole", "text", "constant", "id"])) for _ in header]
    kinds[-1:] = [draw(st.sampled_from(["class", "class", "number", "whole"]))] if chance > 25 else []
    count = draw(st.sampled_from([30, 40, 40, 60, 60, 40, 30, 12, 9, 3, 1, 0]))
    rows = [[_cell(kind, number, position) for position, kind in enumerate(kinds)] for number in range(count)]
    for _ in range(odd if rows and header else 0):
        row = rows[draw(st.integers(0, len(rows) - 1))]
        change = draw(st.sampled_from(["cell", "cell", "cell", "short", "long", "blank"]))
        if change == "cell" and row:
            row[draw(st.integers(0, len(row) - 1))] = draw(cells)
        elif change == "short":
            del row[-1:]
        elif change == "long":
            row.append(draw(cells))
        else:
            row.clear()
    separator = draw(st.sampled_from([",", ",", ",", ",", ";", "\t", "|", " "]))
    end = draw(st.sampled_from(["\n", "\n", "\n", "\r\n", "\r"]))
    content = end.join(separator.join(row) for row in [header, *rows]) + draw(
        st.sampled_from([end, end, end, end, "", "", end * 3, '"'])
    )
    encoding = draw(
        st.sampled_from([*["utf-8"] * 40, "utf-8-sig", "utf-8-sig", "latin-1", "utf-16", "utf-32", "cp1252"])
    )
    chosen = draw(arguments) if chance < 50 else {}
    if chance > 8:
        chosen["separator"] = separator
    file = content.encode(encoding, "backslashreplace" if encoding != "utf-8" else "surrogatepass")
    return file, draw(targets), chosen


def _cell(kind: str, number: int, position: int) -> str:
    """A cell of a column of some kind; different columns of a kind differ."""
    mixed = (number * 7 + position * 3) % 5
    if kind == "class":
        return "xyz"[mixed % 3]
    if kind == "text":
        return f"word{mixed}"
    return {"number": f"{mixed / 3 - number}", "whole": str(mixed), "constant": "1", "id": str(number)}[kind]


def assert_whole(bundle: Any) -> None:
    """Every number finite, every row in one split, every split with a row."""
    for name in SPLITS:
        split = bundle.splits[name]
        assert len(split) > 0
        assert bool(torch.isfinite(tensor_of(split.inputs)).all()), "a feature is not finite"
        learned = tensor_of(split.targets)
        if bundle.spec.target_kind == "value":
            mean, std = torch.tensor([values_of(bundle.spec).mean, values_of(bundle.spec).std], dtype=torch.float64)
            learned = (learned - mean) / std
        assert bool(torch.isfinite(learned.float()).all()), "a target is not finite"
    rows = torch.cat([bundle.splits[name].indices for name in SPLITS])
    assert len(rows.unique()) == len(rows)
    if bundle.spec.target_kind == "value":
        values = [*values_of(bundle.spec).mean, *values_of(bundle.spec).std]
        assert all(value - value == 0 for value in values), "the targets' mean or deviation is not finite"


@part
def test_tables_are_whole_or_refused(part: int, record_property: Callable[[str, object], None]) -> None:
    judge, path = Judge("csv", part), Path("t.csv")

    @fuzz("csv", part)
    @given(tables())
    def attempt(case: tuple[bytes, str, dict[str, Any]]) -> None:
        content, target, given_arguments = case
        path.write_bytes(content)
        look = {"target_kind": "auto", "separator": ",", "missing_values": [], **given_arguments}
        read = judge(
            lambda: (
                target_kind({**look, "path": str(path), "target": target}),
                table_file(path=str(path), target=target, **given_arguments),
            )
        )
        if read is not None:
            kind, bundle = read
            assert_whole(bundle)
            assert kind == bundle.spec.target_kind and bundle.spec.output_names

    attempt()
    record_property("generated", judge.counts())
