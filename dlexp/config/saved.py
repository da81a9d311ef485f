"""Saving and loading the configuration of a run; references to environment variables are saved unresolved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from dlexp.config.check.missing import missing_problems
from dlexp.config.check.validate import check_tree, rules
from dlexp.config.files.catalog import Catalog
from dlexp.config.files.interpolation import check_references, reads_environment
from dlexp.config.files.words import file_words, place_of
from dlexp.config.files.yaml_files import leaves_of, read_yaml
from dlexp.config.files.yaml_text import yaml_text
from dlexp.config.schema.run import RunConfig
from dlexp.config.schema.tree import leaves, shown
from dlexp.config.text_values import with_texts
from dlexp.config.typed import run_config
from dlexp.errors import ConfigError, Problem
from dlexp.loggers.secrets import has_password, without_credentials
from dlexp.text.quoting import shell_word


def to_yaml(config: RunConfig) -> str:
    """Return the text of config.yaml: the choices, then every value; floats keep every digit."""
    return yaml_text({"choices": dict(config.choices), **config.tree})


def overrides_to_yaml(overrides: list[str]) -> str:
    """Return the text of overrides.yaml: the overrides as typed, one item each, with the file that gives them."""
    text, files = "", [file_words(word) if place_of(word) else () for word in overrides]
    for file, words in groupby(zip(files, overrides, strict=True), key=lambda pair: pair[0]):
        if any(files):
            text += f"# {' '.join(map(shell_word, file))}\n" if file else "# words\n"
        text += yaml_text([str(word) for _, word in words])
    return text or "[]\n"


def read_overrides(path: Path) -> list[str]:
    """Return the overrides in overrides.yaml, [] if there is no file. Raises ConfigError that names the file."""
    if not path.is_file():
        return []
    overrides = OmegaConf.to_container(_loaded(path), resolve=False)
    if not isinstance(overrides, list) and overrides:
        raise ConfigError.one(
            str(path), "", "corrupted: the overrides.yaml of a run must contain a list", code="corrupted"
        )
    return [str(override) for override in overrides or []]


def read_config(path: Path) -> tuple[DictConfig, dict[str, str]]:
    """Return (configuration, choices) of a run's config.yaml. Raises ConfigError that names the file."""
    config = _loaded(path)
    if not isinstance(config, DictConfig) or not OmegaConf.is_dict(config.get("choices")):
        raise ConfigError.one(
            str(path), "", "corrupted: the config.yaml of a run must contain choices", code="corrupted"
        )
    choices = OmegaConf.to_container(config.pop("choices"), resolve=False)
    assert isinstance(choices, dict)
    return config, {str(key): str(value) for key, value in choices.items()}


def _loaded(path: Path) -> Any:
    """Return a YAML file as read by OmegaConf, after a check of its size."""
    read_yaml(path)
    try:
        return OmegaConf.load(path)
    except (OSError, OmegaConfBaseException, ValueError, YAMLError) as error:
        raise ConfigError.one(str(path), "", f"cannot be read: {first_line(error)}", code="corrupted") from error


def set_value(config: DictConfig, key: str, value: Any) -> None:
    """Set the value of a dotted key. Raises ConfigError for an unsupported value or an invalid index of a list."""
    try:
        OmegaConf.update(config, key, value, merge=False, force_add=True)
    except OmegaConfBaseException as error:
        raise ConfigError.one(key, shown(value), f"cannot be set: {first_line(error)}", code="invalid-value") from error
    except (ValueError, TypeError) as error:  # what OmegaConf raises for a name as the index of a list
        rule = "the index of a list must be a whole number >= 0"
        raise ConfigError.one(key, shown(value), rule, "Set the whole list: KEY=[...]", code="invalid-value") from error


def load_saved(path: Path, changes: Mapping[str, Any] | None = None) -> RunConfig:
    """Return the checked configuration of a run, with some values changed."""
    return _checked(*read_config(path), changes or {}, path)


def load_plain(content: Mapping[str, Any], changes: Mapping[str, Any]) -> RunConfig:
    """Return the checked configuration from the output of `plain`, with some values changed. Raises ConfigError."""
    return _checked(OmegaConf.create(dict(content["tree"])), dict(content["choices"]), changes)


def plain_config(config: RunConfig) -> dict[str, Any]:
    """Return a configuration as plain containers for `load_plain`; secrets stay unresolved."""
    return {"choices": dict(config.choices), "tree": dict(config.tree)}


def _checked(
    config: DictConfig, choices: dict[str, str], changes: Mapping[str, Any], path: Path | None = None
) -> RunConfig:
    for key, value in changes.items():
        set_value(config, key, value)
    tree = plain_containers(config)
    if path is not None:
        with_texts(tree, rules(choices, Catalog()), leaves_of(path).get)
    kept = tree_without_secrets(config, tree)
    check_tree(tree, choices, Catalog())
    return run_config(tree, choices, kept)


def plain_containers(config: DictConfig) -> dict[str, Any]:
    """Return the configuration as plain containers, resolved. Raises ConfigError for missing values."""
    raw = OmegaConf.to_container(config, resolve=False)
    assert isinstance(raw, dict)
    check_references({str(key): value for key, value in raw.items()})
    try:
        missing = sorted(OmegaConf.missing_keys(config))
        tree = OmegaConf.to_container(config, resolve=True)
    except (OmegaConfBaseException, RecursionError) as error:
        where = str(getattr(error, "full_key", None) or "an interpolation ${...}")
        raise ConfigError.one(where, "", str(error).splitlines()[0], code="invalid-value") from error
    if missing:
        raise ConfigError(missing_problems(missing, {str(key): value for key, value in raw.items()}))
    assert isinstance(tree, dict)
    return {str(key): value for key, value in tree.items()}


def tree_without_secrets(config: DictConfig, tree: dict[str, Any]) -> dict[str, Any]:
    """Return `tree` with every value that comes from the environment, directly or not, as it was written.

    Strings that contain a literal ${ stay as written too, since they would become references when loaded again.
    """
    raw = OmegaConf.to_container(config, resolve=False)
    assert isinstance(raw, dict)
    pairs = list(_pairs(raw, tree))
    secrets = {str(value) for text, value in pairs if reads_environment(text)}
    has_literal = any("${" in str(value) for _, value in pairs)
    return dict(_masked(raw, tree, secrets)) if secrets or has_literal else tree


def refuse_passwords(tree: dict[str, Any]) -> dict[str, Any]:
    """Return `tree`. Raises ConfigError for a URL with a password, which the files of a run would contain."""
    problems = []
    for path, value in leaves(tree):
        if isinstance(value, str) and "${" not in value and has_password(value):
            rule = "must not contain a password, which would be saved in the files of the run"
            remedy = "Use ${oc.env:NAME} for the address."
            if path == "logger.mlflow_uri":
                remedy = "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or use ${oc.env:NAME}"
            problems.append(Problem(path, without_credentials(value, {}), rule, remedy, code="invalid-value"))
    if problems:
        raise ConfigError(problems)
    return tree


def first_line(error: BaseException) -> str:
    """Return the message of the root cause of an exception, on one line."""
    if isinstance(error, YAMLError):  # its lines are one sentence
        return " ".join(str(error).split())
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, RecursionError):  # nesting in files was checked before, so the defaults lists recurse
        return "circular `defaults` list"
    return " ".join(line.strip() for line in str(error).splitlines()[:2] if line.strip()) or type(error).__name__


def _pairs(raw: Any, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield (unresolved text, resolved value) of every interpolation."""
    if isinstance(raw, dict) and isinstance(value, dict):
        for key in raw.keys() & value.keys():
            yield from _pairs(raw[key], value[key])
    elif isinstance(raw, list) and isinstance(value, list):
        for one, other in zip(raw, value, strict=True):
            yield from _pairs(one, other)
    elif isinstance(raw, str) and "${" in raw:
        yield raw, value


def _masked(raw: Any, value: Any, secrets: set[str]) -> Any:
    if isinstance(raw, dict) and isinstance(value, dict):
        return {key: _masked(raw.get(key), item, secrets) for key, item in value.items()}
    if isinstance(raw, list) and isinstance(value, list):
        return [_masked(one, other, secrets) for one, other in zip(raw, value, strict=True)]
    if not isinstance(raw, str) or "${" not in raw:
        return value
    is_literal = isinstance(value, str) and "${" in value
    return raw if is_literal or any(secret in str(value) for secret in secrets) else value
