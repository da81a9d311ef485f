"""Search spaces as plain data: dimensions, their ranges, and the branches that they belong to.

    {log: [low, high]}                      a number, uniform in its logarithm
    {float: [low, high]}                    a number, uniform; `step: s` for multiples of s from low
    {int: [low, high]}                      a whole number; `log: true` and `step: s` likewise
    {choice: [a, b, c]}                     one of the values; each may be a list
    {repeat: [min, max], choice: [...]}     a list of one chosen value, repeated

A group choice (`optim: {choice: [sgd, adamw]}`) creates branches: a dimension of a branch exists only in trials that
take it, and has the branch in its name (`optim=sgd/optim.momentum`), so that branches can have different ranges.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

from dlexp.tune.search_space.choices import as_text, checked_choices, stored_choices, value_identity

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

KINDS = ("log", "float", "int", "choice", "repeat")
WORDS = (*KINDS, "step")  # keys of a specification
_WORDS = {
    "log": {"log"},
    "float": {"float", "step"},
    "int": {"int", "log", "step"},
    "choice": {"choice"},
    "repeat": {"repeat", "choice"},
}


@dataclass(frozen=True)
class Dimension:
    """One dimension of a search space.

    Attributes:
        path: The configuration key.
        branch: group=option under which it exists, "" for always.
        choices: Values of a choice, or of the repeated element.
    """

    path: str
    kind: str
    branch: str = ""
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()

    @property
    def name(self) -> str:
        """The name of its parameter in the study."""
        return f"{self.branch}/{self.path}" if self.branch else self.path

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all its parameters in the study."""
        return (f"{self.name}.length", f"{self.name}.each") if self.kind == "repeat" else (self.name,)

    def extremes(self) -> list[Any]:
        """The extreme values; if they are valid in the configuration, so are all others."""
        if self.kind == "choice":
            return list(self.choices)
        if self.kind == "repeat":
            return [[value] * count for value in self.choices for count in (int(self.low), int(self.high))]
        return [int(self.low), int(self.high)] if self.kind == "int" else [self.low, self.high]

    def suggest(self, trial: Trial) -> Any:
        """Draw a value."""
        if self.kind == "choice":
            return self._choice_of(trial.suggest_categorical(self.name, self.stored))
        if self.kind == "repeat":
            count = trial.suggest_int(f"{self.name}.length", int(self.low), int(self.high))
            return [self._choice_of(trial.suggest_categorical(f"{self.name}.each", self.stored))] * count
        if self.kind == "int":
            return trial.suggest_int(self.name, int(self.low), int(self.high), step=int(self.step or 1), log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, step=self.step, log=self.log)

    def distributions(self) -> dict[str, BaseDistribution]:
        """Parameter -> distribution that `suggest` draws it from."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.kind == "choice":
            return {self.name: CategoricalDistribution(self.stored)}
        if self.kind == "repeat":
            length, each = self.names
            lengths = IntDistribution(int(self.low), int(self.high))
            return {length: lengths, each: CategoricalDistribution(self.stored)}
        if self.kind == "int":
            return {self.name: IntDistribution(int(self.low), int(self.high), self.log, int(self.step or 1))}
        return {self.name: FloatDistribution(self.low, self.high, self.log, self.step)}

    def encode(self, value: Any) -> dict[str, Any]:
        """The parameters for which `suggest` returns `value`; {} if it is outside."""
        if self.kind == "repeat":
            is_list = isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 0
            if (
                not is_list
                or len({value_identity(item) for item in value}) > 1
                or not self.low <= len(value) <= self.high
            ):
                return {}
            each = self._stored_as(value[0])
            return {f"{self.name}.length": len(value), f"{self.name}.each": each[0]} if each else {}
        if self.kind == "choice":
            found = self._stored_as(value)
            return {self.name: found[0]} if found else {}
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return {self.name: value} if is_number and self._holds(value) else {}

    def _holds(self, value: float) -> bool:
        step = self.step or (1 if self.kind == "int" and not self.log else None)
        is_on_step = step is None or math.isclose(math.remainder(value - self.low, step), 0, abs_tol=1e-9 * step)
        return self.low <= value <= self.high and is_on_step and (self.kind != "int" or value == int(value))

    def decode(self, params: Mapping[str, Any]) -> Any:
        """The value that `suggest` returned for these parameters."""
        if self.kind == "repeat":
            return [self._choice_of(params[f"{self.name}.each"])] * int(params[f"{self.name}.length"])
        return self._choice_of(params[self.name]) if self.kind == "choice" else params[self.name]

    @property
    def stored(self) -> list[Any]:
        """The choices as stored in a study."""
        return stored_choices(self.choices)

    def _stored_as(self, value: Any) -> list[Any]:
        """The stored form of a value, in a list; [] if it is not a choice."""
        wanted = value_identity(value)
        pairs = zip(self.choices, self.stored, strict=True)
        return [stored for choice, stored in pairs if value_identity(choice) == wanted][:1]

    def _choice_of(self, stored: Any) -> Any:
        """The choice stored as `stored`; any other value unchanged."""
        pairs = zip(self.choices, self.stored, strict=True)
        return next((c for c, kept in pairs if value_identity(kept) == value_identity(stored)), stored)


@dataclass(frozen=True)
class Space:
    """A search space: group choices, and the dimensions that exist under them."""

    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    dimensions: tuple[Dimension, ...] = ()

    def branches(self) -> list[dict[str, str]]:
        """All combinations of group choices."""
        return [dict(zip(self.groups, options, strict=True)) for options in product(*self.groups.values())]

    def within(self, chosen: Mapping[str, str]) -> Iterator[Dimension]:
        """The dimensions that exist for the chosen options."""
        taken = {f"{group}={option}" for group, option in chosen.items()}
        return (dimension for dimension in self.dimensions if not dimension.branch or dimension.branch in taken)

    def suggest(self, trial: Trial) -> tuple[dict[str, str], dict[str, Any]]:
        """Draw (group choices, path -> value) for a trial."""
        chosen = {group: trial.suggest_categorical(group, list(options)) for group, options in self.groups.items()}
        return chosen, {dimension.path: dimension.suggest(trial) for dimension in self.within(chosen)}

    def encode(self, chosen: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of a configuration; values outside the space are omitted."""
        found: dict[str, Any] = {g: o for g, o in chosen.items() if o in self.groups.get(g, ())}
        for dimension in self.within(chosen):
            if dimension.path in values:
                found |= dimension.encode(values[dimension.path])
        return found

    def decode(self, params: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
        """(group choices, path -> value) that `suggest` returned for these parameters.

        Dimensions that did not exist then are omitted: the trial used their baseline value.
        """
        chosen = {group: str(params[group]) for group in self.groups if group in params}
        return chosen, {d.path: d.decode(params) for d in self.within(chosen) if params.keys() >= set(d.names)}

    def distributions(self) -> dict[str, BaseDistribution]:
        """Parameter -> distribution, for all branches."""
        from optuna.distributions import CategoricalDistribution

        found: dict[str, BaseDistribution] = {g: CategoricalDistribution(list(o)) for g, o in self.groups.items()}
        for dimension in self.dimensions:
            found |= dimension.distributions()
        return found

    def as_json(self) -> dict[str, Any]:
        """The space as plain data."""
        return {
            "groups": {g: list(o) for g, o in self.groups.items()},
            "dimensions": [asdict(d) for d in self.dimensions],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Space:
        """The space from the result of `as_json`."""
        groups = {group: tuple(options) for group, options in content["groups"].items()}
        return cls(groups, tuple(Dimension(**{**d, "choices": tuple(d["choices"])}) for d in content["dimensions"]))

    def fingerprint(self) -> str:
        """A hash of the space."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()

    def described(self) -> dict[str, str]:
        """Name -> range as text."""
        groups = {group: "one of " + ", ".join(options) for group, options in self.groups.items()}
        return groups | {dimension.name: in_words(dimension) for dimension in self.dimensions}


def is_spec(value: object) -> bool:
    """Return whether a mapping is a specification, not a level of nested keys."""
    return isinstance(value, Mapping) and bool(value.keys() & set(KINDS))


def parse_dimension(path: str, spec: Mapping[str, Any], branch: str = "") -> Dimension:
    """The dimension described by `spec`. Raises ValueError for an invalid specification."""
    kind = next((k for k in ("repeat", "int", "float", "log", "choice") if k in spec), "")
    unknown = set(spec) - _WORDS.get(kind, set())
    if not kind or unknown:
        raise ValueError(
            f"{dict(spec)} is not a range. Use {{log: [low, high]}}, {{float: ...}}, {{int: ...}} or {{choice: [...]}}"
        )
    if kind in ("choice", "repeat"):
        choices = checked_choices(spec.get("choice"), kind)
        low, high = _ends(spec["repeat"], kind) if kind == "repeat" else (0.0, 0.0)
        return Dimension(path, kind, branch, low, high, choices=choices)
    low, high = _ends(spec[kind], kind)
    log = kind == "log" or bool(spec.get("log"))
    if log and low <= 0:
        raise ValueError(f"a logarithmic range must start above 0, got {low:g}")
    if log and spec.get("step") is not None:
        raise ValueError("a logarithmic range cannot be combined with step")
    step = spec.get("step")
    if step is not None:
        if isinstance(step, bool) or not isinstance(step, int | float) or step <= 0 or (kind == "int" and step % 1):
            raise ValueError(f"step must be a {'whole ' if kind == 'int' else ''}number > 0, got {step!r}")
        high = low + math.floor((high - low) / step + 1e-9) * step
    return Dimension(path, "float" if kind == "log" else kind, branch, low, high, step, log)


def _ends(value: Any, kind: str) -> tuple[float, float]:
    numbers = (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(isinstance(end, int | float) and not isinstance(end, bool) and math.isfinite(end) for end in value)
    )
    if not numbers or value[0] > value[1]:
        raise ValueError(f"{kind} requires [low, high] with low <= high, got {value!r}")
    if kind in ("int", "repeat") and any(end != int(end) for end in value):
        raise ValueError(f"{kind} requires whole numbers, got {value!r}")
    return float(value[0]), float(value[1])


def in_words(dimension: Dimension) -> str:
    """The range of a dimension as text."""
    if dimension.kind == "choice":
        return "one of " + ", ".join(map(as_text, dimension.choices))
    if dimension.kind == "repeat":
        return f"{dimension.low:g} to {dimension.high:g} times one of {', '.join(map(as_text, dimension.choices))}"
    how = ", logarithmic" if dimension.log else ""
    step = f", in steps of {dimension.step:g}" if dimension.step else ""
    return f"{'whole numbers ' if dimension.kind == 'int' else ''}{dimension.low:g} to {dimension.high:g}{how}{step}"
