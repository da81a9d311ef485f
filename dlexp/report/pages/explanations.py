"""The section of a run's page about its explanations: overlays, and whether to believe them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dlexp.report.number_format import number
from dlexp.report.pages.html import Html, Section, bullet_list, code, html_table, paragraph, picture
from dlexp.report.pages.run_contents import Explained, RunStory
from dlexp.text.quoting import command

_EXPLAINABLE = ("classification", "regression")


def explanations_section(story: RunStory) -> Section:
    """The figures and importances of every method that was used; the command for an evaluated run without any."""
    parts = tuple(part for each in story.explained for part in _method(each))
    if not parts and story.evaluated and story.meta.get("task") in _EXPLAINABLE:
        text = "Nothing was explained. See which parts of the samples of largest loss the outputs depend on with:"
        parts = (paragraph(text), code(command("explain", Path(story.place))))
    return Section("Explanations", parts)


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
    texts = [str(text) for key in ("failures", "notes") for text in content.get(key) or ()]
    if texts:
        yield bullet_list([f"{found.method}: {text}" for text in texts])


def _limits(low: object, high: object) -> str:
    if low is None or high is None:
        return ""
    return f"{number('', low)} to {number('', high)}"
