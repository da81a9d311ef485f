"""Every loss with settings that differ from its defaults, samples for it, and its formula written once more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import pi, sin

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.losses.arcface import AngularMargin
from dlexp.losses.binary import BCE, BinaryFocal
from dlexp.losses.classification import KL, NLL, CrossEntropy, Focal
from dlexp.losses.embedding import Contrastive, Triplet
from dlexp.losses.hinge import Hinge, MultiMargin, PerceptronCriterion
from dlexp.losses.regression import MAE, MSE, Huber, MSEPlusMAE, Poisson, Quantile, SmoothL1

SAMPLES = 8
COUNTS4, COUNTS2 = (5, 1, 3, 11), (9, 3)  # training samples of the classes
W4, W2 = (2.0, 1.0, 4.0, 0.5), (1.0, 3.0)
Formula = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Case:
    """A loss, the shape of its outputs, and its formula on float64 outputs and targets.

    classes  number of classes, 0 for values
    width    numbers that the network puts out for one sample
    limit    largest size of an output that it must take
    """

    name: str
    loss: nn.Module
    formula: Formula
    classes: int = 4
    width: int = 4
    limit: float = 1e4
    kind: str = field(default="scores")

    def samples(self, seed: int = 0, count: int = SAMPLES) -> tuple[Tensor, Tensor]:
        """Outputs (count, width) float64, and targets."""
        rng = torch.Generator().manual_seed(seed)
        outputs = 2 * torch.randn(count, self.width, generator=rng, dtype=torch.float64)
        if self.classes:
            return outputs, torch.arange(count) % self.classes
        targets = torch.randn(count, 2, generator=rng, dtype=torch.float64)
        return outputs, targets.abs() if isinstance(self.loss, Poisson) else targets


def onehot(targets: Tensor, classes: int) -> Tensor:
    return F.one_hot(targets, classes).double()


def weighed(each: Tensor, targets: Tensor, raw: tuple[float, ...], counts: tuple[int, ...]) -> Tensor:
    """Mean over the samples, with weights whose mean over the training samples is 1."""
    mean = sum(w * n for w, n in zip(raw, counts, strict=True)) / sum(counts)
    return (each * torch.tensor(raw, dtype=torch.float64)[targets] / mean).mean()


def cross_entropy(eps: float = 0.0, others: bool = False) -> Callable[[Tensor, Tensor], Tensor]:
    """(B,), for each sample."""

    def each(outputs: Tensor, targets: Tensor) -> Tensor:
        hot, classes = onehot(targets, outputs.shape[1]), outputs.shape[1]
        spread = (1 - hot) * eps / (classes - 1) if others else torch.full_like(hot, eps / classes)
        return -(((1 - eps) * hot + spread) * (outputs - outputs.logsumexp(1, keepdim=True))).sum(1)

    return each


def focal(gamma: float, alpha: tuple[float, ...]) -> Callable[[Tensor, Tensor], Tensor]:
    def each(outputs: Tensor, targets: Tensor) -> Tensor:
        p = outputs.softmax(1).gather(1, targets[:, None])[:, 0]
        return -torch.tensor(alpha, dtype=torch.float64)[targets] * (1 - p) ** gamma * p.log()

    return each


def bce(pos_weight: float = 1.0, low: float = 0.0, high: float = 1.0) -> Callable[[Tensor, Tensor], Tensor]:
    """Targets 0 and 1 become `low` and `high`."""

    def each(outputs: Tensor, targets: Tensor) -> Tensor:
        p, y = outputs[:, 0].sigmoid(), low + (high - low) * targets
        return -(pos_weight * y * p.log() + (1 - y) * (1 - p).log())

    return each


def binary_focal(gamma: float, a0: float, a1: float) -> Callable[[Tensor, Tensor], Tensor]:
    def each(outputs: Tensor, targets: Tensor) -> Tensor:
        p = outputs[:, 0].sigmoid()
        return torch.where(targets == 1, -a1 * (1 - p) ** gamma * p.log(), -a0 * p**gamma * (1 - p).log())

    return each


def kl(temperature: float, eps: float) -> Callable[[Tensor, Tensor], Tensor]:
    def each(outputs: Tensor, targets: Tensor) -> Tensor:
        wanted = (1 - eps) * onehot(targets, outputs.shape[1]) + eps / outputs.shape[1]
        predicted = (outputs / temperature).softmax(1)
        entropy = -wanted.xlogy(wanted).sum(1)
        return temperature**2 * (-(wanted * predicted.log()).sum(1) - entropy)

    return each


def hinge(margin: float, power: int) -> Callable[[Tensor, Tensor], Tensor]:
    def each(outputs: Tensor, targets: Tensor) -> Tensor:
        costs = []
        for scores, target in zip(outputs, targets.tolist(), strict=True):
            if len(scores) == 1:
                lead = scores[0] if target else -scores[0]
            else:
                lead = scores[target] - max(s for n, s in enumerate(scores) if n != target)
            costs.append(torch.relu(margin - lead).pow(power))
        return torch.stack(costs)

    return each


def multi_margin(margin: float, power: int) -> Callable[[Tensor, Tensor], Tensor]:
    def each(outputs: Tensor, targets: Tensor) -> Tensor:
        lead = margin - outputs.gather(1, targets[:, None]) + outputs
        return (lead.clamp_min(0) ** power * (1 - onehot(targets, outputs.shape[1]))).sum(1) / outputs.shape[1]

    return each


def mean_of(each: Callable[[Tensor, Tensor], Tensor]) -> Formula:
    return lambda outputs, targets: each(outputs, targets).mean()


def weighed4(each: Callable[[Tensor, Tensor], Tensor]) -> Formula:
    return lambda outputs, targets: weighed(each(outputs, targets), targets, W4, COUNTS4)


def balanced2(each: Callable[[Tensor, Tensor], Tensor]) -> Formula:
    return lambda outputs, targets: weighed(each(outputs, targets), targets, (1 / 9, 1 / 3), COUNTS2)


def huber(delta: float) -> Formula:
    def value(outputs: Tensor, targets: Tensor) -> Tensor:
        e = (outputs - targets).abs()
        return torch.where(e <= delta, 0.5 * e**2, delta * e - 0.5 * delta**2).mean()

    return value


def pinball(quantiles: tuple[float, ...]) -> Formula:
    def value(outputs: Tensor, targets: Tensor) -> Tensor:
        parts = []
        for q, block in zip(quantiles, outputs.chunk(len(quantiles), dim=1), strict=True):
            short = targets - block
            parts.append(torch.where(short >= 0, q * short, (q - 1) * short))
        return torch.stack(parts).mean()

    return value


def distance(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().sum().sqrt()


def contrastive(margin: float, positive_weight: float) -> Formula:
    def value(outputs: Tensor, targets: Tensor) -> Tensor:
        costs = []
        for i in range(len(outputs)):
            for j in range(i):
                d = distance(outputs[i], outputs[j])
                costs.append(positive_weight * d**2 if targets[i] == targets[j] else torch.relu(margin - d) ** 2)
        return torch.stack(costs).mean()

    return value


def batch_hard(margin: float) -> Formula:
    def value(outputs: Tensor, targets: Tensor) -> Tensor:
        costs = []
        for i, anchor in enumerate(outputs):
            own = [distance(anchor, x) for j, x in enumerate(outputs) if targets[j] == targets[i] and j != i]
            other = [distance(anchor, x) for j, x in enumerate(outputs) if targets[j] != targets[i]]
            if own and other:
                costs.append(torch.relu(max(own) - min(other) + margin))
        return torch.stack(costs).mean()

    return value


def semi_hard(margin: float) -> Formula:
    def value(outputs: Tensor, targets: Tensor) -> Tensor:
        costs = []
        for i, anchor in enumerate(outputs):
            other = [distance(anchor, x) for j, x in enumerate(outputs) if targets[j] != targets[i]]
            for j, x in enumerate(outputs):
                if targets[j] == targets[i] and j != i:
                    pair = distance(anchor, x)
                    farther = [d for d in other if d > pair]
                    costs.append(torch.relu(pair - (min(farther) if farther else max(other)) + margin))
        return torch.stack(costs).mean()

    return value


def one(name: str, loss: nn.Module, formula: Formula, limit: float = 1e4) -> Case:
    return Case(name, loss, formula, 2, 1, limit)


def value(name: str, loss: nn.Module, formula: Formula, width: int = 2, limit: float = 1e4) -> Case:
    return Case(name, loss, formula, 0, width, limit, "values")


def pairs(name: str, loss: nn.Module, formula: Formula, classes: int = 3) -> Case:
    return Case(name, loss, formula, classes, 5, 1e4, "embedding")


def learned_margin() -> AngularMargin:
    """Directions of other lengths, which must not matter."""
    torch.manual_seed(3)
    return AngularMargin((5, 1, 9), 5, 0.4, 6.0)


def apart(classes: int = 3, size: int = 5) -> Tensor:
    """Directions that lie 120 degrees apart."""
    hot = torch.eye(classes, size, dtype=torch.float64)
    return hot - hot.mean(0)


def angular(margin: float, scale: float, on_angle: bool, directions: Tensor | None = None) -> Formula:
    """By angles, sample by sample."""
    known = apart() if directions is None else directions.detach().double()

    def mean(outputs: Tensor, targets: Tensor) -> Tensor:
        costs = []
        for output, target in zip(outputs, targets.tolist(), strict=True):
            angles = [torch.acos(F.cosine_similarity(output, one, dim=0)) for one in known]
            scores = [angle.cos() for angle in angles]
            if not on_angle:
                scores[target] = scores[target] - margin
            elif float(angles[target]) + margin < pi:
                scores[target] = (angles[target] + margin).cos()
            else:
                scores[target] = scores[target] - margin * sin(margin)
            logits = scale * torch.stack(scores)
            costs.append(logits.logsumexp(0) - logits[target])
        return torch.stack(costs).mean()

    return mean


LEARNED = learned_margin()
CASES = [
    Case("ce", CrossEntropy(), mean_of(cross_entropy())),
    Case("ce uniform", CrossEntropy(0.1), mean_of(cross_entropy(0.1))),
    Case("ce others", CrossEntropy(0.9, "others"), mean_of(cross_entropy(0.9, others=True))),
    Case("ce weights", CrossEntropy(0.1, "uniform", W4, COUNTS4), weighed4(cross_entropy(0.1))),
    Case("ce weights sharp", CrossEntropy(0.0, "others", W4, COUNTS4), weighed4(cross_entropy())),
    Case("nll", NLL(), mean_of(cross_entropy())),
    Case("nll weights", NLL(W4, COUNTS4), weighed4(cross_entropy())),
    Case("kl", KL(2.5, 0.2), mean_of(kl(2.5, 0.2))),
    Case("kl hard", KL(), mean_of(cross_entropy())),
    Case("kl weights", KL(0.7, 0.0, "uniform", W4, COUNTS4), weighed4(kl(0.7, 0.0))),
    Case("focal", Focal(), mean_of(focal(2.0, (1, 1, 1, 1)))),
    Case("focal root", Focal(0.5, 0.25), mean_of(focal(0.5, (0.25,) * 4))),
    Case("focal alpha", Focal(3.0, [0.1, 0.2, 0.3, 0.4], W4, COUNTS4), weighed4(focal(3.0, (0.1, 0.2, 0.3, 0.4)))),
    one("bce", BCE(), mean_of(bce())),
    one("bce positive", BCE(3.0, 0.2), mean_of(bce(3.0, 0.1, 0.9))),
    one("bce others", BCE(None, 0.2, "others", "balanced", COUNTS2), balanced2(bce(1.0, 0.2, 0.8))),
    one("focal binary", BinaryFocal(), mean_of(binary_focal(2.0, 0.75, 0.25))),
    one("focal binary each", BinaryFocal(0.5, [0.2, 0.9]), mean_of(binary_focal(0.5, 0.2, 0.9))),
    one("focal binary none", BinaryFocal(1.0, None, "balanced", COUNTS2), balanced2(binary_focal(1.0, 1.0, 1.0))),
    one("hinge two", Hinge(), mean_of(hinge(1.0, 1))),
    one("hinge two squared", Hinge(0.5, 2, "balanced", COUNTS2), balanced2(hinge(0.5, 2))),
    Case("hinge", Hinge(), mean_of(hinge(1.0, 1))),
    Case("hinge squared", Hinge(2.0, 2, W4, COUNTS4), weighed4(hinge(2.0, 2))),
    one("perceptron two", PerceptronCriterion(), mean_of(hinge(0.0, 1))),
    Case("perceptron", PerceptronCriterion(W4, COUNTS4), weighed4(hinge(0.0, 1))),
    Case("multi margin", MultiMargin(), mean_of(multi_margin(1.0, 1))),
    Case("multi margin squared", MultiMargin(2.0, 2, W4, COUNTS4), weighed4(multi_margin(2.0, 2))),
    value("mse", MSE(), lambda o, t: ((o - t) ** 2).mean()),
    value("mae", MAE(), lambda o, t: (o - t).abs().mean()),
    value("smooth l1", SmoothL1(), huber(1.0)),
    value("smooth l1 narrow", SmoothL1(0.3), lambda o, t: huber(0.3)(o, t) / 0.3),
    value("huber", Huber(), huber(1.0)),
    value("huber wide", Huber(2.5), huber(2.5)),
    value("mse + mae", MSEPlusMAE(0.3), lambda o, t: ((o - t) ** 2).mean() + 0.3 * (o - t).abs().mean()),
    value("quantile", Quantile(), pinball((0.1, 0.5, 0.9)), width=6),
    value("median", Quantile([0.5]), lambda o, t: 0.5 * (o - t).abs().mean()),
    value("poisson", Poisson([0.0, 0.0]), lambda o, t: (o.exp() - t * o).mean(), limit=80),  # exp(89) is no float32
    pairs("contrastive", Contrastive(3.0, 2.0), contrastive(3.0, 2.0)),
    pairs("triplet batch hard", Triplet(0.7, "batch_hard"), batch_hard(0.7)),
    pairs("triplet semi hard", Triplet(0.7, "semi_hard"), semi_hard(0.7)),
    pairs("arcface", AngularMargin((1, 1, 1), 5, 0.5, 8.0, "angle", "fixed"), angular(0.5, 8.0, True)),
    pairs("arcface wide", AngularMargin((5, 1, 9), 5, 2.0, 3.0, "angle", "fixed"), angular(2.0, 3.0, True)),
    pairs("cosface", AngularMargin((1, 1, 1), 5, 0.3, 5.0, "cosine", "fixed"), angular(0.3, 5.0, False)),
    pairs("arcface learned", LEARNED, angular(0.4, 6.0, True, LEARNED.directions)),
]  # fmt: skip
SEEN = {"CrossEntropy": 5, "NLL": 2, "KL": 3, "Focal": 3, "BCE": 3, "BinaryFocal": 3, "Hinge": 4, "MultiMargin": 2,
        "PerceptronCriterion": 2,
        "MSE": 1, "MAE": 1, "SmoothL1": 2, "Huber": 2, "MSEPlusMAE": 1, "Quantile": 2, "Poisson": 1,
        "Contrastive": 1, "Triplet": 2, "AngularMargin": 4}  # fmt: skip
