"""Problems of words that are no KEY=VALUE, with the words that were meant."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dlexp.config.check.data_files import words_of_file
from dlexp.config.check.suggest import EVERY_NAME, option_meant
from dlexp.config.files.catalog import Catalog
from dlexp.config.habits.lookup import command_meant, habit_of
from dlexp.config.habits.problem import habit_problem
from dlexp.config.habits.typing import closed, unbalanced
from dlexp.errors import Problem
from dlexp.text.quoting import command, setting, shell_word
from dlexp.text.quoting import value as override_value


def grammar_problem(word: str, catalog: Catalog) -> Problem:
    """Return the problem of a word that the grammar of overrides refuses."""
    if "=" not in word:
        return _bare_word(word, catalog)
    key, _, value = word.partition("=")
    open_at = unbalanced(word)
    is_list = value.startswith("[") and value.endswith("]")
    if value[:1] not in tuple("[{(\"'") or (is_list and "quotation mark" in open_at):
        open_at = ""  # a text with a bracket in it, or a list whose items can be quoted
    if not open_at and value.startswith("(") and value.endswith(")"):
        open_at = "a list has brackets [ ]"
    if open_at:
        meant = closed(word)
        if meant is not None and value.startswith("("):  # a tuple of Python
            meant = f"{key}=[{meant.partition('=')[2][1:-1].rstrip(',')}]"
        remedy = f"Type {shell_word(meant)}" if meant else "Close it, and quote the word for the shell: 'KEY=[...]'"
        instead = None if meant is None else (meant,)
        return Problem(key, value, open_at, remedy, code="invalid-syntax", instead=instead)
    items = [item.strip().strip("\"'") for item in value[1:-1].split(",")]
    content = items if value.startswith("[") else value
    remedy = f"Quote special characters: {setting(key, content)}"
    instead = (f"{key}={override_value(content)}",)
    return Problem(key, value, "invalid syntax", remedy, code="invalid-syntax", instead=instead)


def _bare_word(word: str, catalog: Catalog) -> Problem:
    """Return the problem of a word without =, with the option, key or file that was meant."""
    rule, meant = "must be KEY=VALUE", option_meant(word, catalog)
    if meant:
        return Problem(word, "", rule, f"Did you mean {meant}?", code="invalid-syntax", instead=(meant,))
    if as_data := words_of_file(word):
        remedy = f"Did you mean {' '.join(map(shell_word, as_data))}?"
        return Problem(word, "", rule, remedy, code="invalid-syntax", instead=as_data)
    if Path(word).suffix in (".yaml", ".yml", ".json"):
        words = ("--config", word)
        remedy = f"Did you mean --config {shell_word(word)}?"
        return Problem(word, "", rule, remedy, code="invalid-syntax", instead=words)
    habit = habit_of(word)
    if habit is not None and (habit.example in ("", "true") or not habit.is_sure):
        return replace(habit_problem(habit, word, None, ()), code="invalid-syntax")
    if command_meant(word):
        return Problem(word, "", rule, "Remove it: the first word is the command.", code="invalid-syntax", instead=())
    if habit is not None:
        return Problem(word, "", rule, f"Use {habit.to.replace('{}', '...')}", code="invalid-syntax")
    return Problem(word, "", rule, EVERY_NAME if word.isidentifier() else "", code="invalid-syntax")


def delete_problem(word: str, key: str, catalog: Catalog) -> Problem:
    """Return the problem of `~key`; a group cannot be removed, and many keys cannot be null."""
    rule, name = "removing a key is not supported", key.partition("=")[0]
    if name not in catalog.groups:
        remedy = f"Set it to null if null is allowed: {key}=null"
        return Problem(word, "", rule, remedy, code="not-supported")
    off = next((option for option in ("none", "files", "default", "constant") if option in catalog.options(name)), None)
    remedy = f"Choose another option: {setting(name, off)}" if off else f"List the options: {command('list', name)}"
    instead = None if off is None else (f"{name}={off}",)
    return Problem(word, "", rule, remedy, code="not-supported", instead=instead)


def hydra_problem(word: str, key: str) -> Problem:
    """Return the problem of a key of Hydra itself, such as hydra.run.dir."""
    rule = "hydra.* is not supported: dlexp manages run directories and logging itself"
    habit = habit_of(key) if "." in key or "/" in key else None
    if habit is None or not any(name.startswith("hydra") for name in habit.names.split()):
        return Problem(word, "", rule, "See dlexp train --help", code="not-supported")
    problem = habit_problem(habit, key, word.partition("=")[2], ())
    return replace(problem, where=word, given="", rule=rule, code="not-supported", typed=(word,))
