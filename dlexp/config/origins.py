"""Origin of a value of a composed configuration: its file, line and text."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from dlexp.config.files.catalog import Catalog
from dlexp.config.files.yaml_files import Leaf, leaves_of
from dlexp.config.schema.names import PREFERS
from dlexp.config.schema.tree import shown


class Origins:
    """Finds the file and line of a value of a composed configuration."""

    def __init__(self, choices: Mapping[str, str], catalog: Catalog) -> None:
        self._choices, self._catalog = choices, catalog
        self._found: dict[str, dict[str, Leaf]] = {}

    def find(self, path: str) -> Leaf | None:
        """Return the place in the files that sets `path`, None for a default of the schema."""
        group, _, key = path.partition(".")
        for source, name in (("experiment", path), ("model", f"{PREFERS}.{path}"), (group, key), ("", path)):
            leaf = self._leaves(source).get(name)
            if leaf:
                return leaf
        return None

    def text(self, path: str, value: object) -> str:
        """Return `file:line` if the file sets `value`, "" if the command line changed it."""
        leaf = self.find(path)
        is_from_file = leaf is not None and (shown(value) in (leaf.text, shown(value_of(leaf))))
        return leaf.place if leaf and is_from_file else ""

    def _leaves(self, source: str) -> dict[str, Leaf]:
        if source not in self._found:
            option = self._choices.get(source)
            if option is not None and option in self._catalog.options(source):
                self._found[source] = self._catalog.keys(source, option)
            elif source == "":
                self._found[source] = leaves_of(
                    next(r / "config.yaml" for r in self._catalog.roots if (r / "config.yaml").is_file())
                )
            else:
                self._found[source] = {}
        return self._found[source]


def value_of(leaf: Leaf) -> object:
    """Return the value of a text in a file, as read by OmegaConf; None for lists, mappings and references."""
    if leaf.quoted:
        return leaf.text
    if leaf.text in ("", "???") or leaf.text.startswith(("[", "{")) or "${" in leaf.text:
        return None
    return read_scalar(leaf.text)


def read_scalar(text: str) -> object:
    """Return the value of a scalar in a file, as read by OmegaConf."""
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):  # an impossible date or a tag is a string to OmegaConf
        return text
    if not isinstance(value, str):
        return value if isinstance(value, bool | int | float | None) else text
    try:
        return float(value)  # 1e-3 is a string to YAML, a number to OmegaConf
    except ValueError:
        return value
