"""Groups of runs that differ only in the seed, their labels and their differences."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dlexp.config.schema.tree import ABSENT, leaves, shown, value_at
from dlexp.errors import ConfigError
from dlexp.workflows.run_record.read import RunSummary

# Keys that may differ within a group: the seed, and settings that do not affect the training.
_NOT_THE_METHOD = (
    *("seed", "name", "trainer.test", "trainer.save_every_steps", "trainer.device", "trainer.threads", "metrics"),
    *("trainer.sample_every", "trainer.snapshot_every"),
    *("data.in_memory", "data.workers", "data.path", "data.val_path", "data.test_path", "data.eval_batch_size"),
)
_NOT_THE_METHOD_SECTIONS = ("logger.",)
_MAX_LABEL = 60  # characters
_MAX_KEYS_OF_LABEL = 3


@dataclass(frozen=True)
class DifferingKey:
    """A key of the configuration that differs between groups.

    Attributes:
        values: One per group, as written in a configuration; "-" if the group has no such key.
    """

    key: str
    values: tuple[str, ...]


def grouped(runs: Sequence[RunSummary], by: Sequence[str]) -> list[list[RunSummary]]:
    """The runs in groups, in the given order; sorted by seed within a group.

    Args:
        runs: The runs.
        by: Keys whose values define a group (`model` for the option, `optim.lr` for a value); () for everything that
            affects the training but the seed.

    Raises:
        ConfigError: A key that no run has.
    """
    for key in by:
        if all(option_of(run, key) is ABSENT for run in runs):
            raise ConfigError.one(
                "--by",
                key,
                "unknown key",
                "Use a group such as model, or a key such as optim.lr.",
                code="unknown-key",
            )
    found: dict[str, list[RunSummary]] = {}
    for run in runs:
        identity = {key: option_of(run, key) for key in by} if by else dict(_method(run))
        found.setdefault(json.dumps(identity, sort_keys=True, default=str), []).append(run)
    return [sorted(group, key=lambda run: run.seed) for group in found.values()]


def option_of(run: RunSummary, key: str) -> Any:
    """The option of a group (`model`) or the value of a key (`optim.lr`); ABSENT if the run has none."""
    return run.choices[key] if key in run.choices else value_at(run.config, key)


def differing(groups: Sequence[Sequence[RunSummary]]) -> list[DifferingKey]:
    """The differences between the groups, options before values, without keys that only one option has.

    If a group has runs of several configurations, only keys that are the same within each group are included.
    """
    options = sorted({name for group in groups for run in group for name in run.choices})
    found = [_setting(name, [[run.choices.get(name, "-") for run in group] for group in groups]) for name in options]
    trees = [[dict(_method(run)) for run in group] for group in groups]
    everywhere = set.intersection(*(set(tree) for group in trees for tree in group))
    somewhere = set.union(*(set(tree) for group in trees for tree in group))
    swapped = {setting.key for setting in found if setting is not None}
    for key in sorted(somewhere):
        head, _, last = key.rpartition(".")
        hidden = (
            head == "choices" or last.startswith("_") or (key not in everywhere and key.partition(".")[0] in swapped)
        )
        if not hidden:
            found.append(_setting(key, [[shown(tree.get(key, "-")) for tree in group] for group in trees]))
    return [setting for setting in found if setting is not None]


def labels(groups: Sequence[Sequence[RunSummary]], settings: Sequence[DifferingKey]) -> list[str]:
    """A short label for each group from its differences; runs of one configuration are named by their seed."""
    options = [s for s in settings if "." not in s.key and s.key in groups[0][0].choices]
    swapped = {setting.key for setting in options}
    values = [s for s in settings if s not in options and s.key.partition(".")[0] not in swapped]
    used = [*options, *values][:_MAX_KEYS_OF_LABEL]
    names = []
    for place, group in enumerate(groups):
        words = [s.values[place] if s in options else f"{s.key.rpartition('.')[2]}={s.values[place]}" for s in used]
        names.append(" ".join(words)[:_MAX_LABEL] or f"seed {group[0].seed}")
    return [name if names.count(name) == 1 else f"{name} ({chr(65 + place)})" for place, name in enumerate(names)]


def _setting(key: str, values: Sequence[Sequence[str]]) -> DifferingKey | None:
    """The key with its value in each group; None if it is the same in all groups, or differs within a group."""
    within = [set(group) for group in values]
    if any(len(group) > 1 for group in within) or len(set.union(*within)) == 1:
        return None
    return DifferingKey(key, tuple(group[0] for group in values))


def _method(run: RunSummary) -> Mapping[str, Any]:
    """Key -> value of everything that affects the training but the seed."""
    found: dict[str, Any] = {f"choices.{group}": option for group, option in run.choices.items() if group != "logger"}
    for key, value in leaves(run.config):
        if key not in _NOT_THE_METHOD and not key.startswith(_NOT_THE_METHOD_SECTIONS):
            found[key] = value
    return found
