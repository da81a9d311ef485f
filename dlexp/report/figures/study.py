"""Figures of a study as PNG bytes: history, importances, slices, parallel coordinates, curves of the trials."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from dlexp.report.figures.curves import as_png
from dlexp.report.figures.labels import cut

_COMPLETE, _PRUNED, _BEST = "#0072B2", "#999999", "#D55E00"  # Okabe & Ito, also distinguished by marker
_MAX_PANELS = 12
_MAX_TICKS = 8  # with more values, not every value has a tick
_MAX_LETTERS = 20
_WIDE = 20.0  # a loss that spans more than this factor has a logarithmic axis

Trial = Mapping[str, Any]


def figures(
    trials: Sequence[Trial],
    importances: Mapping[str, float],
    metric: str,
    maximize: bool,
    log_names: set[str],
) -> dict[str, bytes]:
    """Name -> PNG of the applicable figures; {} before a trial is complete.

    Args:
        trials: number, state (complete or pruned), value, params, epochs (epoch -> metric).
        importances: Parameter -> importance.
        metric: The name of the metric.
        maximize: Whether a larger metric is better.
        log_names: Parameters with a logarithmic axis.
    """
    complete = [trial for trial in trials if trial["state"] == "complete"]
    if not complete:
        return {}
    found = {
        "history": _history(trials, metric, maximize),
        "intermediate": _intermediate(trials, metric, maximize),
    }
    if any(trial["params"] for trial in complete):
        found["slices"] = _slices(trials, metric, maximize, log_names)
        found["parallel"] = _parallel(complete, metric, maximize, log_names)
    if importances:
        found["importances"] = _importances(importances, metric)
    return found


def _history(trials: Sequence[Trial], metric: str, maximize: bool) -> bytes:
    figure = Figure(figsize=(7, 4), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    _points(axes, trials, [trial["number"] for trial in trials])
    best: list[tuple[int, float]] = []
    for trial in trials:
        if trial["state"] == "complete":
            better = max if maximize else min
            best.append((trial["number"], better([trial["value"], *([best[-1][1]] if best else [])])))
    best.append((trials[-1]["number"], best[-1][1]))  # later trials were not better
    axes.step(*zip(*best, strict=True), where="post", color=_BEST, label="best so far")
    axes.set_xlabel("trial")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _metric_axis(axes, metric, maximize, [trial["value"] for trial in trials])
    axes.legend(fontsize="small")
    return as_png(figure)


def _intermediate(trials: Sequence[Trial], metric: str, maximize: bool) -> bytes:
    figure = Figure(figsize=(7, 4), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    pick = max if maximize else min
    best = pick((t for t in trials if t["state"] == "complete"), key=lambda t: t["value"])
    styles: dict[str, dict[str, Any]] = {
        "pruned": {"color": _PRUNED, "linestyle": "--"},
        "complete": {"color": _COMPLETE, "linestyle": "-"},
    }
    for trial in trials:
        _curve(axes, trial, **styles[trial["state"]], linewidth=0.9, alpha=0.6)
    _curve(axes, best, color=_BEST, linewidth=2.2)
    handles = [
        Line2D([], [], **style, label=state)
        for state, style in styles.items()
        if any(trial["state"] == state for trial in trials)
    ]
    axes.legend(
        handles=[*handles, Line2D([], [], color=_BEST, linewidth=2.2, label=f"best: trial {best['number']}")],
        fontsize="small",
    )
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _metric_axis(axes, metric, maximize, [value for trial in trials for value in trial["epochs"].values()])
    return as_png(figure)


def _curve(axes: Axes, trial: Trial, **style: Any) -> None:
    epochs, values = list(trial["epochs"]), [_finite(value) for value in trial["epochs"].values()]
    axes.plot(epochs, values, marker="." if len(epochs) < 2 else None, **style)


def _importances(importances: Mapping[str, float], metric: str) -> bytes:
    names = sorted(importances, key=lambda name: importances[name])
    shares = [100 * importances[name] for name in names]
    figure = Figure(figsize=(7, 1.2 + 0.35 * len(names)), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    bars = axes.barh(range(len(names)), shares, color=_COMPLETE)
    axes.set_yticks(range(len(names)), list(map(_name, names)))
    axes.bar_label(bars, [f"{share:.0f} %" if share >= 0.5 or not share else "< 1 %" for share in shares], padding=3)
    axes.set_xlim(0, 1.12 * max(*shares, 1.0))  # room for the labels
    axes.set_xlabel(f"importance for the best 10 % of trials\nby {metric}, in % (PED-ANOVA)")
    return as_png(figure)


def _slices(trials: Sequence[Trial], metric: str, maximize: bool, log_names: set[str]) -> bytes:
    names = _parameters(trials)
    width = min(3, len(names))
    height = -(-len(names) // width)
    figure = Figure(figsize=(max(5, 4 * width), 3 * height + 0.4), layout="constrained", dpi=110)
    first: Axes | None = None
    for position, name in enumerate(names):
        axes = first = figure.add_subplot(height, width, position + 1, sharey=first)
        chosen = [trial for trial in trials if name in trial["params"]]
        places, labels = _places([trial["params"][name] for trial in chosen], name in log_names)
        _points(axes, chosen, [places[trial["params"][name]] for trial in chosen])
        if labels is not None:
            axes.set_xticks(range(len(labels)), labels, rotation=30 if max(map(len, labels)) > 6 else 0)
            axes.set_xlim(-0.5, len(labels) - 0.5)
        elif name in log_names:
            axes.set_xscale("log")
            _log_ticks(axes.xaxis, list(places.values()), most=100)
        elif all(isinstance(value, int) for value in places):
            axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        else:
            axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
        axes.set_xlabel(_name(name))
        _metric_axis(axes, metric, maximize, [trial["value"] for trial in trials])
        if position == 0:
            axes.legend(fontsize="small")
    if _left_out(trials):
        figure.suptitle(_left_out(trials), fontsize="medium")
    return as_png(figure)


def _parallel(complete: Sequence[Trial], metric: str, maximize: bool, log_names: set[str]) -> bytes:
    names = _parameters(complete)
    figure = Figure(figsize=(max(6, 1.7 * (len(names) + 1)), 4.8), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    scales = {
        name: _scale([t["params"][name] for t in complete if name in t["params"]], name in log_names) for name in names
    }
    metric_scale = _scale([trial["value"] for trial in complete], log=False)
    ranked = sorted(complete, key=lambda t: t["value"], reverse=not maximize)
    for place, trial in enumerate(ranked):
        # A line has gaps at parameters of branches that the trial did not take; dots lead across them.
        heights = [scales[name][trial["params"][name]] if name in trial["params"] else math.nan for name in names]
        is_best = place == len(ranked) - 1
        points = list(enumerate([*heights, metric_scale[trial["value"]]]))
        style: dict[str, Any] = {
            "color": _BEST if is_best else _COMPLETE,
            "alpha": 1.0 if is_best else 0.15 + 0.6 * place / max(1, len(ranked) - 1),
        }
        axes.plot(
            *zip(*points, strict=True),
            marker="o",  # a point between two gaps has no line
            markersize=5 if is_best else 3,
            linewidth=2.2 if is_best else 1.2,
            **style,
        )
        for (x, y), (next_x, next_y) in pairwise(point for point in points if not math.isnan(point[1])):
            if next_x > x + 1:
                axes.plot((x, next_x), (y, next_y), linestyle=":", linewidth=1, **style)
    for x, scale in enumerate([*scales.values(), metric_scale]):
        axes.axvline(x, color="#555555", linewidth=0.8)
        for value in _marked(scale):
            axes.annotate(
                _short(value),
                (x, scale[value]),
                xytext=(4, 3),
                textcoords="offset points",
                fontsize="x-small",
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.5},
            )
    axes.set_ylim(-0.05, 1.1)  # room for the labels at the top
    axes.set_xticks(range(len(names) + 1), [*map(_name, names), metric], rotation=30, ha="right", fontsize="small")
    axes.set_yticks([])
    title = "one line per trial, darker is better, best in orange; dotted past parameters that a trial does not have"
    axes.set_title("\n".join(filter(None, (title, _left_out(complete)))), fontsize="medium", loc="left")
    return as_png(figure)


def _points(axes: Axes, trials: Sequence[Trial], places: Sequence[float]) -> None:
    """Plot the values of complete trials, and the last reported values of pruned ones."""
    styles = {"pruned": (_PRUNED, "x", "pruned (last value)"), "complete": (_COMPLETE, "o", "complete")}
    for state, (color, marker, label) in styles.items():
        chosen = [
            (place, trial["value"])
            for place, trial in zip(places, trials, strict=True)
            if trial["state"] == state and math.isfinite(_finite(trial["value"]))
        ]
        if chosen:
            at, values = zip(*chosen, strict=True)
            axes.scatter(at, values, color=color, marker=marker, s=22, label=label)


def _metric_axis(axes: Axes, metric: str, maximize: bool, values: Sequence[float | None]) -> None:
    """Set label, grid and scale; logarithmic if a loss spans a large factor."""
    finite = [value for value in map(_finite, values) if math.isfinite(value)]
    axes.set_ylabel(metric)
    axes.grid(alpha=0.25)
    if not maximize and finite and min(finite) > 0 and max(finite) / min(finite) > _WIDE:
        axes.set_yscale("log")
        _log_ticks(axes.yaxis, finite, most=1000)


def _log_ticks(axis: Axis, values: Sequence[float], most: float) -> None:
    """Set ticks at powers of ten, as plain numbers; at more numbers in ranges of less than a factor `most`."""
    span = max(values) / min(values)
    steps = (1, 2, 5) if span < most / 10 else (1, 3) if span < most else (1,)
    axis.set_major_locator(LogLocator(subs=steps, numticks=6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))  # as_png does not render formulas
    axis.set_minor_formatter(NullFormatter())


def _parameters(trials: Sequence[Trial]) -> list[str]:
    return _all_parameters(trials)[:_MAX_PANELS]


def _all_parameters(trials: Sequence[Trial]) -> list[str]:
    return list(dict.fromkeys(name for trial in trials for name in trial["params"]))


def _left_out(trials: Sequence[Trial]) -> str:
    """A note on omitted parameters; "" if all are shown."""
    count = len(_all_parameters(trials))
    return f"first {_MAX_PANELS} of {count} parameters; see trials.csv for all" if count > _MAX_PANELS else ""


def _places(values: Sequence[Any], log: bool) -> tuple[dict[Any, float], list[str] | None]:
    """(value -> position on an axis, tick labels): numbers at their value, categories side by side."""
    distinct = _sorted(values)
    if log or (_are_numbers(distinct) and (len(distinct) > _MAX_TICKS or any(isinstance(v, float) for v in distinct))):
        return {value: float(value) for value in distinct}, None
    return {value: float(place) for place, value in enumerate(distinct)}, [_short(value) for value in distinct]


def _scale(values: Sequence[Any], log: bool) -> dict[Any, float]:
    """Value -> height in [0, 1]: position in the range of numbers, or in the order of categories."""
    distinct = _sorted(values)
    if _are_numbers(distinct) and len(distinct) > 1:
        place = [math.log(v) if log else float(v) for v in distinct]
        return {v: (p - place[0]) / (place[-1] - place[0]) for v, p in zip(distinct, place, strict=True)}
    return {value: number / max(1, len(distinct) - 1) for number, value in enumerate(distinct)}


def _marked(scale: Mapping[Any, float]) -> list[Any]:
    """The values with labels on an axis: all of a choice, the ends of a range."""
    is_range = any(isinstance(value, float) for value in scale) or len(scale) > _MAX_TICKS
    return [value for value, height in scale.items() if not is_range or height in (0.0, 1.0)]


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _sorted(values: Sequence[Any]) -> list[Any]:
    """Distinct values, numbers first."""
    return sorted(
        set(values), key=lambda v: (not isinstance(v, int | float), v if isinstance(v, int | float) else 0, str(v))
    )


def _finite(value: float | None) -> float:
    """`value`, or NaN, which is not drawn, if it is missing or infinite."""
    return value if value is not None and math.isfinite(value) else math.nan


def _short(value: object) -> str:
    """A value as an axis label: three digits, shortened text."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    return cut(text, _MAX_LETTERS)


def _name(path: str) -> str:
    """The name of a parameter, shortened to its end."""
    return cut(path, 2 * _MAX_LETTERS, "end")
