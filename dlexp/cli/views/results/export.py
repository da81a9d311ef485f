"""The output of `dlexp export`: the exported network and its deviation from the run's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from dlexp.cli.console import err, escape, out, table


def show(content: Mapping[str, Any]) -> None:
    """Print the input, the output and the deviation from the network of the run."""
    compared = content["compared"]
    near = min(os.path.relpath(content["file"]), content["file"], key=len)
    several = {} if "dtype" in content["input"] else content["input"]  # values and lengths of sequences
    described = {**(several or {"input": content["input"]}), "output": content["output"]}
    rows = [[name, _values(one)] for name, one in described.items()]
    rows.append(["meaning", content["output"]["what"]])
    batches = ", ".join(map(str, compared["batches"][:5]))
    rows.append(["checked on", f"{compared['on']}, batches of {batches}" if batches else compared["on"]])
    text = f"{compared['largest_difference']:.3g}, with a largest output of {compared['largest_output']:.3g}"
    unit = "" if compared["in"] == "the unit of the outputs" else f", in {compared['in']}"
    if batches:
        rows.append(["difference", f"at most {text}{unit}"])
    out.print(table("", ["", ""], rows, numbers_from=9))
    out.print(f"\n  file     {escape(near)} ({content['bytes']:,} bytes)")


def _values(described: Mapping[str, Any]) -> str:
    return f"{described['dtype']} {' x '.join(map(str, described['shape']))}, named {described['name']}"


def warn(text: str) -> None:
    """Print a message on standard error."""
    err.print(f"[yellow]{escape(text)}[/]")
