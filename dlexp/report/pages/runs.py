"""The page of several runs: verdict, differences between configurations, and metrics of every run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlexp.report.number_format import number
from dlexp.report.pages.html import (
    Cell,
    Html,
    Section,
    bullet_list,
    code,
    definition_list,
    html_table,
    page,
    paragraph,
    picture,
)
from dlexp.text.quoting import command
from dlexp.text.time_format import spoken

_MIB = 2.0**20


@dataclass(frozen=True)
class SweepStandings:
    """The configurations of a sweep.

    Attributes:
        content: comparison.json.
        png, narrow: The figure of their means, as wide as the page and for a phone; None if it could not be drawn.
    """

    content: Mapping[str, Any]
    png: bytes | None
    narrow: bytes | None


def runs_page(
    content: Mapping[str, Any],
    curves: bytes | None,
    rows: Sequence[Mapping[str, Any]],
    version: str,
    narrow: bytes | None = None,
    standings: SweepStandings | None = None,
) -> str:
    """The page as HTML.

    Args:
        content: The output of `dlexp compare --json`.
        curves: PNG of the monitored metric of every run over the epochs; None if it could not be drawn.
        rows: One mapping per run: directory, group, seed, state, epoch, epochs, metrics.
        version: The version of dlexp.
        narrow: The curves for a phone, None for `curves`.
        standings: Of the configurations, if the runs are the jobs of a sweep.
    """
    groups = content["groups"]
    sections = [
        *([] if standings is None else [_standings(standings)]),
        Section("Verdict", tuple(_verdict(content))),
        Section("Differences", (_settings(content),)),
        Section("Configurations", (_groups(groups),)),
        Section("Curves", (_curves(curves, narrow, groups),)),
        Section("Runs", (_runs(rows),)),
        Section("Next steps", tuple(_next(rows))),
    ]
    count = f"{len(rows)} runs, {len(groups)} configuration{'s' if len(groups) > 1 else ''}"
    return page(f"Comparison of {count}", _lead(content, standings), sections, f"Written by dlexp {version}.")


def _lead(content: Mapping[str, Any], standings: SweepStandings | None) -> str:
    if standings is not None:
        return str(standings.content["answer"])
    text = str(content["verdict"] or "No verdict: the samples of the runs cannot be paired")
    return f"{text}."


def _standings(found: SweepStandings) -> Section:
    """The table and the figure of the means."""
    content = found.content
    columns, rows = content["table"]["columns"], content["table"]["rows"]
    caption = f"The {content['of']}, the best first: means over the seeds."
    parts = [html_table(caption, columns, rows, numbers=frozenset(columns[1:]))]
    if found.png is not None:
        text = f"{content['metric']}: mean, 95 % interval over the seeds, and each seed."
        parts.append(picture(found.png, f"{text} {content['answer']}", text, found.narrow))
    if content["notes"]:
        parts += [paragraph("Notes:"), bullet_list(map(str, content["notes"]))]
    return Section("Answer", tuple(parts))


def _verdict(content: Mapping[str, Any]) -> Iterator[Html]:
    if content["unpaired"]:
        yield paragraph("The samples could not be paired:")
        yield code(str(content["unpaired"]))
    if content["pairs"]:
        pairs = {
            "metric": content["metric"],
            "larger is better": "yes" if content["maximize"] else "no",
            "samples": f"{content['samples']:,}" if content["samples"] else "not paired, intervals over the seeds",
        }
        yield definition_list(pairs)
        yield html_table("Pairs of configurations.", ["first", "second", "verdict"], map(_pair, content["pairs"]))
    if content["notes"]:
        yield paragraph("Notes:")
        yield bullet_list(map(str, content["notes"]))


def _pair(pair: Mapping[str, Any]) -> list[object]:
    text = str(pair["verdict"])
    test = pair["mcnemar"]
    if test is not None:
        text += f" (McNemar: {test['only_first']} against {test['only_second']} samples, p = {test['p_value']:.3g})"
    return [pair["first"], pair["second"], text]


def _settings(content: Mapping[str, Any]) -> Html:
    names = [group["label"] for group in content["groups"]]
    if not content["settings"]:
        return paragraph("None, except for the seed and settings that do not affect the training.")
    rows = [[setting["key"], *setting["values"]] for setting in content["settings"]]
    return html_table("Keys with different values.", ["key", *names], rows)


def _groups(groups: Sequence[Mapping[str, Any]]) -> Html:
    """A table with a row per metric and a column per configuration."""
    columns = [f"{group['label']}, n = {len(group['runs'])}" for group in groups]
    shared = [name for name in groups[0]["metrics"] if all(name in group["metrics"] for group in groups)]
    rows = [[name, *(_spread(name, group["metrics"][name]) for group in groups)] for name in shared]
    caption = "Mean and standard deviation over the seeds."
    return html_table(caption, ["metric", *columns], rows, numbers=frozenset(columns))


def _spread(name: str, spread: Mapping[str, Any]) -> str:
    mean, std = spread["mean"], spread["std"]
    if name == "weights_bytes":
        return f"{mean / _MIB:.2f} MiB"
    if name == "seconds_per_epoch":
        return spoken(mean) if mean >= 10 else f"{mean:.3g} s"
    if name == "parameters":
        return f"{mean:,.0f}"
    return number(name, mean) if std is None else f"{number(name, mean)} ± {number(name, std)}"


def _curves(png: bytes | None, narrow: bytes | None, groups: Sequence[Mapping[str, Any]]) -> Html:
    if png is None:
        return paragraph("The curves could not be drawn.")
    text = "The monitored metric of every run over the epochs, by configuration."
    names = ", ".join(str(group["label"]) for group in groups)
    caption = f"{text} Thick lines are means; dots mark the best epochs."
    return picture(png, f"{text} Configurations: {names}.", caption, narrow)


def _runs(rows: Sequence[Mapping[str, Any]]) -> Html:
    names = list(dict.fromkeys(name for row in rows for name in row["metrics"]))
    shared = _shared([str(row["directory"]) for row in rows])
    columns = ["run", "configuration", "seed", "state", "epochs", *names]
    cells = [
        [
            str(row["directory"]).removeprefix(shared),
            row["group"],
            row["seed"],
            row["state"],
            f"{row['epoch']} of {row['epochs']}",
            *(_metric(name, row["metrics"].get(name)) for name in names),
        ]
        for row in rows
    ]
    caption = "All runs at their best epochs. Click a heading to sort."
    caption = f"{caption} They are in {shared.rstrip('/')}." if shared else caption
    return html_table(caption, columns, cells, numbers=frozenset(["seed", *names]), sortable=True)


def _shared(paths: Sequence[str]) -> str:
    """The common parent directory of all paths, "" without one."""
    heads = [path.split("/")[:-1] for path in paths]
    found: list[str] = []
    for parts in zip(*heads, strict=False):
        if len(set(parts)) > 1:
            break
        found.append(parts[0])
    return "".join(f"{part}/" for part in found) if len(paths) > 1 else ""


def _metric(name: str, value: float | None) -> object:
    return None if value is None else Cell(number(name, value), value)


def _next(rows: Sequence[Mapping[str, Any]]) -> Iterator[Html]:
    runs = [Path(row["directory"]) for row in rows]
    yield paragraph("Repeat the comparison on the terminal:")
    yield code(command("compare", *runs))
    yield paragraph("Write the page of one run, with its configuration, mistakes and environment:")
    yield code(command("report", runs[0]))
