"""Overrides of a complete configuration: a run's config.yaml, or what `dlexp config` prints.

It names the option of every group (`choices`) and every value. Only what differs from the files of these options
becomes an override, so that a group chosen anew on the line takes the values of its new option.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from dlexp.config.check.suggest import unknown_option
from dlexp.config.check.validate import ROUTES, rules
from dlexp.config.compose import compose
from dlexp.config.files.catalog import Catalog
from dlexp.config.files.words import FileWord, key_of
from dlexp.config.given.nodes import Entry, FileReading, scalar
from dlexp.config.given.plain import special_words
from dlexp.config.overrides import ParsedOverrides, parse
from dlexp.config.preferences import preferences
from dlexp.config.schema.names import COMPONENTS, PREFERS, SEARCH, SECTION_NAMES, SWEEP
from dlexp.config.schema.tree import ABSENT, value_at
from dlexp.config.text_values import wants_text
from dlexp.text.nearest import nearest_name

CHOICES = "choices"
_NAMED = ("model", "data", "optim")  # always recorded: a search would vary a group that is not chosen
_CODE = ("_target_", "_detect_")


def is_complete(root: yaml.Node) -> bool:
    """Return whether a file has the choices of a complete configuration."""
    return isinstance(root, yaml.MappingNode) and any(
        str(key.value) == CHOICES and isinstance(value, yaml.MappingNode) for key, value in root.value
    )


def complete_words(reading: FileReading, later: Sequence[str], catalog: Catalog) -> list[FileWord]:
    """Return the overrides with which the current files compose the configuration in the file.

    Args:
        reading: The file.
        later: Overrides that come after it; a group that they choose keeps no value of the file.
        catalog: The available options.
    """
    root = reading.file.root
    assert isinstance(root, yaml.MappingNode)
    choices = _choices(reading, root, catalog)
    if reading.problems:
        return []
    groups, config, now = _explicit({group: option for group, (option, _) in choices.items()}, catalog)
    chosen = parse([word for word in later if key_of(word) in catalog.groups], catalog)[0].groups
    varied = {key_of(word) for word in later if key_of(word) in catalog.groups} - set(chosen)
    if chosen:
        config, now = compose(ParsedOverrides({**groups, **chosen}, ()), catalog)
    kept = {group for group, (option, _) in choices.items() if now.get(group) == option} - varied
    words = [reading.setting(group, option, choices[group][1]) for group, option in groups.items()]
    words += _values(reading, root, _as_written(config), rules(now, catalog), kept)
    return [*words, *special_words(reading, root, catalog)]


def _choices(reading: FileReading, root: yaml.MappingNode, catalog: Catalog) -> dict[str, tuple[str, str]]:
    """Return group -> (option, place); unknown ones are problems."""
    found: dict[str, tuple[str, str]] = {}
    for name, _, node in reading.pairs(root):
        if name != CHOICES or not isinstance(node, yaml.MappingNode):
            continue
        for group, key, value in reading.pairs(node, f"{CHOICES}."):
            option, place = str(value.value), reading.file.place(key)
            if group not in catalog.groups:
                near = nearest_name(group, catalog.groups)
                remedy = f"Did you mean {near}?" if near else f"The groups are {', '.join(catalog.groups)}."
                reading.problem(f"{CHOICES}.{group}", option, "unknown group", remedy, key, "unknown-key")
            elif option not in catalog.options(group):
                reading.problems.append(unknown_option(group, option, catalog, origin=place))
            else:
                found[group] = (option, place)
    return found


def _explicit(choices: Mapping[str, str], catalog: Catalog) -> tuple[dict[str, str], DictConfig, dict[str, str]]:
    """Return the choices that give all of them, as a data set brings its task; and what they compose."""
    groups = {group: option for group, option in choices.items() if group in _NAMED}
    while True:
        config, now = compose(ParsedOverrides(groups, ()), catalog)
        more = next((g for g, option in choices.items() if now.get(g) != option and g not in groups), None)
        if more is None:  # what the model prefers is decided by the file
            decided = {group: choices[group] for group in preferences(config) if group in choices}
            return groups | decided, config, now
        groups[more] = choices[more]


def _values(
    reading: FileReading, root: yaml.MappingNode, now: Mapping[str, Any], known: Mapping[str, Any], kept: set[str]
) -> Iterator[FileWord]:
    """Yield an override for each value of the file that differs from `now`, or that the model has a preference for."""
    own = [pair for pair in root.value if str(pair[0].value) not in (CHOICES, SEARCH, SWEEP)]
    tree = yaml.MappingNode(root.tag, own, root.start_mark, root.end_mark)

    def is_leaf(path: str, node: yaml.MappingNode) -> bool:
        default, (head, _, key) = value_at(now, path), path.partition(".")
        if (path in known and known[path].type.startswith(("map", "item"))) or path.rpartition(".")[2].startswith("_"):
            return True
        if isinstance(default, dict) and key and head in COMPONENTS:  # an argument of a component of the user's own
            return {str(name.value) for name, _ in node.value} != {str(name) for name in default}
        return default is not ABSENT and not isinstance(default, dict)

    entries = list(reading.entries(tree, "", is_leaf))
    preferred = value_at(now, f"model.{PREFERS}")
    decided = preferred if isinstance(preferred, dict) else {}
    shared = {
        f"{g}.{key}": _value(e) for key, g in ROUTES.items() for e in entries if e.path == f"regularization.{key}"
    }
    for entry in entries:
        head = entry.path.partition(".")[0]
        if head in (*COMPONENTS, *SECTION_NAMES) and head not in kept and "." in entry.path:
            continue  # the group has another option now
        field, default = known.get(entry.path), value_at(now, entry.path)
        as_text = field is not None and wants_text(field)
        value = reading.value(entry.node, as_text)
        if entry.path.rpartition(".")[2].startswith("_"):
            _check_code(reading, entry, value, default)
            continue
        is_shared = value is not None and shared.get(entry.path) == value
        if (entry.path in decided or not _same(value, default)) and not is_shared:
            yield reading.word(entry, as_text)


def _check_code(reading: FileReading, entry: Entry, value: Any, default: Any) -> None:
    """Add a problem if the file names other code than the option that it chooses."""
    if entry.path.rpartition(".")[2] not in _CODE or value == default:
        return  # what an option says of itself, such as its metrics, is that of the installed one
    group = entry.path.partition(".")[0]
    rule = (
        f"differs from the option that {CHOICES} names, which has {default}" if default is not ABSENT else "unknown key"
    )
    remedy = f"Remove the line, or write your own option: --config-dir DIR, where DIR has {group}/NAME.yaml"
    reading.problem(entry.path, str(value), rule, remedy, entry.node, "untrusted")


def _value(entry: Entry) -> Any:
    return scalar(entry.node, False) if isinstance(entry.node, yaml.ScalarNode) else ABSENT


def _same(value: Any, default: Any) -> bool:
    if isinstance(value, list | tuple) and isinstance(default, list | tuple):
        return len(value) == len(default) and all(map(_same, value, default))
    if isinstance(value, dict) and isinstance(default, dict):
        return value.keys() == default.keys() and all(_same(value[key], default[key]) for key in value)
    return type(value) is type(default) and (value == default or value != value)


def _as_written(config: DictConfig) -> dict[str, Any]:
    found = OmegaConf.to_container(config, resolve=False)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}
