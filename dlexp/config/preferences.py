"""What a model prefers of other groups and keys, unless the user or an experiment decides: `_prefers_` in its file.

A GAN is trained by its own task, with Adam of other momentum, and without augmentation. What is preferred is composed
as if it were typed, so that every check sees it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from dlexp.config.files.catalog import Catalog
from dlexp.config.files.used_files import choices_of
from dlexp.config.files.words import FileWord
from dlexp.config.schema.names import PREFERS
from dlexp.config.schema.tree import ABSENT, value_at
from dlexp.text.quoting import value


def preferred_options(
    wanted: Mapping[str, Any], choices: Mapping[str, str], given: Collection[str], catalog: Catalog
) -> list[str]:
    """Overrides for the options that the chosen model prefers and nobody decided.

    Args:
        wanted: What the model's file prefers.
        choices: Group -> option.
        given: Groups and keys that the user decided.
        catalog: The options.
    """
    decided = {*given, *_of_experiment(choices, catalog)} if wanted else ()
    return [
        FileWord(f"{group}={option}", _file(choices))
        for group, option in wanted.items()
        if group in catalog.groups and group not in decided and choices.get(group) != option
    ]


def preferred_values(
    tree: Mapping[str, Any], choices: Mapping[str, str], given: Collection[str], catalog: Catalog
) -> list[str]:
    """Overrides for the values of keys that the chosen model prefers and nobody decided, once its options are composed.

    A key of a group whose option the model prefers counts only where that option is the one in use; one that the
    chosen option does not have is left out, and so is null, which is for required keys alone.

    Args:
        tree: The configuration.
        choices: Group -> option.
        given: Groups and keys that the user decided.
        catalog: The options.
    """
    wanted = tree["model"].get(PREFERS)
    if not isinstance(wanted, Mapping):
        return []
    groups = {key: option for key, option in wanted.items() if key in catalog.groups}
    decided = {*given, *_of_experiment(choices, catalog)}
    found = []
    for key, content in wanted.items():
        group = key.partition(".")[0]
        is_other = group in groups and choices.get(group) != groups[group]
        now = value_at(tree, key) if content is not None else None
        if key not in groups and key not in decided and not is_other and now is not ABSENT and now != content:
            found.append(FileWord(f"{key}={value(content)}", _file(choices)))
    return [*found]


def preferred_for_missing(wanted: Mapping[str, Any], choices: Mapping[str, str], missing: Collection[str]) -> list[str]:
    """Overrides for required keys without a value that the chosen model does not need, such as data.target=null.

    Args:
        wanted: What the model's file prefers.
        choices: Group -> option.
        missing: The keys.
    """
    return [FileWord(f"{key}={value(wanted[key])}", _file(choices)) for key in missing if key in wanted]


def _file(choices: Mapping[str, str]) -> str:
    return f"conf/model/{choices['model']}.yaml"


def _of_experiment(choices: Mapping[str, str], catalog: Catalog) -> set[str]:
    """The groups and keys that the chosen experiment decides."""
    option = choices.get("experiment")
    if option is None or option not in catalog.options("experiment"):
        return set()
    return {*choices_of(catalog.options("experiment")[option].path), *catalog.keys("experiment", option)}
