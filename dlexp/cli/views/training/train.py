"""The output of `dlexp train`: the result of a training, a group of seeds or a dry run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlexp.cli.console import escape, out, over_seeds, print_fact, print_undefined, table
from dlexp.cli.style import plain, short_path
from dlexp.report.number_format import number
from dlexp.text.quoting import command
from dlexp.text.time_format import spoken


def summary(content: Mapping[str, Any]) -> None:
    """Print the result of a training: best epoch, files and next command."""
    best, run = content["best"] or {}, short_path(content["run"])
    values = {f"val/{name}": value for name, value in best.items()}
    values |= {f"test/{name}": value for name, value in content.get("test", {}).items()}
    undefined = content.get("undefined", {})
    rows = [[name, number(name, None if name in undefined else value)] for name, value in values.items()]
    title = f"best epoch {content['best_epoch']} of {content['epochs']} by {content['monitor']}"
    out.print()
    out.print(table(title, ["metric", "value"], rows))
    print_undefined(undefined)
    pace = content["samples"]["train"] * content["epochs"] / max(content["seconds"], 1e-9)
    out.print(f"\n{escape(content['reason'])}; {spoken(content['seconds'])} of training, {pace:,.0f} samples/s")
    if content.get("skipped_updates") or content.get("rollbacks"):
        done = f"{content['skipped_updates']} updates were skipped and {content['rollbacks']} epochs rolled back"
        out.print(f"[bold yellow]NaN or infinite values[/]: {done}; see train.log")
    out.print(f"\n  run      {escape(run)}")
    files = {"weights": "checkpoints/best.pt", "history": "metrics.csv", "curves": "plots/curves.png"}
    for name, text in {**files, "samples": "samples/samples.gif"}.items():
        if Path(content["run"], text).is_file():
            out.print(f"  {name:<8} {escape(run)}/{text}")
    out.print(f"\nnext: {escape(command('evaluate', Path(run)))}")


def seeds(content: Mapping[str, Any]) -> None:
    """Print the table of a group of seeds."""
    place = Path(short_path(content["group"]))
    group = escape(str(place))
    out.print()
    out.print(over_seeds(f"{len(content['runs'])} seeds, at their best epochs", content))
    out.print(f"\n  runs     {group}\n  table    {group}/seeds.csv\n\nnext: {escape(command('evaluate', place))}")


def dry_run(facts: Mapping[str, Any]) -> None:
    """Print the facts of a dry run."""
    notes, rest = facts["notes"], {name: value for name, value in facts.items() if name != "notes"}
    for name, text in _in_words(rest).items():
        print_fact(out, f"  {escape(name):<16}", text, 18)
    for note in notes:
        print_fact(out, f"  {'note':<16}", note, 18)
    out.print("\n[bold green]ok[/]: everything was built and one update was made; no files were written")


def _in_words(facts: Mapping[str, Any]) -> dict[str, str]:
    """The facts of a dry run with the words of the display."""
    rest = dict(facts)
    sizes, threads, means = rest.pop("samples"), rest.pop("threads"), rest.pop("first_batch")
    first = [f"{name} {number(name, value)}" for name, value in means.items()]
    found = {
        "model": f"{rest.pop('model')}, {rest.pop('parameters'):,} parameters",
        "task": rest.pop("interpretation"),
        "data": f"{rest.pop('data')}, " + " / ".join(f"{sizes[name]:,} {name}" for name in ("train", "val", "test")),
        "machine": f"{rest.pop('device')}, {threads} thread{'s' if threads != 1 else ''}, {rest.pop('precision')}",
        "precision": rest.pop("precision_reason"),
        "updates": f"{rest.pop('updates'):,}",
        "first update": f"{1000 * rest.pop('first_update_seconds'):,.0f} ms, {', '.join(first)}",
    }
    words = {"channels_last": "channels last", "tf32": "TF32"}
    others = {words.get(name, name): plain(value) for name, value in rest.items() if name not in ("go", "task")}
    return found | others
