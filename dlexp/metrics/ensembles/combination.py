"""The outputs of several networks as those of one.

    p(c | x) = sum_k w_k p_k(c | x)

Probabilities are averaged and never logits: the mean of logits is the logarithm of a geometric mean, which one network
that is sure can rule alone. The mean of probabilities is a mixture, whose log loss is at most the mean log loss of its
members by Jensen's inequality (Lakshminarayanan et al., Simple and Scalable Predictive Uncertainty Estimation using
Deep Ensembles, NeurIPS 2017). Everything is done with logarithms, so that a probability that float32 rounds to 0 or 1
keeps its digits.

Symbols: K members, B samples, C classes, O values of a sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from dlexp.metrics.outputs import softmax
from dlexp.types import Prediction

OutputMeaning = Literal["probabilities", "scores", "values"]
_TIE = 1e-6  # by which the share of the winner of a tie exceeds the others'


@dataclass(frozen=True)
class Combination:
    """How the outputs of K members become one.

    weights      K numbers of at least 0 that add up to 1
    is_vote      whether each member has a vote for the class that it predicts, in place of its probabilities
    temperature  above 0: the logarithm of the mean probability is divided by it; 1 changes nothing
    """

    weights: tuple[float, ...]
    is_vote: bool = False
    temperature: float = 1.0

    @classmethod
    def equal(cls, count: int) -> Combination:
        """The plain mean of `count` members."""
        return cls((1 / count,) * count)

    def combined(self, meaning: OutputMeaning, outputs: Tensor) -> Tensor:
        """Outputs of all members, (K, B, C) or (K, B, O) -> (B, C) or (B, O), of the same meaning; votes are scores.

        Probabilities come and go as their natural logarithms.
        """
        weights = torch.tensor(self.weights, dtype=outputs.dtype, device=outputs.device)[:, None, None]
        if self.is_vote:
            return self._votes(meaning, outputs, weights)
        if meaning != "probabilities":
            return (outputs * weights).sum(dim=0)
        mean = (outputs + weights.log()).logsumexp(dim=0)
        return mean if self.temperature == 1 else (mean / self.temperature).log_softmax(dim=1)

    def _votes(self, meaning: OutputMeaning, outputs: Tensor, weights: Tensor) -> Tensor:
        """(K, B, C) -> (B, C): the weight of the members that predict each class.

        A tie is decided by the mean probability, or else by the first class; the winner's share is then greater by
        10^-6.
        """
        chosen = outputs.argmax(dim=2)
        votes = torch.nn.functional.one_hot(chosen, outputs.shape[2]).to(outputs.dtype)
        shares = (votes * weights).sum(dim=0)
        if meaning != "probabilities":
            return shares
        mean = (outputs.exp() * weights).sum(dim=0)
        is_first = shares >= shares.amax(dim=1, keepdim=True) - _TIE / 2
        winner = torch.where(is_first, mean, -torch.ones_like(mean)).argmax(dim=1)
        won = torch.nn.functional.one_hot(winner, outputs.shape[2]).to(outputs.dtype)
        has_tie = (is_first.to(outputs.dtype).sum(dim=1, keepdim=True) > 1.5).to(outputs.dtype)
        return shares + _TIE * won * has_tie


def outputs_of(meaning: OutputMeaning, prediction: Prediction) -> Tensor:
    """The outputs of one network for B samples as `Combination` takes them: float64 on the CPU, probabilities as ln."""
    if meaning == "probabilities":
        if prediction.logits is not None:
            return prediction.logits.cpu().double().log_softmax(dim=1)
        return prediction.outputs.cpu().double().log()
    return prediction.outputs.cpu().double()


def combined_predictions(meaning: OutputMeaning, found: Sequence[Prediction], how: Combination) -> Prediction:
    """The predictions of all members for the same batch as one; extra values, such as quantiles, are averaged.

    The loss is that of the first member: an ensemble was not trained by one.
    """
    combined = how.combined(meaning, torch.stack([outputs_of(meaning, one) for one in found]))
    extra = {
        name: torch.stack([w * one.extra[name].cpu().double() for w, one in zip(how.weights, found, strict=True)]).sum(
            0
        )
        for name in found[0].extra
    }
    return prediction_of(meaning, combined, found[0], how.is_vote, extra)


def prediction_of(
    meaning: OutputMeaning, combined: Tensor, like: Prediction, is_vote: bool, extra: dict[str, Tensor] | None = None
) -> Prediction:
    """What `Combination.combined` gives, as the prediction of a network.

    Of probabilities the logarithms are its logits: their softmax is the mean probability.

    Args:
        meaning: Of the outputs of the members.
        combined: (B, C) or (B, O).
        like: A prediction for the same samples, whose targets and numbers are taken.
        is_vote: Whether `combined` are shares of votes.
        extra: More values of each sample.
    """
    if meaning == "probabilities" and not is_vote:
        probabilities = torch.from_numpy(softmax(combined.numpy()))
        return replace(like, outputs=probabilities, logits=combined, extra=extra or {})
    return replace(like, outputs=combined, logits=None, extra=extra or {})


def unit_sum(weights: Sequence[float]) -> tuple[float, ...]:
    """Weights that add up to 1. Raises ValueError where none is above 0."""
    array = np.asarray(weights, dtype=np.float64)
    if (array < 0).any() or not array.sum() > 0:
        raise ValueError(f"weights must be at least 0, and one of them above, got {list(weights)}")
    return tuple((array / array.sum()).tolist())
