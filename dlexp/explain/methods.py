"""The methods by name, and the checks of one of them on some samples.

Symbols: B samples, S the shape of a sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from dlexp.explain.attention import attention_rollout, rollout_of_patches
from dlexp.explain.gradcam import grad_cam
from dlexp.explain.gradients import gradient_x_input, integrated_gradients, saliency, smoothgrad
from dlexp.explain.occlusion import exact_shapley, occluded_parts, occlusion
from dlexp.explain.parts import Parts
from dlexp.explain.sanity import (
    Curves,
    MeanInterval,
    Removal,
    explanation_entropy,
    mean_interval,
    rank_correlations,
    removal_curves,
    with_random_weights,
)
from dlexp.explain.score import NotExplained, Score, row_numbers, undisturbed

GRADIENT_METHODS = ("saliency", "gradient_x_input", "integrated_gradients", "smoothgrad")
ATTRIBUTION_METHODS = (*GRADIENT_METHODS, "gradcam", "occlusion", "attention", "shapley")
SIGNED = ("gradient_x_input", "integrated_gradients", "occlusion", "shapley")
_AT_ONCE = 64  # rows that are differentiated together
_DRAWS = 3  # networks with random weights
_DECORRELATED = 0.5  # largest mean rank correlation of explanations of trained and random weights


@dataclass(frozen=True)
class Subject:
    """Samples and what is asked about them.

    Attributes:
        values: (B, *S) of any number format; class numbers of tokens are int64.
        numbers: B numbers of the samples in their source.
        baseline: What stands for an absent value, of a shape that broadcasts to (B, *S).
        parts: What is removed at a time.
        is_image: Whether S is (C, H, W).
        score: network -> the number that is explained.
        attention: network -> the weights of its attention for all samples; None where it has none.
    """

    values: Tensor
    numbers: Sequence[int]
    baseline: Tensor
    parts: Parts
    is_image: bool
    score: Callable[[nn.Module], Score]
    attention: Callable[[nn.Module], Any] | None = None

    def first(self, count: int) -> Subject:
        """The first `count` samples."""
        return replace(self, values=self.values[:count], numbers=list(self.numbers)[:count])


@dataclass(frozen=True)
class MethodSettings:
    """MethodSettings of the methods.

    Attributes:
        seed: Of noise and random orders.
        steps: Of integrated gradients.
        draws: Noisy copies of SmoothGrad.
        window: Side of the square of occlusion in pixels; None for an eighth of the shorter side.
    """

    seed: int = 0
    steps: int = 64
    draws: int = 25
    window: int | None = None


@dataclass(frozen=True)
class Attribution:
    """What a method found.

    Attributes:
        values: (B, *S).
        error: (B,) completeness errors of integrated gradients and Shapley values, None for others.
        place: Layer and call of Grad-CAM.
    """

    values: Tensor
    error: Tensor | None = None
    place: tuple[str, int] | None = None


def attribute(
    method: str, network: nn.Module, subject: Subject, settings: MethodSettings, place: tuple[str, int] | None = None
) -> Attribution:
    """The attributions of `method`; the network is left as it was.

    Args:
        method: One of ATTRIBUTION_METHODS.
        network: That `subject.score` takes.
        subject: Samples and score.
        settings: Of the method.
        place: Layer and call of Grad-CAM, None to choose it.

    Raises NotExplained for a network or samples that the method cannot explain.
    """
    needs_slopes = method in (*GRADIENT_METHODS, "gradcam")
    if needs_slopes and not subject.values.is_floating_point():
        raise NotExplained(f"tokens are no numbers, so {method} has no gradient to them. Use --method occlusion")
    score = subject.score(network)
    with undisturbed(network):
        return _attribute(method, network, score, subject, settings, place)


def _attribute(
    method: str,
    network: nn.Module,
    score: Score,
    subject: Subject,
    settings: MethodSettings,
    place: tuple[str, int] | None,
) -> Attribution:
    values, baseline = subject.values, subject.baseline
    match method:
        case "saliency":
            return Attribution(saliency(score, values, _AT_ONCE))
        case "gradient_x_input":
            return Attribution(gradient_x_input(score, values, _AT_ONCE))
        case "integrated_gradients":
            return Attribution(*integrated_gradients(score, values, baseline, settings.steps, _AT_ONCE))
        case "smoothgrad":
            return Attribution(smoothgrad(score, values, subject.numbers, settings.seed, settings.draws))
        case "gradcam":
            return _grad_cam(network, score, subject, place)
        case "occlusion" if subject.is_image:
            return Attribution(occlusion(score, values, baseline, settings.window))
        case "occlusion":
            return Attribution(occluded_parts(score, values, baseline, subject.parts))
        case "shapley":
            return Attribution(exact_shapley(score, values, baseline, subject.parts))
        case "attention":
            return Attribution(_attention(network, subject))
        case _:
            raise ValueError(f"unknown method {method!r}; available: {', '.join(ATTRIBUTION_METHODS)}")


def _grad_cam(network: nn.Module, score: Score, subject: Subject, place: tuple[str, int] | None) -> Attribution:
    if not subject.is_image:
        raise NotExplained("Grad-CAM is for images. Use --method integrated_gradients")
    found = []
    for piece, rows in zip(subject.values.split(_AT_ONCE), row_numbers(subject.values).split(_AT_ONCE), strict=True):
        maps, place = grad_cam(network, score, piece, rows, place)
        found.append(maps)
    return Attribution(torch.cat(found), place=place)


def _attention(network: nn.Module, subject: Subject) -> Tensor:
    if subject.attention is None or not hasattr(network, "attention_maps"):
        raise NotExplained("this network does not give its attention. Use --method occlusion")
    with torch.no_grad():
        maps = subject.attention(network)
    rolled = attention_rollout(maps, getattr(network, "pooling", "") == "token")
    if subject.is_image:
        channels, height, width = subject.values.shape[1:]
        return rollout_of_patches(rolled, (channels, height, width))
    if rolled.shape[1] != subject.values.shape[1]:
        raise NotExplained("the attention of this network is not over its inputs. Use --method occlusion")
    return subject.parts.spread(rolled)


@dataclass(frozen=True)
class Checks:
    """What the checks of a method found on a network; an explanation that fails one says little.

    Attributes:
        entropy_rise: How much the entropy of explanations rises when the weights are random (eMPRT), by sample.
        correlation: Of the ranks of explanations of trained and of random weights, by sample.
        deletion: Curves while parts are removed, the most important first.
        insertion: Curves while parts are added.
    """

    entropy_rise: MeanInterval
    correlation: MeanInterval
    deletion: Curves
    insertion: Curves

    def failures(self) -> list[str]:
        """A sentence for each check that failed, with its numbers."""
        found = []
        if self.correlation.mean > _DECORRELATED:
            found.append(
                f"with random weights the explanations are much the same (rank correlation "
                f"{self.correlation.mean:.2f}, at most {_DECORRELATED:g}): they show the input, not the network"
            )
        for verb, curves in (("removes", self.deletion), ("adds", self.insertion)):
            gain = curves.advantage
            if not gain.low > 0:
                found.append(
                    f"the order that it names {verb} what the score depends on no sooner than a random order "
                    f"(advantage {gain.mean:.3g}, 95 % interval {gain.low:.3g} to {gain.high:.3g})"
                )
        return found


def check_method(
    method: str | Callable[[nn.Module, Subject], Tensor],
    network: nn.Module,
    subject: Subject,
    settings: MethodSettings,
) -> Checks:
    """Check a method on some samples: by random weights, and by removing what it names.

    Args:
        method: A name, or a function that gives (B, *S).
        network: The trained network.
        subject: Samples and score; fifty or more tell something.
        settings: Of the method.
    """
    place = None
    if callable(method):
        trained = method(network, subject)
    else:
        first = attribute(method, network, subject, settings)
        trained, place = first.values, first.place
    rises, correlations = [], []
    for draw in range(_DRAWS):  # one alone may resemble the trained network by chance
        random = with_random_weights(network, settings.seed, draw)
        drawn = (
            method(random, subject) if callable(method) else attribute(method, random, subject, settings, place).values
        )
        rises.append(explanation_entropy(drawn) - explanation_entropy(trained))
        correlations.append(rank_correlations(trained, drawn))
    score = subject.score(network)
    removal = Removal(subject.values, subject.baseline, subject.parts)
    with undisturbed(network):
        curves = [
            removal_curves(score, replace(removal, inserts=inserts), trained, settings.seed)
            for inserts in (False, True)
        ]
    rise, correlation = torch.stack(rises).mean(0), torch.stack(correlations).mean(0)
    return Checks(mean_interval(rise), mean_interval(correlation), *curves)
