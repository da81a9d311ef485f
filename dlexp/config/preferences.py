"""What a model prefers of other groups and keys, unless the user or an experiment decides: `_prefers_` in its file.

A GAN is trained by its own task, with Adam of other momentum, and without augmentation. What is preferred is composed
as if it were typed, so that every check sees it. Options come first: their keys are known once they are composed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from dlexp.config.files.catalog import Catalog
from dlexp.config.files.used_files import choices_of
from dlexp.config.files.words import FileWord
from dlexp.config.files.yaml_files import Leaf, leaves_within
from dlexp.config.schema.names import PREFERS
from dlexp.config.schema.tree import ABSENT, value_at
from dlexp.text.quoting import value

_MISSING = "???"  # of a required key without a value


def preferences(config: DictConfig) -> dict[str, Any]:
    """What the model of a configuration prefers: group -> option, and key -> value; {} for nothing."""
    model = config.get("model")
    found = model.get(PREFERS) if isinstance(model, DictConfig) else None
    plain = OmegaConf.to_container(found, resolve=False) if isinstance(found, DictConfig) else {}
    return {str(key): content for key, content in plain.items()} if isinstance(plain, dict) else {}


def options_beforehand(given: Mapping[str, str], catalog: Catalog) -> list[str]:
    """Overrides for the options that a model prefers, where the words and an experiment tell: composing takes long.

    Args:
        given: Group -> option that the user decided.
        catalog: The options.
    """
    of_experiment = _choices_of_experiment(given, catalog)
    decided = {**of_experiment, **given}
    if "model" not in decided:
        return []
    leaves = preferred_leaves(decided, catalog).items()
    wanted = [(group, leaf) for group, leaf in leaves if group in catalog.groups and group not in decided]
    return [FileWord(f"{group}={leaf.text}", leaf.place) for group, leaf in wanted]


def preferred_options(
    config: DictConfig, choices: Mapping[str, str], given: Collection[str], catalog: Catalog
) -> list[str]:
    """Overrides for the options that the model prefers where neither the user nor an experiment decides.

    Args:
        config: The configuration.
        choices: Group -> option.
        given: Groups that the user decided.
        catalog: The options.
    """
    decided = {*given, *_of_experiment(choices, catalog)}
    return [
        FileWord(f"{group}={option}", _place(group, choices, catalog))
        for group, option in preferences(config).items()
        if group in catalog.groups and group not in decided and choices.get(group) != option
    ]


def preferred_values(
    config: DictConfig, choices: Mapping[str, str], given: Collection[str], catalog: Catalog
) -> list[str]:
    """Overrides for the values that the model prefers where neither the user nor an experiment decides.

    A key of a group whose option the model prefers counts only where that option is the one in use; one that the
    chosen option does not have is left out, and so is null, which is for required keys alone.

    Args:
        config: The configuration.
        choices: Group -> option.
        given: Keys that the user decided.
        catalog: The options.
    """
    wanted = preferences(config)
    if not wanted:
        return []
    decided, found = {*given, *_of_experiment(choices, catalog)}, list[str]()
    raw = OmegaConf.to_container(config, resolve=False)  # a required value may be missing
    tree = {str(key): content for key, content in raw.items()} if isinstance(raw, dict) else {}
    for key, content in wanted.items():
        now = value_at(tree, key)
        is_wanted = key not in decided and now is not ABSENT and now != content
        if content is None and now != _MISSING:
            continue  # null stands for a required key that the model does not need, such as data.target
        if key not in catalog.groups and is_wanted and is_in_use(key, wanted, choices):
            found.append(FileWord(f"{key}={value(content)}", _place(key, choices, catalog)))
    return found


def is_in_use(key: str, wanted: Mapping[str, Any], choices: Mapping[str, str]) -> bool:
    """Whether the option that a preferred value is meant for is chosen."""
    group = key.partition(".")[0]
    return group not in wanted or choices.get(group) == str(wanted[group])


def preferred_leaves(choices: Mapping[str, str], catalog: Catalog) -> dict[str, Leaf]:
    """Group or key -> its place in the file of the chosen model."""
    option, known = choices.get("model"), catalog.options("model")
    return leaves_within(known[option].path, PREFERS) if option in known else {}


def _place(name: str, choices: Mapping[str, str], catalog: Catalog) -> str:
    leaf = preferred_leaves(choices, catalog).get(name)
    return leaf.place if leaf else ""


def _of_experiment(choices: Mapping[str, str], catalog: Catalog) -> set[str]:
    """The groups and keys that the chosen experiment decides."""
    option = choices.get("experiment")
    if option is None or option not in catalog.options("experiment"):
        return set()
    return {*_choices_of_experiment(choices, catalog), *catalog.keys("experiment", option)}


def _choices_of_experiment(choices: Mapping[str, str], catalog: Catalog) -> dict[str, str]:
    """Group -> option that the chosen experiment decides."""
    option = choices.get("experiment")
    known = catalog.options("experiment")
    return choices_of(known[option].path) if option in known else {}
