"""The files of a sweep's comparison: comparison.json, comparison.md and comparison.png in its directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dlexp.artifacts.files.writing import write_json, write_text
from dlexp.report.number_format import number
from dlexp.text.quoting import command
from dlexp.text.time_format import spoken
from dlexp.workflows.compare.measure import Measure
from dlexp.workflows.compare.standings.sentences import answer, gap_text, noun
from dlexp.workflows.compare.standings.standings import Standing, Standings, standings_of
from dlexp.workflows.pictures import Pictures

NAME = "comparison"
OF_MEANS = "The interval of a mean is over the seeds, for these samples (Student's t, 95 %, each alone)."


def write_comparison(folder: Path, pictures: Pictures | None = None) -> dict[str, Any] | None:
    """Compare the configurations of a sweep, and write the files.

    Args:
        folder: The directory of the sweep.
        pictures: Collects the figure if it could not be drawn.

    Returns:
        The content of comparison.json; None, and no files, before two jobs have finished.

    Raises:
        DlexpError: A file of a run cannot be read.
    """
    found = standings_of(folder)
    if found is None:
        return None
    drawn = pictures or Pictures()
    has_figure = bool(found.metric) and drawn.write(folder / f"{NAME}.png", lambda: figure_of(found))
    write_text(folder / f"{NAME}.md", _markdown(found, has_figure))
    content = content_of(found) | drawn.facts()
    write_json(folder / f"{NAME}.json", content)
    return content


def content_of(found: Standings) -> dict[str, Any]:
    """The standings as plain values, with the answer and what it is about."""
    rows = [row for row in found.rows if row.spread is not None]
    return {
        "answer": answer(found),
        "of": noun(found.keys, len(rows)),
        **found.as_dict(),
        "table": standings_table(found),
    }


def figure_of(found: Standings, *, narrow: bool = False) -> bytes:
    """A PNG of the means with their intervals and the seeds; `narrow` for a phone."""
    from dlexp.report.figures.compared.means import Bar, means_png  # matplotlib loads when there is something to draw

    bars = [
        Bar(
            row.label,
            row.values,
            row.spread.mean,
            row.low,
            row.high,
            row.label == found.best or (row.behind is not None and row.behind.is_level),
        )
        for row in found.rows
        if row.spread is not None
    ]
    return means_png(bars, found.metric, found.best if found.about else "", narrow=narrow)


def standings_table(found: Standings) -> dict[str, Any]:
    """The table of all configurations as texts: columns, and rows with the best first."""
    measure = Measure(found.metric.partition("/")[2], found.maximize)
    columns = [noun(found.keys, 1), "n", f"mean {found.metric}", "std", "95 % interval"]
    columns += ["worse than the best by"] if found.about else []
    columns += ["parameters", "time of a run"]
    return {"columns": columns, "rows": [_cells(row, found, measure) for row in found.ranked]}


def _cells(row: Standing, found: Standings, measure: Measure) -> list[str]:
    spread, metric = row.spread, found.metric
    interval = "-"
    if row.low is not None and row.high is not None:
        interval = f"{number(metric, row.low).removesuffix(' %')} to {number(metric, row.high)}"
    cells = [
        row.label,
        str(len(row.runs)),
        "no result" if not row.runs else number(metric, spread.mean) if spread is not None else "-",
        number(metric, spread.std) if spread is not None else "-",
        interval,
    ]
    if found.about:
        gap = "best" if row.label == found.best else "-" if row.behind is None else gap_text(row.behind, measure)
        is_level = row.behind is not None and row.behind.is_level
        cells.append(f"{gap}, not distinguishable" if is_level else gap)
    size = "-" if row.parameters is None else f"{row.parameters:,}"
    return [*cells, size, "-" if row.seconds is None else _duration(row.seconds)]


def _duration(seconds: float) -> str:
    return spoken(seconds) if seconds >= 10 else f"{seconds:.2g} s"


def _markdown(found: Standings, has_figure: bool) -> str:
    table = standings_table(found)
    rows = [r for r in found.rows if r.spread is not None]
    lines = [f"# Comparison of {len(rows)} {noun(found.keys, len(rows))}", "", answer(found), ""]
    lines += [_row(table["columns"]), _row(["---"] * len(table["columns"])), *map(_row, table["rows"]), ""]
    lines += [f"![Means of {found.metric} with their intervals]({NAME}.png)", ""] if has_figure else []
    notes = [OF_MEANS, *(f"{note[:1].upper()}{note[1:]}." for note in found.notes)]
    lines += [*(f"- {note}" for note in notes), ""]
    again = command("compare", Path(found.sweep))
    lines += [f"All metrics of all configurations: `{again}`", ""]
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
