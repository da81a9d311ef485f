"""What compression costs: the metric against size and arithmetic, a point for each strength."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dlexp.report.figures.curves import as_png

_BEFORE, _AFTER, _BASELINE = "#999999", "#0072B2", "#D55E00"  # Okabe & Ito, also distinguished by marker
_PANELS = (("nonzero_parameters", "parameters that are not zero"), ("multiply_adds", "multiply-adds of a sample"))


def pareto_png(found: Sequence[Mapping[str, Any]]) -> bytes:
    """The figure as PNG bytes.

    Args:
        found: compress.json of each strength of one run.
    """
    shown = [panel for panel in _PANELS if len({each["after"][panel[0]] for each in found}) > 1] or [_PANELS[0]]
    figure = Figure(figsize=(5.6 * len(shown) + 0.6, 4.2), layout="constrained", dpi=110)
    for number, (key, label) in enumerate(shown):
        axes = figure.add_subplot(1, len(shown), number + 1)
        _draw(axes, found, key)
        axes.set_xlabel(label)
        axes.set_xscale("log")
        axes.grid(alpha=0.3)
        if number == 0:
            axes.set_ylabel(str(found[0]["metric"]["name"]))
    # Above the panels, where it covers no point.
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=8)
    return as_png(figure, formulas=True)


def _draw(axes: Axes, found: Sequence[Mapping[str, Any]], key: str) -> None:
    first = found[0]
    before = first["metric"]["before"]
    axes.axhline(before, color=_BEFORE, linestyle="--", linewidth=1)
    axes.plot([first["before"][key]], [before], "s", color=_BEFORE, label="the original")
    ordered = sorted(found, key=lambda each: each["after"][key])
    costs = [each["after"][key] for each in ordered]
    values = [each["metric"]["after"] for each in ordered]
    axes.plot(costs, values, "o-", color=_AFTER, label="compressed; 95 % interval of the difference")
    for each, cost, value in zip(ordered, costs, values, strict=True):
        difference = each["metric"].get("difference")
        if difference is not None:
            low, high = before + difference["low"], before + difference["high"]
            axes.vlines(cost, low, high, color=_AFTER, linewidth=1)
        axes.annotate(_strength(each), (cost, value), textcoords="offset points", xytext=(5, -11), fontsize=7)
    name = str(first["metric"]["name"]).partition("/")[2]
    own = [(e["after"][key], e["baseline"]["metrics"].get(name)) for e in ordered if "baseline" in e]
    if own and all(value is not None for _, value in own):
        axes.plot(*zip(*own, strict=True), "^:", color=_BASELINE, label="same structure, trained from random weights")


def _strength(content: Mapping[str, Any]) -> str:
    words = str(content["steps"]).split()
    return words[words.index("--prune") + 1] if "--prune" in words else ""
