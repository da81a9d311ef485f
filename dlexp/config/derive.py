"""Configurations derived from a past run, and their differences from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, flag_override

from dlexp.config.check.batch_size import AUTO
from dlexp.config.check.validate import rules
from dlexp.config.compose import apply_values, compose, finish, further_problems, settle_targets, task_of
from dlexp.config.files.catalog import Catalog
from dlexp.config.files.words import placing
from dlexp.config.overrides import ParsedOverrides, parse
from dlexp.config.preferences import preferences, preferred_options, preferred_values
from dlexp.config.saved import load_saved, plain_containers, read_config, read_overrides
from dlexp.config.schema.names import COMPONENTS
from dlexp.config.schema.run import SECTIONS, TOP_LEVEL, LoggerConfig, RunConfig
from dlexp.config.schema.tree import leaves, shown
from dlexp.config.text_values import typed_value
from dlexp.errors import ConfigError, Problem
from dlexp.text.quoting import command, text_value

# Keys that may change when a run is resumed.
CHANGEABLE = (
    "trainer.epochs",
    "trainer.device",
    "trainer.threads",  # the resulting number of threads is compared separately
    "trainer.test",
    "trainer.save_every_steps",
    "trainer.snapshot_every",
    "trainer.on_nonfinite",
    "trainer.nonfinite_limit",
    "trainer.doctor",
    "trainer.sample_every",
    *(f"logger.{item.name}" for item in fields(LoggerConfig)),
    "task.teacher",  # its fingerprint is compared separately, so that a teacher may move
    "data.download",
    "data.in_memory",
    "data.workers",
)


# Keys that decide the kind of targets; after a change of one, the kind is detected again.
_DECIDES_TARGETS = ("data.path", "data.target", "data.target_kind")


@dataclass(frozen=True)
class Change:
    """A value that differs from that of the past run; None if one of the two has no such key."""

    path: str
    before: Any
    after: Any


def repeat(folder: Path, overrides: Sequence[str], catalog: Catalog) -> tuple[RunConfig, list[Change]]:
    """Return the configuration of the run in `folder` with overrides applied, and its differences from the run.

    Groups are composed from the current files. If the option of a group is that of the past run, its saved values
    replace the defaults of the files, so that changed defaults do not change the repetition.

    Args:
        folder: Directory of the past run.
        overrides: Overrides as on the command line.
        catalog: The available options.
    """
    with placing(overrides):
        return _repeated(folder, overrides, catalog)


def _repeated(folder: Path, overrides: Sequence[str], catalog: Catalog) -> tuple[RunConfig, list[Change]]:
    before = load_saved(folder / "config.yaml").tree
    saved, saved_choices = read_config(folder / "config.yaml")
    old, problems = parse(read_overrides(folder / "overrides.yaml"), catalog)
    new, new_problems = parse(overrides, catalog)
    if problems or new_problems:
        raise ConfigError([*problems, *new_problems])
    groups = {**old.groups, **new.groups}
    other_targets = any(override.key_or_group in _DECIDES_TARGETS for override in new.values)
    if not other_targets and not new.groups.keys() & {"data", "task", "model"}:
        groups["task"] = saved_choices["task"]
    wanted = preferences(saved)
    if "model" not in new.groups:
        groups = {**{group: saved_choices[group] for group in wanted if group in saved_choices}, **groups}
    else:
        typed = {override.key_or_group for override in old.values}
        _forget(saved, [key for key in wanted if "." in key and key not in typed])
    config, choices = compose(ParsedOverrides(groups, ()), catalog)
    if options := preferred_options(config, choices, groups, catalog):
        return _repeated(folder, [*overrides, *options], catalog)
    kept = [name for name in (*COMPONENTS, *SECTIONS) if choices.get(name) == saved_choices.get(name)]
    for name in kept:
        _lay_over(config[name], saved[name], () if other_targets else ("_targets_", "target_kind"))
    for key in TOP_LEVEL:
        config[key] = saved.get(key, config[key])
    _keep_update(config, new.values)
    problems = apply_values(config, new.values, choices, catalog)
    if problems:
        raise ConfigError([*problems, *further_problems(config, choices, catalog)])
    tree = plain_containers(config)
    decided = {override.key_or_group for override in (*old.values, *new.values)}
    if "model" not in new.groups:
        decided |= {key for key in preferences(config) if key.partition(".")[0] in kept}
    if values := preferred_values(config, choices, decided, catalog):
        return _repeated(folder, [*overrides, *values], catalog)
    if tree["data"].get("_targets_") == "auto":
        kind = settle_targets(tree, "task" in groups, choices, catalog)
        if "task" not in groups:
            return _repeated(folder, [*overrides, f"task={task_of(tree, kind)}"], catalog)
    result = finish(config, tree, choices, catalog)
    return result, config_changes(before, result.tree)


def _forget(saved: DictConfig, keys: Sequence[str]) -> None:
    """Remove values that came from the preferences of a run's model, where it gets another model."""
    for key in keys:
        holder, _, name = key.rpartition(".")
        node = OmegaConf.select(saved, holder)
        if isinstance(node, DictConfig) and name in node:
            with flag_override(node, ["struct", "readonly"], False):
                del node[name]


def _keep_update(config: DictConfig, values: Sequence[Override]) -> None:
    """Set trainer.effective_batch to that of the past run if data.batch_size=auto is given."""
    given = {override.key_or_group: override.value() for override in values}
    if given.get("data.batch_size") == AUTO:  # overrides of the command line are applied afterwards
        config.trainer.effective_batch = config.data.batch_size * config.trainer.accumulate
        config.trainer.accumulate = 1


def resumed_config(folder: Path, overrides: Sequence[str], catalog: Catalog) -> tuple[RunConfig, list[Change]]:
    """Return the configuration of a resumed run, and its changes. Raises ConfigError for keys that must not change."""
    with placing(overrides):
        return _resumed(folder, overrides, catalog)


def _resumed(folder: Path, overrides: Sequence[str], catalog: Catalog) -> tuple[RunConfig, list[Change]]:
    parsed, problems = parse(overrides, catalog)
    changes: dict[str, Any] = {}
    known = rules({}, catalog)
    for override in parsed.values:
        if override.key_or_group in CHANGEABLE:
            changes[override.key_or_group] = typed_value(override, known.get(override.key_or_group))
        else:
            problems.append(_not_on_resume(override, folder))
    for group, option in parsed.groups.items():
        problems.append(_refused_on_resume(group, option, f"{group}={text_value(option)}", folder))
    if problems:
        raise ConfigError(problems)
    before = load_saved(folder / "config.yaml")
    result = load_saved(folder / "config.yaml", changes)
    return result, config_changes(before.tree, result.tree)


def config_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Return every leaf that differs, sorted by path."""
    old, new = ({path: value for path, value in leaves(tree) if value != {}} for tree in (before, after))
    return [
        Change(path, old.get(path), new.get(path))
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    ]


@dataclass(frozen=True)
class Departure:
    """The differences of a saved configuration from the defaults.

    Attributes:
        choices: Group -> (option of the default run, option of this run), where they differ.
        values: Keys whose value differs from that of the chosen options; `before` is the default.
        tree: The whole saved configuration; references to environment variables are unresolved.
    """

    choices: dict[str, tuple[str | None, str | None]]
    values: list[Change]
    tree: Mapping[str, Any]


def departure(path: Path, catalog: Catalog) -> Departure:
    """Return the differences of the config.yaml at `path` from the defaults of the current files.

    Keys such as `_target_` are excluded. Raises ConfigError for a file that is not the configuration of a run, and if
    one of its options no longer exists.
    """
    saved, choices = read_config(path)
    tree = {str(key): value for key, value in _as_written(saved).items()}
    usual = compose(ParsedOverrides({}, ()), catalog)[1]
    before = _as_written(compose(ParsedOverrides(choices, ()), catalog)[0])
    values = [change for change in config_changes(before, tree) if "._" not in f".{change.path}"]
    names = [name for name in dict.fromkeys((*usual, *choices)) if usual.get(name) != choices.get(name)]
    return Departure({name: (usual.get(name), choices.get(name)) for name in names}, values, tree)


def _as_written(config: DictConfig) -> dict[Any, Any]:
    """Return the configuration as plain containers, with references unresolved."""
    found = OmegaConf.to_container(config, resolve=False)
    assert isinstance(found, dict)
    return found


def _not_on_resume(override: Override, folder: Path) -> Problem:
    key, typed = override.key_or_group, override.input_line or ""
    return _refused_on_resume(key, shown(override.value()), typed, folder)


def _refused_on_resume(key: str, value: str, word: str, folder: Path) -> Problem:
    rule = f"must not change when a run is resumed; changeable: {', '.join(CHANGEABLE)}"
    return Problem(
        key, value, rule, f"Start a new run from it: {command('train', '--from', folder, word)}", code="not-supported"
    )


def _lay_over(config: DictConfig, saved: DictConfig, kind_keys: tuple[str, ...]) -> None:
    """Replace values of keys that still exist by the saved ones; keys such as `_target_` keep the current values.

    Args:
        config: Section of the current configuration; modified.
        saved: The same section of the past run.
        kind_keys: Keys of the detected kind of targets that are also replaced, () to detect it again.
    """
    raw = OmegaConf.to_container(saved, resolve=False)
    assert isinstance(raw, dict)
    for key, value in raw.items():
        name = str(key)
        keep = not (name.startswith("_") or name == "target_kind") or name in kind_keys
        if keep and (name in config or OmegaConf.is_missing(config, name)):
            config[name] = value
