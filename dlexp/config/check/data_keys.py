"""Problems of the keys of data.* that divide, balance and leave out samples. Imports no torch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from dlexp.config.schema.tree import shown
from dlexp.errors import Problem
from dlexp.kinds import NO_TARGETS, describe_kind

OWN_WEIGHTS = ("class_weights", "pos_weight")  # keys of losses with weights of classes
_BALANCED = ("class", "auto", None)  # `_targets_` of data that may have classes


def elsewhere(path: str, value: Any) -> str:
    """Return where a value is set that scikit-learn has for the key `path`, "" for other values."""
    return "Set data.balance=weights" if path == "loss.class_weights" and value == "balanced" else ""


def split_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the problems of keys that divide the samples in two ways.

    Args:
        data: The section data.
    """
    if data.get("group") is not None and data.get("time") is not None:
        rule = "cannot be combined with data.time: a group with early and late rows would be divided"
        yield Problem("data.group", shown(data["group"]), rule, "Remove one of the two.", code="cannot-combine")
    for key in ("val_path", "test_path"):
        if data.get(key) is not None and data.get("split_column") is not None:
            rule = f"cannot be combined with data.{key}: both say which rows are in which split"
            yield Problem(
                "data.split_column", shown(data["split_column"]), rule, "Remove one of the two.", code="cannot-combine"
            )
            break
    given = {key: data[key] for key in ("path", "val_path", "test_path") if isinstance(data.get(key), str)}
    seen: dict[str, str] = {}
    for key, path in given.items():
        real = os.path.realpath(os.path.expanduser(path))  # noqa: PTH111 - as paths are made absolute
        if real in seen:
            rule = f"is the same as data.{seen[real]}, so that samples would be in two splits"
            yield Problem(f"data.{key}", path, rule, f"Set another data.{key}.", code="cannot-combine")
        seen.setdefault(real, key)


def balance_problems(tree: Mapping[str, Any], choices: Mapping[str, str]) -> Iterator[Problem]:
    """Yield the problems of data.balance with the kind of the targets and with the loss."""
    balance, loss, targets = tree["data"].get("balance", "none"), tree["loss"], tree["data"].get("_targets_")
    if balance == "none":
        return
    if targets not in _BALANCED:
        rule = f"requires classes; data={choices.get('data')} has {describe_kind(targets)}"
        yield Problem("data.balance", balance, rule, "Set data.balance=none", code="incompatible-data")
        return
    if balance == "weights" and "class_weights" not in loss:
        rule = f"not supported with loss={choices.get('loss')}, which has no class_weights"
        yield Problem("data.balance", balance, rule, "Set data.balance=sampling", code="not-supported")
    for key in OWN_WEIGHTS:
        if loss.get(key) is not None:
            rule = f"cannot be combined with loss.{key}: both weigh classes"
            remedy = f"Set loss.{key}=null, or data.balance=none"
            yield Problem("data.balance", balance, rule, remedy, code="cannot-combine")


def suspected_labels_problems(tree: Mapping[str, Any], choices: Mapping[str, str]) -> Iterator[Problem]:
    """Yield the problem of data.suspected_labels with the kind of the targets."""
    given, targets = tree["data"].get("suspected_labels", "keep"), tree["data"].get("_targets_")
    if given != "keep" and targets not in _BALANCED:
        rule = f"requires classes; data={choices.get('data')} has {describe_kind(targets)}"
        yield Problem("data.suspected_labels", given, rule, "Set data.suspected_labels=keep", code="incompatible-data")


def anomalies_problems(tree: Mapping[str, Any], choices: Mapping[str, str]) -> Iterator[Problem]:
    """Yield the problems of data.anomalies with the kind of the targets, the task and the model."""
    given, targets = tree["data"].get("anomalies"), tree["data"].get("_targets_")
    if not given:
        return
    if targets not in _BALANCED:
        rule = f"requires classes; data={choices.get('data')} has {describe_kind(targets)}"
        remedy = "Add data.target=COLUMN of the classes" if targets == NO_TARGETS else "Set data.anomalies=[]"
        yield Problem("data.anomalies", shown(given), rule, remedy, code="incompatible-data")
    elif "anomaly_quantile" not in tree["task"]:
        rule = f"has no effect with task={choices.get('task')}, which does not score how unlike the training data a "
        rule += "sample is"
        yield Problem("data.anomalies", shown(given), rule, "Use model=autoencoder", code="no-effect")
    elif tree["model"].get("conditional") is True:
        rule = "cannot be combined with model.conditional=true: the class of an anomaly is not known to the model"
        yield Problem("data.anomalies", shown(given), rule, "Set model.conditional=false", code="cannot-combine")
