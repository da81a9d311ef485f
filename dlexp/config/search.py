"""Configuration of `dlexp tune`: the `search` section and the search space.

A space consists of the ranges of each chosen option (`_search_` in its file) and of `search.space`, which adds ranges,
replaces them, or removes them (`null`). A group chosen on the command line is not searched. Keys that change the loss
are searched only if another metric decides, because values of different losses are not comparable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dlexp.config.check.batch_size import AUTO, is_auto
from dlexp.config.check.metrics import directions
from dlexp.config.check.suggest import nearest_path, unknown_option
from dlexp.config.check.validate import ROUTES, rules
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.files.words import as_of, placing
from dlexp.config.files.yaml_files import read_yaml
from dlexp.config.overrides import parse
from dlexp.config.schema.fields import Field, key_field
from dlexp.config.schema.names import COMPONENTS
from dlexp.config.schema.run import RunConfig, section_defaults, section_fields, section_from
from dlexp.config.schema.tree import ABSENT, leaves, shown, value_at
from dlexp.config.typed import with_values
from dlexp.diagnosis.rules.while_training import HOPELESS
from dlexp.errors import ConfigError, Problem
from dlexp.text.quoting import setting
from dlexp.tune.samplers import PRUNERS, SAMPLERS, Rules
from dlexp.tune.search_space.space import WORDS, Dimension, Space, is_spec, parse_dimension


@dataclass(frozen=True)
class SearchConfig:
    """The section search.*, without `search.space`."""

    sampler: str = key_field("tpe", "str", "algorithm that proposes the next trial", choices=list(SAMPLERS))
    seed: int = key_field(0, "int", "seed of the sampler", min=0)
    startup_trials: int = key_field(10, "int", "random trials before the sampler models the results", min=1)
    pruner: str = key_field(
        "median", "str", "algorithm that stops a trial worse than others at the same epoch", choices=list(PRUNERS)
    )
    pruner_startup_trials: int = key_field(5, "int", "finished trials before the first trial is pruned", min=0)
    pruner_warmup_epochs: int = key_field(2, "int", "epochs of a trial before it can be pruned", min=0)
    percentile: float = key_field(
        25.0, "float", "percentage of the best trials that pruner=percentile keeps", above=0, below=100
    )
    stop: Sequence[str] | str = key_field(
        (),
        "list[str]",
        "a trial ends early, as pruned, if it has beyond doubt: diverged (the training loss is far above that of a "
        "constant output and does not fall, or updates are not finite), dead (it learns nothing from its inputs); "
        "[]: for neither",
        choices=list(HOPELESS),
        or_one=True,
    )
    hours: float | None = key_field(
        None, "float", "hours after which the study stops; null: no limit", above=0, nullable=True
    )
    trial_minutes: float | None = key_field(
        None, "float", "minutes after which a trial stops; null: no limit", above=0, nullable=True
    )
    patience: int | None = key_field(
        None, "int", "trials without improvement after which the study stops; null: no limit", min=1, nullable=True
    )
    target: float | None = key_field(
        None, "float", "value of the metric at which the study stops; null: none", nullable=True
    )
    max_failures: int = key_field(10, "int", "consecutive failed trials after which the study stops", min=1)
    stale_minutes: float = key_field(
        10.0, "float", "minutes without a sign of life after which a trial of another machine is repeated", above=0
    )
    confirm_top: int = key_field(
        1, "int", "number of best trials that are retrained with new seeds to confirm them", min=0
    )
    confirm_seeds: int = key_field(3, "int", "number of seeds of the confirmation", min=2)


@dataclass(frozen=True)
class Search:
    """A checked search.

    Attributes:
        settings: The section search.*.
        space: The search space.
        base: The configuration of trial 0.
        bases: Group choices, as a sorted tuple of pairs -> the configuration composed with them.
    """

    settings: SearchConfig
    space: Space
    base: RunConfig
    bases: Mapping[tuple[tuple[str, str], ...], RunConfig] = field(default_factory=dict)

    def config_of(self, chosen: Mapping[str, str], values: Mapping[str, Any]) -> RunConfig:
        """Return the configuration of a trial.

        Args:
            chosen: Group -> option, for the searched groups.
            values: Dotted path -> value, for the other dimensions.
        """
        base = self.bases[tuple(sorted(chosen.items()))]
        return with_values(base, values)


def load_search(overrides: Sequence[str], catalog: Catalog) -> Search:
    """Return the search that overrides describe. Raises ConfigError with all problems."""
    with placing(overrides):
        return _search_of(overrides, catalog)


def _search_of(overrides: Sequence[str], catalog: Catalog) -> Search:
    own = [word for word in overrides if word.lstrip("+").partition("=")[0].partition(".")[0] == "search"]
    rest = [word for word in overrides if word not in own]
    base = load(rest, catalog)
    if is_auto(base.tree):
        rule = "not supported with dlexp tune: trials would differ in their batch size"
        raise ConfigError.one(
            "data.batch_size", "auto", rule, "Set a number, or remove it to search it.", code="not-supported"
        )
    if base.tree["optim"].get("lr") == AUTO:
        remedy = "Remove it to search it, or set the value that dlexp lr-find suggests."
        raise ConfigError.one(
            "optim.lr",
            "auto",
            "not supported with dlexp tune, which compares learning rates",
            remedy,
            code="not-supported",
        )
    typed = parse(rest, catalog)[0]
    settings, raw = _settings(own, catalog)
    groups, extra, problems = _sorted_space(raw, set(typed.groups), catalog)
    bases: dict[tuple[tuple[str, str], ...], RunConfig] = {}
    dimensions: dict[str, Dimension] = {}
    for chosen in Space({group: tuple(options) for group, options in groups.items()}).branches():
        config = load([*rest, *(f"{g}={option}" for g, option in chosen.items())], catalog) if chosen else base
        bases[tuple(sorted(chosen.items()))] = config
        found, wrong = _dimensions(config, chosen, extra, catalog)
        dimensions |= {dimension.name: dimension for dimension in found}
        problems += [problem for problem in wrong if problem not in problems]
    problems += _loss_changes({**groups, **extra}, base)
    reported = {problem.where for problem in problems}
    problems += [problem for problem in _unused(extra, dimensions, base) if problem.where not in reported]
    if problems:
        raise ConfigError(problems)
    space = Space({group: tuple(options) for group, options in groups.items()}, tuple(dimensions.values()))
    if not space.dimensions and not space.groups:
        raise ConfigError.one(
            "search.space",
            "",
            "requires at least one range",
            "Add a range: 'search.space.optim.lr={log:[1e-4,1e-1]}'",
            code="missing-value",
        )
    return Search(settings, space, base, bases)


def rules_of(search: Search) -> Rules:
    """Return the rules of the study from the `search` section and the base configuration."""
    settings, base = search.settings, search.base
    return Rules(
        sampler=settings.sampler,
        seed=settings.seed,
        startup_trials=settings.startup_trials,
        pruner=settings.pruner,
        pruner_startup_trials=settings.pruner_startup_trials,
        pruner_warmup_epochs=settings.pruner_warmup_epochs,
        percentile=settings.percentile,
        maximize=base.maximize,
        metric=base.monitor,
        epochs=base.trainer.epochs,
        stale_minutes=settings.stale_minutes,
    )


def _settings(overrides: Sequence[str], catalog: Catalog) -> tuple[SearchConfig, dict[str, Any]]:
    """Return (settings, space as written) of conf/search/<option>.yaml with overrides applied."""
    parsed, problems = parse([as_of(word, word.replace("search=", "search.option=", 1)) for word in overrides], catalog)
    option = next((str(o.value()) for o in parsed.values if o.key_or_group == "search.option"), "default")
    options = catalog.options("search")
    if option not in options:
        raise ConfigError([*problems, unknown_option("search", option, catalog)])
    read_yaml(options[option].path)
    try:
        defaults = OmegaConf.create({**section_defaults(SearchConfig), "space": {}})
        config = OmegaConf.merge(defaults, OmegaConf.load(options[option].path))
    except (OmegaConfBaseException, ValueError) as error:
        raise ConfigError.one(
            str(options[option].path), "", str(error).splitlines()[0], code="invalid-value"
        ) from error
    # The choice of a group first: it would replace the ranges of its keys.
    for override in sorted(parsed.values, key=lambda override: override.key_or_group.count(".")):
        key = override.key_or_group.removeprefix("search.")
        if key != "option":
            OmegaConf.update(config, key, override.value(), merge=False, force_add=True)
    tree = OmegaConf.to_container(config, resolve=True)
    assert isinstance(tree, dict)
    found = {str(key): value for key, value in tree.items()}
    raw = found.pop("space")
    known = section_fields(SearchConfig, "search")
    for key, value in found.items():
        known_field = known.get(f"search.{key}")
        if known_field is None:
            near_path = nearest_path(f"search.{key}", known)
            problems.append(
                Problem(
                    f"search.{key}",
                    shown(value),
                    "unknown key of search",
                    f"Did you mean {near_path}?" if near_path else "",
                    code="unknown-key",
                )
            )
        elif not known_field.accepts(value):
            problems.append(
                Problem(f"search.{key}", shown(value), f"must be {known_field.rule}", code=known_field.code_of(value))
            )
    if problems:
        raise ConfigError(problems)
    settings: SearchConfig = section_from(SearchConfig, found)
    return settings, dict(raw) if isinstance(raw, dict) else {}


def _sorted_space(
    raw: Mapping[str, Any], typed_groups: set[str], catalog: Catalog
) -> tuple[dict[str, list[str]], dict[str, Any], list[Problem]]:
    """Return (group -> options, path -> specification or null, problems) of `search.space`, nested or with dots."""
    groups: dict[str, list[str]] = {}
    extra: dict[str, Any] = {}
    problems: list[Problem] = []
    for path, value in _specs(raw):
        where = f"search.space.{path}"
        if path not in catalog.groups:
            extra[path] = value
        elif path in typed_groups or value is None:
            continue  # chosen on the command line, so not searched
        elif not isinstance(value, Mapping) or set(value) != {"choice"} or not _is_list(value["choice"]):
            problems.append(
                Problem(where, shown(value), "must be {choice: [OPTION, ...]} for a group", code="invalid-type")
            )
        else:
            for option in value["choice"]:
                if not isinstance(option, str) or option not in catalog.options(path):
                    problems.append(unknown_option(path, shown(option), catalog, where=where))
            groups[path] = list(dict.fromkeys(map(shown, value["choice"])))
    if problems:
        raise ConfigError(problems)
    return groups, extra, problems


def _is_list(value: object) -> bool:
    return isinstance(value, list) and bool(value)


def _specs(raw: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in raw.items():
        path = f"{prefix}{key}"
        if not isinstance(value, Mapping) or not value:
            yield path, value
            continue
        spec = {word: part for word, part in value.items() if word in WORDS} if is_spec(value) else {}
        if spec:  # a group may be searched and its keys too: optim: {choice: [...], lr: {log: [...]}}
            yield path, spec
        yield from _specs({word: part for word, part in value.items() if word not in spec}, f"{path}.")


def _dimensions(
    config: RunConfig, chosen: Mapping[str, str], extra: Mapping[str, Any], catalog: Catalog
) -> tuple[list[Dimension], list[Problem]]:
    """Return the dimensions of a branch of the space, and their problems with the rules of the keys."""
    specs: dict[str, tuple[Any, str]] = {}
    for group in (g for g in COMPONENTS if g != "loss" or not _loss_decides(config)):
        branch = f"{group}={chosen[group]}" if group in chosen else ""
        for key, spec in catalog.search_space(group, config.choices[group]).items():
            specs[f"{group}.{key}"] = (spec, branch)
    for path, spec in extra.items():
        key = path.removeprefix("regularization.")
        target = f"{ROUTES[key]}.{key}" if path.startswith("regularization.") and key in ROUTES else path
        if value_at(config.tree, target) is not ABSENT:
            group = target.partition(".")[0]
            specs[target] = (spec, f"{group}={chosen[group]}" if group in chosen else "")
    found, problems = [], []
    known = rules(config.choices, catalog)
    for path, (spec, branch) in specs.items():
        if spec is None:
            continue
        try:
            dimension = parse_dimension(path, spec if isinstance(spec, Mapping) else {"?": spec}, branch)
        except (ValueError, TypeError) as error:
            problems.append(Problem(f"search.space.{path}", shown(spec), str(error), code="invalid-value"))
            continue
        problems += _out_of_range(dimension, known.get(path))
        found.append(dimension)
    return found, problems


def _loss_decides(config: RunConfig) -> bool:
    return config.monitor.endswith("/loss")


def _loss_changes(space: Mapping[str, Any], base: RunConfig) -> Iterator[Problem]:
    """Yield a problem for each range that changes the loss if the loss decides."""
    if not _loss_decides(base):
        return
    other = next((name for name in directions(base.tree) if not name.endswith("/loss")), "")
    for path, spec in space.items():
        if spec is not None and (
            path == "loss" or path.startswith("loss.") or path == "regularization.label_smoothing"
        ):
            rule = f"cannot be combined with trainer.monitor={base.monitor}: losses of the trials are not comparable"
            remedy = f"Add {setting('trainer.monitor', other)}" if other else "Set trainer.monitor to another metric."
            yield Problem(f"search.space.{path}", shown(spec), rule, remedy, code="cannot-combine")


def _out_of_range(dimension: Dimension, rule: Field | None) -> list[Problem]:
    wrong = [value for value in dimension.extremes() if rule is not None and not rule.accepts(value)]
    if not wrong or rule is None:
        return []
    return [
        Problem(
            f"search.space.{dimension.path}",
            shown(wrong[0]),
            f"every value of the range must be {rule.rule}",
            code=rule.code_of(wrong[0]),
        )
    ]


def _unused(extra: Mapping[str, Any], dimensions: Mapping[str, Dimension], base: RunConfig) -> Iterator[Problem]:
    """Yield a problem for each range of a key that no branch has."""
    reached = {dimension.path for dimension in dimensions.values()}
    paths = [path for path, _ in leaves(base.tree) if not path.rpartition(".")[2].startswith("_")]
    for path, spec in extra.items():
        key = path.removeprefix("regularization.")
        routed = f"{ROUTES[key]}.{key}" if path.startswith("regularization.") and key in ROUTES else path
        if spec is not None and routed not in reached:
            near = nearest_path(path, paths)
            remedy = f"Did you mean search.space.{near}?" if near else ""
            yield Problem(f"search.space.{path}", shown(spec), "unknown configuration key", remedy, code="unknown-key")
