"""Refusals of changes of batches by data whose kinds only the data themselves tell."""

from __future__ import annotations

import torch
from torch import Tensor

from dlexp.config.check.combinations import CHANGES_OF_BATCHES, inputs_problem, targets_problem
from dlexp.config.schema.regularization import RegularizationConfig
from dlexp.config.schema.run import RunConfig
from dlexp.data.bundle import DataBundle
from dlexp.errors import ConfigError
from dlexp.kinds import describe_kind
from dlexp.specs import ClassSpec, DataSpec, ImageSpec
from dlexp.types import Field


def refuse_changes_of_batches(given: RegularizationConfig, bundle: DataBundle) -> None:
    """Raise ConfigError for MixUp, CutMix or random erasing of data that they are not defined for.

    A kind of the user's own is mixed where one sample of it is a tensor of numbers with a fraction, and its targets are
    one tensor.
    """
    used = [key for key in CHANGES_OF_BATCHES if getattr(given, key)]
    inputs, targets = bundle.spec.inputs, bundle.spec.target_kind
    for key in used:
        wrong = inputs_problem(key, inputs.kind) or targets_problem(key, targets)
        if not wrong and key != "mixup" and not isinstance(inputs, ImageSpec):
            wrong = f"requires images, and the data has {describe_kind(inputs.kind)}", f"Remove regularization.{key}."
        if not wrong and key == "cutmix" and bundle.spec.targets is not None and bundle.spec.targets.geometry:
            rule = f"mixes whole targets by their shares, and {describe_kind(targets)} lies on images"
            wrong = rule, "Use regularization.mixup."
        if wrong:
            raise _refusal(key, given, *wrong)
    sample, learned = next(iter(bundle.splits["train"].read([torch.arange(1)])))
    network_input = bundle.preprocess(sample)
    for key in used:
        remedy = f"Remove regularization.{key}."
        if not isinstance(network_input, Tensor) or not network_input.is_floating_point():
            rule = f"requires inputs that are one tensor of floats, and {describe_kind(inputs.kind)} is "
            raise _refusal(key, given, rule + _described(network_input), remedy)
        if key != "random_erasing" and not isinstance(learned, Tensor):
            rule = f"mixes targets, which must be one tensor, and {describe_kind(targets)} is "
            raise _refusal(key, given, rule + _described(learned), remedy)


def refuse_balance(config: RunConfig, spec: DataSpec) -> None:
    """Raise ConfigError for data.balance with data whose targets turn out to be no classes."""
    if config.balance != "none" and not isinstance(spec.targets, ClassSpec):
        rule = f"requires classes; data={config.data.option} has {describe_kind(spec.target_kind)}"
        raise ConfigError.one("data.balance", config.balance, rule, "Set data.balance=none", code="incompatible-data")


def without_suspects(config: RunConfig, bundle: DataBundle) -> DataBundle:
    """The data without training samples whose class is probably wrong, where data.suspected_labels=drop.

    Raises ConfigError for data whose targets turn out to be no classes, or whose samples are read while they are used.
    """
    if not config.drops_suspected_labels:
        return bundle
    key, keep = "data.suspected_labels", "Set data.suspected_labels=keep"
    if not isinstance(bundle.spec.targets, ClassSpec):
        rule = f"requires classes; data={config.data.option} has {describe_kind(bundle.spec.target_kind)}"
        raise ConfigError.one(key, "drop", rule, keep, code="incompatible-data")
    if bundle.is_streamed:
        rule = "not supported with samples that are read while they are used"
        raise ConfigError.one(key, "drop", rule, "Set data.in_memory=true", code="not-supported")
    from dlexp.diagnosis.data.suspects import without_suspected_labels  # few runs need it

    seed = config.data.arguments.get("split_seed")
    return without_suspected_labels(bundle, seed if isinstance(seed, int) else 0)


def _refusal(key: str, given: RegularizationConfig, rule: str, remedy: str) -> ConfigError:
    path = f"regularization.{key}"
    return ConfigError.one(path, getattr(given, key), rule, remedy, code="incompatible-data")


def _described(field: Field | None) -> str:
    if isinstance(field, Tensor):
        return str(field.dtype).removeprefix("torch.")
    return "nothing" if field is None else type(field).__name__
