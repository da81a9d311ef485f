"""Origin of a value of a composed configuration: its file, line and text."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from dlexp.config.files.catalog import Catalog
from dlexp.config.files.yaml_files import Leaf, leaves_of
from dlexp.config.preferences import preferred_leaves
from dlexp.config.schema.tree import shown


class Origins:
    """Finds the file and line of a value of a composed configuration."""

    def __init__(self, choices: Mapping[str, str], catalog: Catalog) -> None:
        self._choices, self._catalog = choices, catalog
        self._found: dict[str, dict[str, Leaf]] = {}
        self._wanted: dict[str, Leaf] | None = None

    def find(self, path: str) -> Leaf | None:
        """Return the place in the files that sets `path`, None for a default of the schema."""
        group, _, key = path.partition(".")
        leaf = self._leaves("experiment").get(path) or self._preferred(path)
        return leaf or self._leaves(group).get(key) or self._leaves("").get(path)

    def text(self, path: str, value: object) -> str:
        """Return `file:line` if the file sets `value`, "" if the command line changed it."""
        leaf = self.find(path)
        is_from_file = leaf is not None and (shown(value) in (leaf.text, shown(value_of(leaf))))
        return leaf.place if leaf and is_from_file else ""

    def _preferred(self, path: str) -> Leaf | None:
        """Return the place in the file of the model where it prefers a value of another group."""
        if self._wanted is None:
            self._wanted = preferred_leaves(self._choices, self._catalog)
        leaf, meant_for = self._wanted.get(path), self._wanted.get(path.partition(".")[0])
        is_in_use = meant_for is None or self._choices.get(path.partition(".")[0]) == meant_for.text
        return leaf if is_in_use else None

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
