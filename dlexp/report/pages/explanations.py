"""The section of a run's page about its explanations: overlays, and whether to believe them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from dlexp.report.number_format import number
from dlexp.report.pages.html import Html, Section, bullet_list, code, html_table, paragraph, picture
from dlexp.report.pages.run_contents import Explained
from dlexp.text.quoting import command


def explanations_section(found: Sequence[Explained], place: str) -> Section:
    """The figures and importances of every method that was used; the command for a run without any."""
    if not found:
        text = "Nothing was explained. See which pixels, columns or steps the worst mistakes depend on with:"
        return Section("Explanations", (paragraph(text), code(command("explain", Path(place)))))
    return Section("Explanations", tuple(part for each in found for part in _method(each)))


def _method(found: Explained) -> Iterator[Html]:
    content = found.content
    captions = content.get("figures")
    for name, png in found.pictures.items():
        text = captions.get(name) if isinstance(captions, dict) else None
        text = str(text or f"{name}.png of {found.method}")
        yield picture(png, text, text)
    rows = content.get("importances")
    if isinstance(rows, list) and rows:
        cells = [
            [" + ".join(row["columns"]), number("", row["increase"]), _limits(row.get("low"), row.get("high"))]
            for row in rows
        ]
        caption = f"Increase of the {content.get('loss', 'loss')} when a column is shuffled."
        columns = ["column", "increase", "95 % interval"]
        yield html_table(caption, columns, cells, numbers=frozenset(columns[1:]))
    told = [str(text) for key in ("failures", "notes") for text in content.get(key) or ()]
    if told:
        yield bullet_list([f"{found.method}: {text}" for text in told])


def _limits(low: object, high: object) -> str:
    if low is None or high is None:
        return ""
    return f"{number('', low)} to {number('', high)}"
