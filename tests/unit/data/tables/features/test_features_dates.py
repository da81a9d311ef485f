"""Dates and times in the spellings that files have, with leap days, time zones and years far away."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dlexp.data.tables.features.dates import (
    Moment,
    is_ambiguous,
    moment_in,
    moment_of_digits,
    orders_of,
    plain_moments,
    unknown_zone,
)


def at(*parts: int) -> int:
    """Microseconds since 1970 of year, month, day, hour, ..."""
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 10**6  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        *((text, at(2024, 5, 31)) for text in ("2024-05-31", "2024/5/31", "2024.05.31", "31.05.2024", "31/5/2024")),
        *((text, at(2024, 5, 31)) for text in ("5/31/2024", "31-05-2024", "31.05.24", "31 May 2024", "31-May-2024")),
        *((text, at(2024, 5, 31)) for text in ("May 31, 2024", "31st May 2024", "Fri, 31 May 2024", "31/05/24")),
        ("2024-02-29", at(2024, 2, 29)),
        ("1900-03-01", at(1900, 3, 1)),
        ("2100-12-31", at(2100, 12, 31)),
        ("0001-01-01", -62135596800 * 10**6),
        ("9999-12-31", 253402214400 * 10**6),
        ("2024-05", at(2024, 5, 1)),
        ("01.02.69", at(1969, 2, 1)),
        ("01.02.68", at(2068, 2, 1)),
        ("03.04.2024", at(2024, 4, 3)),  # with dots the day comes first
        ("05/05/2024", at(2024, 5, 5)),  # the same in both orders
        ("2024-05-31T14:30", at(2024, 5, 31, 14, 30)),
        ("2024-05-31 14:30:05.25", at(2024, 5, 31, 14, 30, 5) + 250_000),
        ("5/31/2024 2:30 PM", at(2024, 5, 31, 14, 30)),
        ("31.05.2024 12:00 am", at(2024, 5, 31)),
        ("2024-05-31 24:00", at(2024, 6, 1)),
    ],
)
def test_dates_in_the_spellings_of_files(text: str, moment: int) -> None:
    assert moment_in(text) == Moment(moment)


@pytest.mark.parametrize(
    "text",
    [
        *("2023-02-29", "1900-02-29", "2100-02-29", "2024-02-30", "2024-13-01", "32.01.2024", "0000-00-00", "2024-00"),
        *("12A", "Room 5", "1.2.10", "10-11-12", "2024", "1234-12", "", "May", "2024-05-31 25:00", "2024-05-31 10:61"),
        *("2024-05-31 13:00 PM", "31 Foo 2024", "3/4", "03/04/2024", "-2024-05-31"),
    ],
)
def test_what_is_no_date(text: str) -> None:
    assert moment_in(text) is None


def test_the_order_of_day_and_month() -> None:
    assert orders_of("03/04/2024") == ("day-first", "month-first") and is_ambiguous("03/04/2024")
    assert orders_of("31/04/2024") == () and orders_of("31/05/2024") == ("day-first",)
    assert orders_of("05/31/2024") == ("month-first",) and not is_ambiguous("05/05/2024")
    assert orders_of("03.04.2024") == ("day-first",) and orders_of("12.31.2024") == ("month-first",)
    assert moment_in("03/04/2024", "day-first") == Moment(at(2024, 4, 3))
    assert moment_in("03/04/2024", "month-first") == Moment(at(2024, 3, 4))
    assert moment_in("31/05/2024", "month-first") is None


@pytest.mark.parametrize(
    ("text", "moment", "zone"),
    [
        ("2024-05-31T14:30Z", at(2024, 5, 31, 14, 30), "UTC"),
        ("2024-05-31 14:30 GMT", at(2024, 5, 31, 14, 30), "UTC"),
        ("2024-05-31T14:30:00+02:00", at(2024, 5, 31, 12, 30), "+02:00"),
        ("2024-05-31T14:30:00-0330", at(2024, 5, 31, 18), "-0330"),
        ("2024-05-31 14:30 Europe/Berlin", at(2024, 5, 31, 12, 30), "Europe/Berlin"),
        ("2024-01-31 14:30 Europe/Berlin", at(2024, 1, 31, 13, 30), "Europe/Berlin"),
        ("2024-03-31 02:30 Europe/Berlin", at(2024, 3, 31, 1, 30), "Europe/Berlin"),  # skipped by summer time
        ("2024-10-27 02:30 Europe/Berlin", at(2024, 10, 27, 0, 30), "Europe/Berlin"),  # twice: the first
        ("2024-10-27T02:30:00+01:00[Europe/Berlin]", at(2024, 10, 27, 1, 30), "+01:00"),
    ],
)
def test_zones_are_converted_to_utc(text: str, moment: int, zone: str) -> None:
    assert moment_in(text) == Moment(moment, zone=zone)


def test_abbreviations_of_zones_are_not_unique() -> None:
    assert unknown_zone("2024-05-31 14:30 CST") == "CST" and moment_in("2024-05-31 14:30 CST") is None
    assert unknown_zone("2024-05-31 14:30 UTC") == "" == unknown_zone("CST")


def test_times_of_day() -> None:
    assert moment_in("14:30") == Moment(at(1970, 1, 1, 14, 30), is_time=True)
    assert moment_in("2:30 pm") == moment_in("14:30:00")
    assert moment_in("24:00") is None and moment_in("3:2") is None


def test_digits_are_dates_where_they_are_declared() -> None:
    assert moment_of_digits("20240531") == Moment(at(2024, 5, 31))
    assert moment_of_digits("20240230") is None
    seconds = at(2024, 5, 31, 14, 30) // 10**6
    assert moment_of_digits(str(seconds)) == Moment(at(2024, 5, 31, 14, 30), zone="UTC")
    assert moment_of_digits(str(seconds * 1000)) == Moment(at(2024, 5, 31, 14, 30), zone="UTC")
    assert moment_of_digits("7") is None and moment_of_digits("word") is None


def test_the_fast_way_gives_the_same() -> None:
    texts = ["2024-02-29", "1900-01-01 23:59", "2100-12-31T00:00:00.000001", "0001-01-01", "9999-12-31"]
    fast = plain_moments(texts)
    assert fast is not None
    assert fast.astype("int64").tolist() == [moment.at for text in texts if (moment := moment_in(text))]
    assert plain_moments(["2023-02-29"]) is None and plain_moments(["2024-05-31 10:00Z"]) is None
