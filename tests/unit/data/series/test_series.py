"""Series: steps, gaps, parts and windows; nothing of a later part is seen by an earlier one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dlexp.data.bundle import DataBundle
from dlexp.data.columns import read_all
from dlexp.data.series.frequency import Frequency, inferred_frequency
from dlexp.data.sources.series import real_series
from dlexp.data.sources.series.series_file import series_file
from dlexp.data.sources.series.synthetic_series import synthetic_series
from dlexp.errors import DataError
from dlexp.sequence_specs import ForecastSpec
from dlexp.types import Sequences, as_tensor

DAYS = np.arange("2024-01-01", "2024-03-01", dtype="datetime64[D]")  # 60


def inputs_of(bundle: DataBundle, split: str) -> torch.Tensor:
    found = read_all(bundle.splits[split].inputs)
    assert isinstance(found, Sequences)
    return found.values


def targets_of(bundle: DataBundle, split: str) -> torch.Tensor:
    column = bundle.splits[split].targets
    assert column is not None
    return as_tensor(read_all(column))


def write(path: Path, rows: list[list[Any]], header: str = "day,sales") -> Path:
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def daily(values: Any = None) -> list[list[Any]]:
    return [[day, value] for day, value in zip(DAYS, range(60) if values is None else values, strict=True)]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (DAYS, "1 d"),
        (DAYS[np.is_busday(DAYS)], "1 business day"),
        (np.delete(DAYS, [4, 5]), "1 d"),
        (np.arange("2020-01", "2024-01", dtype="datetime64[M]"), "1 mo"),
        (np.arange("2020-01", "2024-01", 3, dtype="datetime64[M]"), "1 q"),
        (np.arange("2020-02", "2024-02", dtype="datetime64[M]").astype("datetime64[D]") - 1, "1 mo"),
        (np.arange("2020-01-01T00", "2020-01-03T00", 15, dtype="datetime64[m]"), "15 min"),
        (np.arange(1700.0, 1720.0), "steps of 1"),
    ],
)
def test_the_step_is_inferred_and_continued(times: Any, expected: str) -> None:
    known = times if times.dtype.kind == "f" else times.astype("datetime64[us]")
    found = inferred_frequency([known[:-1]])
    assert found is not None
    assert str(found) == expected
    later = found.after(known[-2], 1)
    assert later is not None
    assert later[0] == known[-1]


@pytest.mark.parametrize("text", ["bla", "0h", "-1", ""])
def test_a_frequency_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(DataError, match=r"data\.frequency"):
        Frequency.of(text)


def test_every_window_of_val_and_test_is_there_and_none_crosses_a_cut(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", daily())
    bundle = series_file(path=str(path), target="sales", window=7, horizon=3)
    # 60 steps: val from 42, test from 51 on; n - L - H + 1 of each part with its L steps of context.
    assert bundle.sizes() == {"train": 42 - 7 - 3 + 1, "val": 9 + 7 - 7 - 3 + 1, "test": 9 + 7 - 7 - 3 + 1}
    bounds = {"train": (7, 42), "val": (42, 51), "test": (51, 60)}
    for split, (low, high) in bounds.items():
        targets = targets_of(bundle, split)[:, :, 0]
        assert targets.min() == low
        assert targets.max() == high - 1
        spec = bundle.spec.targets
        assert isinstance(spec, ForecastSpec)
        inputs = inputs_of(bundle, split)[:, :, 0].double() * spec.std[0] + spec.mean[0]
        assert torch.allclose(inputs[:, -1], targets[:, 0] - 1, atol=1e-4)
        assert torch.allclose(inputs.diff(dim=1), torch.ones(1, dtype=torch.float64), atol=1e-4)
    assert bundle.named is not None
    assert bundle.named(bundle.splits["test"].indices.numpy()[:1]) == ["2024-02-21"]


def test_stride_thins_the_training_part_alone_and_a_gap_is_in_no_part(tmp_path: Path) -> None:
    path = str(write(tmp_path / "a.csv", daily()))
    whole = series_file(path=path, target="sales", window=7, horizon=3)
    thin = series_file(path=path, target="sales", window=7, horizon=3, stride=5, gap=2)
    assert targets_of(thin, "train")[:, 0, 0].tolist() == targets_of(whole, "train")[::5, 0, 0].tolist()
    assert targets_of(thin, "val").min() == 44
    assert targets_of(thin, "test").min() == 53


def test_nothing_after_the_cut_changes_what_training_sees(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal(60).round(3)
    gaps: Any = values.astype(object)
    gaps[40:43] = ""  # a gap over the cut at 42
    later = gaps.copy()
    later[43:] = 1e6
    found = []
    for name, some in (("a", gaps), ("b", later)):
        path = write(tmp_path / f"{name}.csv", daily(some))
        found.append(series_file(path=str(path), target="sales", window=7, horizon=3, gaps="interpolate"))
    one, other = found
    assert torch.equal(inputs_of(one, "train"), inputs_of(other, "train"))
    assert torch.equal(targets_of(one, "train"), targets_of(other, "train"))
    assert one.spec == other.spec
    assert not torch.equal(targets_of(one, "test"), targets_of(other, "test"))


def test_known_covariates_reach_the_last_step_of_the_horizon_and_past_ones_do_not(tmp_path: Path) -> None:
    rows = [[day, n, 1000 + n, 2000 + n] for n, day in enumerate(DAYS)]
    path = write(tmp_path / "a.csv", rows, "day,sales,seen,planned")
    bundle = series_file(
        path=str(path), target="sales", past=["seen"], known=["planned"], calendar=["weekday"], window=7, horizon=3
    )
    names = bundle.preprocessing["channels"]
    assert names == [
        *("sales", "seen", "planned", "sin(weekday)", "cos(weekday)"),
        *("planned+3", "sin(weekday)+3", "cos(weekday)+3"),
    ]
    mean, std = bundle.preprocessing["mean"], bundle.preprocessing["std"]
    last = inputs_of(bundle, "test")[0, -1].double()
    assert last[1] * std[1] + mean[1] == pytest.approx(1050, abs=1e-3)  # the step before the first target, 51
    assert last[5] * std[2] + mean[2] == pytest.approx(2053, abs=1e-3)
    turn = 2 * np.pi * ((DAYS[53] - np.datetime64("1970-01-05")).astype(int) % 7) / 7
    assert last[6:8].tolist() == pytest.approx([np.sin(turn), np.cos(turn)], abs=1e-6)


def test_several_series_are_divided_at_one_time_and_keep_apart(tmp_path: Path) -> None:
    rows = [[name, day, level + n] for name, level in (("x", 0), ("y", 500)) for n, day in enumerate(DAYS)]
    path = write(tmp_path / "a.csv", rows, "shop,day,sales")
    bundle = series_file(path=str(path), target="sales", series="shop", window=7, horizon=3)
    spec = bundle.spec.targets
    assert isinstance(spec, ForecastSpec)
    assert spec.series == ("x", "y")
    assert spec.firsts == (0, 60)
    inputs = inputs_of(bundle, "train")[:, :, 0].double() * spec.std[0] + spec.mean[0]
    assert torch.allclose(inputs.diff(dim=1), torch.ones(1, dtype=torch.float64), atol=1e-2)  # no window spans both
    assert sorted(set(targets_of(bundle, "val").flatten().tolist())) == [*range(42, 51), *range(542, 551)]


def bad(tmp_path: Path, change: Any, **keys: Any) -> DataError:
    rows = daily()
    change(rows)
    path = write(tmp_path / "bad.csv", rows)
    with pytest.raises(DataError) as caught:
        series_file(**{"path": str(path), "target": "sales", "window": 7, "horizon": 3, **keys})
    return caught.value


@pytest.mark.parametrize(
    ("change", "row", "remedy"),
    [
        (lambda rows: rows.insert(3, rows.pop(10)), 6, "data.sort=true"),
        (lambda rows: rows.insert(3, rows[3]), 6, "Delete"),
        (lambda rows: rows[8].__setitem__(1, ""), 10, "data.gaps=forward"),
        (lambda rows: rows.pop(8), 9, "data.gaps=interpolate"),
        (lambda rows: rows[8].__setitem__(1, "many"), 10, "data.missing_values"),
    ],
)
def test_data_that_are_no_series_name_the_row_and_a_remedy(tmp_path: Path, change: Any, row: int, remedy: str) -> None:
    error = bad(tmp_path, change)
    assert error.row == row
    assert str(error.file).endswith("bad.csv")
    assert remedy in error.remedy


@pytest.mark.parametrize(
    ("keys", "code", "remedy"),
    [
        ({"window": 58}, "too-few-samples", "data.window="),
        ({"horizon": 10}, "too-few-samples", "data.val_fraction="),
        ({"target": "sale"}, "not-found", "data.target=sales"),
        ({"past": ["x"]}, "not-found", "Available"),
        ({"frequency": "1.5y"}, None, "data.frequency"),
        ({"calendar": ["month"], "horizon": 8}, "cannot-combine", "data.window=8"),
    ],
)
def test_settings_that_do_not_fit_name_a_remedy(tmp_path: Path, keys: dict[str, Any], code: str, remedy: str) -> None:
    error = bad(tmp_path, lambda rows: None, **keys)
    assert code in (None, error.code)
    assert remedy in error.remedy


@pytest.mark.parametrize(("gaps", "value"), [("forward", 7.0), ("interpolate", 8.0)])
def test_gaps_are_filled_as_told_and_never_compared_with(tmp_path: Path, gaps: str, value: float) -> None:
    rows = daily()
    rows[8][1] = rows[55][1] = ""
    path = write(tmp_path / "a.csv", rows)
    bundle = series_file(path=str(path), target="sales", window=7, horizon=3, gaps=gaps)
    train = {round(v, 6) for v in targets_of(bundle, "train").flatten().tolist()}
    assert value in train
    assert bundle.sizes()["test"] == 7 - 3  # three windows have the step that was not seen
    assert any("windows left out: 3 of test" in note for note in bundle.notes)
    skipped = series_file(path=str(path), target="sales", window=7, horizon=3, gaps="skip")
    assert not inputs_of(skipped, "train").isnan().any()
    assert skipped.sizes()["train"] < bundle.sizes()["train"]


def test_baselines_of_a_season_and_a_trend_are_what_their_names_say() -> None:
    bundle = synthetic_series(noise=0.0, trend=0.0)
    assert bundle.references is not None
    found, true = bundle.references("test"), targets_of(bundle, "test").numpy()
    assert np.abs(found["seasonal_naive"] - true).max() < 1e-9
    assert np.abs(found["ridge"] - true).max() < 1e-2
    last = inputs_of(bundle, "test")[:, -1, 0].double().numpy()
    spec = bundle.spec.targets
    assert isinstance(spec, ForecastSpec)
    assert np.allclose(found["naive"][:, 4, 0], last * spec.std[0] + spec.mean[0], atol=1e-5)


@pytest.mark.parametrize(
    ("name", "sizes", "naive"),
    [
        ("sunspots", (174, 36, 36), {"naive": 53.2, "seasonal_naive": 27.2, "ridge": 22.6}),
        ("co2", (321, 68, 68), {"naive": 2.65, "seasonal_naive": 1.69, "ridge": 0.489}),
        ("elnino", (465, 99, 99), {"naive": 2.36, "seasonal_naive": 0.950, "ridge": 0.818}),
        ("nile", (46, 11, 11), {"naive": 137.7}),
        ("goog", (689, 153, 153), {"naive": 16.7}),
        ("eeg", (513, 113, 113), {"naive": 0.956, "ridge": 0.799}),
    ],
)
def test_the_real_series_are_whole(name: str, sizes: tuple[int, ...], naive: dict[str, float]) -> None:
    bundle = getattr(real_series, name)()
    assert tuple(bundle.sizes().values()) == sizes
    found, true = bundle.references("test"), targets_of(bundle, "test").numpy()
    errors = {key: float(np.abs(found[key] - true).mean()) for key in naive}
    assert errors == pytest.approx(naive, rel=0.01)


def test_a_tsf_file_of_the_archive_is_read(tmp_path: Path) -> None:
    values = ",".join(map(str, range(40)))
    text = (
        "# Dataset\n@relation demo\n@attribute series_name string\n@attribute start_timestamp date\n"
        "@frequency monthly\n@horizon 3\n@missing true\n@equallength false\n@data\n"
        f"T1:1990-01-01 00-00-00:{values}\nT2:1991-01-01 00-00-00:{values},?,41\n"
    )
    path = tmp_path / "demo.tsf"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        series_file(path=str(path), window=6, horizon=2)
    assert caught.value.row == 11
    assert "data.gaps=skip" in caught.value.remedy
    bundle = series_file(path=str(path), window=6, horizon=2, gaps="skip")
    spec = bundle.spec.targets
    assert isinstance(spec, ForecastSpec)
    assert (spec.series, spec.period) == (("T1", "T2"), 12)
    assert bundle.named is not None
    assert bundle.named(np.array([41]))[0] == "T2 1991-02-01"
    path.write_text(text.replace("monthly", "sometimes"))
    with pytest.raises(DataError, match="sometimes"):
        series_file(path=str(path), window=6, horizon=2)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"window": 58, "horizon": 20}, ["the series has 60 steps", "the train part", "the val part", "the test part"]),
        ({"window": 50, "horizon": 10}, ["the train part", "the val part"]),
        ({"window": 7, "horizon": 3, "val_fraction": 0.01}, ["the val part has 1 of 60 steps"]),
        ({"window": 4, "horizon": 12, "calendar": ["month"]}, ["data.window=4 must be", "the val part"]),
        ({"window": 7, "horizon": 40}, ["the train part", "the val part", "the test part"]),
    ],
)
def test_all_that_does_not_fit_is_told_at_once_with_a_line_that_works(
    tmp_path: Path, keys: dict[str, Any], said: list[str]
) -> None:
    error = bad(tmp_path, lambda rows: None, **keys)
    assert all(text in error.rule for text in said)
    words = error.remedy.removeprefix("Set ").replace("data.", "").split()
    changed = {key: float(value) if "." in value else int(value) for key, _, value in (w.partition("=") for w in words)}
    given = {"path": str(tmp_path / "bad.csv"), "target": "sales", **keys, **changed}
    assert min(series_file(**given).sizes().values()) >= 1
    if "calendar" not in keys and keys["horizon"] < 20:
        assert "horizon" not in changed


def test_a_series_that_is_too_short_for_anything_has_no_settings(tmp_path: Path) -> None:
    assert bad(tmp_path, lambda rows: rows.__delitem__(slice(3, None))).remedy == "Use a longer series."


def test_the_times_of_the_targets_are_those_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", daily())
    bundle = series_file(path=str(path), target="sales", window=7, horizon=3)
    assert bundle.times is not None
    numbers = bundle.splits["test"].indices.numpy()
    times = bundle.times(numbers)
    assert times.shape == (len(numbers), 3)
    assert (np.diff(times, axis=1) == np.timedelta64(1, "D")).all()
    assert bundle.named is not None
    assert [str(time.astype("datetime64[D]")) for time in times[:, 0]] == bundle.named(numbers)
    assert series_file(path=str(path), target="sales", window=7, horizon=3, time="none").times is None
