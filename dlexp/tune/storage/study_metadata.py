"""What a study was made for, kept in the study itself: metric, space, and the configuration as it was written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna

from dlexp.errors import ConfigError
from dlexp.tune.samplers import Rules
from dlexp.tune.search_space.changes import StudyFacts, changes, planned
from dlexp.tune.search_space.space import Space
from dlexp.tune.storage.base_config import Written

_MADE_FOR = "made_for"  # one attribute of the study, so that no kill leaves half of it
_WRITTEN = "written"


class Identity:
    """What a study was made for, compared with what it is opened for.

    notes     sentences about what has changed and is allowed
    known     every dimension that its trials may have: those of now, and those no longer searched
    """

    def __init__(self, study: optuna.Study, rules: Rules, space: Space) -> None:
        """Compare and record. Raises ConfigError for another metric or direction, or a space that cannot be mixed."""
        self._study, self.notes = study, list[str]()
        content = study.user_attrs.get(_MADE_FOR)
        retired = Space()
        if content is not None:
            if "fingerprint" not in content:
                rule = "this study was made by an older dlexp, which did not record its space"
                raise ConfigError.one(
                    "--name", study.study_name, rule, "give the new study another name", code="incompatible-run"
                )
            self._refuse_another_metric(content, rules)
            retired = Space.from_json(content["retired"])
            if content["fingerprint"] != space.fingerprint():
                retired = self._changed(Space.from_json(content["space"]), space, retired)
        self.known = Space(space.groups, (*space.dimensions, *retired.dimensions))
        made_for = {
            "metric": rules.metric,
            "fingerprint": space.fingerprint(),
            "space": space.as_json(),
            "retired": retired.as_json(),
        }
        if made_for != content:
            study.set_user_attr(_MADE_FOR, made_for)

    def write(self, now: Written, space: Space) -> None:
        """Record the configuration as it is written now; what changed is told."""
        before = written_of(self._study)
        differences = before.differences(now, space) if before else []
        if differences:
            more = f" and {len(differences) - 4} more" if len(differences) > 4 else ""
            text = f"{', '.join(differences[:4])}{more}"
            self.notes.append(
                f"the configuration has changed since the study's last start ({text}); trials are compared all the same"
            )
        if before != now:
            self._study.set_user_attr(_WRITTEN, {"chosen": dict(now.chosen), "values": dict(now.values)})

    def _refuse_another_metric(self, content: Mapping[str, Any], rules: Rules) -> None:
        direction = "maximize" if rules.maximize else "minimize"
        was = self._study.direction.name.lower()
        if content["metric"] != rules.metric or was != direction:
            made = f"{was} {content['metric']}"
            rule = f"this study was made to {made}, and now it should {direction} {rules.metric}"
            raise ConfigError.one(
                "--name", self._study.study_name, rule, "give the new study another name", code="incompatible-run"
            )

    def _changed(self, before: Space, space: Space, retired: Space) -> Space:
        """The dimensions that are searched no longer. Raises ConfigError with every change that cannot be mixed."""
        facts = StudyFacts(self._study.study_name, [planned(t) for t in self._study.get_trials(deepcopy=False)])
        found = changes(before, space, retired.dimensions, facts)
        if found.refused:
            raise ConfigError(found.refused)
        self.notes += found.notes
        now = {dimension.name for dimension in space.dimensions}
        return Space({}, tuple(d for d in (*before.dimensions, *retired.dimensions) if d.name not in now))


def known_space(study: optuna.Study) -> Space:
    """Every dimension that the trials of another study may have. Raises ConfigError when dlexp did not make it."""
    content = study.user_attrs.get(_MADE_FOR)
    if content is None:
        raise ConfigError.one("--migrate", study.study_name, "is no study of dlexp", code="incompatible-run")
    space, retired = Space.from_json(content["space"]), Space.from_json(content["retired"])
    return Space(space.groups, (*space.dimensions, *retired.dimensions))


def metric_of(study: optuna.Study) -> str:
    """What the study was made to make small or large."""
    return str(study.user_attrs.get(_MADE_FOR, {}).get("metric"))


def written_of(study: optuna.Study) -> Written | None:
    """The configuration as it was written at the study's last start."""
    content = study.user_attrs.get(_WRITTEN)
    return Written(content["chosen"], content["values"]) if content else None
