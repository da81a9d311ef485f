"""Problems of keys that change nothing unless another key of their section has some value: `needs` in _fields.yaml.

Imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dlexp.config.check.batch_size import AUTO
from dlexp.config.files.catalog import Catalog
from dlexp.config.origins import Origins, value_of
from dlexp.config.schema.names import COMPONENTS, PREFERS
from dlexp.config.schema.tree import ABSENT, shown, value_at
from dlexp.errors import Problem
from dlexp.text.quoting import setting

_NAMED = 2  # values in a remedy


def effect_problems(
    tree: Mapping[str, Any], choices: Mapping[str, str], catalog: Catalog, origins: Origins
) -> Iterator[Problem]:
    """Yield a problem for each key that is not as its option has it, and has no effect beside the others.

    A value that the model prefers is none of the user's, and no mistake.

    Args:
        tree: The configuration as plain containers.
        choices: Group -> option.
        catalog: The options.
        origins: Where values come from.
    """
    preferred = tree["model"].get(PREFERS) or {}
    for group in COMPONENTS:
        option = choices.get(group, "")
        if option not in catalog.options(group):  # of a saved run whose files are elsewhere
            continue
        fields, usual = catalog.fields(group), catalog.keys(group, option)
        for key, field in fields.items():
            value, path = tree[group].get(key, ABSENT), f"{group}.{key}"
            if not field.needs or key not in usual or value == preferred.get(path, ABSENT):
                continue
            if value == value_of(usual[key]) or shown(value) == usual[key].text:
                continue
            for other, wanted in field.needs.items():
                now = value_at(tree, f"{group}.{other}")
                if now is not ABSENT and not _has_effect(now, wanted):
                    yield _problem(path, value, f"{group}.{other}", (now, wanted), origins)


def _has_effect(now: Any, wanted: tuple[Any, ...]) -> bool:
    return now in wanted if wanted else now is not None


def _problem(path: str, value: Any, other: str, found: tuple[Any, tuple[Any, ...]], origins: Origins) -> Problem:
    now, wanted = found
    settings = [setting(other, one) for one in wanted if one != AUTO][:_NAMED]
    remedy = f"Add {' or '.join(settings) or other}, or remove {path}"
    rule = f"has no effect with {other}={shown(now)}"
    return Problem(path, shown(value), rule, remedy, origins.text(path, value), code="no-effect")
