"""Metrics that no network can give a value on some samples, whatever it predicts: known from their targets alone.

Symbols: N samples, C classes, O targets.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_RANKING = ("roc_auc", "average_precision")
_OF_TWO_CLASSES = (
    *(*_RANKING, *(f"{name}_weighted" for name in _RANKING), "cohen_kappa", "matthews_correlation"),
    *("specificity_macro", "specificity_weighted"),
)
_EXPLAINED = ("r2", "explained_variance")


def undefined_of_classes(name: str, targets: Tensor, class_names: Sequence[str]) -> str:
    """The reason why the metric `name` has no value on targets (N,) class numbers, or always the same; "" otherwise."""
    counts = torch.bincount(targets.cpu(), minlength=len(class_names)).tolist()
    present = [class_names[c] for c, count in enumerate(counts) if count]
    if len(present) == 1 and name in _OF_TWO_CLASSES:
        return f"every sample is of the class {present[0]}"
    missing = [class_names[c] for c, count in enumerate(counts) if not count]
    if missing and name in _RANKING:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        return f"no sample is of the class {', '.join(missing[:3])}{more}"
    return ""


def undefined_of_values(name: str, targets: Tensor) -> str:
    """The same for targets (N, O)."""
    if name in _EXPLAINED and len(targets) < 2:
        return "it holds one sample"
    if name in _EXPLAINED and bool((targets == targets[:1]).all()):
        return "every sample has the same target"
    zeros = int((targets == 0).any(dim=1).sum())
    return f"{zeros:,} of {len(targets):,} targets are 0" if name == "mape" and zeros else ""


def undefined_of_neighbors(name: str, targets: Tensor) -> str:
    """The same for class numbers (N,) of embeddings that are compared with their neighbors."""
    counts = torch.bincount(targets.cpu())
    if name == "other_distance" and int((counts > 0).sum()) < 2:
        return "all samples are of one class"
    alone = name in ("knn_accuracy", "recall_at_1", "recall_at_5", "same_distance") and int(counts.max()) < 2
    return "no class has two samples" if alone else ""
