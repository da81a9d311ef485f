"""The output of `dlexp evaluate`: the report of a split, or the table of a group of seeds or a sweep."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dlexp.cli.console import err, escape, out, over_seeds, print_undefined, table, undrawn, width_of
from dlexp.cli.style import plain, short_path
from dlexp.cli.views.results.compare import print_standings
from dlexp.findings import counted
from dlexp.report.figures.labels import cut
from dlexp.report.number_format import distinct_texts, number
from dlexp.text.quoting import command

_MAX_CLASSES_SHOWN = 30
_MISTAKES_SHOWN = 5
_MAX_COLUMNS = 8
_CHOOSE = (
    "If you choose between runs by these results, they are too optimistic: choose by the validation split (--split val)"
)
_MAX_VALUE = 40  # characters of a value such as a hash or a list of classes
_SECONDS = 10.0  # between lines of progress where they are not written over each other
_FLOOR = "_floor"  # ends the name of a metric that is shown beside another one


@contextmanager
def progress(is_quiet: bool) -> Iterator[Callable[[str], None]]:
    """A function that says what is being done: in place on a terminal, otherwise as a line every ten seconds."""
    if not is_quiet and err.is_terminal and not err.is_dumb_terminal:
        with err.status("evaluate") as status:
            yield lambda text: status.update(escape(text))
        return
    last = time.monotonic()

    def say(text: str) -> None:
        nonlocal last
        if not is_quiet and time.monotonic() - last >= _SECONDS:
            last = time.monotonic()
            err.print(escape(text))

    yield say


def evaluation(content: Mapping[str, Any], quiet: bool = False) -> None:
    """Print the report of a split, with a row per class if there are few classes; the metrics alone if `quiet`."""
    folder = short_path(f"{content['run']}/eval/{content.get('place', content['split'])}")
    made, sure, real = content["bootstrap"], content["intervals"], content.get("floors", {})
    rows = [
        [
            name,
            number(name, value),
            *([number(name, real[name]) if name in real else ""] if real else []),
            *([_interval(name, sure.get(name))] if made else []),
        ]
        for name, value in content["metrics"].items()
        # The first are equal to the accuracy, or derived from it, for single-label classes.
        if not name.endswith("_micro") and not (name.endswith(_FLOOR) and name.removesuffix(_FLOOR) in real)
    ]
    title = f"{content['split']} split, {counted(content['samples'], 'sample')}, {content['checkpoint']} weights"
    beside = ["real data"] if real else []
    columns = ["metric", "value", *beside, *([f"{100 * made['level']:g} % interval"] if made else [])]
    out.print(table(title, columns, rows))
    if quiet:
        return
    _baselines(content.get("baselines", {}))
    _per_target(content.get("per_output", {}))
    _beside(content["metrics"], content.get("references", {}))
    print_undefined(content["undefined"])
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
    accesses = content["split_accesses"]
    if content["split"] == "test" and accesses > 1:
        out.print(f"\n[yellow]note[/]: this run was evaluated {accesses} times on the test split. {_CHOOSE}")


def sweep(content: Mapping[str, Any], quiet: bool) -> None:
    """Print a row per job of a sweep, with as many metrics as fit; the table alone if `quiet`."""
    jobs, folder, split = content["jobs"], Path(short_path(content["sweep"])), content["split"]
    keys = list(dict.fromkeys(key for job in jobs for key in job["varied"]))
    metrics = [
        name
        for name in dict.fromkeys(name for job in jobs for name in job["metrics"])
        if not name.endswith(("_micro", "_weighted"))
    ]

    def rows() -> list[list[str]]:
        return [
            [
                str(job["number"]),
                *(job["varied"].get(key, "") for key in keys),
                *(number(name, job["metrics"].get(name)) for name in metrics),
            ]
            for job in jobs
        ]

    while out.is_terminal and len(metrics) > 1 and width_of(["job", *keys, *metrics], rows()) > out.width:
        metrics.pop()
    title = f"{folder}, {split} split, {counted(len(jobs), 'job')}"
    out.print(table(title, ["job", *keys, *metrics], rows(), numbers_from=len(keys) + 1))
    for job in content["skipped"]:
        out.print(f"[yellow]not evaluated[/]: job {job['number']} {escape(_varied(job))}: {escape(job['reason'])}")
    if quiet:
        return
    if content["comparison"] is not None:
        print_standings(content["comparison"])
    out.print(f"\n  table    {escape(str(folder))}/eval-{split}.csv")
    if len(jobs) > 1:
        out.print(f"  compare  {escape(command('compare', folder, '--split', split))}")
    if split == "test" and len(jobs) > 1:
        out.print(f"\n[yellow]note[/]: each job was evaluated on the test split. {_CHOOSE}")


def _varied(job: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in job["varied"].items())


def group(folder: Path, split: str, content: Mapping[str, Any]) -> None:
    """Print the table of a group of seeds."""
    out.print(over_seeds(f"{folder}, {split} split", content))


def _baselines(found: Mapping[str, Mapping[str, Any]]) -> None:
    """Print what simple models reach that the model is not compared with, where the data has such."""
    if not found:
        return
    names = list(dict.fromkeys(name for values in found.values() for name in values))
    rows = [[model, *(number(name, values.get(name)) for name in names)] for model, values in found.items()]
    out.print()
    out.print(table("simple models that read the training split", ["model", *names], rows))


def _per_target(found: Mapping[str, Mapping[str, float | None]]) -> None:
    """Print the metrics of each of several targets, of which the others are means."""
    if not 1 < len(found) <= _MAX_COLUMNS:
        return
    names = list(next(iter(found.values())))
    out.print()
    out.print(
        table(
            "", ["metric", *found], [[name, *(number(name, each[name]) for each in found.values())] for name in names]
        )
    )


def _beside(own: Mapping[str, float | None], others: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the model beside forecasts that need no network, and whether it is better than each."""
    others = {label: each for label, each in others.items() if "verdict" in each}
    if not others:
        return
    names = ("mae", "rmse", "mase", "smape")
    rows = [["model", *(number(name, own.get(name)) for name in names), "", ""]]
    for label, each in others.items():
        bounds = _interval("mae", each["interval"])
        own_numbers = [number(name, each.get(name)) for name in names]
        rows.append(
            [label.replace("_", " "), *own_numbers, f"{number('mae', each['difference'])}  {bounds}", each["verdict"]]
        )
    out.print()
    out.print(
        table("beside forecasts without a network", ["forecast", *names, "mae of the model minus it", "verdict"], rows)
    )
    for reason in dict.fromkeys(each["interval"]["reason"] for each in others.values() if each["interval"]["reason"]):
        out.print(f"[yellow]no interval[/]: {escape(reason)}")


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
        out.print(table(f"{counted(len(shown), 'worst mistake')}, more in mistakes.csv", header, shown))


def _short(cell: str) -> str:
    """A number with four digits; any other text, shortened."""
    try:
        return number("", float(cell)) if not cell.isdigit() else cell
    except ValueError:
        return cut(cell, _MAX_VALUE)
