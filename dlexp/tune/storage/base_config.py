"""The baseline configuration of a study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dlexp.tune.search_space.choices import as_text
from dlexp.tune.search_space.space import Space


@dataclass(frozen=True)
class BaseConfig:
    """The baseline configuration: group -> option, and all values by path."""

    choices: Mapping[str, str]
    values: Mapping[str, Any]

    def under(self, took: Mapping[str, str]) -> dict[str, Any]:
        """The values for a trial with other options, without those of groups that differ."""
        other = {group for group, option in self.choices.items() if took.get(group, option) != option}
        return {path: value for path, value in self.values.items() if path.partition(".")[0] not in other}

    def differences(self, now: BaseConfig, space: Space) -> list[str]:
        """The changes of the baseline to `now`, without searched dimensions."""
        searched = {d.path for d in space.dimensions}
        found = [
            f"{group}={option} -> {now.choices[group]}"
            for group, option in self.choices.items()
            if group not in space.groups and now.choices.get(group, option) != option
        ]
        before, after = (
            {k: v for k, v in w.values.items() if k.partition(".")[0] not in space.groups} for w in (self, now)
        )
        return found + [
            f"{path}={as_text(value)} -> {as_text(after[path])}"
            for path, value in before.items()
            if path not in searched and path in after and after[path] != value
        ]
