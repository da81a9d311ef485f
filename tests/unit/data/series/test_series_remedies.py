"""What is proposed for a file of series that cannot be read is true of the file, and works."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dlexp.data.columns import tensor_of
from dlexp.data.sources.series.series_file import series_file
from dlexp.data.splits.by_time import shown_times
from dlexp.errors import DataError

DAYS = np.arange("2024-01-01", "2024-03-01", dtype="datetime64[D]").astype(str).tolist()  # 60
KEYS = {"target": "sales", "window": 7, "horizon": 3}


def written(path: Path, rows: list[str], header: str) -> str:
    path.write_text("\n".join([header, *rows]) + "\n")
    return str(path)


def refusal(path: str, **keys: object) -> DataError:
    with pytest.raises(DataError) as caught:
        series_file(path=path, **{**KEYS, **keys})  # type: ignore[arg-type]
    return caught.value


def test_words_of_a_column_are_no_missing_values(tmp_path: Path) -> None:
    rows = [f"{day},{number},{'no' if number % 7 else 'yes'}" for number, day in enumerate(DAYS)]
    found = refusal(written(tmp_path / "a.csv", rows, "day,sales,holiday"), known=["holiday"])
    assert "data.missing_values" not in found.remedy
    assert "0 for 'no', 1 for 'yes'" in found.remedy


def test_all_words_among_numbers_are_marked_at_once(tmp_path: Path) -> None:
    values = [*map(str, range(50)), "broken", "off", "broken", *map(str, range(7))]
    path = written(tmp_path / "a.csv", [f"{day},{value}" for day, value in zip(DAYS, values, strict=True)], "day,sales")
    found = refusal(path)
    assert "broken,off]" in found.remedy
    bundle = series_file(path=path, missing_values=["broken", "off"], gaps="forward", **KEYS)  # type: ignore[arg-type]
    assert len(bundle.splits["train"]) > 0


@pytest.mark.parametrize("sort", [False, True])
def test_a_column_in_which_time_does_not_go_on_names_no_series(tmp_path: Path, sort: bool) -> None:
    days = [*DAYS[:30], DAYS[20], *DAYS[31:]]
    rows = [f"{day},{number},{'yes' if number % 9 == 8 else 'no'}" for number, day in enumerate(days)]
    found = refusal(written(tmp_path / "a.csv", rows, "day,sales,holiday"), sort=sort)
    assert "data.series" not in found.remedy
    assert ("Delete one of the rows" if sort else "data.sort=true") in found.remedy


@pytest.mark.parametrize("sort", [False, True])
def test_a_column_in_which_time_goes_on_names_the_series(tmp_path: Path, sort: bool) -> None:
    rows = [f"{day},{number},{shop}" for shop in "ab" for number, day in enumerate(DAYS)]
    path = written(tmp_path / "a.csv", rows, "day,sales,shop")
    assert "data.series=shop" in refusal(path, sort=sort).remedy
    assert len(series_file(path=path, series="shop", **KEYS).splits["train"]) > 0  # type: ignore[arg-type]


def test_times_of_a_forecast_have_one_form() -> None:
    hours = np.arange("2024-01-01T22", "2024-01-02T02", dtype="datetime64[h]").astype("datetime64[us]")
    assert shown_times(hours[2:3], hours) == ("2024-01-02T00:00:00",)
    assert shown_times(hours, hours[:1])[2:] == ("2024-01-02T00:00:00", "2024-01-02T01:00:00")
    days = hours.astype("datetime64[D]").astype("datetime64[us]")
    assert shown_times(days[2:], days) == ("2024-01-02", "2024-01-02")
    numbers = np.array([1.0, 2.0])
    assert shown_times(numbers, numbers) == ("1", "2")


def hours(times: list[str], path: Path) -> str:
    return written(path, [f"{time},{number}" for number, time in enumerate(times)], "when,sales")


@pytest.mark.parametrize(("day", "is_named"), [("2023-10-29", True), ("2023-10-28", False)])
def test_an_hour_that_occurs_twice_when_clocks_are_changed(tmp_path: Path, day: str, is_named: bool) -> None:
    start = np.datetime64(day) - np.timedelta64(1, "D")
    times = (start.astype("datetime64[h]") + np.arange(90)).astype("datetime64[m]").astype(str).tolist()
    times.insert(27, times[26])  # 02:00 twice
    found = refusal(hours(times, tmp_path / "a.csv"))
    assert f"{day}T02:00:00 occurs twice" in str(found)
    assert (f"in UTC or with their offset, such as {day}T02:00+01:00" in found.remedy) == is_named


def test_an_hour_that_is_missing_when_clocks_are_changed(tmp_path: Path) -> None:
    first = np.datetime64("2023-03-25T00")
    times = (first + np.arange(90)).astype("datetime64[m]").astype(str).tolist()
    spring = times[:26] + times[27:]
    found = refusal(hours(spring, tmp_path / "a.csv"))
    assert "2023-03-26T02:00:00" in str(found) and "with their offset" in found.remedy
    offsets = [f"{time}+01:00" if place < 26 else f"{time}+02:00" for place, time in enumerate(spring)]
    assert len(series_file(path=hours(offsets, tmp_path / "b.csv"), **KEYS).splits["train"]) > 0  # type: ignore[arg-type]
    other = times[:50] + times[51:]
    assert "offset" not in refusal(hours(other, tmp_path / "c.csv")).remedy


def test_a_target_is_asked_for_with_the_columns(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", [f"{day},{number}" for number, day in enumerate(DAYS)], "day,sales")
    found = refusal(path, target=None)
    assert "day, sales" in str(found) and found.remedy == "Set data.target=sales"
    assert refusal(str(tmp_path / "b.csv"), target=None).code == "not-found"


def test_a_list_of_values_is_a_series_of_steps(tmp_path: Path) -> None:
    values = [f"{step * 0.37:.2f}" for step in range(60)]
    path = tmp_path / "load.csv"
    path.write_text("\n".join(["load", *values, "", ""]))
    bundle = series_file(path=str(path), window=7, horizon=2)
    targets = tensor_of(bundle.splits["train"].targets)
    assert targets[0].flatten().tolist() == [2.59, 2.96]
    assert bundle.times is None
    assert any("each row is a step" in note for note in bundle.notes)
    path.write_text("\n".join(["load", *values[:40], "", *values[40:]]))
    with pytest.raises(DataError) as error:
        series_file(path=str(path), window=7, horizon=2)
    assert (error.value.row, "data.gaps=forward" in error.value.remedy) == (42, True)
    path.write_text("\n".join(values))
    with pytest.raises(DataError) as error:
        series_file(path=str(path), window=7, horizon=2)
    assert (error.value.row, "echo value" in error.value.remedy) == (1, True)
