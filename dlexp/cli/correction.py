"""The corrected command line of a mistake, and the problems of options that a command does not have.

Only a mistake imports it. A correction is printed if every problem has one, and if the corrected line composes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dlexp.config.check.suggest import all_paths, nearest_path, option_meant
from dlexp.config.check.validate import rules
from dlexp.config.files.catalog import Catalog
from dlexp.config.files.own_folders import own_folders
from dlexp.config.habits.lookup import command_meant, habit_of, normalized
from dlexp.config.habits.problem import habit_problem
from dlexp.config.habits.typing import as_typed_here, has_long_dash
from dlexp.config.habits.values import translated
from dlexp.config.nodes import trusted_names
from dlexp.errors import ConfigError, DlexpError, Problem
from dlexp.text.nearest import misspelled_name, shortened
from dlexp.text.quoting import shell_word

_NUMBER = re.compile(r"[-+]?[\d.]+(e[-+]?\d+)?", re.IGNORECASE)
_COMPOSED = (
    "train",
    "config",
    "summary",
    "profile",
    "lr-find",
    "verify",
    "doctor",
)  # commands whose overrides are a whole run
_OF_OTHER_RUNS = ("-m", "--multirun", "--resume", "--from", "--config", "--run-id")
_MAY_STAND_ALONE = ("--resume", "--plot-schedule")
_TARGET = "data.target="
_ROUNDS = 3  # of corrections of what a correction reveals


@dataclass(frozen=True)
class CommandOptions:
    """The options of a command.

    Attributes:
        name: The command as typed, such as `train` or `data preview`.
        flags: Option -> whether it stands without a value.
        takes_keys: Whether GROUP=OPTION and KEY=VALUE are among its arguments.
    """

    name: str
    flags: Mapping[str, bool]
    takes_keys: bool


def with_correction(error: ConfigError, line: Sequence[str]) -> tuple[ConfigError, tuple[str, ...] | None]:
    """Return the error with all problems of a line, and the corrected line; None if there is more than one.

    Args:
        error: The problems found so far.
        line: The command line without `dlexp`.
    """
    problems, latest, words = list(error.problems), list(error.problems), list(line)
    for _ in range(_ROUNDS):
        corrected = _corrected(words, latest)
        if corrected is None:
            break
        latest, words = _further_problems(corrected), corrected
        if not latest:
            return ConfigError(problems), tuple(words)
        problems += [problem for problem in latest if problem.where not in {known.where for known in problems}]
    return (error if len(problems) == len(error.problems) else ConfigError(problems)), None


def line_problems(line: Sequence[str], words: Sequence[str], options: CommandOptions | None) -> list[Problem]:
    """Return the problems of the options of a line, and of its overrides if the options have no single correction.

    Args:
        line: The command line, beginning with a command.
        words: The arguments of the command.
        options: The options of the command, None for an unknown command.
    """
    problems = option_problems(words, options) if options is not None else []
    if any(problem.instead is None for problem in problems):
        typed = {word for problem in problems for word in problem.typed}
        problems += _further_problems([word for word in line if word not in typed])
    return problems


def shown_line(words: Sequence[str]) -> str:
    """Return a command line to type, without the empty values that stand for an option alone."""
    kept = [word for before, word in zip(("", *words), words, strict=False) if word or before not in _MAY_STAND_ALONE]
    return " ".join(["dlexp", *map(shell_word, kept)])


def option_problems(arguments: Sequence[str], options: CommandOptions) -> list[Problem]:
    """Return a problem for each option that a command does not have, and for each word with a dash of a document."""
    found: list[Problem] = []
    position, catalog = 0, _catalog(arguments)
    chosen = {word.partition("=")[0] for word in arguments} & set(catalog.groups)
    while position < len(arguments):
        word = arguments[position]
        if word == "--":
            break
        meant = as_typed_here(word) if has_long_dash(word) and "=" not in word.partition(" ")[0][:2] else word
        name, equals, value = meant.partition("=")
        if meant == word and (not word.startswith("-") or _is_known(name, options)):
            position += 1 + (options.flags.get(name) is False and not equals)
            continue
        if not meant.startswith("-"):  # KEY=VALUE with a long dash, which the parser of overrides reports
            position += 1
            continue
        values = [] if equals else _values(arguments[position + 1 :])
        typed = tuple(arguments[position : position + 1 + len(values)])
        given = value if equals else f"[{','.join(values)}]" if len(values) > 1 else values[0] if values else None
        problem = _problem(name, given, options, chosen, catalog)
        takes_no_value = problem.instead is not None and given is not None and _takes_no_value(problem.instead, options)
        if takes_no_value and not equals:  # a flag, whose following word is an argument
            typed, values = typed[:1], []
        found.append(replace(problem, where=" ".join(typed), given="", typed=typed))
        position += 1 + len(values)
    return found


def command_problem(line: Sequence[str], commands: Collection[str]) -> Problem | None:
    """Return the problem of a line whose first word is no command; None if the first word is one."""
    first = line[0]
    if first in commands:
        return None
    rule = "unknown command"
    if first == "dlexp":
        remedy = "Remove it: it is there already."
        return Problem(first, "", rule, remedy, code="unknown-command", typed=(first,), instead=())
    if first.startswith("-") or has_long_dash(first):
        name = next((word for word in line if word in commands), None)
        if name is None:
            return None
        others = [word for position, word in enumerate(line) if position != line.index(name)]
        rule = "options come after the command"
        remedy, ordered = f"Begin with dlexp {name}", (name, *others)
        return Problem(first, "", rule, remedy, code="unknown-command", typed=(*line,), instead=ordered)
    meant = command_meant(first)
    near = None if meant else misspelled_name(first, commands)
    if "=" in first or (not near and not meant and option_meant(first, _catalog(line))):
        meant, rule = ("train", first), "a configuration requires a command"
    instead: tuple[str, ...] | None = meant or ((near,) if near else None)
    remedy = (
        f"Did you mean dlexp {' '.join(map(shell_word, instead))}?" if instead else "List the commands: dlexp --help"
    )
    return Problem(first, "", rule, remedy, code="unknown-command", typed=(first,), instead=instead)


def _problem(
    name: str, value: str | None, options: CommandOptions, chosen: Collection[str], catalog: Catalog
) -> Problem:
    """Return the problem of one unknown option, with the words to type in its place if they are known."""
    where, key = name, normalized(name.lstrip("-"))
    if name in ("-m", "--multirun"):
        return _multirun(name, options.name)
    near = misspelled_name(name, [option for option in options.flags if option.startswith("--")])
    if not options.takes_keys:
        if near is not None:
            return _misspelled(where, near, value)
        remedy = f"List the options: dlexp {options.name} --help"
        return Problem(where, "", "unknown option", remedy, code="unknown-option")
    if name in options.flags:
        rule = "contains a long dash, as copied from a document"
        return replace(_misspelled(where, name, value), rule=rule)
    paths = all_paths(catalog)
    if key in catalog.groups or key in paths:
        return _as_key(where, key, value, catalog)
    if near is not None and near.startswith(f"{name}-"):  # --batch for --batch-size
        return _misspelled(where, near, value)
    if (habit := habit_of(key)) is not None:
        problem = habit_problem(habit, key, value, chosen, where=where)
        return _within(problem, options)
    same_leaf = [path for path in paths if path.rpartition(".")[2] == key]
    if len(same_leaf) > 1:
        remedy = f"Use one of {shortened([f'{path}=...' for path in same_leaf], 4)}"
        return Problem(where, "", _WITHOUT_DASHES, remedy, code="unknown-option")
    if same_leaf:
        return _as_key(where, same_leaf[0], value, catalog)
    if near is not None:
        return _misspelled(where, near, value)
    if key.startswith("no_") and habit_of(key[3:]) is None and key[3:] in {path.rpartition(".")[2] for path in paths}:
        return _problem(f"--{key[3:]}", "false", options, chosen, catalog)
    if (path := nearest_path(key, paths)) is not None and len(key) > 1:
        return _as_key(where, path, value, catalog)
    remedy = f"List the options: dlexp {options.name} --help; the keys: dlexp config --sources"
    return Problem(where, "", "unknown option", remedy, code="unknown-option")


_WITHOUT_DASHES = "unknown option: a configuration key is written without dashes"


def _as_key(where: str, key: str, value: str | None, catalog: Catalog) -> Problem:
    """Return the problem of a configuration key that is written as an option."""
    if value is None:
        field = rules({}, catalog).get(key)
        if field is None or field.type != "bool":
            return Problem(where, "", _WITHOUT_DASHES, f"Set {key}=...", code="unknown-option")
        value = "true"
    word = translated(f"{key}={value}")
    return Problem(
        where, "", _WITHOUT_DASHES, f"Did you mean {shell_word(word)}?", code="unknown-option", instead=(word,)
    )


def _misspelled(where: str, option: str, value: str | None) -> Problem:
    instead = (option,) if value is None else (option, value)
    return Problem(where, "", "unknown option", f"Did you mean {option}?", code="unknown-option", instead=instead)


def _within(problem: Problem, options: CommandOptions) -> Problem:
    """Return the problem with the code of an option; its words are no correction if the command lacks their option."""
    lacking = [word for word in problem.instead or () if word.startswith("--") and word not in options.flags]
    rule = f"{problem.rule}; dlexp {options.name} has no {lacking[0]}" if lacking else problem.rule
    return replace(problem, rule=rule, instead=None if lacking else problem.instead, code="unknown-option")


def _takes_no_value(words: Sequence[str], options: CommandOptions) -> bool:
    """Return whether the words are one option without a value."""
    return len(words) == 1 and options.flags.get(words[0]) is True


def _is_known(name: str, options: CommandOptions) -> bool:
    """Return whether the command has an option, or all one-letter options that a word such as -qp combines."""
    if name in options.flags:
        return True
    letters = [f"-{letter}" for letter in name[1:]] if not name.startswith("--") else []
    if not letters or letters[0] not in options.flags:
        return False
    return options.flags[letters[0]] is False or all(letter in options.flags for letter in letters)


def _values(following: Sequence[str]) -> list[str]:
    """Return the values of an option: one word, or all numbers that follow."""
    first = following[0] if following else ""
    if not first or "=" in first or (first.startswith("-") and not _NUMBER.fullmatch(first)) or has_long_dash(first):
        return []
    if not _NUMBER.fullmatch(first):
        return [first]
    numbers = []
    for word in following:
        if not _NUMBER.fullmatch(word):
            break
        numbers.append(word)
    return numbers


def _multirun(name: str, command: str) -> Problem:
    """Return the problem of -m in a command other than train."""
    reasons = {
        "tune": "dlexp tune searches search.space",
        "evaluate": "dlexp evaluate evaluates one run, one group of seeds or one sweep",
    }
    reason = reasons.get(command, "other commands use one configuration")
    remedy = "Train a grid: dlexp train -m model=mlp,simple_cnn"
    return Problem(name, "", f"is an option of dlexp train: {reason}", remedy, code="unknown-option")


def _corrected(line: Sequence[str], problems: Sequence[Problem]) -> list[str] | None:
    """Return the line with the words of all problems replaced; None if a problem has no single correction."""
    words = list(line)
    done: set[tuple[tuple[str, ...], tuple[str, ...]]] = set()
    for problem in problems:
        if problem.instead is None or problem.origin:
            return None
        typed = problem.typed or _word_of(problem.where, words)
        if (typed, problem.instead) in done:  # a second mistake of the same word
            continue
        done.add((typed, problem.instead))
        if not typed and problem.code == "missing-value":
            words += problem.instead
            continue
        place = next((at for at in range(len(words)) if typed and tuple(words[at : at + len(typed)]) == typed), None)
        if place is None:
            return None
        rest = [*words[:place], *words[place + len(typed) :]]
        words[place : place + len(typed)] = _not_said(problem.instead, rest)
    words = _without_guesses(words, problems)
    return None if _sets_twice(words, {word for problem in problems for word in problem.instead or ()}) else words


def _not_said(instead: tuple[str, ...], words: Sequence[str]) -> list[str]:
    """Return the words of a correction that the rest of the line does not say already."""
    if any(tuple(words[at : at + len(instead)]) == instead for at in range(len(words))):
        return []
    return [word for word in instead if "=" not in word or word not in words]


def _sets_twice(words: Sequence[str], corrected: Collection[str]) -> bool:
    """Return whether a word of a correction sets a key that another word sets to another value."""
    keys = [word.partition("=")[0].lstrip("+~") for word in words if "=" in word and not word.startswith("-")]
    return any(keys.count(word.partition("=")[0]) > 1 for word in corrected if "=" in word and word in words)


def _without_guesses(words: Sequence[str], problems: Sequence[Problem]) -> list[str]:
    """Return a corrected line without the target that was guessed of a file, where the user names one."""
    kept = list(words)
    for problem in problems:
        named = [word for word in kept if word.startswith(_TARGET)]
        guess = problem.instead[-1] if problem.instead and len(problem.instead) > 1 else ""
        if guess in named and len(named) > 1:
            kept.remove(guess)
    return kept


def _word_of(key: str, words: Sequence[str]) -> tuple[str, ...]:
    """Return the last word that sets a key; () if there is none."""
    setting = [word for word in words if "=" in word and word.partition("=")[0].lstrip("+~") == key]
    return tuple(setting[-1:])


def _further_problems(line: Sequence[str]) -> list[Problem]:
    """Return what is wrong with a corrected line."""
    from dlexp.config.compose import load, load_unfitted  # the slowest import, for lines that have a correction

    if line[:1] and (line[0] not in _COMPOSED or any(word.partition("=")[0] in _OF_OTHER_RUNS for word in line)):
        return []
    overrides = [word for word in line[1:] if "=" in word and not word.startswith("-")]
    is_read = any(word.startswith(("data.path=", "data=csv", "data=parquet")) for word in overrides)
    try:
        (load_unfitted if is_read else load)(overrides, _catalog(line))
    except ConfigError as error:
        return list(error.problems)
    except (DlexpError, OSError):  # of the data, which the command itself reports
        return []
    return []


def _catalog(line: Sequence[str]) -> Catalog:
    """Return the options of the user and of dlexp, for suggestions."""
    named = [Path(line[at + 1]) for at, word in enumerate(line[:-1]) if word == "--config-dir"]
    named += [Path(word.partition("=")[2]) for word in line if word.startswith("--config-dir=")]
    trusted = [line[at + 1] for at, word in enumerate(line[:-1]) if word == "--trust"]
    trusted += [word.partition("=")[2] for word in line if word.startswith("--trust=")]
    try:
        return Catalog(tuple(folder for folder in own_folders(named) if folder.is_dir()), trusted_names(trusted))
    except ConfigError:
        return Catalog((), ())
