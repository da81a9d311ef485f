"""The output of training and evaluation on the terminal, or as one JSON document."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlexp.cli.console import escape, out, over_seeds, print_json, short_path, table, undrawn
from dlexp.report.figures.labels import cut
from dlexp.report.number_format import distinct_texts, number
from dlexp.text.quoting import command
from dlexp.text.time_format import spoken

if TYPE_CHECKING:
    from dlexp.config.derive import Change

_MAX_CLASSES_SHOWN = 30
_MISTAKES_SHOWN = 5
_MAX_COLUMNS = 8
_MAX_VALUE = 40  # characters of a value such as a hash or a list of classes


def changes(found: Sequence[Change], say: Callable[[str], None]) -> None:
    """Print the changes relative to the run that is repeated or resumed, one per line."""
    for change in found:
        say(f"changed: {change.path}: {plain(change.before)} -> {plain(change.after)}")


def summary(content: Mapping[str, Any], as_json: bool) -> None:
    """Print the result of a training: best epoch, files and next command."""
    if as_json:
        print_json(content)
        return
    best, run = content["best"] or {}, short_path(content["run"])
    rows = [[f"val/{name}", number(name, value)] for name, value in best.items()]
    rows += [[f"test/{name}", number(name, value)] for name, value in content.get("test", {}).items()]
    title = f"best epoch {content['best_epoch']} of {content['epochs']} by {content['monitor']}"
    out.print()
    out.print(table(title, ["metric", "value"], rows))
    pace = content["samples"]["train"] * content["epochs"] / max(content["seconds"], 1e-9)
    out.print(f"\n{escape(content['reason'])}; {spoken(content['seconds'])} of training, {pace:,.0f} samples/s")
    if content.get("skipped_updates") or content.get("rollbacks"):
        done = f"{content['skipped_updates']} updates were skipped and {content['rollbacks']} epochs rolled back"
        out.print(f"[bold yellow]NaN or infinite values[/]: {done}; see train.log")
    out.print(f"\n  run      {escape(run)}")
    for name, text in (("weights", "checkpoints/best.pt"), ("history", "metrics.csv"), ("curves", "plots/curves.png")):
        if Path(content["run"], text).is_file():
            out.print(f"  {name:<8} {escape(run)}/{text}")
    out.print(f"\nnext: {escape(command('evaluate', Path(run)))}")


def seeds(content: Mapping[str, Any], as_json: bool) -> None:
    """Print the table of a group of seeds."""
    if as_json:
        print_json(content)
        return
    place = Path(short_path(content["group"]))
    group = escape(str(place))
    out.print()
    out.print(over_seeds(f"{len(content['runs'])} seeds, at their best epochs", content))
    out.print(f"\n  runs     {group}\n  table    {group}/seeds.csv\n\nnext: {escape(command('evaluate', place))}")


def dry_run(facts: Mapping[str, Any], as_json: bool) -> None:
    """Print the facts of a dry run."""
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        if name != "go":
            out.print(f"  {escape(name):<21} {escape(plain(value))}")
    out.print("\n[bold green]ok[/]: everything was built and one update was made; no files were written")


def evaluation(content: Mapping[str, Any]) -> None:
    """Print the report of a split, with a row per class if there are few classes."""
    folder = short_path(f"{content['run']}/eval/{content['split']}")
    made, sure = content["bootstrap"], content["intervals"]
    rows = [
        [name, number(name, value), *([_interval(name, sure.get(name))] if made else [])]
        for name, value in content["metrics"].items()
        if not name.endswith("_micro")  # equal to the accuracy, or derived from it, for single-label classes
    ]
    title = f"{content['split']} split, {content['samples']:,} samples, {content['checkpoint']} weights"
    columns = ["metric", "value", *([f"{100 * made['level']:g} % interval"] if made else [])]
    out.print(table(title, columns, rows))
    for reason in dict.fromkeys(content["undefined"].values()):
        names = [name for name, text in content["undefined"].items() if text == reason]
        out.print(f"[yellow]undefined[/]: {escape(', '.join(names))}: {escape(reason)}")
    for name, each in sure.items():
        if each["undefined"]:
            out.print(
                f"[yellow]{escape(name)}[/]: undefined in {each['undefined']:,} of {made['resamples']:,} resamples"
            )
    for note in content.get("notes", ()):
        out.print(f"[yellow]note[/]: {escape(note)}")
    _per_class(Path(folder) / "per_class.csv")
    _mistakes(Path(folder) / "mistakes.csv")
    if not content["data_as_trained"]:
        out.print("\n[bold yellow]the data differs from the training data of this run[/] (fingerprint or split)")
    for change in content["changed_since_training"]:
        before, after = (str(plain(change[key]))[:_MAX_VALUE] for key in ("before", "after"))
        out.print(f"[yellow]changed since training[/]: {escape(change['path'])}: {escape(f'{before} -> {after}')}")
    undrawn(content)
    out.print(f"\n  report   {escape(folder)}/report.json and other files")
    if content["split"] == "test":
        looks = content["looks_at_this_split"]
        out.print(f"  the test split of this run has been evaluated {looks} time{'s' if looks > 1 else ''}")


def plain(value: object) -> str:
    """A configuration value in YAML notation."""
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items())
    return str(value).lower() if isinstance(value, bool) else str(value)


def _per_class(path: Path) -> None:
    if not path.is_file():
        return
    with path.open(newline="") as file:
        header, *rows = list(csv.reader(file))
    if len(rows) <= _MAX_CLASSES_SHOWN:
        cells = [dict(zip(header, row, strict=True)) for row in rows]
        shares = [[number(kind, float(row[kind])) for kind in ("precision", "recall", "f1")] for row in cells]
        lines = [[row["class"], *own, row["support"]] for row, own in zip(cells, shares, strict=True)]
        out.print()
        out.print(table("", ["class", "precision", "recall", "f1", "support"], lines))


def _interval(name: str, interval: Mapping[str, Any] | None) -> str:
    if interval is None or interval["low"] is None:
        return "-"
    return f"{number(name, interval['low'])} to {number(name, interval['high'])}"


def _mistakes(path: Path) -> None:
    """Print the first rows of mistakes.csv, if there are any."""
    if not path.is_file():
        return
    with path.open(newline="") as file:
        header, *rows = list(csv.reader(file))
    if rows and len(header) <= _MAX_COLUMNS:
        top = rows[:_MISTAKES_SHOWN]
        shown = [[row[0], *(_short(cell) for cell in row[1:])] for row in top]
        values = [place for place, name in enumerate(header) if place > 1 and "loss" in header[:2] and " " in name]
        texts = iter(distinct_texts([float(row[place]) for row in top for place in values]))
        for line in shown:
            for place in values:
                line[place] = next(texts)
        out.print()
        out.print(table(f"{len(shown)} worst mistakes, more in mistakes.csv", header, shown))


def _short(cell: str) -> str:
    """A number with four digits; any other text, shortened."""
    try:
        return number("", float(cell)) if not cell.isdigit() else cell
    except ValueError:
        return cut(cell, _MAX_VALUE)
