"""Checks of a composed configuration: types, ranges and combinations. Imports no torch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dlexp.config.check.batch_size import effective_batch_problems
from dlexp.config.check.combinations import freezing_problems, gradient_problems, regularization_problems
from dlexp.config.check.data_keys import (
    anomalies_problems,
    balance_problems,
    elsewhere,
    split_problems,
    suspected_labels_problems,
)
from dlexp.config.check.effects import effect_problems
from dlexp.config.check.fitting import PARTS_OF_KINDS, misfit, remedy_of_kinds, rule_of_kinds
from dlexp.config.check.metrics import directions, settle_metrics, unknown_monitor
from dlexp.config.check.parameter_groups import group_problems
from dlexp.config.check.phases import phase_combinations, phase_problems, phase_rules
from dlexp.config.files.catalog import Catalog
from dlexp.config.habits.values import value_meant
from dlexp.config.node_keys import node_key_problems, works_on_problems
from dlexp.config.nodes import untrusted
from dlexp.config.origins import Origins, value_of
from dlexp.config.schema.fields import Field, inferred
from dlexp.config.schema.names import COMPONENTS
from dlexp.config.schema.run import OWN_KEYS, SECTIONS, TOP_LEVEL, common_paths, section_fields
from dlexp.config.schema.tree import ABSENT, leaves, shown, value_at
from dlexp.config.text_values import with_texts
from dlexp.errors import ConfigError, Problem
from dlexp.kinds import kinds_of
from dlexp.text.nearest import nearest_name
from dlexp.text.quoting import setting
from dlexp.text.quoting import value as override_value

# regularization.KEY -> the group whose key of the same name receives the value.
ROUTES = {"dropout": "model", "label_smoothing": "loss"}
_MAX_NAME = 50  # characters; with the time before it, within the limits of file systems in UTF-8
# Kinds of network outputs, which a task requires and a loss compares: `_outputs_` in their files.
_OUTPUTS = {
    "scores": "class scores",
    "values": "values",
    "embedding": "embeddings",
    "none": "a task that computes its own loss",
}
_LOSS_OF = {"scores": "loss=cross_entropy", "values": "loss=mse", "embedding": "loss=triplet"}
_MAY_LACK = ("phases", "balance", "suspected_labels", "anomalies", "anomaly_quantile")  # own keys of some options
_TASK_OF = {"scores": "task=classification", "values": "task=regression", "embedding": "task=metric_learning"}


def check_tree(tree: dict[str, Any], choices: Mapping[str, str], catalog: Catalog) -> None:
    """Raise ConfigError with all problems of `tree`, and set shared regularization keys in their components."""
    origins = Origins(choices, catalog)
    problems = [*_unknown_keys(tree), *value_problems(tree, choices, catalog)]
    if not problems:
        problems = [*settle_metrics(tree, catalog)]
        problems += [*_fits(tree, choices), *_combines(tree, choices, origins)]
        problems += [*effect_problems(tree, choices, catalog, origins), *_routed(tree, choices, origins)]
    if problems:  # an untrusted component alone is reported with the arguments of the others, when they are built
        raise ConfigError([*problems, *untrusted(tree, choices, catalog.trusted)])
    _make_paths_absolute(tree, rules(choices, catalog))


def route(tree: dict[str, Any], choices: Mapping[str, str], catalog: Catalog) -> None:
    """Set shared regularization keys in their components, where these have them."""
    for _ in _routed(tree, choices, Origins(choices, catalog)):
        pass


def value_problems(tree: dict[str, Any], choices: Mapping[str, str], catalog: Catalog) -> list[Problem]:
    """Return the problems of values with the rules of their keys; keys of type string get their text first."""
    known, origins = rules(choices, catalog), Origins(choices, catalog)
    if all(isinstance(tree.get(group), Mapping) for group in COMPONENTS):
        known |= phase_rules(tree, known)
    with_texts(tree, known, origins.find)
    return [*node_key_problems(tree, choices, catalog), *_typed(tree, choices, known, origins)]


def rules(choices: Mapping[str, str], catalog: Catalog) -> dict[str, Field]:
    """Return dotted path -> rule, for every key of the chosen options."""
    found: dict[str, Field] = dict(TOP_LEVEL)
    for name, section in SECTIONS.items():
        found |= section_fields(section, name)
    for group in COMPONENTS:
        described = catalog.fields(group)
        option = choices.get(group, "")
        in_files = catalog.keys(group, option) if option in catalog.options(group) else {}
        for key in dict.fromkeys((*in_files, *described)):  # deterministic, in file order
            field = described.get(key) or inferred(value_of(in_files[key]))
            if field:
                found[f"{group}.{key}"] = field
    return found


def _make_paths_absolute(tree: dict[str, Any], known: Mapping[str, Field]) -> None:
    """Make all paths absolute, so that a saved run does not depend on the current directory."""
    for path, field in known.items():
        section, _, key = path.rpartition(".")
        holder = value_at(tree, section) if section else tree
        if field.type == "path" and isinstance(holder, dict) and isinstance(holder.get(key), str):
            # Path.resolve raises RuntimeError for a link to itself; opening the file reports it.
            holder[key] = os.path.realpath(Path(holder[key]).expanduser())


def _typed(
    tree: Mapping[str, Any], choices: Mapping[str, str], known: Mapping[str, Field], origins: Origins
) -> Iterator[Problem]:
    """Yield the problems of values with the rules of their keys, and missing keys."""
    for group in COMPONENTS:
        section = tree.get(group)
        if not isinstance(section, Mapping) or not isinstance(section.get("_target_"), str):
            given = section.get("_target_") if isinstance(section, Mapping) else None
            remedy = f"Choose {group}=OPTION"
            if given is None:
                remedy = f"Add `_target_: PACKAGE.NAME` to {group}/{choices.get(group, 'OPTION')}.yaml."
            given = "" if given is None else shown(given)
            yield Problem(f"{group}._target_", given, "must name a function or class", remedy, code="missing-value")
            return
    for path, field in known.items():
        value = value_at(tree, path)
        refusal = "" if value is ABSENT else field.refusal(value) or _device_refusal(path, value)
        if refusal:
            meant, origin = _meant(path, value, field), origins.text(path, value)
            remedy = f"Did you mean {setting(path, meant)}?" if meant else elsewhere(path, value)
            instead = (f"{path}={override_value(meant)}",) if meant and not origin else None
            yield Problem(path, shown(value), refusal, remedy, origin, code=field.code_of(value), instead=instead)
    yield from works_on_problems(tree, choices, _OUTPUTS)
    yield from phase_problems(tree, origins)
    for path in common_paths():
        if value_at(tree, path) is ABSENT:
            yield Problem(path, "", "required", code="missing-value")
    for group, keys in OWN_KEYS.items():
        file = f"{group}/{choices.get(group)}.yaml"
        for key in keys:
            if key not in tree[group] and key not in _MAY_LACK:
                remedy = f"Begin {file} with `defaults: [_base, _self_]`."
                if group == "task":  # tasks share no keys
                    remedy = f"Add `{key}: val/loss`, or another metric of the task, to {file}."
                yield Problem(f"{group}.{key}", "", "required", remedy, code="missing-value")


def _device_refusal(path: str, value: Any) -> str:
    """Return a rule if a device has the name of another tool; what there is on this machine shows when it is used."""
    return "unknown device" if path == "trainer.device" and value_meant(path, str(value)) is not None else ""


def _meant(path: str, value: Any, field: Field) -> Any:
    """Return the valid value that an invalid one stands for, as a word of other tools or by its spelling, or None."""
    if isinstance(value, str | int | float) and (named := value_meant(path, str(value))) is not None:
        return named if not field.refusal(named) else None
    if isinstance(value, Mapping) and field.type == "map[str]":
        near = {
            key: item if item in field.choices else nearest_name(str(item), field.choices)
            for key, item in value.items()
        }
        return near if all(near.values()) else None
    return nearest_name(value, field.words) if isinstance(value, str) else None


def _unknown_keys(tree: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield a problem for each unknown key of a section, as in a file edited by hand."""
    known = set(common_paths())
    for path, value in leaves(tree):
        if path.partition(".")[0] not in COMPONENTS and path not in known:
            near = nearest_name(path, known)
            rule = "unknown configuration key"
            yield Problem(path, shown(value), rule, f"Did you mean {near}?" if near else "", code="unknown-key")


def _fits(tree: Mapping[str, Any], choices: Mapping[str, str]) -> Iterator[Problem]:
    """Yield the problems of model, task and loss with the data, and of the loss with the task."""
    data, said = tree["data"], set[str]()
    made, compared = tree["task"].get("_outputs_"), tree["loss"].get("_outputs_")
    has_own_loss = made == "none" and compared not in (None, "none")
    for group, aspect in PARTS_OF_KINDS:
        given = None if group == "loss" and has_own_loss else data.get(aspect)
        # A model has one problem, that of its inputs; task and loss have one remedy, which is given once.
        if given and (wanted := misfit(tree[group], group, aspect, given)) and (group != "model" or group not in said):
            rule = rule_of_kinds(wanted, given, str(choices.get("data")), group, aspect)
            told = group != "model" and aspect in said
            task = str(choices.get("task"))
            remedy = "" if told else remedy_of_kinds(tree, group, wanted, aspect, task)
            said |= {group} if group == "model" else {aspect}
            yield Problem(group, str(choices.get(group)), rule, remedy, code="incompatible-data")
    # A loss for other targets than those of the data is reported above.
    learned = kinds_of(tree["loss"].get("_targets_"))
    if has_own_loss:
        rule = f"is not used: task={choices.get('task')} computes its own loss"
        yield Problem("loss", str(choices.get("loss")), rule, "Set loss=none", code="cannot-combine")
    elif made and compared and made != compared and (not learned or data.get("_targets_") in learned):
        rule = f"requires {_OUTPUTS[compared]}; task={choices.get('task')} produces {_OUTPUTS[made]}"
        yield Problem(
            "loss",
            str(choices.get("loss")),
            rule,
            f"Use {' or '.join(filter(None, (_LOSS_OF.get(made), _TASK_OF.get(compared))))}",
            code="cannot-combine",
        )


def _combines(tree: Mapping[str, Any], choices: Mapping[str, str], origins: Origins) -> Iterator[Problem]:
    """Yield the problems of combinations of keys."""
    data, scheduler, trainer = tree["data"], tree["scheduler"], tree["trainer"]
    held_out = data.get("val_fraction", 0) + data.get("test_fraction", 0)
    if held_out >= 1:
        yield Problem(
            "data.val_fraction + data.test_fraction",
            f"{held_out:g}",
            "must be < 1, so that training samples remain",
            code="out-of-range",
        )
    if scheduler.get("warmup_steps") is not None and scheduler.get("warmup_epochs"):
        yield Problem(
            "scheduler.warmup_steps",
            str(scheduler["warmup_steps"]),
            "cannot be combined with scheduler.warmup_epochs",
            "Set scheduler.warmup_epochs=0",
            code="cannot-combine",
        )
    yield from split_problems(data)
    yield from balance_problems(tree, choices)
    yield from suspected_labels_problems(tree, choices)
    yield from anomalies_problems(tree, choices)
    yield from _auto_rate(tree)
    leaf = origins.find("data.batch_size")
    yield from effective_batch_problems(tree, value_of(leaf) if leaf else None)
    name = tree["name"]
    if name is not None and (len(name) > _MAX_NAME or "/" in name or not name.isprintable()):
        yield Problem(
            "name",
            name,
            f"must have at most {_MAX_NAME} printable characters without /, as part of the name of a directory",
            code="invalid-value",
        )
    names = directions(tree)
    for path, monitor in (("trainer.monitor", trainer["monitor"]), ("task.monitor", tree["task"]["monitor"])):
        if monitor is not None and monitor not in names:
            near, origin = value_meant("trainer.monitor", str(monitor)), origins.text(path, monitor)
            if near not in names:
                yield unknown_monitor(path, str(monitor), tree, origin)
                continue
            remedy, instead = f"Did you mean {setting(path, near)}?", None if origin else (f"{path}={near}",)
            yield Problem(path, str(monitor), "unknown metric", remedy, origin, code="unknown-value", instead=instead)
    for key in ("betas", "adamw_betas"):
        betas = tree["optim"].get(key)
        if betas is not None and len(betas) != 2:
            yield Problem(
                f"optim.{key}", shown(betas), f"must be a list of two numbers, got {len(betas)}", code="invalid-value"
            )
    yield from group_problems(tree)
    yield from phase_combinations(tree)
    yield from regularization_problems(tree)
    yield from freezing_problems(tree)
    yield from gradient_problems(tree)


def _auto_rate(tree: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield a problem if optim.lr=auto, which finds the peak learning rate, and the schedule sets another peak."""
    if tree["optim"].get("lr") != "auto":
        return
    scheduler = tree["scheduler"]
    for key, peak in (("max_lr", scheduler.get("max_lr")), ("max_factor", scheduler.get("max_factor"))):
        if peak is not None and not (key == "max_factor" and peak == 1):
            remedy = "Set scheduler.max_factor=1" if key == "max_factor" else "Use another schedule"
            rule = f"cannot be combined with scheduler.{key}={shown(peak)}, which sets another peak learning rate"
            yield Problem("optim.lr", "auto", rule, f"{remedy}, or set optim.lr to a number.", code="cannot-combine")


def _routed(tree: dict[str, Any], choices: Mapping[str, str], origins: Origins) -> Iterator[Problem]:
    """Set regularization.dropout in the model and regularization.label_smoothing in the loss, or yield a problem."""
    for key, group in ROUTES.items():
        value = tree["regularization"][key]
        if value is None:
            continue
        path = f"regularization.{key}"
        if key in tree[group]:
            tree[group][key] = value
        else:
            rule = f"not supported with {group}={choices.get(group)}, which has no {key}"
            yield Problem(
                path,
                shown(value),
                rule,
                f"Remove it, or set {path}=null",
                origins.text(path, value),
                code="not-supported",
            )
