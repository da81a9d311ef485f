"""Where a value of a composed configuration comes from: which file, which line, and what stands there."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from dlexp.config.files.catalog import Catalog
from dlexp.config.files.yaml_files import Leaf, leaves_of
from dlexp.config.schema.tree import shown


class Origins:
    """Which file and line a value of the composed configuration comes from."""

    def __init__(self, choices: Mapping[str, str], catalog: Catalog) -> None:
        self._choices, self._catalog = choices, catalog
        self._found: dict[str, dict[str, Leaf]] = {}

    def find(self, path: str) -> Leaf | None:
        """The place that decides `path` when the command line does not; None for a default of the schema."""
        group, _, key = path.partition(".")
        for source, name in (("experiment", path), (group, key), ("", path)):
            leaf = self._leaves(source).get(name)
            if leaf:
                return leaf
        return None

    def text(self, path: str, value: object) -> str:
        """`file:line` when the file says `value` there, "" when the command line changed it."""
        leaf = self.find(path)
        says_so = leaf is not None and (shown(value) in (leaf.text, shown(value_of(leaf))))
        return leaf.place if leaf and says_so else ""

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
    """What the text in a file stands for, as OmegaConf reads it; None for what tells no type."""
    if leaf.quoted:
        return leaf.text
    if leaf.text in ("", "???") or leaf.text.startswith(("[", "{")) or "${" in leaf.text:
        return None
    return read_scalar(leaf.text)


def read_scalar(text: str) -> object:
    """What a text in a file stands for, as OmegaConf reads it."""
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):  # a date in no calendar, a tag: text, as OmegaConf takes it
        return text
    if not isinstance(value, str):
        return value if isinstance(value, bool | int | float | None) else text
    try:
        return float(value)  # YAML takes 1e-3 for text, OmegaConf for a number
    except ValueError:
        return value
