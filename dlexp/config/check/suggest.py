"""Suggestions of the nearest valid name in the whole configuration space."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from dlexp.config.check.synonyms import synonym
from dlexp.config.files.catalog import Catalog
from dlexp.config.schema.names import COMPONENTS, NOUNS
from dlexp.config.schema.run import common_paths
from dlexp.config.schema.tree import shown
from dlexp.errors import Problem
from dlexp.text.nearest import LIMIT, misspelled_name, nearest_name, shortened
from dlexp.text.quoting import command, setting

EVERY_NAME = "List the groups with dlexp list, the keys with dlexp config --sources"
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


def nearest_path(path: str, candidates: Iterable[str]) -> str | None:
    """Return the most likely path: one with the same last part (`lr`, `optimizer.lr`), else the closest spelling."""
    pool = sorted(set(candidates))
    if (meant := synonym(path)) in pool:
        return meant
    head, _, leaf = path.rpartition(".")
    if f"{head}.{leaf}" in pool:
        return f"{head}.{leaf}"
    same_leaf = [name for name in pool if name.rpartition(".")[2] == leaf]
    if same_leaf:
        return max(same_leaf, key=lambda name: SequenceMatcher(None, path, name).ratio())
    same_head = [name for name in pool if name.startswith(f"{head}.")]
    by_leaf = {name.rpartition(".")[2]: name for name in (same_head or pool)}
    found = by_leaf.get(nearest_name(leaf, by_leaf) or "")
    return found if found or same_head else nearest_name(path, pool)


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
    folder, near = _folder_with(group, option), misspelled_name(option, options)
    if folder is not None and not origin:
        remedy = f"Add {command('--config-dir', folder).removeprefix('dlexp ')}"
    elif near is not None:
        said = near if origin or where else setting(group, near)
        remedy = f"Did you mean {said}? {every}"
    else:
        rule += f"; available: {shortened(options)}" if group in catalog.groups else ""
        remedy = every if len(options) > LIMIT or group not in catalog.groups else ""
        if _OPTION_NAME.fullmatch(option):
            remedy = f"If it is your own, add --config-dir DIR, where DIR has {group}/{option}.yaml. {remedy}".rstrip()
    return Problem(where or group, option, rule, remedy, origin, code="unknown-option")


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
        return Problem(key, shown(value), rule, origin=origin, code="unknown-key")

    def said(path: str) -> str:
        return path if origin else setting(path, value)

    here = [path for path, owners in paths.items() if not owners or _is_chosen(owners, choices)]
    near, rule = nearest_path(key, here), "unknown configuration key"
    own = [path.removeprefix(f"{group}.") for path in here if path.startswith(f"{group}.")]
    others = {path.partition(".")[2]: path for path, owners in paths.items() if owners and path.startswith(f"{group}.")}
    elsewhere = others.get(misspelled_name(key.partition(".")[2], others) or "")
    if near is not None:
        remedy = f"Did you mean {said(near)}?"
    elif elsewhere is not None:
        rule += f"; {chosen} has {shortened(own)}"
        remedy = f"Did you mean {said(elsewhere)}, with {paths[elsewhere][0]}?"
    elif own:
        rule += f"; {chosen if group in COMPONENTS else group} has {shortened(own)}"
        remedy = f"List all keys: {command('config', *([chosen] if group in COMPONENTS else []), '--sources')}"
    else:
        remedy = EVERY_NAME
    return Problem(key, shown(value), rule, remedy, origin, code="unknown-key")


def _is_chosen(owners: Iterable[str], choices: Mapping[str, str]) -> bool:
    return any(choices.get(owner.partition("=")[0]) == owner.partition("=")[2] for owner in owners)


def _config_dir_words(catalog: Catalog) -> list[str | Path]:
    """Return the --config-dir options of the command line."""
    known = os.environ.get("DLEXP_CONFIG_DIR")
    return [word for folder in catalog.config_dirs if str(folder) != known for word in ("--config-dir", Path(folder))]


def _folder_with(group: str, option: str) -> Path | None:
    """Return the directory here that has a file of the user's own for this option, None if there is none."""
    if not _OPTION_NAME.fullmatch(option):
        return None
    try:
        found = [Path(), *sorted(Path().glob("[!.]*/"))]
        return next((folder for folder in found if (folder / group / f"{option}.yaml").is_file()), None)
    except OSError:
        return None
