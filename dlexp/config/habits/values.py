"""Values of other tools for keys and groups of dlexp, such as 16-mixed for trainer.precision."""

from __future__ import annotations

import re
from collections.abc import Mapping

_CUDA = re.compile(r"(?:gpu:?|cuda)?(\d+)")
# Values in lower case, with underscores.
VALUES: Mapping[str, Mapping[str, str]] = {
    "trainer.precision": {
        "16_mixed": "fp16",
        "16": "fp16",
        "16_true": "fp16",
        "float16": "fp16",
        "half": "fp16",
        "mixed_float16": "fp16",
        "bf16_mixed": "bf16",
        "bf16_true": "bf16",
        "bfloat16": "bf16",
        "mixed_bfloat16": "bf16",
        "32": "fp32",
        "32_true": "fp32",
        "float32": "fp32",
        "full": "fp32",
        "mixed": "auto",
    },
    "trainer.device": {"gpu": "cuda", "nvidia": "cuda", "all": "auto"},
    "trainer.compile": {"default": "true", "inductor": "true"},
    "optim": {
        "adamw_torch": "adamw",
        "adamw_torch_fused": "adamw",
        "adamw_hf": "adamw",
        "fusedadamw": "adamw",
        "momentum": "sgd",
        "ranger": "lookahead",
        "schedulefree_adamw": "schedule_free_adamw",
        "adamwschedulefree": "schedule_free_adamw",
    },
    "scheduler": {
        "cosineannealinglr": "cosine",
        "cosine_annealing": "cosine",
        "cosinedecay": "cosine",
        "cosineannealingwarmrestarts": "cosine_restarts",
        "cosine_with_restarts": "cosine_restarts",
        "reducelronplateau": "plateau",
        "reduce_lr_on_plateau": "plateau",
        "reduce_on_plateau": "plateau",
        "onecyclelr": "onecycle",
        "one_cycle": "onecycle",
        "1cycle": "onecycle",
        "steplr": "step",
        "multisteplr": "multistep",
        "exponentiallr": "exponential",
        "exponentialdecay": "exponential",
        "cycliclr": "cyclic",
        "poly": "polynomial",
        "polynomialdecay": "polynomial",
        "polynomiallr": "polynomial",
        "linear_with_warmup": "linear",
        "linearlr": "linear",
        "constant_with_warmup": "constant",
        "warmup_stable_decay": "wsd",
        "none": "constant",
    },
    "loss": {
        "crossentropyloss": "cross_entropy",
        "crossentropy": "cross_entropy",
        "ce": "cross_entropy",
        "softmax_cross_entropy": "cross_entropy",
        "categorical_crossentropy": "cross_entropy",
        "sparse_categorical_crossentropy": "cross_entropy",
        "binary_crossentropy": "bce",
        "bcewithlogitsloss": "bce",
        "mseloss": "mse",
        "l2": "mse",
        "mean_squared_error": "mse",
        "l1": "mae",
        "l1loss": "mae",
        "mean_absolute_error": "mae",
        "huberloss": "huber",
        "smoothl1loss": "smooth_l1",
        "nllloss": "nll",
        "pinball": "quantile",
    },
    "model": {
        "logistic_regression": "perceptron",
        "linear": "perceptron",
        "linear_regression": "perceptron",
        "fttransformer": "ft_transformer",
        "tabular_learner": "tabular_mlp",
        "tabularmodel": "tabular_mlp",
        "widedeep": "wide_deep",
    },
    "data": {
        "imagefolder": "image_folder",
        "fashionmnist": "fashion_mnist",
        "load_dataset": "huggingface",
    },
    "data.augment": {"randaug": "randaugment", "false": "none"},
    "trainer.monitor": {
        "loss": "val/loss",
        "val_loss": "val/loss",
        "valid_loss": "val/loss",
        "eval_loss": "val/loss",
        "validation_loss": "val/loss",
        "acc": "val/accuracy",
        "accuracy": "val/accuracy",
        "top1": "val/accuracy",
        "val_acc": "val/accuracy",
        "val_accuracy": "val/accuracy",
        "eval_accuracy": "val/accuracy",
        "categorical_accuracy": "val/accuracy",
        "val_categorical_accuracy": "val/accuracy",
        "f1": "val/f1",
        "val_f1": "val/f1",
    },
}
METRICS: dict[str, str] = {
    "acc": "accuracy",
    "top1": "accuracy",
    "top_1": "accuracy",
    "top5": "top_5_accuracy",
    "top_5": "top_5_accuracy",
    "bal_acc": "balanced_accuracy",
    "balanced_acc": "balanced_accuracy",
    "auc": "roc_auc",
    "auroc": "roc_auc",
    "rocauc": "roc_auc",
    "roc_auc_score": "roc_auc",
    "ap": "average_precision",
    "auprc": "average_precision",
    "pr_auc": "average_precision",
    "average_precision_score": "average_precision",
    "f1": "f1_macro",
    "f1_score": "f1_macro",
    "f1score": "f1_macro",
    "macro_f1": "f1_macro",
    "mcc": "matthews_correlation",
    "matthews_corrcoef": "matthews_correlation",
    "kappa": "cohen_kappa",
    "logloss": "log_loss",
    "ece": "calibration_error",
    "brier_score": "brier",
    "mean_absolute_error": "mae",
    "root_mean_squared_error": "rmse",
    "r2_score": "r2",
}
_OF_SPLIT = re.compile(r"(?:val|valid|validation|eval)[_/]")
_CLASSES = ("optim", "loss", "scheduler")  # other tools write them as classes: Adam
_LISTS = ("model.hidden", "scheduler.milestones", "optim.betas")


def value_meant(key: str, value: str) -> str | None:
    """Return the value of a key, or the option of a group, that other tools call `value`; None if there is none.

    Args:
        key: A dotted key or a group.
        value: As typed.
    """
    text = value.strip("\"'").lower().replace("-", "_").replace(" ", "_")
    if key == "trainer.device" and (number := _CUDA.fullmatch(text)):
        return f"cuda:{number[1]}"
    if key in _LISTS and value[:1] not in ("[", "$", "") and value != "...":
        return f"[{value.strip('()').rstrip(',')}]"
    found = VALUES.get(key, {}).get(text)
    return text if found is None and key in _CLASSES and text != value.strip("\"'") else found


def metric_meant(name: str) -> str | None:
    """Return the metric, without its split, that other tools call `name` or `val_name`; None if there is none."""
    return METRICS.get(_OF_SPLIT.sub("", name.lower().replace("-", "_"), count=1))


def translated(word: str) -> str:
    """Return KEY=VALUE with the value of another tool replaced by that of dlexp; any other word unchanged."""
    key, equals, value = word.partition("=")
    meant = value_meant(key, value) if equals else None
    return word if meant is None else f"{key}={meant}"
