"""Every loss against its formula in float64, against torch and scikit-learn, and at the ends of the number formats."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from loss_cases import CASES, COUNTS2, COUNTS4, SEEN, W4, Case
from sklearn import metrics as sk
from torch import Tensor, nn

import dlexp.losses
from dlexp.losses.arcface import AngularMargin
from dlexp.losses.binary import BCE, BinaryFocal
from dlexp.losses.classification import KL, NLL, CrossEntropy, Focal
from dlexp.losses.embedding import Contrastive, Triplet, euclidean
from dlexp.losses.hinge import Hinge, MultiMargin
from dlexp.losses.regression import MAE, MSE, Huber, Poisson, Quantile, SmoothL1

each_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
each_of_classes = pytest.mark.parametrize(
    "case", [c for c in CASES if c.kind == "scores"], ids=[c.name for c in CASES if c.kind == "scores"]
)


def test_every_loss_has_a_case() -> None:
    assert Counter(type(case.loss).__name__ for case in CASES) == SEEN
    folder = Path(dlexp.losses.__path__[0])
    stems = {path.stem for path in folder.glob("[!_]*.py")} - {"perceptual"}  # of images: test_losses_perceptual.py
    named = [__import__(f"dlexp.losses.{stem}", fromlist=["_"]) for stem in stems]
    assert sorted(SEEN) == sorted(
        name for module in named for name in getattr(module, "__all__", ()) if name != "NoLoss"
    )


@each_case
def test_a_loss_is_its_formula_in_float64(case: Case) -> None:
    outputs, targets = case.samples()
    found = case.loss(outputs, targets)
    assert found.dtype == torch.float64
    assert found.shape == ()
    # class weights and quantiles are kept in float32
    torch.testing.assert_close(
        found, case.formula(outputs, targets), rtol=1e-6 if keeps_float32(case) else 1e-12, atol=0
    )


def keeps_float32(case: Case) -> bool:
    return any(True for _ in case.loss.buffers())


@each_case
def test_the_gradient_is_that_of_finite_differences(case: Case) -> None:
    outputs, targets = case.samples()
    assert torch.autograd.gradcheck(lambda x: case.loss(x, targets), outputs.requires_grad_(), eps=1e-6, atol=1e-7)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
@each_case
def test_half_precision_outputs_are_summed_in_float32(case: Case, half: torch.dtype) -> None:
    outputs, targets = case.samples()
    targets = targets if case.classes else targets.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):  # as in a training step
        found = case.loss(outputs.to(half), targets)
    assert found.dtype == torch.float32
    assert torch.equal(found, case.loss(outputs.to(half).float(), targets))


@each_case
def test_extreme_outputs_stay_finite_and_so_do_their_gradients(case: Case) -> None:
    _, targets = case.samples()
    targets = targets if case.classes else targets.float()
    for sign in (1, -1):
        outputs = torch.full((len(targets), case.width), -sign * float(case.limit))
        outputs[torch.arange(len(targets)), torch.arange(len(targets)) % case.width] = sign * case.limit
        outputs.requires_grad_()
        loss = case.loss(outputs, targets)
        loss.backward()
        assert loss.isfinite()
        assert outputs.grad is not None
        assert outputs.grad.isfinite().all()


@each_case
def test_equal_outputs_have_finite_gradients(case: Case) -> None:
    """Embeddings that lie on one point: the root of 0 has no slope."""
    _, targets = case.samples()
    outputs = torch.ones(len(targets), case.width, requires_grad=True)
    case.loss(outputs, targets if case.classes else targets.float()).backward()
    assert outputs.grad is not None
    assert outputs.grad.isfinite().all()


@pytest.mark.parametrize("case", [c for c in CASES if c.kind != "embedding"], ids=lambda case: case.name)
def test_four_batches_of_eight_are_one_of_32(case: Case) -> None:
    outputs, targets = case.samples(count=32)
    order = torch.randperm(32, generator=torch.Generator().manual_seed(3))
    outputs, targets = outputs[order].requires_grad_(), targets[order]
    (whole,) = torch.autograd.grad(case.loss(outputs, targets), outputs)
    parts = zip(outputs.split([8, 8, 13, 3]), targets.split([8, 8, 13, 3]), strict=True)
    summed: Tensor = sum((case.loss(o, t) * (len(t) / 32) for o, t in parts), torch.zeros(()))
    (found,) = torch.autograd.grad(summed, outputs)
    torch.testing.assert_close(found, whole, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    "case",
    [c for c in CASES if isinstance(c.loss, CrossEntropy | KL | Focal | BCE | BinaryFocal)],
    ids=lambda case: case.name,
)
def test_targets_may_be_shares_of_classes(case: Case) -> None:
    """One-hot shares are the class itself, and a share costs its share: what mixed samples need."""
    outputs, targets = case.samples()
    hot = F.one_hot(targets, case.classes).double()
    torch.testing.assert_close(case.loss(outputs, hot), case.loss(outputs, targets), rtol=1e-12, atol=0)
    other = hot.roll(1, dims=0)
    mixed = 0.3 * case.loss(outputs, hot) + 0.7 * case.loss(outputs, other)
    if isinstance(case.loss, KL):
        assert case.loss(outputs, 0.3 * hot + 0.7 * other) < mixed  # the entropy of the mixture is taken off
    elif getattr(case.loss, "weights", None) is None:
        torch.testing.assert_close(case.loss(outputs, 0.3 * hot + 0.7 * other), mixed, rtol=1e-12, atol=0)
    else:
        assert not torch.equal(case.loss(outputs, 0.3 * hot + 0.7 * other), case.loss(outputs, targets))


def test_losses_agree_with_torch() -> None:
    case = CASES[0]
    outputs, targets = case.samples()
    assert torch.equal(CrossEntropy(0.2)(outputs, targets), F.cross_entropy(outputs, targets, label_smoothing=0.2))
    hot = F.one_hot(targets, 4).double()
    soft = 0.9 * hot + 0.025
    divergence = F.kl_div(outputs.log_softmax(1), soft, reduction="batchmean")
    torch.testing.assert_close(KL()(outputs, soft), divergence, rtol=1e-12, atol=0)
    assert torch.equal(NLL()(outputs, targets), F.nll_loss(outputs.log_softmax(1), targets))
    expected = F.multi_margin_loss(outputs, targets, p=2, margin=0.7)
    torch.testing.assert_close(MultiMargin(0.7, 2)(outputs, targets), expected, rtol=1e-14, atol=0)
    logits, binary = outputs[:, :1], targets % 2
    expected = F.binary_cross_entropy_with_logits(logits[:, 0], binary.double(), pos_weight=torch.tensor(3.0))
    assert torch.equal(BCE(3.0)(logits, binary), expected)
    values = torch.randn(8, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert torch.equal(MSE()(outputs, values), F.mse_loss(outputs, values))
    assert torch.equal(MAE()(outputs, values), F.l1_loss(outputs, values))
    assert torch.equal(SmoothL1(0.3)(outputs, values), F.smooth_l1_loss(outputs, values, beta=0.3))
    assert torch.equal(Huber(0.3)(outputs, values), F.huber_loss(outputs, values, delta=0.3))
    torch.testing.assert_close(SmoothL1(0.3)(outputs, values), Huber(0.3)(outputs, values) / 0.3)
    assert torch.equal(Poisson()(outputs, values.abs()), F.poisson_nll_loss(outputs, values.abs()))


def test_binary_focal_agrees_with_torchvision() -> None:
    from torchvision.ops import sigmoid_focal_loss

    logits, targets = torch.linspace(-6, 6, 13, dtype=torch.float64)[:, None], torch.arange(13) % 2
    expected = sigmoid_focal_loss(logits[:, 0], targets.double(), alpha=0.3, gamma=1.7, reduction="mean")
    torch.testing.assert_close(BinaryFocal(1.7, 0.3)(logits, targets), expected, rtol=1e-6, atol=0)


def test_hinge_agrees_with_scikit_learn_for_two_classes_and_for_more() -> None:
    scores = 2 * torch.randn(20, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    targets = torch.arange(20) % 4
    expected = sk.hinge_loss(targets.numpy(), scores.numpy(), labels=np.arange(4))
    assert float(Hinge()(scores, targets)) == pytest.approx(expected, rel=1e-12)
    two = sk.hinge_loss((targets % 2).numpy(), scores[:, 0].numpy())
    assert float(Hinge()(scores[:, :1], targets % 2)) == pytest.approx(two, rel=1e-12)
    # LOSS-12: torch's HingeEmbeddingLoss, to which the name misleads, is another loss
    signs = 2 * (targets % 2) - 1
    assert float(F.hinge_embedding_loss(scores[:, 0], signs)) != pytest.approx(two, rel=0.01)


def test_quantile_loss_agrees_with_scikit_learn() -> None:
    outputs, targets = next(case for case in CASES if case.name == "quantile").samples()
    blocks = zip((0.1, 0.5, 0.9), outputs.chunk(3, dim=1), strict=True)
    expected = [sk.mean_pinball_loss(targets.numpy(), block.numpy(), alpha=q) for q, block in blocks]
    assert float(Quantile()(outputs, targets)) == pytest.approx(sum(expected) / 3, rel=1e-6)


def test_the_two_kinds_of_label_smoothing_are_converted_as_the_inventory_says() -> None:
    outputs, targets = CASES[0].samples()
    others, uniform = CrossEntropy(0.15, "others"), CrossEntropy(0.15 * 4 / 3)
    torch.testing.assert_close(others(outputs, targets), uniform(outputs, targets), rtol=1e-12, atol=0)
    assert not torch.isclose(others(outputs, targets), CrossEntropy(0.15)(outputs, targets), rtol=1e-3)


def test_special_cases_are_other_losses() -> None:
    outputs, targets = CASES[0].samples()
    plain = CrossEntropy()(outputs, targets)
    torch.testing.assert_close(Focal(0.0)(outputs, targets), plain, rtol=1e-12, atol=0)
    assert torch.equal(Focal(alpha=None)(outputs, targets), Focal()(outputs, targets))
    torch.testing.assert_close(NLL()(outputs, targets), plain, rtol=1e-12, atol=0)
    logit = outputs[:, :1]
    as_two = torch.cat([torch.zeros_like(logit), logit], dim=1)
    torch.testing.assert_close(BCE()(logit, targets % 2), CrossEntropy()(as_two, targets % 2), rtol=1e-12, atol=0)
    torch.testing.assert_close(BinaryFocal(0.0, None)(logit, targets % 2), BCE()(logit, targets % 2))
    torch.testing.assert_close(BinaryFocal(1.5, None)(logit, targets % 2), Focal(1.5)(as_two, targets % 2))
    smoothing = KL(1.0, 0.2)
    perfect = (0.8 * F.one_hot(targets, 4).double() + 0.05).log()
    assert abs(float(smoothing(perfect, targets))) < 1e-15


def test_a_confident_sample_weighs_next_to_nothing_in_the_focal_loss() -> None:
    """1 - p of 1e-9 is 0 in float32 when it is computed as 1 - p."""
    logits = torch.tensor([[20.0, 0.0]])
    doubt = 1 / (1 + np.exp(20.0))
    found = float(Focal(1.0)(logits, torch.tensor([0])))
    assert found == pytest.approx(doubt * np.log1p(np.exp(-20.0)), rel=1e-5)


def test_class_weights_have_mean_one_over_the_training_samples() -> None:
    counts = torch.tensor(COUNTS4, dtype=torch.float64)
    for weights in (W4, "balanced", tuple(10 * w for w in W4)):
        found = CrossEntropy(class_weights=weights, class_counts=COUNTS4).weights
        assert found is not None
        assert float((found * counts).sum() / counts.sum()) == pytest.approx(1, rel=1e-6)
    balanced = CrossEntropy(class_weights="balanced", class_counts=COUNTS2).weights
    assert balanced is not None
    assert balanced.tolist() == pytest.approx([12 / (2 * 9), 12 / (2 * 3)])
    # torch's own weighted sum, divided by the number of samples
    outputs, targets = CASES[0].samples()
    loss = CrossEntropy(class_weights=W4, class_counts=COUNTS4)
    assert loss.weights is not None
    expected = F.cross_entropy(outputs, targets, weight=loss.weights.double(), reduction="sum") / len(targets)
    torch.testing.assert_close(loss(outputs, targets), expected, rtol=1e-12, atol=0)


@each_of_classes
def test_a_heavier_class_pulls_harder(case: Case) -> None:
    """Whatever the loss, doubling the weight of a class doubles its share of the gradient, up to the common scale."""
    kind, counts = type(case.loss), (6,) * case.classes
    plain, heavy = (
        kind(class_counts=counts),
        kind(class_weights=[2.0] + [1.0] * (case.classes - 1), class_counts=counts),
    )
    outputs, targets = case.samples()
    outputs.requires_grad_()
    (before,) = torch.autograd.grad(plain(outputs, targets), outputs)
    (after,) = torch.autograd.grad(heavy(outputs, targets), outputs)
    scale = case.classes / (case.classes + 1)
    factor = torch.where(targets == 0, 2 * scale, scale).double()[:, None]
    torch.testing.assert_close(after, before * factor, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CrossEntropy(class_weights=[1.0, 2.0], class_counts=COUNTS4), "class_weights.* 2 .* 4 "),
        (lambda: CrossEntropy(class_weights="balanced"), "class_weights"),
        (lambda: CrossEntropy(0.1, "torch"), "smoothing_kind='torch'.* uniform, others"),
        (lambda: BCE(class_counts=COUNTS4), "4.* loss=cross_entropy"),
        (lambda: BinaryFocal(class_counts=COUNTS4), "4.* loss=cross_entropy"),
        (lambda: BCE(2.0, class_weights="balanced", class_counts=COUNTS2), "pos_weight.* class_weights"),
        (lambda: BinaryFocal(alpha=2.0), r"alpha=2.0.* \[0, 1\]"),
        (lambda: BinaryFocal(alpha=[1, 2, 3]), "alpha.* two .* 3 "),
        (lambda: Focal(alpha=[1, 2, 3], class_counts=COUNTS4), "alpha.* 3 .* 4 "),
        (lambda: Quantile([]), r"quantiles=\[\]"),
        (lambda: Quantile([0.5, 0.1]), r"quantiles=\[0.5, 0.1\]"),
        (lambda: Poisson([3.0, -1.0]), " -1"),
        (lambda: Triplet(mining="easy"), "mining='easy'.* batch_hard, semi_hard"),
        (lambda: AngularMargin((1, 1), 2, margin_on="sine"), "margin_on='sine'.* angle, cosine"),
        (lambda: AngularMargin((1, 1), 2, margin=3.2), "margin=3.2.* pi"),
        (lambda: AngularMargin((1,) * 6, 5, directions="fixed"), "task.embedding_size=6.* loss.directions=learned"),
        (lambda: AngularMargin((1, 1), 2, directions="random"), "directions='random'.* learned, fixed"),
        (lambda: BCE()(torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64)), r"\(B, 1\)"),
        (lambda: MSE()(torch.zeros(3), torch.zeros(3, 1)), r"\(3,\).* \(3, 1\)"),  # LOSS-07: would broadcast to (3, 3)
        (lambda: Quantile()(torch.zeros(3, 2), torch.zeros(3, 1)), r"\(3, 2\)"),
    ],
)
def test_what_a_loss_cannot_work_with_is_told(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("loss", [Contrastive(), Triplet(), Triplet(mining="batch_hard")], ids=repr)
@pytest.mark.parametrize("targets", [[0], [0, 0, 0], [0, 1, 2]])
def test_a_batch_without_a_pair_to_learn_from_costs_what_is_left(loss: nn.Module, targets: list[int]) -> None:
    outputs = torch.randn(len(targets), 5, generator=torch.Generator().manual_seed(2), requires_grad=True)
    found = loss(outputs, torch.tensor(targets))
    found.backward()
    assert outputs.grad is not None
    assert outputs.grad.isfinite().all()
    if isinstance(loss, Triplet) or len(targets) == 1:
        assert found == 0


def test_distances_are_those_of_float64_and_autocast_does_not_touch_them() -> None:
    points = F.normalize(torch.randn(40, 16, generator=torch.Generator().manual_seed(4)), dim=1)
    exact = torch.cdist(points.double(), points.double(), compute_mode="donot_use_mm_for_euclid_dist")
    torch.testing.assert_close(euclidean(points).double(), exact, rtol=1e-5, atol=1e-6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = euclidean(points)
    assert torch.equal(inside, euclidean(points))
    assert torch.equal(euclidean(torch.cat([points, points]))[40:, :40].diagonal(), torch.zeros(40))
