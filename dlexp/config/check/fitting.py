"""Remedies where a model, a task or a loss requires another kind of data: what fits the data, and data that fit it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dlexp.kinds import TARGETS, describe_kind, describe_kinds, kinds_of
from dlexp.text.quoting import setting

_OF_TARGETS = {"class": ("task=classification", "loss=cross_entropy"), "value": ("task=regression", "loss=mse")}
_TASKS = {"forecast": "forecasting", "tags": "tagging", "tokens": "seq2seq", "next_tokens": "language_model"}
# Kind of targets -> a model of sequences that puts them out; of any other kind `lstm`.
_OF_SEQUENCES = {"tokens": "seq2seq_lstm", "next_tokens": "gpt", "forecast": "gru"}
_SEQUENCES = ("tokens", "series")
# Group and what it declares of the kinds of data that it is for.
PARTS_OF_KINDS = (("model", "_inputs_"), ("model", "_targets_"), ("task", "_targets_"), ("loss", "_targets_"))
# (kind of inputs, kind of targets) -> a built-in data set of a few hundred samples.
_DATA = {
    ("image", "class"): "data=digits",
    ("tabular", "class"): "data=breast_cancer",
    ("tabular", "value"): "data=diabetes",
    ("tokens", "class"): "data=docstrings",
    ("series", "forecast"): "data=sunspots",
    ("tokens", "tags"): "data=entities",
    ("tokens", "tokens"): "data=reverse",
    ("tokens", "next_tokens"): "data=topics",
}


def misfit(node: Mapping[str, Any], group: str, aspect: str, given: str) -> tuple[str, ...]:
    """Return the kinds that a component requires where the data are of another one, `given`; () where it fits.

    What a model puts out is compared with the kinds of dlexp alone: data of the user's own may pass it what it needs.
    """
    wanted = kinds_of(node.get(aspect))
    is_own = group == "model" and aspect == "_targets_" and given not in TARGETS
    return () if given in wanted or is_own else wanted


def rule_of_kinds(wanted: Sequence[str], given: str, data: str, group: str, aspect: str) -> str:
    """What a component requires, and what the data named `data` have instead."""
    if group == "model" and aspect == "_targets_":
        return f"puts out {describe_kinds(wanted)}; the targets of data={data} are {describe_kind(given)}"
    return f"requires {describe_kinds(wanted)}; data={data} has {describe_kind(given)}"


def remedy_of_kinds(tree: Mapping[str, Any], group: str, wanted: Sequence[str], aspect: str) -> str:
    """Return components or data to use instead where one requires `wanted` and the data are others; "" for none.

    Args:
        tree: The configuration as plain containers.
        group: model, task or loss.
        wanted: The kinds that it requires.
        aspect: _inputs_ or _targets_: what these kinds are of.
    """
    data, given = tree["data"], str(tree["data"].get(aspect))
    if group == "model" and aspect == "_targets_":
        inputs = kinds_of(tree["model"].get("_inputs_"))
        fitting = _model(inputs, str(data.get("_inputs_")), given)
        kinds = (inputs[0], wanted[0])
    elif group == "model":
        fitting = _model(wanted, given, str(data.get("_targets_")))
        kinds = (wanted[0], next(iter(kinds_of(tree["model"].get("_targets_"))), "class"))
    else:
        fitting = _fitting(tree, group, given)
        inputs = kinds_of(tree["model"].get("_inputs_"))
        kinds = (inputs[0] if inputs else tree["data"].get("_inputs_"), wanted[0])
        if kinds not in _DATA and not inputs:  # the model reads other inputs too
            kinds = next((known for known in _DATA if known[1] == wanted[0]), kinds)
    found = [fitting, _other_data(tree, group, wanted[0], kinds)]
    return f"Use {', or '.join(filter(None, found))}" if any(found) else ""


def _model(wanted: Sequence[str], given: str, targets: str) -> str:
    """A model for inputs of kind `given` in place of one that requires `wanted`; "" for none."""
    if given in _SEQUENCES:
        return f"model={_OF_SEQUENCES.get(targets, 'lstm')}"
    if given == "tabular" or {*wanted, given} <= {"image", "tabular"}:
        return "model=mlp"
    return "model=simple_cnn" if given == "image" and targets in _OF_TARGETS else ""


def _fitting(tree: Mapping[str, Any], group: str, given: str) -> str:
    """A task and its loss for targets of kind `given`; the loss alone if the task fits already; "" for none."""
    if group == "task" and given == "tokens" and tree["data"].get("_inputs_") == "series":
        return "task=ctc"
    if group == "task" and given in _TASKS:
        return f"task={_TASKS[given]}"
    if given not in _OF_TARGETS:
        return "loss=none if the task computes its own loss" if group == "loss" else ""
    return _OF_TARGETS[given][1] if group == "loss" else " ".join(_OF_TARGETS[given])


def _other_data(tree: Mapping[str, Any], group: str, wanted: str, kinds: tuple[Any, str]) -> str:
    """Data of the kinds of inputs and targets; the setting that reads the target of a table as another kind."""
    if group != "model" and "target_kind" in tree["data"] and wanted in _OF_TARGETS:
        condition = "if the column holds numbers, " if wanted == "value" else ""
        return f"{condition}{setting('data.target_kind', wanted)} to read the target as {describe_kind(wanted)}"
    return f"other data, such as {_DATA[kinds]}" if kinds in _DATA else ""
