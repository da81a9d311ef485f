"""Suggestions of the nearest valid name in the whole configuration space."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches

from dlexp.config.files.catalog import Catalog
from dlexp.config.schema.names import COMPONENTS
from dlexp.config.schema.run import common_paths


def nearest_name(word: str, names: Iterable[str]) -> str | None:
    """Return the name closest to `word`, None if there is no close one."""
    pool = list(names)
    folded = {name.lower(): name for name in pool}
    match = get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
    return folded[match[0]] if match else None


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
    return names.get(nearest_name(word, names) or "")
