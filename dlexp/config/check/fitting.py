"""Remedies where a model, a task or a loss requires another kind of data: what fits the data, and data that fit it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dlexp.config.schema.names import PREFERS
from dlexp.kinds import TARGETS, describe_kind, describe_kinds, kinds_of
from dlexp.text.quoting import setting

_OF_TARGETS = {"class": ("task=classification", "loss=cross_entropy"), "value": ("task=regression", "loss=mse")}
_TASKS = {
    "forecast": "forecasting",
    "tags": "tagging",
    "tokens": "seq2seq",
    "next_tokens": "language_model",
    "captions": "contrastive",
}
# (kind of inputs, kind of targets) -> models, one of each family.
_OF_IMAGES, _OF_TABLES = ("simple_cnn", "resnet18", "vit", "mlp"), ("mlp", "ft_transformer")
_MODELS = {
    ("image", "class"): _OF_IMAGES,
    ("image", "value"): _OF_IMAGES,
    ("image", "captions"): ("clip",),
    ("tabular", "class"): _OF_TABLES,
    ("tabular", "value"): _OF_TABLES,
    ("tokens", "class"): ("lstm", "gru", "text_cnn", "transformer_encoder"),
    ("tokens", "value"): ("lstm", "gru", "text_cnn", "transformer_encoder"),
    ("tokens", "tags"): ("lstm", "gru", "tcn", "transformer_encoder"),
    ("tokens", "tokens"): ("seq2seq_lstm", "seq2seq_gru", "transformer"),
    ("tokens", "next_tokens"): ("gpt", "lstm", "gru", "tcn"),
    ("series", "class"): ("gru", "lstm", "tcn", "transformer_encoder"),
    ("series", "value"): ("gru", "lstm", "tcn", "transformer_encoder"),
    ("series", "forecast"): ("gru", "tcn", "transformer_encoder", "mlp"),
    ("series", "tokens"): ("gru", "lstm", "tcn", "transformer_encoder"),
}
# Tasks of generative models, which compute their own losses: (task that the model prefers, kind of inputs) -> models.
_GENERATIVE = {
    ("adversarial", "tabular"): ("gan", "wgan_gp", "hinge_gan"),
    ("series_reconstruction", "image"): ("autoencoder", "vae"),
    ("series_reconstruction", "tabular"): ("autoencoder", "vae"),
}
_GENERATIVE_OF = {"series": ("lstm_autoencoder",)}  # of every other one of these tasks
_WITHOUT_LOSS = ("adversarial", "diffusion", "likelihood", "reconstruction", "series_reconstruction", "vae")
# Group and what it declares of the kinds of data that it is for.
PARTS_OF_KINDS = (("model", "_inputs_"), ("model", "_targets_"), ("task", "_targets_"), ("loss", "_targets_"))
# (kind of inputs, kind of targets) -> a built-in data set of a few hundred samples.
_DATA = {
    ("image", "class"): "data=digits",
    ("tabular", "class"): "data=breast_cancer",
    ("tabular", "value"): "data=diabetes",
    ("tokens", "class"): "data=docstrings",
    ("series", "value"): "data=adding",
    ("series", "forecast"): "data=sunspots",
    ("tokens", "tags"): "data=entities",
    ("tokens", "tokens"): "data=reverse",
    ("tokens", "next_tokens"): "data=topics",
    ("series", "tokens"): "data=tones",
    ("image", "captions"): "data=digit_captions",
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


def preferred_task(tree: Mapping[str, Any], chosen: str) -> str:
    """The task that the model is made for, `task=NAME` and its loss; "" where it names none, or the `chosen` one."""
    found = _preferred(tree)
    if found in ("", chosen):
        return ""
    return f"task={found} loss=none" if found in _WITHOUT_LOSS else f"task={found}"


def _preferred(tree: Mapping[str, Any]) -> str:
    return str((tree["model"].get(PREFERS) or {}).get("task") or "")


def remedy_of_kinds(
    tree: Mapping[str, Any], group: str, wanted: Sequence[str], aspect: str, chosen_task: str = ""
) -> str:
    """Return components or data to use instead where one requires `wanted` and the data are others; "" for none.

    Args:
        tree: The configuration as plain containers.
        group: model, task or loss.
        wanted: The kinds that it requires.
        aspect: _inputs_ or _targets_: what these kinds are of.
        chosen_task: The option of the task.
    """
    if group == "model":
        return _of_model(tree)
    if made_for := preferred_task(tree, chosen_task):
        return f"Use {made_for}"
    fitting = _fitting(tree, group, str(tree["data"].get(aspect)))
    inputs = kinds_of(tree["model"].get("_inputs_"))
    kinds = (inputs[0] if inputs else tree["data"].get("_inputs_"), wanted[0])
    if kinds not in _DATA and not inputs:  # the model reads other inputs too
        kinds = next((known for known in _DATA if known[1] == wanted[0]), kinds)
    found = [fitting, _other_data(tree, group, wanted[0], kinds)]
    return f"Use {', or '.join(filter(None, found))}" if any(found) else ""


def _of_model(tree: Mapping[str, Any]) -> str:
    """Models that fit the data, and data that fit the model, of each kind that it reads; "" for neither."""
    data, model = tree["data"], tree["model"]
    fitting = [f"model={name}" for name in _of_data(_preferred(tree), data.get("_inputs_"), data.get("_targets_"))]
    learned = kinds_of(model.get("_targets_"))
    pairs = [(kind, target) for kind in kinds_of(model.get("_inputs_")) for target in learned or ("class", "forecast")]
    # The texts of an alignment have no beginning, which a model that puts out sequences needs.
    others = [_DATA[pair] for pair in pairs if pair in _DATA and pair != ("series", "tokens")]
    found = [_choices(fitting), f"other data, such as {_choices(others)}" if others else ""]
    return f"Use {', or '.join(filter(None, found))}" if any(found) else ""


def _of_data(task: str, inputs: Any, targets: Any) -> tuple[str, ...]:
    """Models for data of these kinds that learn what a model of the task `task` learns; () for none."""
    if task in _WITHOUT_LOSS:
        return _GENERATIVE.get((task, inputs), _GENERATIVE_OF.get(inputs, ("gpt",) if targets == "next_tokens" else ()))
    # mlp reads images and tables, and puts out any number of values.
    return _MODELS.get((inputs, targets), ("mlp",) if inputs in ("image", "tabular") else ())


def _choices(words: Sequence[str]) -> str:
    """`a, b or c`."""
    return " or ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


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
