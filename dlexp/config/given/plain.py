"""Overrides of a file that changes some values: a mapping, an experiment, or a list of words.

`sweep` and `search` of any file are read here too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import yaml

from dlexp.config.check.defaults import entry_problems
from dlexp.config.check.validate import rules
from dlexp.config.files.catalog import Catalog
from dlexp.config.files.words import CaseWord, FileWord
from dlexp.config.given.nodes import Entry, FileReading, LeafRule
from dlexp.config.schema.fields import Field
from dlexp.config.schema.names import CASES, COMPONENTS, SEARCH, SECTION_NAMES, SWEEP, TOP_LEVEL_NAMES
from dlexp.config.text_values import wants_text
from dlexp.text.quoting import shell_word
from dlexp.text.quoting import value as grammar_value
from dlexp.tune.search_space.space import WORDS

_FUNCTION = re.compile(r"(range|choice|glob|sort)\(.*\)", re.DOTALL)  # a list of values in the override grammar
_NAMES = ("name", "type", "option")  # keys with which other tools choose a component
_ENDS = (("low", "min", "lower"), ("high", "max", "upper"))
_ENTRY = re.compile(r"^(?:override\s+)?/?(?P<group>\w+)")
_OWN_OPTION = "Choose an option, or write your own: --config-dir DIR, where DIR has {}/NAME.yaml"


def list_words(reading: FileReading) -> list[FileWord]:
    """Return the words of a list of KEY=VALUE, such as the overrides.yaml of a run."""
    found = []
    for item in reading.file.root.value:
        if isinstance(item, yaml.ScalarNode):
            found.append(FileWord(str(item.value), reading.file.place(item)))
        else:
            remedy = "Write - KEY=VALUE in each line, or KEY: VALUE without dashes."
            reading.problem("--config", "", "an item of the list must be KEY=VALUE", remedy, item, "invalid-syntax")
    return found


def mapping_words(reading: FileReading, root: yaml.MappingNode, catalog: Catalog) -> list[FileWord]:
    """Return the words of a mapping of overrides; those of its `defaults` list come first."""
    known = rules({}, catalog)
    chosen: list[FileWord] = []
    own: list[FileWord] = []
    places: dict[str, str] = {}
    is_leaf = leaf_rule(root, known, catalog)
    for name, key, value in reading.pairs(root):
        if name == "defaults":
            chosen += _defaults(reading, value, catalog)
        elif name in (SWEEP, SEARCH):
            continue
        elif isinstance(value, yaml.SequenceNode) and name in catalog.groups:
            rule = "must be the name of an option"
            remedy = f"To train each, write sweep: {{{name}: [...]}}"
            reading.problem(name, "", rule, remedy, key, "invalid-type")
        else:
            one = yaml.MappingNode(root.tag, [(key, value)], root.start_mark, root.end_mark)
            for entry in reading.entries(one, "", is_leaf):
                if entry.path in places:
                    rule = f"given twice, first in {places[entry.path]}"
                    remedy = "Remove one of the two lines."
                    reading.problem(entry.path, "", rule, remedy, entry.node, "invalid-syntax")
                elif (
                    not _refused(reading, entry)
                    and not _option_within(reading, entry, known, catalog)
                    and not reading.has_own_tag(entry.node)
                ):
                    places[entry.path] = entry.place
                    field = known.get(entry.path)
                    own.append(reading.word(entry, field is not None and wants_text(field)))
    return [*chosen, *own, *special_words(reading, root, catalog)]


def leaf_rule(root: yaml.MappingNode, known: Mapping[str, Field], catalog: Catalog) -> LeafRule:
    """Return the function that tells whether a mapping at a path is the value of a key."""
    chosen = {str(key.value): value.value for key, value in root.value if isinstance(value, yaml.ScalarNode)}

    def is_leaf(path: str, _node: yaml.MappingNode) -> bool:
        if path in known:
            return known[path].type.startswith(("map", "item"))
        group, _, key = path.partition(".")
        if group not in COMPONENTS or not key:
            return False
        options = catalog.options(group)
        return any(
            key in catalog.keys(group, name) for name in ([chosen[group]] if chosen.get(group) in options else options)
        )

    return is_leaf


def _refused(reading: FileReading, entry: Entry) -> bool:
    """Add a problem for a key that names or describes code, such as `_target_`; return whether it is one."""
    name = next((part for part in entry.path.split(".") if part.startswith("_")), None)
    if name is None:
        return False
    group = entry.path.partition(".")[0]
    rule = "cannot be set by a file of --config, which chooses among options and runs no code of its own"
    remedy = _OWN_OPTION.format(group) if group in COMPONENTS else "Remove it."
    shown = str(entry.node.value) if isinstance(entry.node, yaml.ScalarNode) else ""
    reading.problem(entry.path, shown, rule, remedy, entry.node, "untrusted")
    return True


def _option_within(reading: FileReading, entry: Entry, known: Mapping[str, Field], catalog: Catalog) -> bool:
    """Add a problem for an option inside its group, as in `data: {type: csv}`; return whether it is one."""
    group, _, key = entry.path.partition(".")
    if group not in catalog.groups or not key or entry.path in known:
        return False
    first, shown = key.partition(".")[0], entry.node.value if isinstance(entry.node, yaml.ScalarNode) else ""
    options = catalog.options(group)
    option = first if first in options else shown if key in _NAMES and shown in options else None
    if option is None:
        return False
    rule = "chooses an option inside its group"
    remedy = f"Write {group}: {option}, and its keys with dots: {group}.KEY: VALUE"
    reading.problem(entry.path, str(shown), rule, remedy, entry.node, "invalid-syntax")
    return True


def _defaults(reading: FileReading, node: yaml.Node, catalog: Catalog) -> Iterator[FileWord]:
    """Yield the choices of the `defaults` list of an experiment."""
    if not isinstance(node, yaml.SequenceNode):
        reading.problem("defaults", "", "must be a list", "Write - override /GROUP: OPTION", node, "invalid-type")
        return
    for item in node.value:
        place = reading.file.place(item)
        problems = list(entry_problems(item, "experiment", place, catalog))
        reading.problems += problems
        if problems:
            continue
        if isinstance(item, yaml.ScalarNode):
            if item.value != "_self_":
                yield FileWord(f"experiment={item.value}", place)
            continue
        for key, value in item.value:
            found = _ENTRY.match(str(key.value))
            yield FileWord(f"{found['group'] if found else key.value}={reading.grammar(value, True)}", place)


def special_words(reading: FileReading, root: yaml.MappingNode, catalog: Catalog) -> list[FileWord]:
    """Return the words of `sweep`, several values of a key each, and of `search`."""
    found: list[FileWord] = []
    for name, _, value in reading.pairs(root):
        if name == SWEEP and isinstance(value, yaml.MappingNode):
            found += _sweep(reading, value, catalog)
        elif name == SWEEP:
            rule, remedy = "must map keys to lists of values", "Write sweep: {optim.lr: [0.1, 0.01]}"
            reading.problem(SWEEP, "", rule, remedy, value, "invalid-type")
        elif name == SEARCH and isinstance(value, yaml.MappingNode):
            found += _search(reading, value)
        elif name == SEARCH:
            found.append(reading.setting(SEARCH, reading.grammar(value, True), reading.file.place(value)))
    return found


def _sweep(reading: FileReading, node: yaml.MappingNode, catalog: Catalog) -> Iterator[FileWord]:
    known = rules({}, catalog)
    own = [pair for pair in node.value if str(pair[0].value) != CASES]
    for name, key, value in reading.pairs(node):
        if name == CASES:
            yield from _cases(reading, key, value, catalog)
    for entry in reading.entries(_mapping(node, own), "", lambda *_: False):
        field = known.get(entry.path)
        as_text = entry.path in catalog.groups or (field is not None and wants_text(field))
        if isinstance(entry.node, yaml.SequenceNode):
            values = [reading.grammar(item, as_text) for item in entry.node.value]
        elif isinstance(entry.node, yaml.ScalarNode) and _FUNCTION.fullmatch(entry.node.value):
            values = [entry.node.value]
        else:
            values = [reading.grammar(entry.node, as_text)]
        if not values:
            rule, remedy = "must have at least one value", f"Write {entry.path}: [A, B]"
            reading.problem(f"sweep.{entry.path}", "", rule, remedy, entry.node, "missing-value")
        yield reading.setting(entry.path, ",".join(values), entry.place)


def _cases(reading: FileReading, key: yaml.Node, node: yaml.Node, catalog: Catalog) -> Iterator[CaseWord]:
    """Yield the word of the cases of a sweep, if they are a mapping of names to overrides."""
    if not isinstance(node, yaml.MappingNode) or not node.value:
        rule, remedy = "must map names to overrides", "Write cases: {plain: {}, dropout: {model.dropout: 0.5}}"
        reading.problem(f"{SWEEP}.{CASES}", "", rule, remedy, key, "invalid-type")
        return
    known, found = rules({}, catalog), dict[str, tuple[FileWord, ...]]()
    for name, at, value in reading.pairs(node, f"{CASES}."):
        if "," in name or not name.strip() or not isinstance(value, yaml.MappingNode):
            rule, remedy = "must be a name without a comma, with overrides", "Write NAME: {KEY: VALUE}"
            reading.problem(f"{SWEEP}.{CASES}", name, rule, remedy, at, "invalid-value")
            continue
        entries = reading.entries(value, "", leaf_rule(value, known, catalog)) if value.value else ()
        found[name] = tuple(
            reading.word(entry, entry.path in catalog.groups or (entry.path in known and wants_text(known[entry.path])))
            for entry in entries
        )
    yield CaseWord.of(found, reading.file.place(key))


def _search(reading: FileReading, node: yaml.MappingNode) -> Iterator[FileWord]:
    for name, key, value in reading.pairs(node, f"{SEARCH}."):
        path = f"{SEARCH}.{name}"
        if name == "space" and isinstance(value, yaml.MappingNode):
            yield from _space(reading, value, f"{path}.")
        elif name.partition(".")[0] in (*COMPONENTS, *SECTION_NAMES, *TOP_LEVEL_NAMES):
            rule = "unknown key of search; ranges are in search.space"
            remedy = f"Write search: {{space: {{{shell_word(name)}: {{log: [1e-4, 1e-1]}}}}}}"
            reading.problem(path, "", rule, remedy, key, "unknown-key")
        else:
            yield reading.setting(path, reading.grammar(value, False), reading.file.place(key))


def _space(reading: FileReading, node: yaml.MappingNode, prefix: str) -> Iterator[FileWord]:
    """Yield the ranges of a search space, nested or with dotted keys; a group may have a choice and keys."""
    for name, key, value in reading.pairs(node, prefix):
        path, place = f"{prefix}{name}", reading.file.place(key)
        if not isinstance(value, yaml.MappingNode) or not value.value:
            yield reading.setting(path, reading.grammar(value, False), place)
            continue
        if _is_other_range(reading, value, path):
            continue
        own = [pair for pair in value.value if str(pair[0].value) in WORDS]
        rest = [pair for pair in value.value if pair not in own]
        if own:
            yield reading.setting(path, reading.grammar(_mapping(value, own), False), place)
        yield from _space(reading, _mapping(value, rest), f"{path}.")


def _is_other_range(reading: FileReading, node: yaml.MappingNode, path: str) -> bool:
    """Add a problem for a range in the words of Optuna or Weights & Biases; return whether it is one."""
    given = {str(key.value): value for key, value in node.value}
    low, high = (next((given[w] for w in words if w in given), None) for words in _ENDS)
    values = given.get("values", given.get("choices"))
    if isinstance(values, yaml.SequenceNode):
        said = f"{{choice: {grammar_value(reading.value(values))}}}"
    elif isinstance(low, yaml.ScalarNode) and isinstance(high, yaml.ScalarNode):
        words = f"{given.get('log', low).value} {given.get('distribution', given.get('type', low)).value}".lower()
        is_int = low.value.isdigit() and high.value.isdigit()
        kind = "log" if "log" in words or words.startswith("true") else "int" if is_int else "float"
        said = f"{{{kind}: [{low.value}, {high.value}]}}"
    else:
        return False
    rule = f"unknown range; the words of a range are {', '.join(WORDS)}"
    reading.problem(path, "", rule, f"Write {path.removeprefix('search.space.')}: {said}", node, "invalid-syntax")
    return True


def _mapping(node: yaml.MappingNode, pairs: list[tuple[yaml.Node, yaml.Node]]) -> yaml.MappingNode:
    return yaml.MappingNode(node.tag, pairs, node.start_mark, node.end_mark)
