"""The output of `dlexp inspect`: numbers of layers as tables, and the files that were written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlexp.cli.console import escape, out, table
from dlexp.report.figures.labels import cut

_NAME = 30
_ROWS = 40


def show(content: Mapping[str, Any]) -> None:
    """Print tables of weights and outputs, facts of the other figures, and the files."""
    if "weights" in content:
        _weights(content["weights"], content["checkpoint"])
    if "activations" in content:
        _activations(content["activations"])
    if "embeddings" in content:
        _embeddings(content["embeddings"])
    for note in content["notes"]:
        out.print(f"  note     {escape(note)}", soft_wrap=True)
    for number, file in enumerate(content["files"]):
        out.print(f"  {'' if number else 'figures':<8} {escape(file)}", soft_wrap=True)


def _weights(facts: Mapping[str, Any], version: str) -> None:
    rows = []
    for name, each in facts["parameters"].items():
        weight, gradient, before = each[version]["weight"], each[version]["gradient"], each.get("initial")
        std = f"{before['weight']['std']:.3g}" if before else "-"
        slope = (
            ["none", "-"] if gradient is None else [f"{gradient['mean_absolute']:.1e}", f"{gradient['largest']:.1e}"]
        )
        bad = weight["not_finite"] + (gradient["not_finite"] if gradient else 0)
        rows.append([cut(name, _NAME, "end"), f"{weight['mean']:.2g}", std, f"{weight['std']:.3g}", *slope, str(bad)])
    columns = ["parameter", "mean", "std initial", f"std {version}", "mean |gradient|", "max |gradient|", "not finite"]
    title = f"weights, and gradients of {facts['samples']} training samples"
    out.print(table(title, columns, rows[:_ROWS]))
    _more(len(rows))


def _activations(facts: Mapping[str, Any]) -> None:
    rows = []
    for name, each in facts["layers"].items():
        dead = "-" if each["dead_units"] is None else f"{each['dead_units']} of {each['units']}"
        full = "-" if each["saturated"] is None else f"{100 * each['saturated']:.1f} %"
        numbers = [f"{each['mean']:.3g}", f"{each['std']:.3g}", f"{100 * each['zeros']:.1f} %", dead, full]
        rows.append([cut(name, _NAME, "end"), str(each["kind"]), *numbers])
    columns = ["layer", "kind", "mean", "std", "zeros", "dead units", "saturated"]
    out.print(table(f"outputs for {facts['samples']} samples", columns, rows[:_ROWS], numbers_from=2))
    _more(len(rows))


def _more(count: int) -> None:
    if count > _ROWS:
        out.print(f"  and {count - _ROWS} more; all with --json")
    out.print()


def _embeddings(facts: Mapping[str, Any]) -> None:
    out.print(f"  features {facts['features']} before {escape(facts['layer'])}, {facts['samples']} samples")
    shares = ", ".join(f"{100 * share:.1f} %" for share in facts["variance_of_components"])
    out.print(f"  PCA      {shares} of the variance")
    if facts["nearest_neighbor_of_same_class"] is not None:
        share = 100 * facts["nearest_neighbor_of_same_class"]
        out.print(f"  nearest  neighbor of the same class: {share:.1f} %")
