"""Kinds of columns from their cells: what becomes a feature, what is left out, what is refused, all at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from refusals import refused
from typed_specs import values_of

from dlexp.data.bundle import DataBundle
from dlexp.data.columns import tensor_of
from dlexp.data.inference.items import InputItems, concatenate
from dlexp.data.inference.tables import TableInput
from dlexp.data.interpretation import interpretation
from dlexp.data.sources.table_file import table_file, target_kind
from dlexp.errors import DataError

COUNT = 60
RNG = np.random.default_rng(0)
WORDS = ["red", "green", "blue", "big", "small", "old", "new"]


def write(path: str = "t.csv", **columns: Any) -> None:
    rows = zip(*columns.values(), strict=True)
    quoted = [",".join(f'"{cell}"' if "," in str(cell) else str(cell) for cell in row) for row in rows]
    Path(path).write_text("\n".join([",".join(columns), *quoted]) + "\n", encoding="utf-8")


def read(target: Any = "y", settings: dict[str, Any] | None = None, **columns: Any) -> DataBundle:
    """A table of x and these columns of COUNT cells; the target y is a number if they have none."""
    count = len(next(iter(columns.values())))
    write(**{"x": [n % 7 + 0.5 for n in range(count)], "y": [n * 1.5 for n in range(count)]} | columns)
    return table_file(path="t.csv", target=target, **settings or {})


def refusal(**columns: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        read(**columns)
    return caught.value


def again(bundle: DataBundle, path: str = "t.csv") -> InputItems:
    return concatenate(list(TableInput.of(bundle.preprocessing, {"target": "y"}, lenient=True).read(path)))


def fit(bundle: DataBundle, name: str) -> dict[str, Any]:
    return next(column for column in bundle.preprocessing["columns"] if column["name"] == name)


def parts(bundle: DataBundle, name: str) -> list[str]:
    return [part["part"] for part in fit(bundle, name)["parts"]]


def is_read_again(bundle: DataBundle) -> bool:
    """Whether prediction gives the features of training."""
    found = again(bundle)
    return not any(found.problems) and all(
        torch.equal(found.tensor[split.indices], tensor_of(split.inputs)) for split in bundle.splits.values()
    )


DAYS = [f"{2000 + n % 20}-{n % 12 + 1:02}-{n % 28 + 1:02}" for n in range(COUNT)]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (DAYS, ["elapsed", "year", "month", "weekday"]),
        ([f"2024-05-{n % 28 + 1:02}" for n in range(COUNT)], ["elapsed", "weekday"]),
        ([f"2024-05-01 {n % 24:02}:15" for n in range(COUNT)], ["elapsed", "hour"]),
        ([f"{n % 24:02}:{n % 60:02}" for n in range(COUNT)], ["hour"]),
        ([f"{1900 + n % 2 * 200}-01-01" for n in range(COUNT)], ["elapsed", "year", "weekday"]),
        (["2024-02-29", "2024-03-01", "2020-02-29"] * 20, ["elapsed", "year", "month", "weekday"]),
        ([f"{n % 28 + 1}/{n % 12 + 1}/2024" for n in range(COUNT)], ["elapsed", "month", "weekday"]),
        (["" if n % 3 else DAYS[n] for n in range(COUNT)], ["elapsed", "year", "month", "weekday"]),
    ],
)  # fmt: skip
def test_dates_become_the_parts_that_vary(cells: list[str], expected: list[str]) -> None:
    bundle = read(when=cells)
    assert parts(bundle, "when") == expected
    assert is_read_again(bundle) and torch.isfinite(tensor_of(bundle.splits["test"].inputs)).all()
    assert "1 date (when: " in interpretation(bundle)


def test_a_date_as_the_only_feature_with_its_numbers() -> None:
    write(when=DAYS, y=[n * 1.5 for n in range(COUNT)])
    bundle = table_file(path="t.csv", target="y", standardize=False)
    rows = {
        int(row): sample.tolist()
        for split in bundle.splits.values()
        for row, sample in zip(split.indices, tensor_of(split.inputs), strict=True)
    }
    days = np.array(DAYS, dtype="datetime64[D]")
    first = days[bundle.splits["train"].indices.numpy()].min()
    for row, (elapsed, year, month_sin, month_cos, day_sin, day_cos) in rows.items():
        month = int(DAYS[row][5:7]) - 1
        weekday = (days[row].astype(int) + 3) % 7
        assert elapsed == (days[row] - first).astype(int) and year == int(DAYS[row][:4])
        angles = 2 * np.pi * np.array([month / 12, month / 12, weekday / 7, weekday / 7])
        circle = np.where([True, False] * 2, np.sin(angles), np.cos(angles))
        assert [month_sin, month_cos, day_sin, day_cos] == pytest.approx(circle.tolist(), abs=1e-6)


def test_statistics_of_dates_are_of_the_training_rows() -> None:
    clean = read(when=DAYS)
    held = [int(row) for name in ("val", "test") for row in clean.splits[name].indices]
    poisoned = read(when=["9999-12-31" if n in held else day for n, day in enumerate(DAYS)])
    assert fit(clean, "when") == fit(poisoned, "when")
    assert torch.equal(tensor_of(clean.splits["train"].inputs), tensor_of(poisoned.splits["train"].inputs))


def test_a_missing_date_is_the_middle_of_all() -> None:
    bundle = read(when=["" if n < 10 else day for n, day in enumerate(DAYS)], settings={"standardize": False})
    (elapsed, year, *_), row = fit(bundle, "when")["parts"], int(bundle.splits["train"].indices[0])
    assert row < 10
    assert tensor_of(bundle.splits["train"].inputs)[0, 1:].tolist() == pytest.approx(
        [elapsed["fill"], year["fill"], 0, 0, 0, 0]
    )
    assert bundle.missing["when"][0] == 10


@pytest.mark.parametrize(
    ("cells", "rule", "remedy"),
    [
        (["03/04/2024", "05/06/2024"], "'03/04/2024' may have the day or the month first", "{when:day-first}"),
        (["31/05/2024", "05/31/2024"], "the day first and with the month first", "{when:drop}"),
        ([*["2024-05-01"] * 28, "soon", "2023-02-29"], "must be dates, got 'soon' and 3 more", "{when:date}"),
        (["2024-05-01", "14:30", "2024-05-02"], "has dates and times of day", "{when:drop}"),
        (["2024-05-01 10:00Z", "2024-05-01 10:00"], "has no time zone, but other cells have (UTC)", "{when:drop}"),
        (["2024-05-01 10:00 PST", "2024-05-01 10:00 CET"], "the time zone PST", "{when:drop}"),
    ],
)  # fmt: skip
def test_dates_that_cannot_be_read(cells: list[str], rule: str, remedy: str) -> None:
    column = [cells[n % len(cells)] for n in range(COUNT)]
    refused(refusal(when=column), "invalid-data", rule, f"'data.columns={remedy}'")
    assert is_read_again(read(when=column, settings={"columns": {"when": "category"}}))


def test_the_column_or_the_key_decides_the_order() -> None:
    cells = [f"{n % 12 + 1:02}/{n % 9 + 1:02}/2024" for n in range(COUNT)]
    day, month = (read(when=cells, settings={"columns": {"when": order}}) for order in ("day-first", "month-first"))
    assert fit(day, "when")["order"] == "day-first" and day.fingerprint != month.fingerprint
    assert is_read_again(day) and is_read_again(month)
    decided = read(when=[*cells[:-1], "31/12/2024"])
    assert fit(decided, "when")["order"] == "day-first"


def test_zones_are_told_and_mixed_ones_converted() -> None:
    zones = ["+01:00", "+02:00", "Z"]
    cells = [f"2024-10-27T0{n % 9}:30:00{zones[n % 3]}" for n in range(COUNT)]
    bundle = read(when=cells)
    assert any("converted to UTC from +01:00, +02:00, UTC" in note for note in bundle.notes) and is_read_again(bundle)
    same = [f"2024-10-27 {(n % 9 - (1, 2, 0)[n % 3]) % 24:02}:30" for n in range(COUNT)]
    assert parts(bundle, "when") == parts(read(when=cells), "when") and same[0] == "2024-10-27 23:30"


def test_declared_dates_take_digits_and_leave_out_words() -> None:
    cells = [day.replace("-", "") if n % 9 else "never" for n, day in enumerate(DAYS)]
    bundle = read(when=cells, settings={"columns": {"when": "date"}})
    assert parts(bundle, "when") == ["elapsed", "year", "month", "weekday"] and is_read_again(bundle)
    assert any("7 cells are missing, not dates ('never')" in note for note in bundle.notes)
    seconds = read(when=[1_700_000_000 + 3600 * n for n in range(COUNT)], settings={"columns": {"when": "date"}})
    assert "hour" in parts(seconds, "when") and is_read_again(seconds)
    refused(refusal(when=WORDS * 8, settings={"columns": {"when": "date"}}), "invalid-data", "most cells are none")


def test_booleans_are_categories_of_two() -> None:
    for yes, no in (("yes", "no"), ("True", "false"), ("ja", "nein"), ("Y", "N")):
        bundle = read(member=[yes if n % 3 else no for n in range(COUNT)])
        assert fit(bundle, "member")["kind"] == "category" and len(fit(bundle, "member")["categories"]) == 2
        target = read("t", t=[yes if n % 3 else no for n in range(COUNT)])
        assert target.spec.num_outputs == 2 and target.spec.target_kind == "class"


@pytest.mark.parametrize(
    ("cells", "rule", "kind"),
    [
        (["12 kg", "13.5 kg", "9 kg"], "numbers with the unit kg, such as '12 kg'", "number"),
        (["12kg", "13kg", "14"], "numbers with the unit kg", "number"),
        (["4 cylinders", "6 cylinders"], "the unit cylinders", "number"),
        (["12 kg", "300 g"], "numbers with units (kg, g)", "category"),
        (["12,5 kg", "1.013,25 kg"], "numbers with the unit kg, such as '12,5 kg'", "number"),
        (["-3 \u00b0C", "4.5 \u00b0C"], "the unit \u00b0C", "number"),
    ],
)
def test_numbers_with_units_are_refused_by_name(cells: list[str], rule: str, kind: str) -> None:
    column = [cells[n % len(cells)] for n in range(COUNT)]
    refused(refusal(w=column), "invalid-data", rule, f"'data.columns={{w:{kind}}}'")
    bundle = read(w=column, settings={"columns": {"w": kind}})
    assert fit(bundle, "w")["kind"] == kind and is_read_again(bundle)


def test_codes_are_no_numbers_with_units() -> None:
    for cells in (["12A", "12B", "7C"], ["7 Eleven", "3 Musketeers", "x"], ["4 AB", "5 CD"]):
        assert fit(read(w=cells * 20), "w")["kind"] == "category"


def test_other_units_in_new_rows_are_problems() -> None:
    bundle = read(w=[f"{n % 9} kg" for n in range(COUNT)], settings={"columns": {"w": "number"}})
    write("new.csv", x=[1.5, 2.5, 3.5, 4.5], w=["3 kg", "3", "3 lb", "light"])
    reader = TableInput.of(bundle.preprocessing, {"target": "y"}, lenient=True)
    found = concatenate(list(reader.read("new.csv")))
    assert [bool(problem) for problem in found.problems] == [False, False, True, False] and "lb" in found.problems[2]
    assert torch.equal(found.tensor[0, 1], found.tensor[1, 1])
    assert reader.notes() == ["column 'w': 1 cell of another kind, read as missing, as in training"]


def test_texts_and_identifiers_are_left_out_with_the_key_that_keeps_them() -> None:
    notes = [" ".join(RNG.choice(WORDS, 9)) for _ in range(COUNT)]
    hashes = [f"a{n * 7919 % 10007:05x}" for n in range(COUNT)]
    bundle = read(
        note=notes, user=hashes, customer_id=RNG.permutation(10**5)[:COUNT], one=["c"] * COUNT, empty=[""] * COUNT
    )
    assert set(bundle.omitted) == {"note", "user", "customer_id", "one", "empty"}
    told = "\n".join(bundle.notes)
    for name, kind in (("note", "category"), ("user", "category"), ("customer_id", "number")):
        assert f"'data.columns={{{name}:{kind}}}'" in told
    assert "note (has free texts)" in interpretation(bundle)
    kept = read(user=hashes, settings={"columns": {"user": "category"}, "max_categories": 100})
    assert fit(kept, "user")["kind"] == "category"
    assert "weight" in {c["name"] for c in read(weight=RNG.permutation(10**5)[:COUNT]).preprocessing["columns"]}


TOWNS = [f"town{int(number)}" for number in RNG.exponential(12, 200)]


def test_rare_categories_are_one_feature() -> None:
    bundle = read(town=TOWNS, settings={"max_categories": 10})
    town, train = fit(bundle, "town"), bundle.splits["train"].indices.tolist()
    counts = {name: [TOWNS[row] for row in train].count(name) for name in set(TOWNS)}
    assert len(town["categories"]) == 9 and town["rest"] is True
    assert min(counts[name] for name in town["categories"]) >= max(
        counts[n] for n in counts if n not in town["categories"]
    )
    assert bundle.spec.inputs.categorical == ((1, 10),)  # type: ignore[attr-defined]
    assert all(tensor_of(split.inputs)[:, 1:].sum(dim=1).eq(1).all() for split in bundle.splits.values())
    assert is_read_again(bundle)
    write("new.csv", x=[1.5, 2.5, 3.5], town=["Atlantis", "", "5"])
    found = again(bundle, "new.csv")
    assert not any(found.problems) and found.tensor[:, -1].tolist() == [1, 0, 1]


def test_hashed_categories_and_refused_ones() -> None:
    bundle = read(town=TOWNS, settings={"max_categories": 10, "rare": "hash"})
    assert fit(bundle, "town") == {"kind": "hash", "name": "town", "buckets": 10} and is_read_again(bundle)
    assert all(tensor_of(split.inputs)[:, 1:].sum(dim=1).eq(1).all() for split in bundle.splits.values())
    error = refusal(town=TOWNS, settings={"max_categories": 10, "rare": "refuse"})
    refused(error, "too-large", "data.max_categories=10", "'data.columns={town:drop}'")
    few = read(town=["a", "b", "c"] * 20, settings={"max_categories": 3, "rare": "hash"})
    assert fit(few, "town") == {"kind": "category", "name": "town", "categories": ("a", "b", "c")}


def test_what_is_missing_in_all_training_rows_is_left_out() -> None:
    train = set(read(a=[0] * COUNT).splits["train"].indices.tolist())
    cells = ["" if n in train else n * 1.5 for n in range(COUNT)]
    bundle = read(a=cells, when=["" if n in train else day for n, day in enumerate(DAYS)])
    assert bundle.omitted == dict.fromkeys(("a", "when"), "has no value in the training rows")
    assert bundle.spec.inputs.shape == (1,)


def test_all_problems_come_at_once_with_one_setting() -> None:
    columns = {
        "age": [*range(30), *["unknown"] * 3, *range(27)],
        "weight": ["12 kg", "13 kg"] * 30,
        "when": ["03/04/2024", "05/06/2024"] * 30,
        "fine": list(range(5, 65)),
    }
    error = refusal(**columns, settings={"columns": {"fin": "drop"}})
    solved = "'data.columns={fine:drop,age:number,weight:number,when:day-first}'"
    for text in ("'fin' (data.columns)", "age, line 32", "weight, line 2", "when, line 2"):
        refused(error, "not-found", text, solved)
    assert str(error).endswith(f"Solve all of them with {solved}")
    kinds = {"fine": "drop", "age": "number", "weight": "number", "when": "day-first"}
    bundle = read(**columns, settings={"columns": kinds})
    assert is_read_again(bundle) and [c["name"] for c in bundle.preprocessing["columns"]] == [
        "x",
        "age",
        "weight",
        "when",
    ]


def test_kinds_of_targets_and_unknown_kinds_are_refused() -> None:
    refused(
        refusal(a=[1, 2] * 30, settings={"columns": {"y": "number"}}), "no-effect", "is the target", "data.target_kind"
    )
    refused(refusal(a=[1, 2] * 30, settings={"columns": {"a": "numbr"}}), "unknown-value", "'numbr'", "{a:number}")


def test_several_targets_are_values() -> None:
    columns: dict[str, Any] = {"a": [n % 5 + 0.5 for n in range(COUNT)], "b": [n * 2.0 + 0.5 for n in range(COUNT)]}
    bundle = read(["b", "y"], **columns)
    assert bundle.spec.output_names == ("b", "y") and [c["name"] for c in bundle.preprocessing["columns"]] == ["x", "a"]
    train = bundle.splits["train"]
    assert tensor_of(train.targets).tolist() == [[row * 2 + 0.5, row * 1.5] for row in train.indices.tolist()]
    assert len(values_of(bundle.spec).mean) == 2
    assert interpretation(bundle).startswith("regression, 2 values: b, y; 2 numbers")
    write("t.csv", x=range(COUNT), p=["a", "b"] * 30, q=["c", "d"] * 30, u=[0, 1] * 30)
    for targets, remedy in (["p", "q"], "data.target=p"), (["u", "q"], "data.target=u"):
        for kind in ("auto", "class"):
            with pytest.raises(DataError) as caught:
                table_file(path="t.csv", target=targets, target_kind=kind)
            refused(caught.value, "not-supported", "several targets must be values", remedy)
    with pytest.raises(DataError) as caught:
        table_file(path="t.csv", target=["x", "nope"])
    refused(caught.value, "not-found", "'nope' (data.target)")


def test_a_date_is_no_target_unless_it_is_a_class() -> None:
    write(x=[n % 7 for n in range(COUNT)], y=["2024-05-01", "2024-05-02"] * 30)
    arguments = {"path": "t.csv", "target": "y", "separator": ",", "missing_values": [], "target_kind": "auto"}
    for ask in (lambda: table_file(path="t.csv", target="y"), lambda: target_kind(arguments)):
        with pytest.raises(DataError) as caught:
            ask()
        refused(caught.value, "invalid-data", "column 'y'", "data.target_kind=class")
    assert table_file(path="t.csv", target="y", target_kind="class").spec.num_outputs == 2


def test_new_rows_with_other_dates_and_missing_columns() -> None:
    bundle = read(when=[f"{n % 28 + 1}/{n % 12 + 1}/2024" for n in range(COUNT)], town=["a", "b"] * 30)
    cells = ["31.12.2024", "2024-12-31", "December 31, 2024", "12/31/2024", "14:30", "2024-12-31T00:00Z", "soon", ""]
    write("new.csv", x=[1.5] * 8, when=cells, town=["a"] * 7 + ["new"])
    found = again(bundle, "new.csv")
    assert [bool(problem) for problem in found.problems] == [False] * 3 + [True] * 4 + [False]
    assert torch.equal(found.tensor[0], found.tensor[1]) and torch.equal(found.tensor[0], found.tensor[2])
    plain = read(when=DAYS)
    write("new.csv", x=[1.5] * 2, when=["03/04/2024", "31/12/2024"])
    found = again(plain, "new.csv")
    assert "2024-05-31" in found.problems[0] and not found.problems[1]
    write("new.csv", town=["a"])
    with pytest.raises(DataError) as caught:
        TableInput.of(bundle.preprocessing, {"target": "y"}, lenient=True).check("new.csv")
    for name in ("'x'", "'when'"):
        refused(caught.value, "incompatible-data", "missing: ", name)


def test_classes_that_differ_only_by_case_are_named() -> None:
    bundle = read(y=[("Yes", "yes", "no")[n % 3] for n in range(COUNT)])
    assert bundle.spec.output_names == ("Yes", "no", "yes")
    (note,) = [note for note in bundle.notes if "upper and lower case" in note]
    assert "'Yes' and 'yes' differ" in note
    assert not any("case" in note for note in read(y=[("Yes", "no")[n % 2] for n in range(COUNT)]).notes)
