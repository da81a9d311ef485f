"""Every `dlexp` line of the documentation parses: its command and options exist, and its overrides compose."""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from doc_pages import NAMES, Command, commands, text_of
from docs_folder import folder_of_small_files as folder_of_small_files
from docs_folder import folder_of_the_docs as folder_of_the_docs
from docs_folder import in_folder_of_the_docs as in_folder_of_the_docs

from dlexp.cli.app import app_with
from dlexp.cli.argv import with_empty_values
from dlexp.cli.fast_typer import only_named
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.files.words import CaseWord
from dlexp.config.given.experiment_sweep import with_sweep_of_experiment
from dlexp.config.schema.names import GROUPS
from dlexp.config.search import load_search

COMMANDS = [command for page in NAMES if page != "CHANGELOG.md" for command in commands(page)]
# Each set of overrides once, and none that another one contains; those of `runs` and `compare` are conditions for runs,
# those of refusals do not compose.
SETS = {
    (command.words[0] == "tune", frozenset(command.overrides)): command
    for command in COMMANDS
    if command.overrides and not command.is_refusal and command.words[0] not in ("runs", "compare")
}
COMPOSED = [
    command
    for (is_tune, overrides), command in SETS.items()
    if not any(is_tune == other_tune and overrides < other for other_tune, other in SETS)
]


def recording(whole: Any, words: list[str], calls: list[dict[str, Any]]) -> Any:
    """The app with commands that remember what they are called with, and do nothing else."""
    found = copy.copy(whole)
    found.registered_commands = [copy.copy(info) for info in only_named(whole.registered_commands, words)]
    found.registered_groups = [copy.copy(group) for group in whole.registered_groups]
    found.registered_callback = copy.copy(whole.registered_callback)
    for info in (*found.registered_commands, found.registered_callback):
        if info is not None:
            info.callback = _recorder(info.callback, calls)
    for group in found.registered_groups:
        group.typer_instance = recording(group.typer_instance, words, calls)
    return found


def _recorder(callback: Callable[..., Any], calls: list[dict[str, Any]]) -> Callable[..., Any]:
    @functools.wraps(callback)
    def record(**values: Any) -> None:
        calls.append(values)

    return record


def called_with(words: list[str]) -> dict[str, Any]:
    """What the command would be called with. Fails for a command or an option that does not exist."""
    calls: list[dict[str, Any]] = []
    recording(app_with(words), words, calls)(args=with_empty_values(words), prog_name="dlexp", standalone_mode=False)
    return calls[-1] if len(calls) > 1 else {}


def test_the_pages_have_commands() -> None:
    assert len(COMMANDS) > 200


@pytest.mark.parametrize("words", [["train", "--sedes", "3"], ["trian"], ["list", "model", "optim"], ["runs", "shwo"]])
def test_a_command_that_does_not_exist_is_noticed(words: list[str]) -> None:
    with pytest.raises(Exception, match=r"No such|unexpected"):
        called_with(words)


@pytest.mark.parametrize("page", sorted({command.page for command in COMMANDS}))
def test_its_commands_parse(page: str) -> None:
    for command in commands(page):
        if command.is_refusal:
            continue  # test_a_refusal_is_what_is_printed
        values = called_with(list(command.words))
        if command.words[0] not in ("--help", "--install-completion", "COMMAND"):
            assert values, f"{command} calls nothing"
        if command.words[0] == "list":
            assert {values.get("group")} <= {None, *GROUPS}, command


@pytest.mark.parametrize("command", COMPOSED, ids=str)
@pytest.mark.usefixtures("in_folder_of_the_docs")
def test_its_overrides_compose(command: Command) -> None:
    own = "--config-dir" in command.words or "DLEXP_CONFIG_DIR=my_conf" in text_of(command.page)
    catalog = Catalog((Path("my_conf"),) if own else ())
    words = command.overrides
    if command.words[0] == "tune":
        assert load_search(words, catalog).space.dimensions
        return
    line = with_sweep_of_experiment(words, catalog)
    words = [word for word in line.words if not isinstance(word, CaseWord)]
    if "-m" in command.words or line.axes:
        words = [first_value(word) for word in words if "(" not in word]
    assert load(words, catalog).model.target


def first_value(word: str) -> str:
    """`KEY=A,B` or `KEY=[A],[B]` of a grid as `KEY=A`."""
    key, _, values = word.partition("=")
    return f"{key}={re.split(r',(?![^[]*])', values)[0]}"
