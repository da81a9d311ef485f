"""How the numbers that a network puts out are read under a loss: how many there are, and what they say.

A loss carries its reading as the attribute `reading`, and a task asks it; a loss without one is read as C logits, or
as O standardised values.

Symbols: B batch, C classes, O targets, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from dlexp.runtime.tensors import doubled


class Softmax:
    """C logits, read as probabilities.

    probabilistic  whether `read` gives probabilities
    temperature    what the logits are divided by, > 0
    """

    probabilistic = True

    def __init__(self, temperature: float = 1.0) -> None:
        self.temperature = temperature

    def num_outputs(self, num_classes: int) -> int:
        """How many numbers the network puts out for one sample. Raises ValueError for a number of classes it cannot."""
        return num_classes

    def read(self, outputs: Tensor) -> Tensor:
        """(B, num_outputs) -> (B, C): probabilities, or scores where they are none."""
        return self._cooled(outputs).softmax(dim=1)

    def logits(self, outputs: Tensor) -> Tensor | None:
        """(B, num_outputs) -> (B, C): numbers whose softmax `read` gives, None where it gives anything else."""
        if type(self).read is not Softmax.read:
            return None
        return self._cooled(outputs)

    def _cooled(self, outputs: Tensor) -> Tensor:
        return outputs if self.temperature == 1 else outputs / self.temperature  # with many classes a copy is large

    def chosen(self, outputs: Tensor) -> Tensor:
        """(B, num_outputs) -> (B,) int64: the class of the largest score."""
        return outputs.argmax(dim=1)


class OneLogit(Softmax):
    """One logit for two classes: the probability of class 1 is its sigmoid, and above 0.5 class 1 is chosen."""

    def num_outputs(self, num_classes: int) -> int:
        """Always 1. Raises ValueError unless there are two classes."""
        two_classes(num_classes)
        return 1

    def read(self, outputs: Tensor) -> Tensor:
        """(B, 1) -> (B, 2): both from the logit itself, for 1 - sigmoid rounds small probabilities away."""
        return torch.cat([-outputs, outputs], dim=1).sigmoid()

    def logits(self, outputs: Tensor) -> Tensor | None:
        """(B, 1) -> (B, 2): 0 and the logit itself, which is exact."""
        return torch.cat([torch.zeros_like(outputs), outputs], dim=1)

    def chosen(self, outputs: Tensor) -> Tensor:
        """(B, 1) -> (B,) int64."""
        return (outputs[:, 0] > 0).long()


class Margins(Softmax):
    """Scores that are compared and are no probabilities: one of either sign for two classes, else C."""

    probabilistic = False

    def __init__(self, one_for_two: bool) -> None:
        super().__init__()
        self._one_for_two = one_for_two

    def num_outputs(self, num_classes: int) -> int:
        """1 for two classes where one score tells them apart, else C."""
        return 1 if self._one_for_two and num_classes == 2 else num_classes

    def read(self, outputs: Tensor) -> Tensor:
        """The scores themselves, (B, C); one score s becomes (-s, s)."""
        return torch.cat([-outputs, outputs], dim=1) if outputs.shape[1] == 1 else outputs

    def chosen(self, outputs: Tensor) -> Tensor:
        """(B, num_outputs) -> (B,) int64."""
        return (outputs[:, 0] > 0).long() if outputs.shape[1] == 1 else outputs.argmax(dim=1)


class Standardized:
    """O values, each in standard deviations from the mean of its target.

    What has a unit is float64, for float32 has no digits left for the deviation of a target such as 1.7e9 +- 20.
    """

    def num_outputs(self, num_targets: int) -> int:
        """How many numbers the network puts out for one sample."""
        return num_targets

    def scaled(self, targets: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """Targets (B, O) in their own units -> what the loss compares the outputs with; mean, std (O,); all float64."""
        return (targets - mean) / std

    def read(self, outputs: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """(B, num_outputs) -> (B, O) float64: one value a target, in its own units."""
        return doubled(outputs) * std + mean

    def further(self, outputs: Tensor, mean: Tensor, std: Tensor) -> Mapping[str, Tensor]:
        """More values a target, by name, each (B, O) float64 in its own units."""
        return {}


class Quantiles(Standardized):
    """Q values a target, standardised: the outputs are Q blocks of O, one block a quantile.

    Where quantiles cross they are put in order, which never makes them worse (Chernozhukov et al. 2010).
    """

    def __init__(self, quantiles: Sequence[float]) -> None:
        self._quantiles = tuple(quantiles)
        self._middle = min(range(len(self._quantiles)), key=lambda n: abs(self._quantiles[n] - 0.5))

    def num_outputs(self, num_targets: int) -> int:
        """Q * O."""
        return len(self._quantiles) * num_targets

    def read(self, outputs: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """The quantile nearest to the median, (B, O)."""
        return doubled(self._ordered(outputs, len(mean))[:, self._middle]) * std + mean

    def further(self, outputs: Tensor, mean: Tensor, std: Tensor) -> Mapping[str, Tensor]:
        """Every quantile, called q0.1 and so on."""
        ordered = doubled(self._ordered(outputs, len(mean))) * std + mean
        return {f"q{quantile:g}": ordered[:, n] for n, quantile in enumerate(self._quantiles)}

    def _ordered(self, outputs: Tensor, num_targets: int) -> Tensor:
        # By the numbers that are the same in every batch: len(outputs) would fix the batch size of an exported graph.
        return outputs.reshape(-1, len(self._quantiles), num_targets).sort(dim=1).values


class LogRate(Standardized):
    """The logarithm of a rate, in units of the target's mean: an output of 0 says the mean."""

    def scaled(self, targets: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """Targets as multiples of their mean."""
        return targets / mean

    def read(self, outputs: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """The rate, (B, O)."""
        return doubled(outputs).exp() * mean


def reading_of_classes(loss: nn.Module) -> Softmax:
    """How the outputs are read under a loss of classes."""
    found = getattr(loss, "reading", None)
    return found if isinstance(found, Softmax) else Softmax()


def reading_of_values(loss: nn.Module) -> Standardized:
    """How the outputs are read under a loss of values."""
    found = getattr(loss, "reading", None)
    return found if isinstance(found, Standardized) else Standardized()


def two_classes(num_classes: int) -> None:
    """Raises ValueError unless there are two."""
    if num_classes != 2:
        raise ValueError(f"one logit tells two classes apart, and this data has {num_classes}; use loss=cross_entropy")
