"""Decoders of the outputs of a network under a loss: how many numbers there are, and what they mean.

A loss carries its decoder as the attribute `decoder`, which a task takes; without one the outputs are C logits, or O
standardized values.

Symbols: B batch, C classes, O targets, Q quantiles.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from dlexp.runtime.tensors import as_float64


class ClassDecoder(ABC):
    """Decodes the outputs of a network for classes.

    is_probabilistic  true where `decode` gives probabilities, false where it gives scores
    """

    is_probabilistic: bool = True

    @abstractmethod
    def num_outputs(self, num_classes: int) -> int:
        """The number of outputs for one sample. Raises ValueError for a number of classes that is not supported."""

    @abstractmethod
    def decode(self, outputs: Tensor) -> Tensor:
        """(B, num_outputs) -> (B, C): probabilities, or scores."""

    @abstractmethod
    def choose(self, outputs: Tensor) -> Tensor:
        """(B, num_outputs) -> (B,) int64: the predicted class, that of the largest score."""

    def logits(self, outputs: Tensor) -> Tensor | None:
        """(B, num_outputs) -> (B, C): numbers whose softmax `decode` gives, None where it gives anything else."""
        return None


class Softmax(ClassDecoder):
    """C logits, decoded as probabilities.

    temperature  the logits are divided by it, > 0
    """

    def __init__(self, temperature: float = 1.0) -> None:
        self.temperature = temperature

    def num_outputs(self, num_classes: int) -> int:
        """C."""
        return num_classes

    def decode(self, outputs: Tensor) -> Tensor:
        """(B, C) -> (B, C): probabilities."""
        return self._cooled(outputs).softmax(dim=1)

    def choose(self, outputs: Tensor) -> Tensor:
        """(B, C) -> (B,) int64."""
        return outputs.argmax(dim=1)

    def logits(self, outputs: Tensor) -> Tensor | None:
        """(B, C) -> (B, C); None for a subclass that decodes in another way."""
        if type(self).decode is not Softmax.decode:
            return None
        return self._cooled(outputs)

    def _cooled(self, outputs: Tensor) -> Tensor:
        return outputs if self.temperature == 1 else outputs / self.temperature  # with many classes a copy is large


class OneLogit(ClassDecoder):
    """One logit for two classes: the probability of class 1 is its sigmoid, and above 0.5 class 1 is predicted."""

    def num_outputs(self, num_classes: int) -> int:
        """Always 1. Raises ValueError unless there are two classes."""
        check_two_classes(num_classes)
        return 1

    def decode(self, outputs: Tensor) -> Tensor:
        """(B, 1) -> (B, 2): both from the logit itself, for 1 - sigmoid rounds small probabilities away."""
        return torch.cat([-outputs, outputs], dim=1).sigmoid()

    def choose(self, outputs: Tensor) -> Tensor:
        """(B, 1) -> (B,) int64."""
        return (outputs[:, 0] > 0).long()

    def logits(self, outputs: Tensor) -> Tensor | None:
        """(B, 1) -> (B, 2): 0 and the logit itself, which is exact."""
        return torch.cat([torch.zeros_like(outputs), outputs], dim=1)


class Margins(ClassDecoder):
    """Scores that are compared and are no probabilities: one of either sign for two classes, else C."""

    is_probabilistic = False

    def __init__(self, one_for_two: bool) -> None:
        self._one_for_two = one_for_two

    def num_outputs(self, num_classes: int) -> int:
        """1 for two classes where one score separates them, else C."""
        return 1 if self._one_for_two and num_classes == 2 else num_classes

    def decode(self, outputs: Tensor) -> Tensor:
        """The scores themselves, (B, C); one score s becomes (-s, s)."""
        return torch.cat([-outputs, outputs], dim=1) if outputs.shape[1] == 1 else outputs

    def choose(self, outputs: Tensor) -> Tensor:
        """(B, num_outputs) -> (B,) int64."""
        return (outputs[:, 0] > 0).long() if outputs.shape[1] == 1 else outputs.argmax(dim=1)


class ValueDecoder(ABC):
    """Decodes the outputs of a network for values.

    What has a unit is float64, for float32 has no digits left for the deviation of a target such as 1.7e9 +- 20.
    """

    def num_outputs(self, num_targets: int) -> int:
        """The number of outputs for one sample."""
        return num_targets

    @abstractmethod
    def decode(self, outputs: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """(B, num_outputs) -> (B, O) float64: one value a target, in its own units; mean, std (O,) of the targets."""

    def scaled(self, targets: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """Targets (B, O) in their own units -> those that the loss compares the outputs with; all float64."""
        return (targets - mean) / std

    def extra(self, outputs: Tensor, mean: Tensor, std: Tensor) -> Mapping[str, Tensor]:
        """More values a target, by name, each (B, O) float64 in its own units."""
        return {}


class Standardized(ValueDecoder):
    """O values, each in standard deviations from the mean of its target."""

    def decode(self, outputs: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """(B, O) -> (B, O)."""
        return as_float64(outputs) * std + mean


class Quantiles(ValueDecoder):
    """Q values a target, standardized: the outputs are Q blocks of O, one block a quantile.

    Where quantiles cross they are put in order, which never makes them worse (Chernozhukov et al. 2010).
    """

    def __init__(self, quantiles: Sequence[float]) -> None:
        self._quantiles = tuple(quantiles)
        self._middle = min(range(len(self._quantiles)), key=lambda n: abs(self._quantiles[n] - 0.5))

    def num_outputs(self, num_targets: int) -> int:
        """Q * O."""
        return len(self._quantiles) * num_targets

    def decode(self, outputs: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """The quantile nearest to the median, (B, O)."""
        return as_float64(self._ordered(outputs, len(mean))[:, self._middle]) * std + mean

    def extra(self, outputs: Tensor, mean: Tensor, std: Tensor) -> Mapping[str, Tensor]:
        """Every quantile, called q0.1 and so on."""
        ordered = as_float64(self._ordered(outputs, len(mean))) * std + mean
        return {f"q{quantile:g}": ordered[:, n] for n, quantile in enumerate(self._quantiles)}

    def _ordered(self, outputs: Tensor, num_targets: int) -> Tensor:
        # By the numbers that are the same in every batch: len(outputs) would fix the batch size of an exported graph.
        return outputs.reshape(-1, len(self._quantiles), num_targets).sort(dim=1).values


class LogRate(ValueDecoder):
    """The logarithm of a rate, in units of the target's mean: an output of 0 is the mean."""

    def scaled(self, targets: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """Targets as multiples of their mean."""
        return targets / mean

    def decode(self, outputs: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """The rate, (B, O)."""
        return as_float64(outputs).exp() * mean


def class_decoder(loss: nn.Module) -> ClassDecoder:
    """The decoder that a loss of classes has, or that of logits."""
    found = getattr(loss, "decoder", None)
    return found if isinstance(found, ClassDecoder) else Softmax()


def value_decoder(loss: nn.Module) -> ValueDecoder:
    """The decoder that a loss of values has, or that of standardized values."""
    found = getattr(loss, "decoder", None)
    return found if isinstance(found, ValueDecoder) else Standardized()


def check_two_classes(num_classes: int) -> None:
    """Raise ValueError unless there are two."""
    if num_classes != 2:
        raise ValueError(f"one logit requires two classes, got {num_classes}. Use loss=cross_entropy.")
