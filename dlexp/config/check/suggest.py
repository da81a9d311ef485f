"""Suggestions of the nearest valid name in the whole configuration space."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from dlexp.config.check.data_files import words_of_file
from dlexp.config.check.phases import PHASE, phase_without_key
from dlexp.config.files.catalog import Catalog
from dlexp.config.files.own_folders import folder_of_variable
from dlexp.config.habits.habit import Habit
from dlexp.config.habits.lookup import group_meant, habit_of, key_meant
from dlexp.config.habits.problem import habit_problem
from dlexp.config.habits.values import translated, value_meant
from dlexp.config.schema.names import COMPONENTS, NOUNS
from dlexp.config.schema.run import common_paths
from dlexp.config.schema.tree import shown
from dlexp.errors import Problem
from dlexp.tasks.decoding.options import option_of_predict
from dlexp.text.nearest import LIMIT, distance, misspelled_name, nearest_name, shortened
from dlexp.text.quoting import command, setting, shell_word, text_value
from dlexp.text.quoting import value as override_value

EVERY_NAME = "List the groups with dlexp list, the keys with dlexp config --sources"
# Last parts of keys that mean something else in every group: another group's key of that name is no suggestion.
_OF_MANY_MEANINGS = re.compile(
    r"alpha|base|beta|blocks|channels|d|delta|depth|domain|factor|gamma|groups|head|heads|init|inputs|k|kernel|layou"
    r"t|margin|mode|name|noise|norm|on_bad|pad|patience|path|period|phases|pool|power|r|resize|rho|rise|fall|scale|s"
    r"tem|state|steps|target|token|unit|variant"
)
_BINARY = ("bce",)  # losses of two classes, whose names in other tools are used for any number of them
_OPTION_NAME = re.compile(r"[A-Za-z0-9][\w-]*")


def all_paths(catalog: Catalog) -> dict[str, tuple[str, ...]]:
    """Return dotted path -> the options that have it, as `group=option`; () if every run has it.

    Paths come from the lines of the files without parsing, which is sufficient for suggestions.
    """
    found: dict[str, tuple[str, ...]] = dict.fromkeys(common_paths(), ())
    for group in COMPONENTS:
        for option in catalog.options(group):
            for key in catalog.key_names(group, option):
                path = f"{group}.{key}"
                found[path] = (*found.get(path, ()), f"{group}={option}")
    return found


def is_name(word: str, catalog: Catalog) -> bool:
    """Return whether a word names a group or a key, here or in another tool."""
    if "=" in word or not word:
        return False
    return word in catalog.groups or habit_of(word) is not None or word in all_paths(catalog)


def foreign_name(key: str, catalog: Catalog) -> Habit | None:
    """Return the habit of a key of another tool, such as optimizer.learning_rate; None for a key of dlexp."""
    paths = all_paths(catalog)
    if key in catalog.groups or key in paths or _in_group_meant(key) in paths or _one_letter_off(key, paths):
        return None
    return habit_of(key)


def _one_letter_off(key: str, paths: Iterable[str]) -> str | None:
    """Return the key of the same group with one letter more or less, as data.unit of data.units; None for none."""
    group = key.rpartition(".")[0]
    own = [path for path in paths if group and path.rpartition(".")[0] == group]
    return next((path for path in sorted(own) if len(key) != len(path) and distance(key, path) == 1), None)


def nearest_path(path: str, candidates: Iterable[str]) -> str | None:
    """Return the most likely path: one with the same last part (`lr`, `optimizer.lr`), else the closest spelling."""
    pool = sorted(set(candidates))
    if (meant := _in_group_meant(path)) in pool or (meant := key_meant(path)) in pool:
        return meant
    if (near := _one_letter_off(path, pool)) is not None:
        return near
    head, _, leaf = path.rpartition(".")
    if head in pool and not any(name.startswith(f"{head}.") for name in pool):  # seed.x
        return head
    near_head = misspelled_name(head, {name.rpartition(".")[0] for name in pool}) if head else None
    if f"{near_head}.{leaf}" in pool:
        return f"{near_head}.{leaf}"
    same_leaf = [name for name in pool if name.rpartition(".")[2] == leaf]
    if same_leaf and not _OF_MANY_MEANINGS.fullmatch(leaf):
        return max(same_leaf, key=lambda name: SequenceMatcher(None, path, name).ratio())
    same_head = [name for name in pool if name.startswith(f"{head}.")]
    by_leaf = {name.rpartition(".")[2]: name for name in (same_head or pool)}
    if same_head:
        return by_leaf.get(misspelled_name(leaf, by_leaf) or "")
    known = [name for name in by_leaf if not _OF_MANY_MEANINGS.fullmatch(name)]
    return by_leaf.get(_almost(leaf, known) or "") or _almost(path, pool)


def _almost(word: str, names: Iterable[str]) -> str | None:
    """Return the name that differs from `word` by a slip of the fingers; None if they may mean different things."""
    near = nearest_name(word, names)
    return near if near is not None and distance(word.lower(), near.lower()) <= max(1, len(word) // 4) else None


def _in_group_meant(path: str) -> str | None:
    """Return optim.lr for optimizer.lr; None if the first part is no name of a group in another tool."""
    head, dot, rest = path.partition(".")
    group = group_meant(head)
    return f"{group}.{rest}" if dot and group != head else None


def option_meant(word: str, catalog: Catalog) -> str | None:
    """Return the group option closest to a bare name: `resnet18` -> `model=resnet18`."""
    names = {name: f"{group}={name}" for group in catalog.groups for name in catalog.options(group)}
    return names.get(misspelled_name(word, names) or "")


def unknown_option(group: str, option: str, catalog: Catalog, *, where: str = "", origin: str = "") -> Problem:
    """Return the problem of an unknown option of a group; the remedy begins with the option that was meant.

    Args:
        group: The group.
        option: The option as given.
        catalog: The available options.
        where: The place of the problem, "" for the group.
        origin: File and line, "" for the command line.
    """
    options, rule = list(catalog.options(group)), f"unknown {NOUNS.get(group, group)}"
    every = f"List all {len(options)}: {command('list', group, *_config_dir_words(catalog))}"
    if group not in catalog.groups:
        every = f"Available: {', '.join(options)}"
    as_data = words_of_file(option) if group == "data" and not origin and not where else ()
    if as_data:
        remedy = f"Did you mean {' '.join(map(shell_word, as_data))}?"
        return Problem(
            group, option, "must be a data set, not its file", remedy, code="unknown-option", instead=as_data
        )
    folder, near = _folder_with(group, option), value_meant(group, option)
    near, instead = near if near in options else misspelled_name(option, options), None
    if folder is not None and not origin:
        remedy = f"Add {command('--config-dir', folder).removeprefix('dlexp ')}"
    elif near in _BINARY and near == value_meant(group, option) and not where:
        remedy = f"Did you mean {setting(group, near)} (two classes) or loss=cross_entropy (any number of classes)?"
    elif near is not None:
        said = near if origin or where else setting(group, near)
        remedy = f"Did you mean {said}? {every}"
        instead = None if origin or where else (f"{group}={text_value(near)}",)
    else:
        rule += f"; available: {shortened(options)}" if group in catalog.groups else ""
        remedy = every if len(options) > LIMIT or group not in catalog.groups else ""
        if _OPTION_NAME.fullmatch(option):
            remedy = f"If it is your own, add --config-dir DIR, where DIR has {group}/{option}.yaml. {remedy}".rstrip()
    return Problem(where or group, option, rule, remedy, origin, code="unknown-option", instead=instead)


_OF_ARRAYS = "Name the arrays of the splits by their ends, such as x_train, y_train, x_{split} and y_{split}"
_OF_HUB = "Name the splits of the data set train, validation and test, with DatasetDict and save_to_disk of datasets"
_OWN_SPLITS = {
    (f"data.{split}_path", data): _OF_HUB if data == "huggingface" else _OF_ARRAYS.format(split=split)
    for split in ("val", "test")
    for data in ("arrays", "ndarrays", "huggingface")
}


def unknown_key(key: str, value: Any, choices: Mapping[str, str], catalog: Catalog, origin: str = "") -> Problem:
    """Return the problem of a key that the chosen options do not have.

    Args:
        key: The dotted path.
        value: Its value.
        choices: Group -> option.
        catalog: The available options.
        origin: File and line, "" for the command line.
    """
    paths, group = all_paths(catalog), key.partition(".")[0]
    chosen = f"{group}={choices.get(group)}"
    if key in paths:  # another option of the group has it
        rule = f"not supported with {chosen}; available with {shortened(paths[key])}"
        words = words_of_file(str(value)) if key == "data.path" and not origin else ()
        remedy = f"Did you mean {' '.join(map(shell_word, words))}?" if words else ""
        remedy = remedy or option_of_predict(choices.get("task", ""), key, value)
        remedy = remedy or _OWN_SPLITS.get((key, choices.get(group, "")), "")
        own_paths = [path for path, owners in paths.items() if owners and _is_chosen(owners, choices)]
        if not remedy and (meant := _one_letter_off(key, own_paths)) is not None:
            remedy = f"Did you mean {meant if origin else setting(meant, value)}?"
            words = () if origin else (translated(f"{meant}={override_value(value)}"),)
        return Problem(key, shown(value), rule, remedy, origin, code="unknown-key", instead=words or None)

    def said(path: str) -> str:
        return path if origin else setting(path, value)

    if PHASE.fullmatch(key):
        return phase_without_key(key, value, origin)
    if (habit := foreign_name(key, catalog)) is not None:
        return habit_problem(habit, key, override_value(value), (), origin=origin)
    here = [path for path, owners in paths.items() if not owners or _is_chosen(owners, choices)]
    near, rule, instead = nearest_path(key, here), "unknown configuration key", None
    own = [path.removeprefix(f"{group}.") for path in here if path.startswith(f"{group}.")]
    others = {path.partition(".")[2]: path for path, owners in paths.items() if owners and path.startswith(f"{group}.")}
    elsewhere = others.get(misspelled_name(key.partition(".")[2], others) or "")
    if near is not None:
        remedy = f"Did you mean {said(near)}?"
        instead = None if origin else (translated(f"{near}={override_value(value)}"),)
    elif elsewhere is not None:
        rule += f"; {chosen} has {shortened(own)}"
        remedy = f"Did you mean {said(elsewhere)}, with {paths[elsewhere][0]}?"
    elif own:
        rule += f"; {chosen if group in COMPONENTS else group} has {shortened(own)}"
        remedy = f"List all keys: {command('config', *([chosen] if group in COMPONENTS else []), '--sources')}"
    else:
        remedy = EVERY_NAME
    return Problem(key, shown(value), rule, remedy, origin, code="unknown-key", instead=instead)


def _is_chosen(owners: Iterable[str], choices: Mapping[str, str]) -> bool:
    return any(choices.get(owner.partition("=")[0]) == owner.partition("=")[2] for owner in owners)


def _config_dir_words(catalog: Catalog) -> list[str | Path]:
    """Return the --config-dir options of the command line."""
    known = folder_of_variable()
    return [word for folder in catalog.config_dirs if folder != known for word in ("--config-dir", Path(folder))]


def _folder_with(group: str, option: str) -> Path | None:
    """Return the directory here that has a file of the user's own for this option, None if there is none."""
    if not _OPTION_NAME.fullmatch(option):
        return None
    try:
        found = [Path(), *sorted(Path().glob("[!.]*/"))]
        return next((folder for folder in found if (folder / group / f"{option}.yaml").is_file()), None)
    except OSError:
        return None
