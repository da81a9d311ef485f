"""The command `dlexp doctor`: what is wrong with a run, or with one that is to begin, and the line that mends it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dlexp.cli import options as given
from dlexp.cli.argv import common_options
from dlexp.cli.style import print_json, short_path

if TYPE_CHECKING:
    from dlexp.config.files.catalog import Catalog

_CANNOT_BE_GOOD = 1  # exit code


def doctor(
    run_or_overrides: given.RunOrConfiguration = None,
    config_file: given.ConfigFiles = None,
    config_dir: given.ConfigDirs = None,
    allow_changes: given.UseChanged = False,
    trust: given.Trust = None,
    quiet: given.Quiet = False,
    json: given.Json = False,
) -> None:
    """Diagnose a run, or a configuration before it is trained. Findings with numbers and the line that mends them.

    With GROUP=OPTION and KEY=VALUE alone it checks what `dlexp train` with the same words would run; the exit code is
    1 if that cannot be good.
    """
    from dlexp.cli.commands.configuration import catalog_of

    common = common_options(config_dir, trust)
    catalog = catalog_of(common)
    typed = tuple(run_or_overrides or ())
    is_run = "=" not in typed[0] if typed else not config_file
    if is_run:
        name, changes = (typed[0], typed[1:]) if typed else ("latest", ())
        _after(name, changes, config_file, catalog, _Call(allow_changes, config_dir, trust, quiet, json))
    else:
        _before(typed, config_file, catalog, _Call(allow_changes, config_dir, trust, quiet, json))


class _Call:
    """The options of the command."""

    def __init__(
        self, allow_changes: bool, config_dirs: list[Path] | None, trust: list[str] | None, quiet: bool, json: bool
    ) -> None:
        self.allow_changes, self.config_dirs, self.trust = allow_changes, tuple(config_dirs or ()), tuple(trust or ())
        self.is_quiet, self.as_json = quiet or json, json


def _after(name: str, words: Sequence[str], files: Sequence[Path] | None, catalog: Catalog, call: _Call) -> None:
    """Diagnose a finished run."""
    from dlexp.cli.commands.configuration import refuse_file
    from dlexp.errors import ConfigError

    refuse_file(name, "RUN", "doctor")
    if files:
        rule = "cannot be combined with a run, which has its own configuration"
        raise ConfigError.one("--config", files[0], rule, "Remove one of the two.", code="cannot-combine")
    from dlexp.artifacts.files.format_number import refuse_other_run_format
    from dlexp.artifacts.runs.run_dir import RunDir, named_run

    found = RunDir.find(named_run(name)).path  # raises an error before torch is imported
    folder = Path(short_path(str(found)))  # of a line that is to be pasted here
    changes = _changes(folder, words)
    refuse_other_run_format(folder)
    from dlexp.cli.views.results import doctor as view
    from dlexp.workflows.doctor.doctor import doctor_run

    with view.progress(call.is_quiet) as say:
        content = doctor_run(folder, catalog, _request(call, say, changes))
    if call.as_json:
        print_json(content)
    else:
        view.findings_of_run(content)


def _changes(run: Path, words: Sequence[str]) -> dict[str, Any]:
    """The overrides that a finished run may have. Raises ConfigError that names the lines for all others."""
    from dlexp.errors import ConfigError
    from dlexp.text.quoting import command
    from dlexp.workflows.finished_run import evaluation_changes

    try:
        return evaluation_changes(words)
    except ConfigError as error:
        (problem,) = error.problems
        if problem.code != "not-supported" or problem.remedy.startswith("Did you mean"):
            raise
        repeated = command("train", "--from", run, *words)
        remedy = f"Check a new run with {command('doctor', *words)}, or train this one again with {repeated}"
        raise ConfigError.one(problem.where, problem.given, problem.rule, remedy, code=problem.code) from error


def _before(words: Sequence[str], files: Sequence[Path] | None, catalog: Catalog, call: _Call) -> None:
    """Check a configuration; the exit code says whether it may start."""
    from dlexp.cli.commands.configuration import words_of
    from dlexp.cli.views.results import doctor as view
    from dlexp.config.compose import load

    _refuse_late_run(words)
    typed = words_of(tuple(words), files, catalog)
    load(typed, catalog)  # raises an error before torch is imported
    from dlexp.workflows.doctor.preflight import preflight

    with view.progress(call.is_quiet) as say:
        content = preflight(typed, catalog, _request(call, say, {})).as_dict()
    if call.as_json:
        print_json(content)
    else:
        view.checks_before(content)
    if not content["may_start"]:
        raise typer.Exit(_CANNOT_BE_GOOD)


def _refuse_late_run(words: Sequence[str]) -> None:
    """Raise ConfigError for a run that comes after overrides."""
    from dlexp.artifacts.runs.run_dir import named_run
    from dlexp.errors import ConfigError
    from dlexp.text.quoting import command

    for word in words:
        if "=" not in word and word != "latest" and (named_run(word) / "config.yaml").is_file():
            remedy = f"Type: {command('doctor', word, *(each for each in words if each != word))}"
            raise ConfigError.one(word, "", "is a run, which comes before its overrides", remedy, code="invalid-syntax")


def _request(call: _Call, say: Any, changes: dict[str, Any]) -> Any:
    from dlexp.config.nodes import trusted_packages
    from dlexp.workflows.doctor.examine import ExamineRequest, typed_options

    options = typed_options(call.config_dirs, call.trust)
    return ExamineRequest(changes, trusted_packages(call.trust), call.allow_changes, options=options, say=say)
