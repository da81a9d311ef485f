"""The output of `dlexp sample`: what was made, and the files; a bar while samples take many steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.progress_bar import ProgressBar
from rich.table import Table

from dlexp.cli.console import err, escape, out, undrawn
from dlexp.cli.style import plain, short_path
from dlexp.cli.views.live import LiveRegion
from dlexp.findings import counted

_REDRAW_SECONDS = 0.1
_BAR = 40  # characters


@contextmanager
def progress_bar(quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """What is called with the steps done and those in all; a bar on a terminal."""
    if quiet or not err.is_terminal or err.is_dumb_terminal:
        yield lambda done, total: None
        return
    region, due = LiveRegion(redirect=False), 0.0

    def draw(done: int, total: int) -> None:
        nonlocal due
        if time.perf_counter() < due and done < total:
            return
        due = time.perf_counter() + _REDRAW_SECONDS
        row = Table.grid(padding=(0, 2))
        row.add_row("sampling", ProgressBar(total=total, completed=done, width=_BAR), f"{done:,} of {total:,} steps")
        region.draw(row)

    try:
        yield draw
    finally:
        region.close()


def show(content: Mapping[str, Any], quiet: bool = False) -> None:
    """Print what was made, changes since training, and the files."""
    folder = short_path(content["folder"])
    if not quiet:
        out.print(escape(_title(content)))
        for change in content["changed_since_training"]:
            before, after = plain(change["before"]), plain(change["after"])
            out.print(f"[yellow]changed since training[/]: {escape(change['path'])}: {escape(f'{before} -> {after}')}")
        if "shown" in content:
            out.print(f"the picture shows the first {content['shown']:,}; the array has all of them")
        if "no_picture" in content:
            out.print(content["no_picture"])
        out.print()
    undrawn(content)
    for label, name in content["files"].items():
        size = "" if name.endswith(".csv") else f"{' x '.join(map(str, content['shape']))} {content['dtype']}, "
        about = f"   {size}{content['units']}"
        out.print(f"  {label:<9} {escape(f'{folder}/{name}')}{escape(about) if label == 'samples' else ''}")
    if not quiet:
        out.print(f"  {'facts':<9} {escape(folder)}/{content['mode']}.json")


def _title(content: Mapping[str, Any]) -> str:
    count, mode = content["count"], content["mode"]
    what = {
        "samples": counted(count, "sample"),
        "interpolation": f"{counted(count, 'path')} of {content.get('steps_of_path')} steps",
        "reconstruction": f"{counted(count, 'sample')} of the {content.get('split')} split and their reconstructions",
        "traversal": f"{counted(count, 'row')}, one latent from -3 to 3 deviations in each",
    }[mode]
    if mode == "samples" and content["first"]:
        what += f" from number {content['first']:,} on"
    kinds = list(dict.fromkeys(content.get("classes", ())))
    if kinds and mode == "samples":
        what += f" of class {kinds[0]}" if len(kinds) == 1 else f" of {counted(len(kinds), 'class', 'classes')} in turn"
    if "between" in content and content["between"] and isinstance(content["between"][0], str):
        what += f" from {content['between'][0]} to {content['between'][1]}"
    made_by = f"{content['checkpoint']} weights"
    return f"{what}; {made_by}, seed {content['seed']}"
