"""Likelihoods of a decoder: how probable a sample is, given what the network put out for it, in nats.

Symbols: B samples, D numbers of a sample.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from math import log, pi

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.specs import DataSpec, ImageSpec
from dlexp.types import Batch, as_tensor

AUTO, BERNOULLI, GAUSSIAN = "auto", "bernoulli", "gaussian"
_LEAST_DEVIATION = 1e-3  # of a learned Gaussian: a constant number would make its density infinite
_HALF = 0.5  # samples that are added to both ends of the mean of a pixel, so that no sample is impossible


class OutputDistribution(ABC):
    """Numbers of each sample that are independent of each other, given the outputs of a decoder."""

    @abstractmethod
    def surprise(self, outputs: Tensor, inputs: Tensor) -> Tensor:
        """-log p(inputs) in nats, summed over a sample's numbers: (B, *shape) twice -> (B,) float32."""

    @abstractmethod
    def mean(self, outputs: Tensor) -> Tensor:
        """The expected inputs (B, *shape)."""

    @abstractmethod
    def baselines(self, training: Iterable[Batch], split: Iterable[Batch]) -> Mapping[str, Mapping[str, float]]:
        """What needs no network: metric -> value on `split`, by name."""


class Bernoulli(OutputDistribution):
    """Numbers in [0, 1], of which the outputs are logits.

    Gray pixels count as probabilities: -log p is then at least the entropy of the pixels, whatever the network.
    """

    def surprise(self, outputs: Tensor, inputs: Tensor) -> Tensor:
        """The cross entropy."""
        each = F.binary_cross_entropy_with_logits(outputs.float(), inputs.float(), reduction="none")
        return each.flatten(1).sum(1)

    def mean(self, outputs: Tensor) -> Tensor:
        """In [0, 1]."""
        return outputs.float().sigmoid()

    def baselines(self, training: Iterable[Batch], split: Iterable[Batch]) -> Mapping[str, Mapping[str, float]]:
        """Pixels that are independent of each other, with their training means; and the entropy of the pixels."""
        count, total, _ = _sums(training)
        logits = ((total + _HALF) / (count + 2 * _HALF)).logit()
        apart, entropy, samples = 0.0, 0.0, 0
        for batch in split:
            inputs = as_tensor(batch.inputs).cpu().double()
            each = F.binary_cross_entropy_with_logits(logits.expand_as(inputs), inputs, reduction="sum")
            apart, samples = apart + float(each), samples + len(batch)
            entropy += float(F.binary_cross_entropy(inputs, inputs, reduction="sum"))
        return {
            "independent pixels": {"loss": apart / samples},
            "entropy of the pixels": {"reconstruction": entropy / samples},
        }


class Gaussian(OutputDistribution):
    """Numbers with a normal distribution around the outputs, all with the same deviation.

    Args:
        log_deviation: Its logarithm, (1,).
    """

    def __init__(self, log_deviation: Tensor) -> None:
        self._log_deviation = log_deviation

    def surprise(self, outputs: Tensor, inputs: Tensor) -> Tensor:
        """Half the squared error in deviations, and what a number costs however well it is met."""
        apart = (inputs.float() - outputs.float()).flatten(1)
        scale = self._log_deviation.float().clamp(min=log(_LEAST_DEVIATION))
        constant = apart.shape[1] * (scale + 0.5 * log(2 * pi))
        return 0.5 * (apart * (-scale).exp()).square().sum(1) + constant

    def mean(self, outputs: Tensor) -> Tensor:
        """The outputs."""
        return outputs.float()

    def baselines(self, training: Iterable[Batch], split: Iterable[Batch]) -> Mapping[str, Mapping[str, float]]:
        """Numbers that are independent of each other, with their training means and deviations."""
        count, total, squares = _sums(training)
        mean = total / count
        deviation = (squares / count - mean.square()).clamp(min=0).sqrt().clamp(min=_LEAST_DEVIATION)
        apart, samples = 0.0, 0
        for batch in split:
            inputs = as_tensor(batch.inputs).cpu().double()
            each = 0.5 * ((inputs - mean) / deviation).square() + deviation.log() + 0.5 * log(2 * pi)
            apart, samples = apart + float(each.sum()), samples + len(batch)
        return {"independent numbers": {"loss": apart / samples}}


class LearnedDeviation(nn.Module):
    """The logarithm of one deviation for all numbers, learned with the networks.

    Source: O. Rybkin et al., "Simple and effective VAE training with calibrated decoders", arXiv:2006.13202.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_deviation = nn.Parameter(torch.zeros(1))


def likelihood_name(wanted: str, spec: DataSpec) -> str:
    """bernoulli or gaussian; auto is bernoulli for images in [0, 1].

    Raises ValueError for an unknown name, and for bernoulli where inputs can leave [0, 1].
    """
    if wanted not in (AUTO, BERNOULLI, GAUSSIAN):
        raise ValueError(f"unknown likelihood={wanted!r}; available: auto, bernoulli, gaussian")
    inputs = spec.inputs
    is_unit = isinstance(inputs, ImageSpec) and inputs.value_range == (0.0, 1.0)
    if wanted == BERNOULLI and not is_unit:
        rule = "task.likelihood=bernoulli requires images whose pixels have a known white, as numbers in [0, 1]"
        raise ValueError(f"{rule}. Set task.likelihood=gaussian")
    return wanted if wanted != AUTO else BERNOULLI if is_unit else GAUSSIAN


def _sums(batches: Iterable[Batch]) -> tuple[int, Tensor, Tensor]:
    """Samples, and the sums of their numbers and of their squares, (*shape) float64."""
    count, total, squares = 0, torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for batch in batches:
        inputs = as_tensor(batch.inputs).cpu().double()
        count, total, squares = count + len(batch), total + inputs.sum(0), squares + inputs.square().sum(0)
    return count, total, squares
