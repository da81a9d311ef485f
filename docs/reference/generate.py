"""`make reference`: writes docs/reference/keys.md from conf/, its `_fields.yaml` files and the schema of the sections.

A test compares the page with the text that this program makes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dlexp.config.files.catalog import Catalog
from dlexp.config.files.yaml_files import values_of
from dlexp.config.origins import value_of
from dlexp.config.schema.fields import Field, inferred
from dlexp.config.schema.names import COMPONENTS, GROUPS, SEARCH
from dlexp.config.schema.run import SECTIONS, TOP_LEVEL, section_defaults, section_fields
from dlexp.config.search import SearchConfig

PAGE = Path(__file__).with_name("keys.md")
_BY_OPTION = "by option"
_SCHEMAS = {**SECTIONS, SEARCH: SearchConfig}
_HEAD = """# Keys

Every key of a configuration: what it may be, its default and what it does. `make reference` writes this page from
`conf/**/_fields.yaml`, the options and the schema of the sections; do not edit it by hand.

`dlexp config GROUP=OPTION --explain KEY` prints the same for one key, with its present value and origin. A key of an
option of your own, and its rule, are written as in [your own model](../start/your-own-model.md#rules-for-your-keys).

"""


def keys_page() -> str:
    """The text of docs/reference/keys.md."""
    catalog = Catalog()
    groups = (*GROUPS, SEARCH)
    contents = " · ".join(("[top level](#top-level)", *(f"[{group}](#{group})" for group in groups)))
    return "\n".join([f"{_HEAD}{contents}\n", _top_level(catalog), *(_group(catalog, group) for group in groups)])


def _top_level(catalog: Catalog) -> str:
    """The keys that belong to no group."""
    defaults = values_of(catalog.roots[-1] / "config.yaml")
    rows = [(key, field, _shown(defaults.get(key))) for key, field in TOP_LEVEL.items()]
    return f"## Top level\n\n{_keys_table(rows)}"


def _group(catalog: Catalog, group: str) -> str:
    """The options of a group, and its keys."""
    if group in COMPONENTS:
        keys = _component_keys(catalog, group)
    elif group in _SCHEMAS:
        keys = _section_keys(group)
    else:
        keys = []
    options = _options_table(catalog, group)
    return f"## {group}\n\n{options}" + (f"\n{_keys_table(keys)}" if keys else "")


def _component_keys(catalog: Catalog, group: str) -> list[tuple[str, Field | None, str]]:
    """(key, rule, default) of each key that an option of the group has; the default where all options agree."""
    values: dict[str, list[str]] = {}
    guessed: dict[str, Field | None] = {}
    for option in catalog.options(group):
        for key, leaf in catalog.keys(group, option).items():
            values.setdefault(key, []).append(leaf.text)
            guessed.setdefault(key, inferred(value_of(leaf)))
    fields = catalog.fields(group)
    return [
        (f"{group}.{key}", fields.get(key) or guessed[key], found[0] if len(set(found)) == 1 else _BY_OPTION)
        for key, found in values.items()
    ]


def _section_keys(group: str) -> list[tuple[str, Field | None, str]]:
    """(key, rule, default) of a section, in the order of its schema."""
    defaults = _flat(section_defaults(_SCHEMAS[group]), f"{group}.")
    return [(key, field, _shown(defaults[key])) for key, field in section_fields(_SCHEMAS[group], group).items()]


def _flat(tree: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def _options_table(catalog: Catalog, group: str) -> str:
    rows = []
    for option, file in catalog.options(group).items():
        keys = catalog.keys(group, option)
        values = ", ".join(f"`{key}={leaf.text}`" for key, leaf in keys.items())
        rows.append((f"`{group}={option}`", file.description, values))
    return _table(("option", "description", "keys and defaults"), rows)


def _keys_table(keys: Iterable[tuple[str, Field | None, str]]) -> str:
    rows = [
        (f"`{key}`", field.rule if field else "", _quoted(default), field.description if field else "")
        for key, field, default in keys
    ]
    return _table(("key", "type and range", "default", "help"), rows)


def _quoted(default: str) -> str:
    return default if default in ("", _BY_OPTION) else f"`{default}`"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(_escaped(cell) for cell in line)} |\n" for line in lines)


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("<", "\\<").replace("\n", " ")


def _shown(value: Any) -> str:
    """A default as it is typed on the command line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple | list) else str(value)


if __name__ == "__main__":
    PAGE.write_text(keys_page(), encoding="utf-8")
