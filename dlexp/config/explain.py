"""Explanation of a configuration key: its value, rule, default, help and origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dlexp.config.check.phases import PHASE, inherited_key, shared_key
from dlexp.config.check.suggest import nearest_path
from dlexp.config.check.validate import ROUTES, rules
from dlexp.config.files.catalog import Catalog
from dlexp.config.files.words import place_of
from dlexp.config.origins import Origins
from dlexp.config.overrides import parse
from dlexp.config.schema.run import OWN_KEYS, RunConfig
from dlexp.errors import ConfigError, Problem


def explain(path: str, config: RunConfig, overrides: Sequence[str], catalog: Catalog) -> dict[str, Any]:
    """Return value, rule, default, help and origin of the key at `path`. Raises ConfigError for an unknown key."""
    known = rules(config.choices, catalog)
    values = flat(config)
    inherited = "" if path in values else inherited_key(path, config.tree)
    if inherited:
        facts = explain(inherited, config, overrides, catalog)
        return {**facts, "key": path, "origin": f"{inherited}, from {facts['origin']}"}
    if path not in values:
        raise ConfigError([_unknown(path, values)])
    origins = Origins(config.choices, catalog)
    leaf, field = origins.find(shared_key(path) or path), known.get(shared_key(path) or path)
    return {
        "key": path,
        "value": values[path],
        "rule": field.rule if field else "",
        "default": leaf.text if leaf else _schema_default(path),
        "help": field.description if field else "",
        "origin": origin_of(path, config, overrides, catalog, origins),
        "read_by": _reader(path, config),
    }


def _unknown(path: str, values: Mapping[str, Any]) -> Problem:
    """The problem of a path that is no key: a section, a phase, or an unknown one."""
    within = next((key for key in values if key.startswith(f"{path}.")), f"{path}.KEY" if PHASE.fullmatch(path) else "")
    if within:
        remedy = f"Name one of its keys, such as {within}"
        return Problem("--explain", path, "is a section, not a key", remedy, code="unknown-key")
    near = nearest_path(path, values)
    remedy = f"Did you mean {near}?" if near else ""
    return Problem("--explain", path, "unknown configuration key", remedy, code="unknown-key")


def sources(config: RunConfig, overrides: Sequence[str], catalog: Catalog) -> list[dict[str, Any]]:
    """Return key, value and origin of every key, in the order of the configuration."""
    origins = Origins(config.choices, catalog)
    return [
        {"key": path, "value": value, "origin": origin_of(path, config, overrides, catalog, origins)}
        for path, value in flat(config).items()
    ]


def origin_of(path: str, config: RunConfig, overrides: Sequence[str], catalog: Catalog, origins: Origins) -> str:
    """Return the origin of the value at `path`: the command line, a file and line, another key, or the schema."""
    parsed, _ = parse(overrides, catalog)
    given = next((override for override in reversed(parsed.values) if override.key_or_group == path), None)
    if given is not None:
        return place_of(given.input_line) or "command line"
    for key, group in ROUTES.items():
        if path == f"{group}.{key}" and getattr(config.regularization, key) is not None:
            routed = f"regularization.{key}"
            return f"{routed}, from {origin_of(routed, config, overrides, catalog, origins)}"
    leaf = origins.find(path)
    return leaf.place if leaf else "default of the schema"


def flat(config: RunConfig) -> dict[str, Any]:
    """Return dotted path -> value, without keys such as `_target_`."""
    found: dict[str, Any] = {}

    def walk(tree: Any, prefix: str) -> None:
        for key, value in tree.items():
            if isinstance(value, dict) and not key.startswith("_"):
                walk(value, f"{prefix}{key}.")
            elif not key.startswith("_"):
                found[f"{prefix}{key}"] = value

    walk(config.tree, "")
    return found


def _schema_default(path: str) -> Any:
    from dlexp.config.schema.run import SECTIONS, section_defaults

    node: Any = {name: section_defaults(section) for name, section in SECTIONS.items()}
    for part in path.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node


def _reader(path: str, config: RunConfig) -> str:
    group, _, key = path.partition(".")
    node = getattr(config, group, None) if key else None
    target = getattr(node, "target", None)
    return str(target) if target and key not in OWN_KEYS.get(group, ()) else "dlexp"
