"""The output of `dlexp explain`: what was explained, whether to believe it, and the files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from dlexp.cli.console import err, escape, out, table
from dlexp.findings import counted
from dlexp.report.number_format import number


def show(content: Mapping[str, Any]) -> None:
    """Print the samples or the importances, the checks, notes and files."""
    if "importances" in content:
        _importances(content)
    else:
        _samples(content)
        _checks(content)
    for note in content["notes"]:
        out.print(f"[yellow]note[/]: {escape(note)}")
    for problem in content.get("undrawn", ()):
        err.print(f"[yellow]no figure[/]: {escape(problem)}")
    out.print("\n" + "\n".join(f"  {label:<12} {escape(path)}" for label, path in _files(content)))


def _samples(content: Mapping[str, Any]) -> None:
    columns = ["row", "true", "predicted", "explained", "score", "score of baseline"]
    has_error = any("relative_error" in sample for sample in content["samples"])
    columns += ["completeness error"] if has_error else []
    rows = []
    for sample in content["samples"]:
        cells = [str(sample["row"]), *(_text(sample.get(name, "")) for name in ("true", "predicted", "explained"))]
        cells += [f"{sample['score']:.4g}", f"{sample['score_of_baseline']:.4g}"]
        if has_error:
            share = sample.get("relative_error")
            cells.append("-" if share is None else f"{100 * share:.2g} %")
        rows.append(cells)
    what = "the samples of largest loss" if content["worst_mistakes"] else counted(len(rows), "sample")
    layer = f", layer {content['layer']}" if content.get("layer") else ""
    title = f"{content['method']}: {what} of the {content['split']} split{layer}"
    out.print(table(escape(title), columns, rows))
    out.print(f"score: {escape(content['score'])}; an absent part is at the baseline: {_baseline(content)}")


def _baseline(content: Mapping[str, Any]) -> str:
    return {"mean": "the mean of the training data", "zero": "zero of the network's input"}.get(
        content["baseline"], escape(content["baseline"])
    )


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else escape(str(value))


def _checks(content: Mapping[str, Any]) -> None:
    checks = content["checks"]
    if checks is None:
        out.print("[yellow]not checked[/]: without checks nobody knows whether this shows the network")
        return
    random = checks["random_weights"]
    out.print(
        f"\nchecked on {counted(checks['samples'], 'sample')}:\n"
        f"  random weights  rank correlation {random['rank_correlation']['mean']:.2f} (at most 0.5), entropy "
        f"{random['entropy_rise']['mean']:+.2f} nats"
    )
    for name, text in (("deletion", "falls faster"), ("insertion", "rises sooner")):
        gain = checks[name]["advantage"]
        out.print(
            f"  {name:<15} the score {text} than in random order by {gain['mean']:.3g} "
            f"(95 % interval {gain['low']:.3g} to {gain['high']:.3g})"
        )
    if content["failures"]:
        out.print("[bold red]do not believe it[/]: " + escape("; ".join(content["failures"])))
    else:
        out.print("[green]passed[/]")


def _importances(content: Mapping[str, Any]) -> None:
    rows = [
        [escape(" + ".join(row["columns"])), f"{row['increase']:.4g}", f"{row['low']:.4g} to {row['high']:.4g}"]
        for row in content["importances"]
    ]
    title = f"increase of the {content['loss']} when a column is shuffled, {content['split']} split"
    out.print(table(escape(title), ["column", "increase", "95 % interval"], rows))
    out.print(f"before: {number('', content['loss_before'])}")


def _files(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    near = os.path.relpath(content["folder"])
    folder = content["folder"] if near.startswith("..") else near
    for name in content["figures"]:
        yield name, f"{folder}/{name}.png"
    if "importances" in content:
        yield "table", f"{folder}/importances.csv"
    else:
        yield "attributions", f"{folder}/attributions.npy"
    yield "numbers", f"{folder}/explain.json"
