"""Metric, search space and baseline of a study, stored in the study to detect changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna

from dlexp.artifacts.files.format_number import FORMAT, KEY, refuse_other_format
from dlexp.errors import ConfigError
from dlexp.tune.samplers import Rules
from dlexp.tune.search_space.changes import StudyParameters, classify_changes, planned
from dlexp.tune.search_space.space import Space
from dlexp.tune.storage.base_config import BaseConfig

_MADE_FOR = "made_for"  # a single attribute, so that it is updated atomically
_BASE_CONFIG = "base_config"


class StudyIdentity:
    """Metric and search space of a study, compared with those of this start.

    Attributes:
        notes: Messages about allowed changes.
        known: All dimensions of its trials, including those that are no longer searched.
    """

    def __init__(self, study: optuna.Study, rules: Rules, space: Space) -> None:
        """Compare and store.

        Raises:
            ConfigError: Another metric or direction, or an incompatible space.
            DlexpError: Another format number.
        """
        self._study, self.notes = study, list[str]()
        content = study.user_attrs.get(_MADE_FOR)
        retired = Space()
        if content is not None:
            refuse_other_format(f"study {study.study_name}", content)
            self._refuse_another_metric(content, rules)
            retired = Space.from_json(content["retired"])
            if content["fingerprint"] != space.fingerprint():
                retired = self._changed(Space.from_json(content["space"]), space, retired)
        self.known = Space(space.groups, (*space.dimensions, *retired.dimensions))
        made_for = {
            KEY: FORMAT,
            "metric": rules.metric,
            "fingerprint": space.fingerprint(),
            "space": space.as_json(),
            "retired": retired.as_json(),
        }
        if made_for != content:
            study.set_user_attr(_MADE_FOR, made_for)

    def write(self, now: BaseConfig, space: Space) -> None:
        """Store the baseline, with a note on its changes."""
        before = base_config_of(self._study)
        differences = before.differences(now, space) if before else []
        if differences:
            more = f" and {len(differences) - 4} more" if len(differences) > 4 else ""
            text = f"{', '.join(differences[:4])}{more}"
            self.notes.append(
                f"the configuration has changed since the last start of the study ({text}); trials are still compared"
            )
        if before != now:
            self._study.set_user_attr(_BASE_CONFIG, {"choices": dict(now.choices), "values": dict(now.values)})

    def _refuse_another_metric(self, content: Mapping[str, Any], rules: Rules) -> None:
        direction = "maximize" if rules.maximize else "minimize"
        was = self._study.direction.name.lower()
        if content["metric"] != rules.metric or was != direction:
            made = f"{was} {content['metric']}"
            rule = f"the study was created to {made}, cannot {direction} {rules.metric}"
            raise ConfigError.one(
                "--name", self._study.study_name, rule, "Use another --name.", code="incompatible-run"
            )

    def _changed(self, before: Space, space: Space, retired: Space) -> Space:
        """The dimensions that are no longer searched. Raises ConfigError with all incompatible changes."""
        facts = StudyParameters(self._study.study_name, [planned(t) for t in self._study.get_trials(deepcopy=False)])
        found = classify_changes(before, space, retired.dimensions, facts)
        if found.refused:
            raise ConfigError(found.refused)
        self.notes += found.notes
        now = {dimension.name for dimension in space.dimensions}
        return Space({}, tuple(d for d in (*before.dimensions, *retired.dimensions) if d.name not in now))


def known_space(study: optuna.Study) -> Space:
    """All dimensions of the trials of another study. Raises ConfigError if dlexp did not create it."""
    content = study.user_attrs.get(_MADE_FOR)
    if content is None:
        raise ConfigError.one("--migrate", study.study_name, "was not created by dlexp", code="incompatible-run")
    space, retired = Space.from_json(content["space"]), Space.from_json(content["retired"])
    return Space(space.groups, (*space.dimensions, *retired.dimensions))


def metric_of(study: optuna.Study) -> str:
    """The metric that the study optimizes."""
    return str(study.user_attrs.get(_MADE_FOR, {}).get("metric"))


def base_config_of(study: optuna.Study) -> BaseConfig | None:
    """The baseline at the last start of the study."""
    content = study.user_attrs.get(_BASE_CONFIG)
    return BaseConfig(content["choices"], content["values"]) if content else None
