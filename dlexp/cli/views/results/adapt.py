"""The output of `dlexp adapt`: the metrics before and after, and the files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlexp.cli.console import escape, out, table
from dlexp.report.number_format import number
from dlexp.text.quoting import command


def show(content: Mapping[str, Any]) -> None:
    """Print the metrics before and after, the files and the next command."""
    before, after = content["val"]["before"], content["val"]["after"]
    rows = [[f"val/{name}", number(name, before[name]), number(name, after[name])] for name in after]
    out.print(table("validation split of the target data", ["metric", "before", "after"], rows))
    run = os.path.relpath(content["run"])
    run = content["run"] if run.startswith("..") else run
    out.print(
        f"\n{escape(content['reason'])}\n\n  run      {escape(run)}\n  weights  {escape(run)}/checkpoints/best.pt"
    )
    if content["worse"]:
        source = os.path.relpath(content["source"])
        source = content["source"] if source.startswith("..") else source
        out.print(
            f"\n[bold yellow]worse than before[/]: {escape(content['monitor'])} on this data. Keep the run it was made "
            f"of, or train it on with {escape(command('train', '--from', Path(source), ('init_from', source)))}"
        )
        return
    out.print(f"\nnext: {escape(command('evaluate', Path(run)))}")
