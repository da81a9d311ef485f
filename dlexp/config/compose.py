"""Composition of command-line overrides and YAML files into a checked RunConfig. The only module that runs Hydra.

Composition is a pure function: the loader is created for the call, so no global state changes, and several threads, or
a program that uses Hydra itself, may call it at any time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from dlexp.config.check.defaults import check_files
from dlexp.config.check.metrics import settle_metrics
from dlexp.config.check.phases import shared_key, unknown_in_phase
from dlexp.config.check.suggest import all_paths, unknown_key
from dlexp.config.check.validate import check_tree, route, rules, value_problems
from dlexp.config.files.catalog import Catalog
from dlexp.config.files.words import file_words, key_of, place_of, placing
from dlexp.config.node_keys import hydra_key_problem
from dlexp.config.nodes import resolve, untrusted
from dlexp.config.origins import Origins
from dlexp.config.overrides import ParsedOverrides, parse
from dlexp.config.preferences import options_beforehand, preferred_options, preferred_values
from dlexp.config.saved import first_line, plain_containers, refuse_passwords, set_value, tree_without_secrets
from dlexp.config.schema.names import COMPONENTS, SEARCH, SWEEP
from dlexp.config.schema.run import SECTIONS, RunConfig, common_paths, section_defaults
from dlexp.config.schema.tree import ABSENT, leaves, shown, value_at
from dlexp.config.text_values import typed_value
from dlexp.config.typed import run_config, with_values
from dlexp.errors import ConfigError, Problem, reading_data
from dlexp.kinds import NO_TARGETS
from dlexp.text.quoting import command

MISSING = "???"  # of a required key, in YAML and in what `dlexp config` prints


def load(overrides: Sequence[str], catalog: Catalog) -> RunConfig:
    """Return the configuration that overrides describe.

    Args:
        overrides: Overrides as on the command line, such as `model=resnet18` or `optim.lr=0.1`.
        catalog: The available options.

    Raises ConfigError with all problems: syntax errors, unknown names, values out of range, incompatible options.
    """
    with placing(overrides):
        return _load(overrides, catalog)


def load_shown(overrides: Sequence[str], catalog: Catalog) -> tuple[RunConfig, list[str]]:
    """Return the configuration that overrides describe, and the required keys without a value, which have ???.

    With such keys, no data is read and what fits together is not checked. Raises ConfigError as `load` does.
    """
    with placing(overrides):
        config, choices, parsed = _composed(overrides, catalog)
        missing = sorted(OmegaConf.missing_keys(config))
        if missing:
            return _unfitted(config, choices, catalog), missing
        return _fitted(overrides, config, choices, parsed, catalog), missing


def _load(overrides: Sequence[str], catalog: Catalog) -> RunConfig:
    return _fitted(overrides, *_composed(overrides, catalog), catalog)


def _fitted(
    overrides: Sequence[str], config: DictConfig, choices: dict[str, str], parsed: ParsedOverrides, catalog: Catalog
) -> RunConfig:
    tree = plain_containers(config)
    if tree["data"].get("_targets_") == "auto":
        kind = settle_targets(tree, "task" in parsed.groups, choices, catalog)
        if "task" not in parsed.groups:
            return _load([*overrides, f"task={task_of(tree, kind)}"], catalog)
    return finish(config, tree, choices, catalog)


def load_unfitted(overrides: Sequence[str], catalog: Catalog) -> RunConfig:
    """Return the configuration that overrides describe without reading data or checking what fits together.

    For showing keys, which requires neither; a required key without a value has ???. Raises ConfigError for unknown
    names and invalid values.
    """
    with placing(overrides):
        config, choices, _ = _composed(overrides, catalog)
        return _unfitted(config, choices, catalog)


def _unfitted(config: DictConfig, choices: dict[str, str], catalog: Catalog) -> RunConfig:
    missing = OmegaConf.missing_keys(config)
    for key in missing:
        OmegaConf.update(config, key, None)
    tree = plain_containers(config)
    problems = [problem for problem in value_problems(tree, choices, catalog) if problem.where not in missing]
    problems = problems or list(settle_metrics(tree, catalog))
    if problems:
        raise ConfigError(problems)
    for group in COMPONENTS:
        tree[group].pop("_search_", None)
    route(tree, choices, catalog)
    found = run_config(tree, choices, refuse_passwords(tree_without_secrets(config, tree)))
    return with_values(found, dict.fromkeys(missing, MISSING)) if missing else found


def _composed(overrides: Sequence[str], catalog: Catalog) -> tuple[DictConfig, dict[str, str], ParsedOverrides]:
    """Return (configuration with the user's values, group -> option, overrides); ConfigError with all problems."""
    of_search = [word for word in overrides if key_of(word).partition(".")[0] == SEARCH]
    parsed, problems = parse([word for word in overrides if word not in of_search], catalog)
    problems += _of_search(of_search)
    if known := options_beforehand(parsed.groups, catalog):
        with placing(known):
            return _composed([*overrides, *known], catalog)
    try:
        config, choices = compose(parsed, catalog)
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from error
    if wanted := preferred_options(config, choices, parsed.groups, catalog):
        with placing(wanted):
            return _composed([*overrides, *wanted], catalog)
    problems += _unknown_keys(config, choices, catalog)
    problems += apply_values(config, parsed.values, choices, catalog)
    if problems:
        problems = _of_known_options(problems, catalog)
        named = {problem.where for problem in problems}
        further = further_problems(config, choices, catalog)
        raise ConfigError([*problems, *(problem for problem in further if problem.where not in named)])
    given = {override.key_or_group for override in parsed.values}
    if wanted := preferred_values(config, choices, given, catalog):
        preferred, problems = parse(wanted, catalog)
        problems += apply_values(config, preferred.values, choices, catalog)
        if problems:
            raise ConfigError(problems)
    return config, choices, parsed


def _of_known_options(problems: Sequence[Problem], catalog: Catalog) -> list[Problem]:
    """Return the problems without those of keys whose option is itself a mistake.

    Such keys were compared with the default option: data.target=y belongs to the file of data=people.csv, not to
    data=digits.
    """
    wrong = {problem.where for problem in problems if problem.code == "unknown-option"}
    wrong |= {word.partition("=")[0] for problem in problems for word in problem.instead or ()}
    groups = wrong & set(catalog.groups)
    paths = all_paths(catalog)

    def is_of_wrong_option(problem: Problem) -> bool:
        is_key = problem.code == "unknown-key" and problem.where in paths and problem.instead is None
        return is_key and problem.where.partition(".")[0] in groups

    return [problem for problem in problems if not is_of_wrong_option(problem)]


def _of_search(words: Sequence[str]) -> list[Problem]:
    """Return the problem of overrides that only `dlexp tune` reads."""
    if not words:
        return []
    given = dict.fromkeys(part for word in words for part in (file_words(word) if place_of(word) else (word,)))
    remedy = f"Search with it: {command('tune', *given)}"
    return [Problem(SEARCH, "", "only dlexp tune reads it", remedy, place_of(words[0]), code="no-effect")]


def settle_targets(tree: dict[str, Any], task_given: bool, choices: Mapping[str, str], catalog: Catalog) -> str:
    """Return and set the kind of targets, `class` or `value`, of data whose kind is detected by reading it.

    data.target_kind decides, then an explicit task, then the data itself.

    Args:
        tree: The configuration; modified.
        task_given: Whether the task was chosen explicitly.
        choices: Group -> option.
        catalog: The available options.

    Raises ConfigError for invalid values, which are found before the data is read, and DataError for unreadable data.
    """
    problems = value_problems(tree, choices, catalog)
    if problems:
        raise ConfigError([*problems, *untrusted(tree, choices, catalog.trusted)])
    data = tree["data"]
    if task_given and data.get("target_kind") == "auto" and tree["task"].get("_targets_") in ("class", "value"):
        kind = str(tree["task"]["_targets_"])
    else:
        arguments = {key: value for key, value in data.items() if not key.startswith("_")}
        try:
            with reading_data(data.get("path")):
                kind = str(resolve(str(data.get("_detect_")), ())(arguments))
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise ConfigError.one(
                "data._detect_", data["_detect_"], f"cannot detect the kind of targets: {error}", code="invalid-value"
            ) from error
    data |= {"_targets_": kind} if kind == NO_TARGETS else {"_targets_": kind, "target_kind": kind}
    return kind


def task_of(tree: Mapping[str, Any], kind: str) -> str:
    """Return the task for targets of `kind`. Raises ConfigError if the data's file names none."""
    if kind == NO_TARGETS:
        rule, remedy = (
            "required to predict a column",
            "Add data.target=COLUMN, or learn the inputs alone: model=autoencoder",
        )
        raise ConfigError.one("data.target", "null", rule, remedy, code="missing-value")
    tasks = tree["data"].get("_tasks_")
    if not isinstance(tasks, Mapping) or kind not in tasks:
        raise ConfigError.one(
            "data._tasks_", shown(tasks), f"must name a task for targets of kind {kind}", code="missing-value"
        )
    return str(tasks[kind])


def further_problems(config: DictConfig, choices: Mapping[str, str], catalog: Catalog) -> list[Problem]:
    """Return the problems of values and of trust, to be reported together with unknown names."""
    try:
        tree = plain_containers(config)
        return [*value_problems(tree, choices, catalog), *untrusted(tree, choices, catalog.trusted)]
    except ConfigError as error:
        return list(error.problems)


def finish(config: DictConfig, tree: dict[str, Any], choices: Mapping[str, str], catalog: Catalog) -> RunConfig:
    """Check a composed configuration and return it; secrets stay unresolved in the tree that is saved."""
    for group in COMPONENTS:
        tree[group].pop("_search_", None)  # only `dlexp tune` reads it
    check_tree(tree, choices, catalog)
    return run_config(tree, choices, refuse_passwords(tree_without_secrets(config, tree)))


def compose(parsed: ParsedOverrides, catalog: Catalog) -> tuple[DictConfig, dict[str, str]]:
    """Return the composed configuration without the user's values, and group -> option. Raises ConfigError."""
    Plugins.instance()  # registers file:// and pkg:// as sources
    search_path = ConfigSearchPathImpl()
    search_path.append("hydra", "pkg://hydra.conf")
    for number, root in enumerate(catalog.roots):
        search_path.append(f"dlexp{number}", f"file://{root}")
    search_path.append("schema", "structured://")
    words = [override.input_line or "" for override in parsed.values]
    check_files(catalog, parsed.groups, words)
    try:
        config = ConfigLoaderImpl(search_path).load_configuration("config", parsed.group_overrides(), RunMode.RUN)
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError, RecursionError) as error:
        raise ConfigError.one("the configuration files", "", first_line(error), code="invalid-syntax") from error
    choices = {k: str(v) for k, v in config.hydra.runtime.choices.items() if k in catalog.groups and v is not None}
    missing = [group for group in (*COMPONENTS, *SECTIONS) if group not in choices]
    if missing:
        raise ConfigError(
            [
                Problem(group, "", "config.yaml must choose an option of this group", code="missing-value")
                for group in missing
            ]
        )
    for group in COMPONENTS:
        if group not in config:
            rule = "its file sets no keys of this group"
            raise ConfigError.one(
                group, choices[group], rule, "Add at least _target_: FUNCTION to the file.", code="missing-value"
            )
    with flag_override(config, ["struct", "readonly"], False):
        del config["hydra"]
        if _has_sweep(choices, catalog):
            del config[SWEEP]  # only `dlexp train` reads it
        for name, section in SECTIONS.items():
            values = config.get(name, {})
            if not OmegaConf.is_dict(values):
                rule = "must be a mapping"
                raise ConfigError.one(name, shown(values), rule, f"Write {name}: {{KEY: VALUE}}", code="invalid-type")
            config[name] = OmegaConf.merge(section_defaults(section), values)
    return config, choices


def _has_sweep(choices: Mapping[str, str], catalog: Catalog) -> bool:
    """Whether the chosen experiment has a `sweep` of its own."""
    option = choices.get("experiment")
    known = catalog.options("experiment")
    return option in known and any(key.partition(".")[0] == SWEEP for key in catalog.keys("experiment", str(option)))


def apply_values(
    config: DictConfig, overrides: Iterable[Override], choices: Mapping[str, str], catalog: Catalog
) -> list[Problem]:
    """Set the user's values in `config`; return a problem for each unknown key or invalid value."""
    problems: list[Problem] = []
    known = rules(choices, catalog)
    for override in overrides:
        key = override.key_or_group
        shared = shared_key(key)
        value = typed_value(override, known.get(shared or key))
        component, _, leaf = key.partition(".")
        now = value_at(_raw(config), key)
        added = override.is_add() or override.is_force_add()
        # A mapping may be an argument of a component; the keys of a section are set one by one.
        if isinstance(now, dict) and (component in SECTIONS or not isinstance(value, dict)):
            problems.append(
                Problem(
                    key,
                    shown(value),
                    "is a section and takes no value",
                    f"Set one of its keys: {key}.KEY=VALUE",
                    code="invalid-type",
                )
            )
        elif shared and value_at(_raw(config), shared) is ABSENT and not added:
            keys = value_at(_raw(config), component)
            problems.append(unknown_in_phase(key, shown(value), keys))
        elif (shared or now is not ABSENT or (added and component in COMPONENTS and leaf)) and not leaf.startswith("_"):
            # A key added to a component is checked against the signature of its target before anything is built.
            try:
                set_value(config, key, value)
            except ConfigError as error:
                problems += error.problems
        else:
            problems.append(_unknown_key(key, value, choices, catalog, place_of(override.input_line)))
    return problems


def _unknown_key(key: str, value: Any, choices: Mapping[str, str], catalog: Catalog, origin: str = "") -> Problem:
    of_hydra = hydra_key_problem(key, shown(value), origin)
    return of_hydra or unknown_key(key, value, choices, catalog, origin)


def _unknown_keys(config: DictConfig, choices: Mapping[str, str], catalog: Catalog) -> list[Problem]:
    """Return a problem for each key of a YAML file that no component reads, such as a typo in an experiment."""
    known = set(common_paths())
    for group in COMPONENTS:
        known |= {f"{group}.{key}" for key in catalog.keys(group, choices[group])}
    origins = Origins(choices, catalog)
    problems: list[Problem] = []
    for path, value in leaves(_raw(config)):
        holders = path.split(".")
        if path.rpartition(".")[2].startswith("_") or any(".".join(holders[:n]) in known for n in range(1, 9)):
            continue
        if path in COMPONENTS and value == {}:
            continue  # an empty file: what it lacks is named later
        leaf = origins.find(path)
        origin = leaf.place if leaf else ""
        if holders[0] == "experiment":
            remedy = "Make `# @package _global_` the first line of the file."
            problems.append(
                Problem(
                    "experiment", choices["experiment"], "its values have no effect", remedy, origin, code="no-effect"
                )
            )
            break
        problems.append(_unknown_key(path, value, choices, catalog, origin))
    return problems


def _raw(config: DictConfig) -> dict[str, Any]:
    """Return the configuration as plain containers, with interpolations unresolved."""
    raw = OmegaConf.to_container(config, resolve=False)
    assert isinstance(raw, dict)
    return {str(key): value for key, value in raw.items()}
