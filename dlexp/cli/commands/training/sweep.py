"""`dlexp train -m` on a terminal: the words, the cells while they run, and the table at the end."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dlexp.cli.argv import Setting
from dlexp.cli.commands.results.compare import print_comparison
from dlexp.cli.console import escape, near, out, print_json, table
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError
from dlexp.report.number_format import number
from dlexp.text.quoting import command
from dlexp.text.time_format import spoken

if TYPE_CHECKING:
    from dlexp.cli.commands.configuration import TrainWords
    from dlexp.config.sweep import Cell
    from dlexp.workflows.compare.compare import Comparison

_MOST_GROUPS = 4  # configurations that stand side by side in a comparison
_OTHER_COLUMNS = 27  # characters that number, state and time take


def sweep(words: TrainWords, setting: Setting, catalog: Catalog, quiet: bool, as_json: bool) -> None:
    """Train a grid, finish one, or only list its cells; exit code 1 when a cell came to no end."""
    from dlexp.cli.commands.configuration import configuration, resumed_sweep, trusted_of
    from dlexp.cli.views.sweep import display

    folder = resumed_sweep(words.resume) if words.resume is not None else _folder(words)
    cells = () if words.resume is not None else _cells(words, catalog)
    if words.resume is not None and words.overrides:
        rule = "would make its cells others; a sweep goes on with the configurations that it began with"
        raise ConfigError.one(
            "--resume", " ".join(words.overrides), rule, "start a new sweep with -m", code="not-supported"
        )
    trusted = trusted_of(setting)
    from dlexp.workflows.sweep import sweep as workflow

    if words.dry_run:
        _list(workflow.check(cells, trusted, words.jobs)[0], words.from_run, as_json)
        return
    if words.from_run is not None:  # what a cell's own overrides.yaml has to hold, so that it can be repeated in turn
        before = configuration((), words.from_run, catalog)[1]
        cells = tuple(replace(cell, words=(*before, *cell.words)) for cell in cells)
    request = workflow.SweepRequest(
        _typed(words), setting.command, folder, words.jobs, trusted, allow_changes=words.allow_changes
    )
    shown = display(quiet)
    try:
        if words.resume is not None and folder is not None:
            content = workflow.resume_sweep(folder, request, shown)
        else:
            content = workflow.sweep(cells, request, shown)
    finally:
        with suppress(OSError):  # a terminal that is gone
            shown.end()
    comparison = _compared(content)
    if as_json:
        print_json(content | {"comparison": comparison.as_dict() if comparison else None})
    else:
        _show(content, comparison)
    if content["counts"].get("finished", 0) < len(content["cells"]):
        raise typer.Exit(1)


def _folder(words: TrainWords) -> Path | None:
    from dlexp.artifacts.runs.run_dir import outputs_root

    return words.run_dir if words.run_id is None else outputs_root() / "sweep" / words.run_id


def _typed(words: TrainWords) -> tuple[str, ...]:
    """What decides the cells, as the sweep remembers it."""
    given = (("--from", words.from_run), ("--seeds", words.seeds))
    return (*words.overrides, *(f"{name}={value}" for name, value in given if value is not None))


def _cells(words: TrainWords, catalog: Catalog) -> tuple[Cell, ...]:
    from dlexp.cli.commands.configuration import configuration
    from dlexp.config.sweep import cells_of

    def load(own: tuple[str, ...]) -> Any:
        return configuration(own, words.from_run, catalog)[0]

    cells = cells_of(words.overrides, catalog, load)
    if words.seeds is None:
        return cells
    if any(key == "seed" for cell in cells for key, _ in cell.varied):
        raise ConfigError.one(
            "--seeds",
            words.seeds,
            "cannot stand beside several values of seed",
            "drop one of the two",
            code="cannot-combine",
        )
    first = cells[0].config.seed
    seeds = ",".join(str(first + offset) for offset in range(words.seeds))
    rest = tuple(word for word in words.overrides if not word.startswith("seed="))
    return cells_of((*rest, f"seed={seeds}"), catalog, load)


def _list(cells: Sequence[Cell], from_run: str | None, as_json: bool) -> None:
    if as_json:
        print_json([{"number": n, "varied": dict(c.varied), "words": list(c.words)} for n, c in enumerate(cells)])
        return
    first = ["train", *(["--from", from_run] if from_run is not None else [])]
    for position, cell in enumerate(cells):
        out.print(f"{position:>4}  {escape(command(*first, *cell.words))}")
    epochs = sum(cell.config.trainer.epochs for cell in cells)
    out.print(f"\n{len(cells)} cells, at most {epochs:,} epochs; each was built, nothing was trained or written")


def _compared(content: Mapping[str, Any]) -> Comparison | None:
    """What `dlexp compare` says of the finished cells; None where they are too few, or too many to read."""
    from dlexp.workflows.compare.compare import CompareOptions, compare

    finished = [cell for cell in content["cells"] if cell["state"] == "finished"]
    groups = {tuple(item for item in cell["varied"].items() if item[0] != "seed") for cell in finished}
    if len(finished) < 2 or len(groups) > _MOST_GROUPS:
        return None
    runs = [Path(content["sweep"]) / cell["run"] for cell in finished]
    return compare(runs, CompareOptions(tables_only=True))


def _show(content: Mapping[str, Any], comparison: Comparison | None) -> None:
    """The cells with their metrics, what failed and why, and where everything is."""
    cells, folder = content["cells"], near(content["sweep"])
    keys = list(dict.fromkeys(key for cell in cells for key in cell["varied"]))
    metrics = _columns(content, keys)
    rows = []
    for cell in cells:
        star = "*" if cell["number"] == content["best"] else " "
        values = [number(name, cell["metrics"].get(name)) for name in metrics]
        seconds = spoken(cell["seconds"]) if cell["seconds"] is not None else ""
        varied = [cell["varied"].get(key, "") for key in keys]
        rows.append([f"{cell['number']}{star}", *varied, cell["state"], *values, seconds])
    out.print()
    out.print(table(_title(content), ["cell", *keys, "state", *metrics, "time"], rows, numbers_from=len(keys) + 2))
    for cell in cells:
        if cell["reason"]:
            log = f"{folder}/logs/{cell['number']:03d}.log"
            name = " ".join(f"{key}={value}" for key, value in cell["varied"].items())
            out.print(f"\n[bold red]cell {cell['number']}[/] {escape(name)}: {escape(cell['reason'])}\n  {escape(log)}")
    if comparison is not None:
        out.print()
        print_comparison(comparison, out)
    elif "seed" in keys:
        _over_seeds(cells, [key for key in keys if key != "seed"], metrics)
    counts = ", ".join(f"{count} {state}" for state, count in content["counts"].items())
    out.print(f"\n{counts} of {len(cells)}\n\n  sweep    {escape(folder)}\n  table    {escape(folder)}/sweep.json")
    if comparison is None and content["counts"].get("finished", 0) > 1:
        out.print(f"\n  compare  {escape(command('compare', Path(folder)))}")
    if len(content["cells"]) > content["counts"].get("finished", 0):
        out.print(f"\nnext: {escape(command('train', '--resume', Path(folder)))}    (what is finished stays)")


def _over_seeds(cells: Sequence[Mapping[str, Any]], keys: Sequence[str], metrics: Sequence[str]) -> None:
    """A row for each configuration: mean and standard deviation (n - 1) of its finished seeds."""
    groups: dict[tuple[str, ...], list[Mapping[str, float]]] = {}
    for cell in cells:
        if cell["state"] == "finished":
            groups.setdefault(tuple(cell["varied"].get(key, "") for key in keys), []).append(cell["metrics"])
    rows = []
    for names, found in groups.items():
        spreads = []
        for metric in metrics:
            values = [float(row[metric]) for row in found if row.get(metric) is not None]
            mean = number(metric, statistics.fmean(values) if values else None)
            spreads.append(f"{mean} ± {number(metric, statistics.stdev(values))}" if len(values) > 1 else mean)
        rows.append([*names, str(len(found)), *spreads])
    out.print()
    title = "mean ± standard deviation over the seeds"
    out.print(table(title, [*keys, "n", *metrics], rows, numbers_from=len(keys)))


def _title(content: Mapping[str, Any]) -> str:
    return f"each at its best epoch by {content['metric']}" if content["metric"] else "each at its own best epoch"


def _columns(content: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    """The monitored metric first, then the others, as many as fit the screen; sweep.json has all."""
    names = list(dict.fromkeys(name for cell in content["cells"] for name in cell["metrics"]))
    first = [content["metric"]] if content["metric"] in names else names[:1]
    room = out.width - _OTHER_COLUMNS
    for key in keys:
        room -= 2 + max(len(key), *(len(cell["varied"].get(key, "")) for cell in content["cells"]))
    found: list[str] = []
    for name in [*first, *(name for name in names if name not in first)]:
        room -= 2 + max(len(name), 8)
        if room < 0 and found:
            break
        found.append(name)
    return found
