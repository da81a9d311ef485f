"""The `search` words of `dlexp tune` and the spaces that come with the options -> one checked search.

A space is made of what each chosen option offers (`_search_` in its file) and of `search.space`, which adds to it,
narrows it (a range of your own) or takes from it (`null`). A group that the line chooses is not searched. What changes
the loss is searched only where another metric decides: trials whose losses differ cannot be compared by them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dlexp.config.check.batch_size import AUTO, is_auto
from dlexp.config.check.suggest import nearest, nearest_path
from dlexp.config.check.validate import ROUTES, directions, rules
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.files.yaml_files import read_yaml
from dlexp.config.overrides import parse
from dlexp.config.schema.fields import Field, key_field
from dlexp.config.schema.names import COMPONENTS
from dlexp.config.schema.run import RunConfig, section_defaults, section_fields, section_from
from dlexp.config.schema.tree import ABSENT, leaves, shown, value_at
from dlexp.config.typed import with_values
from dlexp.errors import ConfigError, Problem
from dlexp.text.quoting import setting
from dlexp.tune.samplers import PRUNERS, SAMPLERS, Rules
from dlexp.tune.search_space.space import WORDS, Dimension, Space, is_spec, parse_dimension


@dataclass(frozen=True)
class SearchConfig:
    """How to search; the space itself is `search.space`."""

    sampler: str = key_field("tpe", "str", "what proposes the next trial", choices=list(SAMPLERS))
    seed: int = key_field(0, "int", "seed of the sampler", min=0)
    startup_trials: int = key_field(10, "int", "random trials before the sampler learns", min=1)
    pruner: str = key_field("median", "str", "what stops a trial that others beat at its age", choices=list(PRUNERS))
    pruner_startup_trials: int = key_field(5, "int", "finished trials before anything is pruned", min=0)
    pruner_warmup_epochs: int = key_field(2, "int", "epochs before a trial can be pruned", min=0)
    percentile: float = key_field(
        25.0, "float", "pruner=percentile keeps this best share of trials, in %", above=0, below=100
    )
    hours: float | None = key_field(None, "float", "stop the study after so many hours", above=0, nullable=True)
    trial_minutes: float | None = key_field(None, "float", "stop a trial after so many minutes", above=0, nullable=True)
    patience: int | None = key_field(
        None, "int", "stop after so many trials without a better one", min=1, nullable=True
    )
    target: float | None = key_field(None, "float", "stop once the metric is this good", nullable=True)
    max_failures: int = key_field(10, "int", "stop after so many failed trials in a row", min=1)
    stale_minutes: float = key_field(
        10.0, "float", "run a trial of another machine again that was silent for so many minutes", above=0
    )
    confirm_top: int = key_field(1, "int", "best trials that are trained again on fresh seeds", min=0)
    confirm_seeds: int = key_field(3, "int", "seeds of that confirmation", min=2)


@dataclass(frozen=True)
class Search:
    """A search that can begin.

    base     the configuration as written: trial 0
    bases    group choices, as a sorted tuple of pairs -> the configuration composed with them
    """

    settings: SearchConfig
    space: Space
    base: RunConfig
    bases: Mapping[tuple[tuple[str, str], ...], RunConfig] = field(default_factory=dict)

    def config_of(self, chosen: Mapping[str, str], values: Mapping[str, Any]) -> RunConfig:
        """The configuration of a trial: composed once for its branch, then given its values."""
        base = self.bases[tuple(sorted(chosen.items()))]
        return with_values(base, values)


def load_search(words: Sequence[str], catalog: Catalog) -> Search:
    """The search that `words` describe. Raises ConfigError with every problem."""
    own = [word for word in words if word.lstrip("+").partition("=")[0].partition(".")[0] == "search"]
    rest = [word for word in words if word not in own]
    base = load(rest, catalog)
    if is_auto(base.tree):
        rule = "trials differ in what fits in memory, and their updates should not"
        raise ConfigError.one(
            "data.batch_size", "auto", rule, "give it a number, or leave it out to search it", code="not-supported"
        )
    if base.tree["optim"].get("lr") == AUTO:
        remedy = "leave it out to search it, or write what dlexp lr-find suggests"
        raise ConfigError.one(
            "optim.lr", "auto", "trials compare rates, and none is looked for", remedy, code="not-supported"
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
    problems += _measured_by_itself({**groups, **extra}, base)
    told = {problem.where for problem in problems}
    problems += [problem for problem in _unused(extra, dimensions, base) if problem.where not in told]
    if problems:
        raise ConfigError(problems)
    space = Space({group: tuple(options) for group, options in groups.items()}, tuple(dimensions.values()))
    if not space.dimensions and not space.groups:
        raise ConfigError.one(
            "search.space",
            "",
            "nothing varies",
            "give a range: 'search.space.optim.lr={log:[1e-4,1e-1]}'",
            code="missing-value",
        )
    return Search(settings, space, base, bases)


def rules_of(search: Search) -> Rules:
    """How the study searches, from the `search` section and the base configuration."""
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


def _settings(words: Sequence[str], catalog: Catalog) -> tuple[SearchConfig, dict[str, Any]]:
    """(settings, space as written) of conf/search/<option>.yaml with the words applied."""
    parsed, problems = parse([word.replace("search=", "search.option=", 1) for word in words], catalog)
    option = next((str(o.value()) for o in parsed.values if o.key_or_group == "search.option"), "default")
    options = catalog.options("search")
    if option not in options:
        near = nearest(option, options)
        rule = f"is no option of search; it has {', '.join(options)}"
        raise ConfigError(
            [
                *problems,
                Problem(
                    "search",
                    option,
                    rule,
                    f"did you mean {setting('search', near)}?" if near else "",
                    code="unknown-option",
                ),
            ]
        )
    read_yaml(options[option].path)
    try:
        defaults = OmegaConf.create({**section_defaults(SearchConfig), "space": {}})
        config = OmegaConf.merge(defaults, OmegaConf.load(options[option].path))
    except (OmegaConfBaseException, ValueError) as error:
        raise ConfigError.one(
            str(options[option].path), "", str(error).splitlines()[0], code="invalid-value"
        ) from error
    for override in parsed.values:
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
                    "is no key of search",
                    f"did you mean {near_path}?" if near_path else "",
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
    """(group -> options, path -> specification or null, problems) of `search.space`; dots and nesting mean the same."""
    groups: dict[str, list[str]] = {}
    extra: dict[str, Any] = {}
    problems: list[Problem] = []
    for path, value in _specs(raw):
        where = f"search.space.{path}"
        if path not in catalog.groups:
            extra[path] = value
        elif path in typed_groups or value is None:
            continue  # chosen on the command line: that is the answer to the question
        elif not isinstance(value, Mapping) or set(value) != {"choice"} or not _is_list(value["choice"]):
            problems.append(Problem(where, shown(value), "a group takes {choice: [OPTION, ...]}", code="invalid-type"))
        else:
            for option in value["choice"]:
                if not isinstance(option, str) or option not in catalog.options(path):
                    near = nearest(shown(option), catalog.options(path))
                    problems.append(
                        Problem(
                            where,
                            shown(option),
                            f"is no option of {path}",
                            f"did you mean {near}?" if near else "",
                            code="unknown-option",
                        )
                    )
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
    """What varies once the groups are chosen, checked against the rules of the keys."""
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


def _measured_by_itself(space: Mapping[str, Any], base: RunConfig) -> Iterator[Problem]:
    """Entries of search.space that change the loss while the loss decides."""
    if not _loss_decides(base):
        return
    other = next((name for name in directions(base.tree) if not name.endswith("/loss")), "")
    for path, spec in space.items():
        if spec is not None and (
            path == "loss" or path.startswith("loss.") or path == "regularization.label_smoothing"
        ):
            rule = f"changes the loss, and {base.monitor} decides: the trials would be measured in different units"
            remedy = f"add {setting('trainer.monitor', other)}" if other else "let another metric decide"
            yield Problem(f"search.space.{path}", shown(spec), rule, remedy, code="cannot-combine")


def _out_of_range(dimension: Dimension, rule: Field | None) -> list[Problem]:
    wrong = [value for value in dimension.extremes() if rule is not None and not rule.accepts(value)]
    if not wrong or rule is None:
        return []
    return [
        Problem(
            f"search.space.{dimension.path}",
            shown(wrong[0]),
            f"can be drawn, and must be {rule.rule}",
            code="out-of-range",
        )
    ]


def _unused(extra: Mapping[str, Any], dimensions: Mapping[str, Dimension], base: RunConfig) -> Iterator[Problem]:
    """Entries of search.space that no branch has a key for."""
    reached = {dimension.path for dimension in dimensions.values()}
    paths = [path for path, _ in leaves(base.tree) if not path.rpartition(".")[2].startswith("_")]
    for path, spec in extra.items():
        key = path.removeprefix("regularization.")
        routed = f"{ROUTES[key]}.{key}" if path.startswith("regularization.") and key in ROUTES else path
        if spec is not None and routed not in reached:
            near = nearest_path(path, paths)
            remedy = f"did you mean search.space.{near}?" if near else ""
            yield Problem(
                f"search.space.{path}", shown(spec), "is no key of this configuration", remedy, code="unknown-key"
            )
