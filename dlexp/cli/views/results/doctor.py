"""The output of `dlexp doctor`: the table of the pre-flight, and findings with evidence and the line to paste."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dlexp.cli.console import err, escape, out, print_fact, table
from dlexp.findings import counted

_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan", "ok": "green", "not measured": "dim"}
_INDENT = 14


@contextmanager
def progress(is_quiet: bool) -> Iterator[Callable[[str], None]]:
    """A function that says what is being done: in place on a terminal, otherwise as lines on standard error."""
    if is_quiet:
        yield lambda text: None
    elif err.is_terminal and not err.is_dumb_terminal:
        with err.status("doctor") as status:
            yield lambda text: status.update(escape(text))
    else:
        yield lambda text: err.print(escape(text))


def findings_of_run(content: Mapping[str, Any]) -> None:
    """Print the findings about a run."""
    near = os.path.relpath(content["run"])
    folder = content["run"] if near.startswith("..") else near
    _findings(content, f"Nothing found in {folder}")
    suspects = content.get("suspected_labels", {"files": ()})
    if suspects["files"]:
        files = ", ".join(f"{folder}/{name}" for name in suspects["files"])
        print_fact(out, "suspects:     ", f"{counted(suspects['count'], 'label')} in {files}", _INDENT)
    print_fact(out, "numbers:      ", f"{folder}/doctor.json", _INDENT)


def checks_before(content: Mapping[str, Any]) -> None:
    """Print the table of the checks, the findings, and whether to start."""
    rows = content["checks"]
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        style = _STYLES[row["status"]]
        label = f"[{style}]{row['status']:<12}[/]  [bold]{escape(row['name']):<{width}}[/]  "
        print_fact(out, label, row["text"], 12 + 2 + width + 2)
    out.print()
    _findings(content, "Nothing found")
    if content["may_start"]:
        print_fact(out, "[green]may start[/]:    ", content["line"], _INDENT)
    else:
        out.print("[bold red]not yet[/]:      an error above says that this run cannot be good")


def _findings(content: Mapping[str, Any], nothing: str) -> None:
    for finding in content["findings"]:
        _finding(finding)
    counts = [counted(content["counts"][name], name) for name in ("error", "warning", "note")]
    if not content["findings"]:
        out.print(f"[green]{escape(nothing)}[/]: {counted(content['rules'], 'rule')} applied to these measures")
        rows = [[name, f"{value:.4g}"] for name, value in content["measures"].items()]
        if rows:
            out.print(table("", ["measure", "value"], rows))
    else:
        out.print(f"{', '.join(counts)}; {counted(content['rules'], 'rule')} applied")
    for note in content["notes"]:
        print_fact(out, "[yellow]note[/]:         ", note, _INDENT)


def _finding(finding: Mapping[str, Any]) -> None:
    severity = finding["severity"]
    where = [finding["layer"]] if finding["layer"] else []
    where += [f"epoch {finding['epoch']}"] if finding["epoch"] is not None else []
    place = f" [dim]({escape(', '.join(where))})[/]" if where else ""
    print_fact(out, f"[{_STYLES[severity]}]{severity}[/] [bold]{finding['code']}[/]{place}: ", finding["what"], 2)
    label = "evidence"
    for one in finding["evidence"]:
        trial = " (found by a trial)" if one["is_trial"] else ""
        print_fact(out, f"  {label:<{_INDENT - 2}}", f"{one['text']}{trial}", _INDENT)
        label = ""
    if finding["cause"]:
        print_fact(out, f"  {'cause':<{_INDENT - 2}}", finding["cause"], _INDENT)
    if finding["line"]:  # on one line of any length, so that it can be copied
        out.print(f"  {'remedy':<{_INDENT - 2}}[bold]{escape(finding['line'])}[/]", soft_wrap=True)
    if finding["action"]:
        print_fact(out, f"  {'what to do':<{_INDENT - 2}}", finding["action"], _INDENT)
    source = f"; source: {finding['source']}" if finding["source"] else ""
    print_fact(out, f"  {'confidence':<{_INDENT - 2}}", f"{finding['confidence']:.2f}{source}", _INDENT)
    out.print()
