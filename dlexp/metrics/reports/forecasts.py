"""The report of forecasts: metrics over stretches of time, errors of each step, and forecasts that need no network.

Symbols: N windows, H steps of a horizon, V targets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.metrics.bootstrap import Floats, Interval, Resampling
from dlexp.metrics.forecast_errors import NO_SCALE, ForecastErrors, pinball
from dlexp.metrics.intervals.blocks import block_interval, time_blocks
from dlexp.metrics.reports.classes import split_undefined
from dlexp.metrics.reports.figures import Figure, Forecasts, Lines
from dlexp.metrics.reports.report import Report, Table
from dlexp.sequence_specs import ForecastSpec
from dlexp.text.shown_time import shown_time

MODEL = "model"
BLOCK = "block"  # column of predictions.csv
SERIES, TIME = "series", "time"  # where there are several series, and where times are known
SCALE = "scale"  # its columns of what MASE divides by, with the name of the target
_MOST_SERIES = 3  # with a picture each
_MOST_TARGETS = 3
_BESIDE = "The model beside forecasts that need no network, on the {split} split."
_STEPS = "Mean absolute error of each step of the horizon on the {split} split."
_PICTURE = "Forecasts of {what} on the {split} split, each from its last known value on, one after the other."


@dataclass(frozen=True)
class ForecastRows:
    """The forecasts of N windows.

    indices    (N,) the number of each window, which tells its series and its first step
    targets    names, horizon, series
    predicted  (N, H, V) in the units of the targets
    true       (N, H, V)
    extra      q0.1 and so on -> (N, H, V)
    scale      (N, V) what MASE divides by, NaN where it is undefined
    times      (N, H) datetime64[us] or float64 of the steps; None where nobody knows them
    """

    indices: NDArray[np.int64]
    targets: ForecastSpec
    predicted: Floats
    true: Floats
    extra: Mapping[str, Floats]
    scale: Floats
    times: NDArray[Any] | None = None

    @property
    def series(self) -> NDArray[np.int64]:
        """(N,) the number of the series of each window."""
        firsts = np.array(self.targets.firsts)
        return np.asarray(np.searchsorted(firsts, self.indices, side="right") - 1)

    @property
    def origins(self) -> NDArray[np.int64]:
        """(N,) the first step of each window, counted back from the last window of its series."""
        found = self.indices.copy()
        for number in np.unique(self.series):
            own = self.series == number
            found[own] -= found[own].max()
        return found

    @property
    def blocks(self) -> NDArray[np.int64]:
        """(N,) the stretch of time of each window; windows of different stretches count as independent."""
        return time_blocks(self.origins, self.targets.horizon)

    @property
    def overlap(self) -> float:
        """The share of its targets that a window has in common with the next."""
        return 1 - 1 / self.targets.horizon

    @property
    def header(self) -> list[str]:
        """row; series and time of the first step; stretch of time; what MASE divides by; true and predicted values."""
        names = self.targets.output_names
        pairs = [f"{kind} {name}" for name in names for kind in ("true", "predicted")]
        scales = [f"{SCALE} {name}" for name in self.targets.names]
        first = ["row", *self._places, BLOCK]
        return [*first, *scales, *pairs, *(f"{more} {name}" for more in self.extra for name in names)]

    @property
    def _places(self) -> dict[str, list[str]]:
        """Where each window is: its series, where there are several, and the time of its first step."""
        found = {}
        if len(self.targets.series) > 1:
            found[SERIES] = [self.targets.series[number] for number in self.series.tolist()]
        if self.times is not None:
            found[TIME] = [shown_time(time) for time in self.times[:, 0]]
        return found

    def __iter__(self) -> Iterator[list[Any]]:
        count = len(self.indices)
        true, predicted = self.true.reshape(count, -1), self.predicted.reshape(count, -1)
        pairs = np.stack([true, predicted], axis=2).reshape(count, -1)
        more = [values.reshape(count, -1) for values in self.extra.values()]
        blocks, places = self.blocks.tolist(), list(self._places.values())
        for number, index in enumerate(self.indices.tolist()):
            yield [
                index,
                *(place[number] for place in places),
                blocks[number],
                *self.scale[number].tolist(),
                *pairs[number].tolist(),
                *(cell for values in more for cell in values[number].tolist()),
            ]


def forecast_report(rows: ForecastRows, references: Mapping[str, Floats], resampling: Resampling | None) -> Report:
    """The report of N windows.

    Args:
        rows: The forecasts of the model.
        references: Name -> forecasts (N, H, V) of the same windows in the order of their split, without a network.
        resampling: Level of the intervals; None makes none.
    """
    errors = ForecastErrors.of(rows.predicted, rows.true, rows.scale)
    others = {name: ForecastErrors.of(values, rows.true, rows.scale) for name, values in references.items()}
    found = errors.metrics()
    if rows.extra:
        found["pinball"] = float(pinball(rows.extra, rows.true).mean())
    metrics, undefined = split_undefined(found, _why)
    level = resampling.level if resampling and resampling.resamples else 0.0
    blocks = rows.blocks
    sure = _intervals(rows, errors, blocks, level) if level else {}
    beside = _beside(rows, errors, others, blocks, level)
    steps = {MODEL: errors, **others}
    facts: dict[str, Any] = {
        "per_output": _per_target(rows, errors),
        "references": beside,
        "horizon_mae": {name: own.absolute.mean(axis=(0, 2)).tolist() for name, own in steps.items()},
        "time_blocks": int(blocks.max()) + 1,
        "block_overlap": rows.overlap,
    }
    tables = {"predictions": Table(rows.header, rows)}
    if beside:
        lines = [_line(name.replace("_", " "), own) for name, own in beside.items()]
        header = ("forecast", "mae", "rmse", "mase", "smape", "difference of mae", "low", "high", "verdict")
        first = [MODEL, *(errors.metrics()[name] for name in header[1:5]), "", "", "", ""]
        tables["baselines"] = Table(header, [first, *lines], _BESIDE, ("forecast",))
    across = np.arange(1, rows.targets.horizon + 1, dtype=np.float64)
    steps_of = {name.replace("_", " "): (across, np.array(values)) for name, values in facts["horizon_mae"].items()}
    what = f"mean absolute error of {rows.targets.names[0]}" if len(rows.targets.names) == 1 else "mean absolute error"
    figures: dict[str, Figure] = dict(_pictures(rows))
    figures["horizon_errors"] = Lines(_STEPS, "step of the horizon", what, steps_of)
    return Report(
        metrics,
        undefined,
        {name: each for name, each in sure.items() if metrics.get(name) is not None},
        tables,
        figures,
        facts,
    )


def _why(name: str) -> str:
    if name == "mase":
        return NO_SCALE
    return "a forecast is not finite"


def _intervals(
    rows: ForecastRows, errors: ForecastErrors, blocks: NDArray[np.int64], level: float
) -> dict[str, Interval]:
    """Of the mean of each metric over windows; that of RMSE is the root of that of the squares, for one target."""
    of = {"mae": errors.absolute, "mase": errors.scaled, "smape": errors.share}
    if rows.extra:
        of["pinball"] = pinball(rows.extra, rows.true)
    with np.errstate(invalid="ignore"):
        found = {
            name: block_interval(values.mean(axis=(1, 2)), blocks, level, rows.overlap) for name, values in of.items()
        }
    if len(rows.targets.names) == 1:
        squares = errors.squared.mean(axis=(1, 2))
        found["rmse"] = block_interval(squares, blocks, level, rows.overlap, _root)
    return found


def _root(value: float) -> float:
    return float(np.sqrt(max(0.0, value)))


def _beside(
    rows: ForecastRows,
    errors: ForecastErrors,
    others: Mapping[str, ForecastErrors],
    blocks: NDArray[np.int64],
    level: float,
) -> dict[str, dict[str, Any]]:
    """Each reference: its metrics, the MAE of the model minus its own with an interval of the pairs, and a verdict."""
    own = errors.absolute.mean(axis=(1, 2))
    found = {}
    for name, other in others.items():
        apart = own - other.absolute.mean(axis=(1, 2))
        paired = block_interval(apart, blocks, level or 0.95, rows.overlap)
        metrics = {key: None if np.isnan(value) else value for key, value in other.metrics().items()}
        verdict = _verdict(float(apart.mean()), paired)
        found[name] = {**metrics, "difference": float(apart.mean()), "interval": asdict(paired), "verdict": verdict}
    return found


def _verdict(difference: float, paired: Interval) -> str:
    """better, worse or not distinguishable, of the model beside a reference."""
    if difference == 0:
        return "the same"
    if paired.low is None or paired.high is None or paired.low <= 0 <= paired.high:
        return "not distinguishable"
    return "model better" if difference < 0 else "model worse"


def _line(name: str, own: Mapping[str, Any]) -> list[Any]:
    interval = own["interval"]
    bounds = ["" if interval[side] is None else interval[side] for side in ("low", "high")]
    return [name, *(own[key] for key in ("mae", "rmse", "mase", "smape", "difference")), *bounds, own["verdict"]]


def _per_target(rows: ForecastRows, errors: ForecastErrors) -> dict[str, dict[str, float | None]]:
    """The metrics of each target, and the share of true values that are not above each quantile."""
    found: dict[str, dict[str, float | None]] = {}
    for place, name in enumerate(rows.targets.names):
        part = slice(place, place + 1)
        own = ForecastErrors(*(values[:, :, part] for values in vars(errors).values()))
        shares: dict[str, float | None] = {
            f"share_below_{more}": float((rows.true[:, :, place] <= bound[:, :, place]).mean())
            for more, bound in rows.extra.items()
        }
        found[name] = split_undefined(own.metrics(), _why)[0] | shares
    return found


def _pictures(rows: ForecastRows) -> Iterator[tuple[str, Figure]]:
    """The forecasts of the first series and targets: windows that begin where the one before ends."""
    horizon, several = rows.targets.horizon, len(rows.targets.series) > 1
    number = 0
    for series in np.unique(rows.series)[:_MOST_SERIES].tolist():
        own = np.flatnonzero(rows.series == series)
        own = own[np.argsort(rows.indices[own])]
        begins = rows.indices[own] - rows.targets.firsts[series]
        chosen = _tiled(begins, horizon)
        for place, name in list(enumerate(rows.targets.names))[:_MOST_TARGETS]:
            at = own[chosen]
            what = f"{rows.targets.series[series]}: {name}" if several else name
            bands = {more: values[at, :, place] for more, values in rows.extra.items()}
            yield (
                "forecast" if number == 0 else f"forecast-{number}",
                Forecasts(
                    _PICTURE.replace("{what}", what),
                    what,
                    begins[chosen],
                    rows.true[at, :, place],
                    rows.predicted[at, :, place],
                    bands,
                    None if rows.times is None else rows.times[at],
                ),
            )
            number += 1


def _tiled(begins: NDArray[np.int64], horizon: int) -> list[int]:
    """Places of windows of which each begins where the one before ends, or later; the last one is among them."""
    chosen, bound = [], np.inf
    for place in range(len(begins) - 1, -1, -1):
        if begins[place] + horizon <= bound:
            chosen.append(place)
            bound = float(begins[place])
    return chosen[::-1]
