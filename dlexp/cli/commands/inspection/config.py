"""`dlexp config`: the configuration that words describe. rich is loaded for tables and notes alone."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from dlexp.cli.argv import Setting
from dlexp.cli.style import echo, print_json
from dlexp.config.check.advice import advice
from dlexp.config.compose import load
from dlexp.config.explain import explain, sources
from dlexp.config.files.catalog import Catalog
from dlexp.config.saved import to_yaml


def config(words: Sequence[str], key: str | None, with_sources: bool, setting: Setting, as_json: bool) -> None:
    """Show the resolved configuration, one key of it, or where everything comes from."""
    catalog = Catalog(setting.config_dirs)
    found = load(words, catalog)
    _tell(tuple(advice(found)))
    if key is not None:
        facts = explain(key, found, words, catalog)
        _show(facts, ["", ""], facts.items(), as_json)
    elif with_sources:
        rows = sources(found, words, catalog)
        _show(rows, ["key", "value", "from"], ((row["key"], row["value"], row["origin"]) for row in rows), as_json)
    elif as_json:
        _show({"choices": dict(found.choices), **found.tree}, [], [], as_json)
    else:
        text = to_yaml(found)
        if sys.stdout.isatty():
            echo(text, nl=False)
        else:  # which may be read again
            sys.stdout.write(text)


def _tell(notes: Sequence[str]) -> None:
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
