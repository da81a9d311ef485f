"""Remedies where a model, a task or a loss requires another kind of data: what fits the data, and data that fit it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dlexp.kinds import describe_kind, kinds_of
from dlexp.text.quoting import setting

_OF_TARGETS = {"class": ("task=classification", "loss=cross_entropy"), "value": ("task=regression", "loss=mse")}
_TASKS = {
    "forecast": "forecasting",
    "tags": "tagging",
    "tokens": "seq2seq",
    "next_tokens": "language_model",
    "captions": "contrastive",
}
# Kind of targets -> a model of sequences that puts them out; of any other kind `lstm`.
_OF_SEQUENCES = {"tokens": "seq2seq_lstm", "next_tokens": "gpt", "forecast": "gru"}
_SEQUENCES = ("tokens", "series")
# (kind of inputs, kind of targets) -> a built-in data set of a few hundred samples.
_DATA = {
    ("image", "class"): "data=digits",
    ("tabular", "class"): "data=breast_cancer",
    ("tabular", "value"): "data=diabetes",
    ("tokens", "class"): "data=docstrings",
    ("series", "forecast"): "data=sunspots",
    ("tokens", "tags"): "data=entities",
    ("tokens", "tokens"): "data=reverse",
    ("image", "captions"): "data=digit_captions",
}


def remedy_of_kinds(tree: Mapping[str, Any], group: str, wanted: Sequence[str], given: str) -> str:
    """Return components or data to use instead where one requires `wanted` and the data are `given`; "" for none.

    Args:
        tree: The configuration as plain containers.
        group: model, task or loss.
    """
    if group == "model":
        fitting = _model(wanted, given, str(tree["data"].get("_targets_")))
        kinds = (wanted[0], _put_out(str(tree["model"].get("_target_")).rpartition(".")[2]))
    else:
        fitting = _fitting(tree, group, given)
        inputs = kinds_of(tree["model"].get("_inputs_"))
        kinds = (inputs[0] if inputs else tree["data"].get("_inputs_"), wanted[0])
        if kinds not in _DATA and not inputs:  # the model reads other inputs too
            kinds = next((known for known in _DATA if known[1] == wanted[0]), kinds)
    found = [fitting, _other_data(tree, group, wanted[0], kinds)]
    return f"Use {', or '.join(filter(None, found))}" if any(found) else ""


def remedy_of_targets(tree: Mapping[str, Any], wanted: Sequence[str]) -> str:
    """Return a model or data to use where a model requires targets of other kinds than those of the data."""
    inputs = str(tree["data"].get("_inputs_"))
    model = _model(wanted, inputs, str(tree["data"].get("_targets_")))
    return f"Use {', or '.join(filter(None, (model, _other_data(tree, 'model', wanted[0], (inputs, wanted[0])))))}"


def _model(wanted: Sequence[str], given: str, targets: str) -> str:
    """A model for inputs of kind `given` in place of one that requires `wanted`; "" for none."""
    if given == "image" and targets == "captions":
        return "model=clip"
    if given in _SEQUENCES:
        return f"model={_OF_SEQUENCES.get(targets, 'lstm')}"
    if given == "tabular" or {*wanted, given} <= {"image", "tabular"}:
        return "model=mlp"
    return "model=simple_cnn" if given == "image" and targets in _OF_TARGETS else ""


def _put_out(name: str) -> str:
    """The kind of targets for which the model made by the function `name` is meant."""
    if name == "gpt":
        return "next_tokens"
    return "tokens" if name == "transformer" or name.startswith("seq2seq") else "class"


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
