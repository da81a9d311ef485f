"""The command `dlexp config`: prints the composed configuration. rich is imported for tables and notes only."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from dlexp.cli.argv import CommonOptions
from dlexp.cli.style import echo, print_json
from dlexp.config.check.advice import advice
from dlexp.config.compose import load
from dlexp.config.explain import explain, sources
from dlexp.config.files.catalog import Catalog
from dlexp.config.saved import to_yaml


def config(overrides: Sequence[str], key: str | None, with_sources: bool, common: CommonOptions, as_json: bool) -> None:
    """Print the resolved configuration, the explanation of one key, or the source of every value."""
    catalog = Catalog(common.config_dirs)
    found = load(overrides, catalog)
    _print_notes(tuple(advice(found)))
    if key is not None:
        facts = explain(key, found, overrides, catalog)
        _show(facts, ["", ""], facts.items(), as_json)
    elif with_sources:
        rows = sources(found, overrides, catalog)
        _show(rows, ["key", "value", "from"], ((row["key"], row["value"], row["origin"]) for row in rows), as_json)
    elif as_json:
        _show({"choices": dict(found.choices), **found.tree}, [], [], as_json)
    else:
        text = to_yaml(found)
        if sys.stdout.isatty():
            echo(text, nl=False)
        else:  # unchanged, so that it can be loaded again
            sys.stdout.write(text)


def _print_notes(notes: Sequence[str]) -> None:
    if notes:
        from dlexp.cli.console import err, escape

        for note in notes:
            err.print(f"[yellow]note[/]: {escape(note)}")


def _show(content: object, columns: Sequence[str], rows: Iterable[Sequence[object]], as_json: bool) -> None:
    if as_json:
        print_json(content)
        return
    from dlexp.cli.console import out, table
    from dlexp.cli.views import results

    cells = [[str(name), *map(results.plain, values)] for name, *values in rows]
    out.print(table("", columns, cells, numbers_from=9))
