"""The command `dlexp config`: composes the configuration, explains it, or plots its schedule."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dlexp.cli import options as given
from dlexp.cli.argv import CommonOptions, common_options
from dlexp.cli.style import print_json


def config(
    overrides: given.Overrides = None,
    explain: given.Explain = None,
    sources: given.Sources = False,
    plot_schedule: given.PlotSchedule = None,
    machine: given.Machine = False,
    config_file: given.ConfigFiles = None,
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    json: given.Json = False,
) -> None:
    """Print the composed configuration. Nothing is trained."""
    from dlexp.cli.commands.configuration import words_of
    from dlexp.config.files.catalog import Catalog

    common = common_options(config_dir, trust)
    typed = words_of(overrides, config_file, Catalog(common.config_dirs))
    if plot_schedule is not None:
        from dlexp.cli.commands.inspection import schedule

        schedule.plot_schedule(typed, plot_schedule, common, json)
    elif machine:
        from dlexp.cli.commands.inspection.machine import machine as show_machine

        show_machine(typed, common, json)
    else:
        _config(typed, explain, sources, common, json)


def _config(
    overrides: Sequence[str], key: str | None, with_sources: bool, common: CommonOptions, as_json: bool
) -> None:
    """Print the resolved configuration, the explanation of one key, or the source of every value."""
    from dlexp.cli.views.inspection import config as view
    from dlexp.config.check.advice import advice
    from dlexp.config.check.missing import missing_note
    from dlexp.config.compose import load_shown, load_unfitted
    from dlexp.config.explain import explain, sources
    from dlexp.config.files.catalog import Catalog
    from dlexp.config.saved import to_yaml

    catalog = Catalog(common.config_dirs)
    if key is None:
        found, missing = load_shown(overrides, catalog)
    else:
        found, missing = load_unfitted(overrides, catalog), []
    view.notes((*missing_note(missing, found), *(() if missing else advice(found))))
    if key is not None:
        facts = explain(key, found, overrides, catalog)
        _print(facts, ["", ""], facts.items(), as_json)
    elif with_sources:
        rows = sources(found, overrides, catalog)
        _print(rows, ["key", "value", "from"], ((row["key"], row["value"], row["origin"]) for row in rows), as_json)
    elif as_json:
        print_json({"choices": dict(found.choices), **found.tree})
    else:
        view.document(to_yaml(found))


def _print(content: object, columns: Sequence[str], rows: Iterable[Sequence[object]], as_json: bool) -> None:
    from dlexp.cli.views.inspection import config as view

    if as_json:
        print_json(content)
    else:
        view.rows(columns, rows)
