"""Copies the trials of one study to another one whose search space contains them."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from dlexp.errors import ConfigError
from dlexp.tune.search_space.choices import as_text
from dlexp.tune.search_space.space import Space
from dlexp.tune.storage.backends import StudyStorage
from dlexp.tune.storage.base_config import BaseConfig
from dlexp.tune.storage.study_metadata import base_config_of, known_space, metric_of

USABLE = (TrialState.COMPLETE, TrialState.PRUNED)
COPIED = "copied_from"


def take_over(
    study: optuna.Study, store: StudyStorage, folder: Path, source: str, space: Space, base: BaseConfig
) -> str:
    """Copy the usable trials of `source` to `study`; returns a summary.

    Args:
        study: The new study.
        store: Its storage.
        folder: Its directory.
        source: The name of a study in the same storage or next to `folder`, or a directory.
        space: The search space of the new study.
        base: Its baseline.

    Raises:
        ConfigError: The source does not exist or has another metric.
    """
    old, place = _found(store, folder, source)
    aim, was_aim = (f"{s.direction.name.lower()} {metric_of(s)}" for s in (study, old))
    if aim != was_aim:
        raise ConfigError.one(
            "--migrate", source, f"was created to {was_aim}, but this study to {aim}", code="incompatible-run"
        )
    found = copies(old, os.path.relpath(place, folder), space, base)
    here = {trial.user_attrs.get(COPIED) for trial in study.get_trials(deepcopy=False)}
    new = [trial for trial in found.trials if trial.user_attrs[COPIED] not in here]
    for trial in new:
        study.add_trial(trial)
    store.sync()
    return found.summary(old.study_name, len(new))


def _found(store: StudyStorage, folder: Path, source: str) -> tuple[optuna.Study, Path]:
    """(the study, the directory of its files)."""
    with suppress(KeyError):  # raised by Optuna if the storage has no study of that name
        return optuna.load_study(study_name=source, storage=store.records), folder.parent / source
    for place in (folder.parent / source, Path(source)):
        if (place / "study.journal").is_file():
            records, name = StudyStorage(None, place).records, place.resolve().name
            known = optuna.get_all_study_names(records)
            if name not in known:
                rule = f"has no study {name} (only {', '.join(known) or 'none'})"
                remedy = "Restore the file from a backup, or rename the directory to the name of its study."
                raise ConfigError.one("--migrate", str(place / "study.journal"), rule, remedy, code="corrupted")
            return optuna.load_study(study_name=name, storage=records), place
    raise ConfigError.one(
        "--migrate", source, f"study not found in this storage or in {folder.parent}", code="not-found"
    )


def copies(old: optuna.Study, place: str, space: Space, now: BaseConfig) -> Migration:
    """The trials of `old` as trials of a study with another search space.

    Args:
        old: The old study.
        place: The directory of `old`, relative to that of the new study.
        space: The new search space.
        now: The new baseline, for values that are not searched.
    """
    old_space, was = known_space(old), base_config_of(old) or BaseConfig({}, {})
    made, reasons = [], Counter[str]()
    for trial in old.get_trials(deepcopy=False):
        if trial.state not in USABLE:
            if trial.state == TrialState.FAIL and not trial.user_attrs.get("requeued"):
                reasons["failed"] += 1
            continue
        params, reason = _moved(trial, old_space, was, space, now)
        if reason:
            reasons[reason] += 1
            continue
        known = space.distributions()
        made.append(
            create_trial(
                state=trial.state,
                value=trial.value,
                params=params,
                distributions={name: known[name] for name in params},
                intermediate_values=dict(trial.intermediate_values),
                user_attrs={COPIED: f"{old.study_name}:{trial.number}", **_place(trial, place)},
            )
        )
    return Migration(made, dict(reasons))


@dataclass(frozen=True)
class Migration:
    """The copies, and reason -> number of trials that were not copied."""

    trials: list[FrozenTrial]
    left: dict[str, int]

    def summary(self, name: str, new: int) -> str:
        """A sentence on what was copied."""
        known = len(self.trials) - new
        text = f"{new} trials of {name} copied" + (f", {known} already present" if known else "")
        if not self.left:
            return text
        reasons = "; ".join(f"{reason} ({count})" for reason, count in sorted(self.left.items()))
        return f"{text}; {sum(self.left.values())} not copied: {reasons}"


def _place(trial: FrozenTrial, place: str) -> dict[str, str]:
    """The directory of the files of a trial."""
    folder = trial.user_attrs.get("folder")
    return {"folder": f"{place}/{folder}"} if folder else {}


def _moved(
    trial: FrozenTrial, old_space: Space, was: BaseConfig, space: Space, now: BaseConfig
) -> tuple[dict[str, Any], str]:
    """(parameters in the new space, "") or ({}, why the trial is not in it)."""
    drawn, drawn_values = old_space.decode(trial.params)
    took = {**was.choices, **drawn}
    had = {**was.under(took), **drawn_values}
    for group, option in took.items():
        if group in space.groups and option not in space.groups[group]:
            return {}, f"{group}={option} is not searched"
        if group not in space.groups and option != now.choices.get(group, option):
            return {}, f"{group} is now {now.choices[group]}, was {option}"
    moved: dict[str, Any] = {group: took[group] for group in space.groups}
    searched = set()
    for dimension in space.within(took):
        searched.add(dimension.path)
        params = dimension.encode(had[dimension.path]) if dimension.path in had else {}
        if not params:
            return {}, f"{dimension.name} is {'outside' if dimension.path in had else 'missing'}"
        moved |= params
    for path, value in now.under(took).items():
        if path not in searched and path in had and had[path] != value:
            return {}, f"{path} is now {as_text(value)}, was different"
    return moved, ""
