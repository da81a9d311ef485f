"""The output of `dlexp compare`: the groups, their differences, their metrics and the verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from dlexp.cli.console import escape, escape_lines, out, table
from dlexp.cli.style import short_path
from dlexp.report.number_format import number
from dlexp.text.time_format import spoken

if TYPE_CHECKING:
    from dlexp.workflows.compare.compare import Comparison, Group, Spread

_MOST_RUNS_NAMED = 6
_MAX_COLUMNS = 3  # groups that are shown as columns
_MEANS = "mean ± standard deviation over the seeds"


def show(comparison: Comparison) -> None:
    """Print a comparison on standard output."""
    print_comparison(comparison, out)


def print_standings(content: Mapping[str, Any]) -> None:
    """Print the configurations of a sweep, the best first, the answer in sentences and its limitations."""
    columns, rows = content["table"]["columns"], content["table"]["rows"]
    out.print()
    out.print(table(_MEANS, columns, rows))
    _print_between_words(out, f"\n[bold]{escape(content['answer'])}[/]")
    for note in content["notes"]:
        _print_between_words(out, f"  [dim]{escape(note)}[/]")


def print_files(lines: Iterable[str]) -> None:
    """Print a line for each file that was written, or could not be drawn."""
    for line in lines:
        out.print(f"\n{escape(line)}")


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print the groups, their differences, their metrics, the pairwise comparisons and the verdict."""
    groups = comparison.groups
    for group in groups:
        seeds = f"seed{'s' if len(group.seeds) > 1 else ''} {', '.join(map(str, group.seeds))}"
        console.print(f"[bold]{escape(group.label)}[/]  n = {len(group.runs)}, {seeds}: {escape(_where(group))}")
    for made in _beside(comparison) if len(groups) <= _MAX_COLUMNS else _below(comparison):
        console.print()
        console.print(made)
    leader = _leader(comparison)
    shown = [pair for pair in comparison.pairs if len(groups) <= _MAX_COLUMNS or pair.first == leader]
    if len(comparison.pairs) > 1:
        those = "all pairs" if len(shown) == len(comparison.pairs) else f"{escape(leader)} against each other group"
        console.print(f"\n[bold]{those}, {escape(comparison.metric)}[/]")
        for pair in shown:
            _print_between_words(console, f"  {escape(pair.verdict)}")
    for pair in shown:
        if pair.mcnemar is not None:
            test = pair.mcnemar
            _print_between_words(
                console,
                f"\nMcNemar: {escape(pair.first)} alone is correct on {test.only_first}, {escape(pair.second)} alone "
                f"on {test.only_second} of {comparison.samples:,} samples; p = {test.p_value:.3g}",
            )
    if comparison.unpaired:
        console.print(f"\n[yellow]no paired comparison[/]: {escape_lines(comparison.unpaired)}")
    if comparison.verdict:
        of = f"{comparison.metric}, {comparison.samples:,} samples: " if comparison.samples else ""
        _print_between_words(console, f"\n{escape(of)}[bold]{escape(comparison.verdict)}[/]")
    for note in comparison.notes:
        _print_between_words(console, f"  [dim]{escape(note)}[/]")


def _print_between_words(console: Console, text: str) -> None:
    """Print a text wrapped between words on a terminal, on one line elsewhere."""
    console.print(text, soft_wrap=not console.is_terminal)


def _beside(comparison: Comparison) -> Iterator[Table]:
    """The differences and the metrics, one column per group."""
    names = [group.label for group in comparison.groups]
    if comparison.settings:
        rows = [[setting.key, *setting.values] for setting in comparison.settings]
        yield table("differences", ["key", *names], rows, numbers_from=9)
    rows = [[name, *(_cell(name, group.metrics[name]) for group in comparison.groups)] for name in _shared(comparison)]
    yield table(_MEANS, ["metric", *names], rows)


def _below(comparison: Comparison) -> Iterator[Table]:
    """The same for many groups, one row per group, with the metrics of the verdict and of the best epoch."""
    sign = -1 if comparison.maximize else 1
    shared, metric = _shared(comparison), comparison.metric
    best_first = sorted(comparison.groups, key=lambda g: sign * g.metrics[metric].mean if metric in shared else 0.0)
    if comparison.settings:
        keys = [setting.key for setting in comparison.settings]
        places = [comparison.groups.index(group) for group in best_first]
        lines = [[comparison.groups[n].label, *(s.values[n] for s in comparison.settings)] for n in places]
        yield table("differences", ["group", *keys], lines, numbers_from=9)
    others = [name for name in shared if name.startswith("val/") and name != "val/loss"]
    columns = [name for name in dict.fromkeys((metric, "val/loss", *others[:1], "seconds_per_epoch")) if name in shared]
    lines = [[group.label, *(_cell(name, group.metrics[name]) for name in columns)] for group in best_first]
    yield table(f"{_MEANS}; use --json for all metrics", ["group", *columns], lines)


def _shared(comparison: Comparison) -> list[str]:
    """The metrics that all groups have, without micro and weighted averages, which --json contains."""
    names = [name for name in comparison.groups[0].metrics if not name.endswith(("_micro", "_weighted"))]
    return [name for name in names if all(name in group.metrics for group in comparison.groups)]


def _leader(comparison: Comparison) -> str:
    """The group with the best mean, which comes first in each of its pairs; "" without pairs."""
    firsts = [pair.first for pair in comparison.pairs]
    return max(dict.fromkeys(firsts), key=firsts.count, default="")


def _where(group: Group) -> str:
    """The directories of a group: their common parent, or each of them."""
    paths = [short_path(str(run)) for run in group.runs]
    parents = {Path(path).parent for path in paths}
    if len(paths) > 1 and len(parents) == 1 and all(Path(path).name.startswith("seed-") for path in paths):
        return str(parents.pop())
    more = len(paths) - _MOST_RUNS_NAMED
    return ", ".join(paths[:_MOST_RUNS_NAMED]) + (f" and {more} more" if more > 0 else "")


def _cell(name: str, spread: Spread) -> str:
    if name == "weights_bytes":
        return f"{spread.mean / 2**20:.2f} MiB"
    if name == "seconds_per_epoch":
        return spoken(spread.mean) if spread.mean >= 10 else f"{spread.mean:.3g} s"
    if name == "parameters":
        return f"{spread.mean:,.0f}"
    mean = number(name, spread.mean)
    return mean if spread.std is None else f"{mean} ± {number(name, spread.std)}"
