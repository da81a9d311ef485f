"""Pictures of a study, as PNG bytes: history, importances, slices, parallel coordinates, curves of the trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from dlexp.report.figures import as_png

_COMPLETE, _PRUNED, _BEST = "#0072B2", "#999999", "#D55E00"
_MAX_PANELS = 12


def figures(
    trials: Sequence[Mapping[str, Any]],
    importances: Mapping[str, float],
    metric: str,
    maximize: bool,
    log_names: set[str],
) -> dict[str, bytes]:
    """Name -> PNG; only those that have something to show.

    trials  number, state (complete or pruned), value, params, epochs (epoch -> metric)
    """
    complete = [trial for trial in trials if trial["state"] == "complete"]
    if not complete:
        return {}
    found = {
        "history": _history(trials, metric, maximize),
        "intermediate": _intermediate(trials, metric, maximize),
        "slices": _slices(complete, metric, log_names),
        "parallel": _parallel(complete, metric, maximize, log_names),
    }
    return found | ({"importances": _importances(importances, metric)} if importances else {})


def _history(trials: Sequence[Mapping[str, Any]], metric: str, maximize: bool) -> bytes:
    figure = Figure(figsize=(7, 4), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    for state, colour, marker in (("pruned", _PRUNED, "x"), ("complete", _COMPLETE, "o")):
        chosen = [t for t in trials if t["state"] == state and t["value"] is not None]
        axes.scatter(
            [t["number"] for t in chosen], [t["value"] for t in chosen], color=colour, marker=marker, s=22, label=state
        )
    best: list[tuple[int, float]] = []
    for trial in trials:
        if trial["state"] == "complete":
            better = max if maximize else min
            best.append((trial["number"], better([trial["value"], *([best[-1][1]] if best else [])])))
    axes.step(*zip(*best, strict=True), where="post", color=_BEST, label="best so far")
    axes.set_xlabel("trial")
    axes.set_ylabel(metric)
    axes.grid(alpha=0.25)
    axes.legend(fontsize="small")
    return as_png(figure)


def _intermediate(trials: Sequence[Mapping[str, Any]], metric: str, maximize: bool) -> bytes:
    figure = Figure(figsize=(7, 4), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    pick = max if maximize else min
    best = pick((t for t in trials if t["state"] == "complete"), key=lambda t: t["value"])
    for trial in trials:
        colour = _PRUNED if trial["state"] == "pruned" else _COMPLETE
        axes.plot(list(trial["epochs"]), list(trial["epochs"].values()), color=colour, linewidth=0.8, alpha=0.5)
    label = f"best: trial {best['number']}"
    axes.plot(list(best["epochs"]), list(best["epochs"].values()), color=_BEST, linewidth=2.2, label=label)
    axes.set_xlabel("epoch")
    axes.set_ylabel(metric)
    axes.set_title("every trial; pruned ones in grey")
    axes.grid(alpha=0.25)
    axes.legend(fontsize="small")
    return as_png(figure)


def _importances(importances: Mapping[str, float], metric: str) -> bytes:
    names = sorted(importances, key=lambda name: importances[name])
    figure = Figure(figsize=(7, 1.2 + 0.35 * len(names)), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    axes.barh(names, [importances[name] for name in names], color=_COMPLETE)
    axes.set_xlabel(f"share of the differences in {metric} (PED-ANOVA)")
    return as_png(figure)


def _slices(complete: Sequence[Mapping[str, Any]], metric: str, log_names: set[str]) -> bytes:
    names = list(dict.fromkeys(name for trial in complete for name in trial["params"]))[:_MAX_PANELS]
    width = min(3, len(names))
    height = -(-len(names) // width)
    figure = Figure(figsize=(4 * width, 3 * height), layout="constrained", dpi=110)
    for position, name in enumerate(names):
        axes = figure.add_subplot(height, width, position + 1)
        chosen = [t for t in complete if name in t["params"]]
        numbers = all(isinstance(t["params"][name], int | float) for t in chosen)
        axes.scatter(
            [t["params"][name] if numbers else str(t["params"][name]) for t in chosen],
            [t["value"] for t in chosen], c=[t["number"] for t in chosen], cmap="viridis", s=18,
        )  # fmt: skip
        if name in log_names:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(numticks=5))
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")  # as_png prints formulas as they stand
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(name)
        axes.set_ylabel(metric)
        axes.grid(alpha=0.25)
    figure.suptitle("later trials are lighter", fontsize="small")
    return as_png(figure)


def _parallel(complete: Sequence[Mapping[str, Any]], metric: str, maximize: bool, log_names: set[str]) -> bytes:
    names = list(dict.fromkeys(n for t in complete for n in t["params"]))[:_MAX_PANELS]
    figure = Figure(figsize=(max(6, 1.6 * (len(names) + 1)), 4.2), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    values = [trial["value"] for trial in complete]
    low, high = min(values), max(values)
    scales = {
        name: _scale([t["params"][name] for t in complete if name in t["params"]], name in log_names) for name in names
    }
    ranked = sorted(complete, key=lambda t: t["value"], reverse=not maximize)
    for place, trial in enumerate(ranked):
        points = [(x, scales[name][trial["params"][name]]) for x, name in enumerate(names) if name in trial["params"]]
        points.append((len(names), (trial["value"] - low) / (high - low or 1)))  # past the branches it did not take
        share = place / max(1, len(ranked) - 1)
        axes.plot(
            *zip(*points, strict=True),
            color=_BEST if place == len(ranked) - 1 else _COMPLETE,
            alpha=0.15 + 0.7 * share,
        )
    axes.set_xticks(range(len(names) + 1), [*names, metric], rotation=30, ha="right", fontsize="small")
    axes.set_yticks([0, 1], ["lowest", "highest"])
    axes.set_title("darker is better, the best in orange")
    return as_png(figure)


def _scale(values: Sequence[Any], log: bool) -> dict[Any, float]:
    """Value -> height between 0 and 1: its place in the range, or in the order of what is no number."""
    import math

    distinct = sorted(
        set(values), key=lambda v: (not isinstance(v, int | float), v if isinstance(v, int | float) else str(v))
    )
    if all(isinstance(value, int | float) for value in distinct) and len(distinct) > 1:
        place = [math.log(v) if log else float(v) for v in distinct]
        return {v: (p - place[0]) / (place[-1] - place[0]) for v, p in zip(distinct, place, strict=True)}
    return {value: number / max(1, len(distinct) - 1) for number, value in enumerate(distinct)}
