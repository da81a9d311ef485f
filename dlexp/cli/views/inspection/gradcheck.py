"""The output of `dlexp gradcheck`: a table of the parameters, the worst first, and the verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from dlexp.cli.console import err, escape, out, table
from dlexp.findings import counted
from dlexp.report.figures.labels import cut

_ROWS = 15
_NAME = 30
_NAMED = 5
_ORDER = ("wrong", "unchecked", "unused", "ok")


@contextmanager
def progress(is_quiet: bool) -> Iterator[Callable[[str, int], None]]:
    """A function that says on a terminal which tensor was checked."""
    if is_quiet or not err.is_terminal:
        yield lambda name, total: None
        return
    done = 0
    with err.status("gradients") as status:

        def say(name: str, total: int) -> None:
            nonlocal done
            done += 1
            status.update(f"{done} of {total} tensors: {escape(name)}")

        yield say


def show(content: Mapping[str, Any]) -> None:
    """Print the worst tensors and what they mean."""
    found = sorted(content["tensors"], key=lambda one: (_ORDER.index(one["verdict"]), -(one["error"] or 0)))
    loss = ", ".join(f"{value:.6g}" for value in content["values"].values())
    samples = counted(content["samples"], "sample")
    title = f"{content['model']} on {content['data']}, loss={content['loss']}: {loss} of {samples}, {content['mode']}"
    columns = ["tensor", "verdict", "error", "largest gradient", "compared", "kinks"]
    out.print(table(title, columns, [_row(one) for one in found[:_ROWS]], numbers_from=2))
    if len(found) > _ROWS:
        out.print(f"  and {len(found) - _ROWS} more with smaller errors; all with --json")
    out.print()
    for label, names in _notes(content):
        out.print(f"  {label:<10} {escape(names)}", soft_wrap=True)
    out.print(escape(_verdict(content, found)), soft_wrap=True)


def _row(one: Mapping[str, Any]) -> list[str]:
    error = "-" if one["error"] is None else f"{one['error']:.1e}"
    numbers = [error, f"{one['largest_gradient']:.2e}", str(one["compared"]), str(one["kinks"])]
    return [cut(one["name"], _NAME, "end"), one["verdict"], *numbers]


def _notes(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    texts = {
        "unused": "the loss does not change with",
        "unchecked": "no derivative wherever it was tried:",
        "frozen": "not trained, so not compared:",
    }
    for key, text in texts.items():
        if names := content[key]:
            yield key, f"{text} {_listed(names)}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


def _verdict(content: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> str:
    """The last line: every gradient is right, or which is wrong and by how much."""
    worst = next(one for one in found if one["name"] == content["worst"])
    if content["ok"]:
        return f"Correct: the largest relative error is {worst['error']:.1e}, of {worst['name']}."
    one, wrong = worst["worst"], counted(len(content["wrong"]), "tensor")
    place = "along a random direction" if one["position"] is None else f"at {one['position']}"
    values = f"the gradient says {one['analytic']:.6g}, the loss changes by {one['numeric']:.6g} per unit"
    hint = ""
    if one["numeric"] and abs(one["analytic"] / one["numeric"] + 1) < 0.01:
        hint = " The sign is wrong."
    elif not one["analytic"]:
        hint = " The gradient does not reach it: look for detach(), .data, no_grad() or a missing return in backward."
    elif not one["numeric"]:
        hint = " The loss is flat here: a rounding, or a gradient that is not that of its function on purpose."
    return f"Wrong in {wrong}; worst is {worst['name']} {place}: {values}.{hint}"
