"""Remedies where a model, a task or a loss requires another kind of data: what fits the data, and data that fit it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dlexp.kinds import describe_kind, kinds_of
from dlexp.text.quoting import setting

_OF_TARGETS = {"class": ("task=classification", "loss=cross_entropy"), "value": ("task=regression", "loss=mse")}
# (kind of inputs, kind of targets) -> a built-in data set of a few hundred samples.
_DATA = {
    ("image", "class"): "data=digits",
    ("tabular", "class"): "data=breast_cancer",
    ("tabular", "value"): "data=diabetes",
}


def remedy_of_kinds(tree: Mapping[str, Any], group: str, wanted: Sequence[str], given: str) -> str:
    """Return components or data to use instead where one requires `wanted` and the data are `given`; "" for none.

    Args:
        tree: The configuration as plain containers.
        group: model, task or loss.
    """
    if group == "model":
        fitting = "model=mlp" if {*wanted, given} <= {"image", "tabular"} else ""
        kinds = (wanted[0], "class")
    else:
        fitting = _fitting(tree, group, given)
        inputs = kinds_of(tree["model"].get("_inputs_"))
        kinds = (inputs[0] if inputs else tree["data"].get("_inputs_"), wanted[0])
        if kinds not in _DATA and not inputs:  # the model reads other inputs too
            kinds = next((known for known in _DATA if known[1] == wanted[0]), kinds)
    found = [fitting, _other_data(tree, group, wanted[0], kinds)]
    return f"Use {', or '.join(filter(None, found))}" if any(found) else ""


def _fitting(tree: Mapping[str, Any], group: str, given: str) -> str:
    """A task and its loss for targets of kind `given`; the loss alone if the task fits already; "" for none."""
    if given not in _OF_TARGETS:
        return "loss=none if the task computes its own loss" if group == "loss" else ""
    return _OF_TARGETS[given][1] if group == "loss" else " ".join(_OF_TARGETS[given])


def _other_data(tree: Mapping[str, Any], group: str, wanted: str, kinds: tuple[Any, str]) -> str:
    """Data of the kinds of inputs and targets; the setting that reads the target of a table as another kind."""
    if group != "model" and "target_kind" in tree["data"] and wanted in _OF_TARGETS:
        condition = "if the column holds numbers, " if wanted == "value" else ""
        return f"{condition}{setting('data.target_kind', wanted)} to read the target as {describe_kind(wanted)}"
    return f"other data, such as {_DATA[kinds]}" if kinds in _DATA else ""
