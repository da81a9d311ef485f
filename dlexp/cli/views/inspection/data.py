"""The output of the `dlexp data` commands on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.table import Table

from dlexp.cli.console import escape, escape_lines, out, table, undrawn
from dlexp.report.figures.labels import cut
from dlexp.report.number_format import distinct_texts
from dlexp.text.printable import on_one_line, printable

_WIDTH = 80  # characters of a table of samples
_NAME, _CELL = 26, 12
_CLASSES = 30  # lines of class counts
_COLORS = {"error": "bold red", "warning": "yellow", "note": "cyan"}
_WORD = len("warning")
_LONG = 46  # characters of a value


def preview(facts: Mapping[str, Any]) -> None:
    """Print the samples of a table, and the facts of the preview."""
    if "columns" in facts:
        out.print(_samples(facts))
        out.print()
    for label, text in zip(facts["labels"], facts.get("texts", ()), strict=False):
        out.print(f"  {escape(label)}: {escape(on_one_line(text))}", soft_wrap=True)
    if "texts" in facts:
        out.print()
    for label, text in _of_preview(facts):
        out.print(f"  {label:<8} {escape(text)}")


def fingerprint(facts: Mapping[str, Any]) -> None:
    """Print the fingerprint of the data and the contents of its splits."""
    out.print(_counts(facts))
    out.print()
    for label, text in _of_fingerprint(facts):
        out.print(f"  {label:<12} {escape(text)}")


def check(facts: Mapping[str, Any]) -> None:
    """Print the contents of the splits and the findings."""
    out.print(_counts(facts))
    out.print()
    out.print(_findings(facts), soft_wrap=not out.is_terminal)
    undrawn(facts)
    out.print()
    out.print(f"  {'task':<8} {escape(facts['interpretation'])}")
    for note in facts["notes"]:
        out.print(f"  {'note':<8} {escape(note)}")
    out.print(f"  {'files':<8} {escape(', '.join(facts['files']))}")
    if facts["remedy"]:
        out.print(f"\nTo follow all advice about columns: {escape(facts['remedy'])}", soft_wrap=True)


def _samples(facts: Mapping[str, Any]) -> Table:
    """A row for each column of the data, and as many samples as fit."""
    lines = {"label": facts["labels"], **facts["columns"]}
    cells = {name: _cells(values) for name, values in lines.items()}
    room = _WIDTH - min(_NAME, max(map(len, cells)))
    shown, used = 0, 0
    while shown < len(facts["rows"]):
        used += 2 + max(len(str(facts["rows"][shown])) + 4, *(len(values[shown]) for values in cells.values()))
        if used > room:
            break
        shown += 1
    rows = [[cut(name, _NAME), *values[: max(1, shown)]] for name, values in cells.items()]
    heads = [f"row {row}" for row in facts["rows"][: max(1, shown)]]
    return table(f"{facts['split']}: {facts['of']:,} rows", ["column", *heads], rows)


def _of_preview(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    samples = f"{len(facts['rows']):,} of {facts['of']:,} of the {facts['split']} split"
    order = f"epoch {facts['epoch']}, seed {facts['seed']}" if facts["split"] == "train" else "in random order"
    yield "samples", f"{samples}, {order}" if "columns" not in facts else f"{samples}; histograms of all samples"
    if facts.get("steps") and facts["split"] == "train":
        for number, step in enumerate(facts["steps"]):
            yield "" if number else "augment", step
    yield "task", facts["interpretation"]
    for note in facts["notes"]:
        yield "note", note
    if "file" in facts:
        yield "picture", facts["file"]


def _counts(facts: Mapping[str, Any]) -> Table:
    """The number of samples in each split, then by class, or statistics of each target."""
    splits = facts["splits"]
    rows = [["samples", *(f"{split['samples']:,}" for split in splits.values())]]
    first = next(iter(splits.values()))
    for name in list(first.get("classes", ()))[:_CLASSES]:
        rows.append([cut(name, _NAME), *(f"{split['classes'][name]:,}" for split in splits.values())])
    hidden = len(first.get("classes", ())) - _CLASSES
    if hidden > 0:
        rows.append([f"and {hidden:,} more classes", *("" for _ in splits)])
    for name in first.get("values", ()):
        places = ("mean", "min", "max")
        shown = distinct_texts([split["values"][name][what] for split in splits.values() for what in places])
        spread = [f"{split['values'][name]['std']:.4g}" for split in splits.values()]
        columns = {what: shown[number :: len(places)] for number, what in enumerate(places)}
        rows += [[f"{cut(name, _NAME)} {what}", *values] for what, values in ({"std": spread} | columns).items()]
    return table(f"data={facts['data']}", ["", *splits], rows)


def _of_fingerprint(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "data", facts["fingerprint"]
    yield "split", facts["split_hash"]
    yield "task", facts["interpretation"]
    shape = " x ".join(map(str, facts["input_shape"]))
    where = "streamed from disk" if facts["streamed"] else "in memory"
    yield "inputs", ", ".join(filter(None, (facts["inputs"], shape, where)))
    for number, (key, value) in enumerate(facts["source"].items()):
        yield "" if number else "source", f"data.{key}={cut(_plain(value), _LONG)}"
    made = facts["preprocessing"]
    for number, (key, value) in enumerate(made.items()):
        text = f"{len(value)} columns" if key == "columns" else cut(_plain(value), _LONG)
        yield "" if number else "preprocessed", f"{key}: {text}"
    for note in facts["notes"]:
        yield "note", note


def _findings(facts: Mapping[str, Any]) -> Table | str:
    """Each finding with its locations and its remedy; wrapped on a terminal only."""
    if not facts["findings"]:
        return "[green]no findings[/]"
    counts = ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for name, count in facts["counts"].items() if count)
    made = Table(title=counts, box=None, pad_edge=False, title_justify="left", title_style="bold", show_header=False)
    made.add_column(no_wrap=True)
    made.add_column()
    width = 0
    for found in facts["findings"]:
        lines = [f"{found['kind']}: {found['what']}", *(f"  {place}" for place in found["where"])]
        lines = [printable(line) for line in lines]
        more = found["count"] - len(found["where"])
        lines += [f"  and {more:,} more"] if more else []
        width = max(width, *map(cell_len, lines), cell_len(printable(found["remedy"])) + 2)
        remedy = f"\n[green]> {escape(found['remedy'])}[/]" if found["remedy"] else ""
        color = _COLORS[found["severity"]]
        made.add_row(f"[{color}]{found['severity']}[/]", escape_lines("\n".join(lines)) + remedy)
    if not out.is_terminal:
        made.width = width + _WORD + 2
    return made


def _cells(values: Sequence[Any]) -> list[str]:
    if all(isinstance(value, float) for value in values):
        return distinct_texts(values)
    return [cut(str(value), _CELL) for value in values]


def _plain(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(_plain(item) for item in value)}]"
    if value is None:
        return "null"
    return f"{value:.4g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
