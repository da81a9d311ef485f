"""What the outputs of a network say under each kind of loss."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dlexp.losses.binary import BCE
from dlexp.losses.classification import KL, CrossEntropy
from dlexp.losses.hinge import Hinge, MultiMargin
from dlexp.losses.output_decoding import class_decoder, value_decoder
from dlexp.losses.regression import MSE, Poisson, Quantile
from dlexp.runtime.device import readable_cudnn_flags

MEAN, STD = torch.tensor([100.0, -2.0]), torch.tensor([50.0, 0.5])


def test_a_loss_of_somebody_else_is_read_as_logits_or_as_standardized_values() -> None:
    outputs = torch.tensor([[1.0, 2.0, 0.0]])
    for loss in (nn.CrossEntropyLoss(), CrossEntropy()):
        decoder = class_decoder(loss)
        assert decoder.num_outputs(3) == 3
        assert decoder.is_probabilistic
        assert torch.equal(decoder.decode(outputs), outputs.softmax(1))
    values = value_decoder(nn.MSELoss())
    assert values.num_outputs(2) == 2
    assert values.decode(torch.tensor([[1.0, -2.0]]), MEAN, STD).tolist() == [[150.0, -3.0]]
    assert type(values) is type(value_decoder(MSE()))


def test_one_logit_is_two_probabilities_that_keep_small_ones() -> None:
    decoder = class_decoder(BCE())
    outputs = torch.tensor([[0.0], [2.0], [-50.0], [1e4]])
    found = decoder.decode(outputs)
    assert found.sum(1).tolist() == pytest.approx([1.0] * 4, abs=1e-7)
    assert found[1, 1].item() == pytest.approx(0.880797)
    assert found[2, 1].item() == pytest.approx(1.9287e-22, rel=1e-4)
    assert decoder.choose(outputs).tolist() == [0, 1, 0, 1]  # above 0.5, not at it
    assert decoder.choose(outputs).tolist() == found.argmax(1).tolist()
    assert decoder.num_outputs(2) == 1
    with pytest.raises(ValueError, match=r"3.* loss=cross_entropy"):
        decoder.num_outputs(3)


def test_scores_are_no_probabilities() -> None:
    two, many = class_decoder(Hinge()), class_decoder(MultiMargin())
    assert (two.num_outputs(2), two.num_outputs(3), many.num_outputs(2), many.num_outputs(3)) == (1, 3, 2, 3)
    assert not two.is_probabilistic
    assert not many.is_probabilistic
    one = torch.tensor([[0.3], [-2.0]])
    assert two.decode(one).tolist() == [[pytest.approx(-0.3), pytest.approx(0.3)], [2.0, -2.0]]
    assert two.choose(one).tolist() == [1, 0]
    scores = torch.tensor([[3.0, 5.0, -1.0]])
    assert torch.equal(two.decode(scores), scores)
    assert two.choose(scores).tolist() == [1]


def test_a_temperature_is_read_as_it_was_learned() -> None:
    outputs = torch.tensor([[4.0, 0.0]])
    assert torch.equal(class_decoder(KL(2.0)).decode(outputs), (outputs / 2).softmax(1))


def test_quantiles_come_back_in_units_and_in_order_with_the_middle_one_as_the_prediction() -> None:
    decoder = value_decoder(Quantile([0.05, 0.4, 0.9]))
    assert decoder.num_outputs(2) == 6
    # blocks of the two targets, the first target's quantiles crossed
    outputs = torch.tensor([[2.0, -1.0, 0.0, 0.0, 1.0, 4.0]])
    assert decoder.decode(outputs, MEAN, STD).tolist() == [[150.0, -2.0]]
    extra = decoder.extra(outputs, MEAN, STD)
    assert {name: value.tolist() for name, value in extra.items()} == {
        "q0.05": [[100.0, -2.5]],
        "q0.4": [[150.0, -2.0]],
        "q0.9": [[200.0, 0.0]],
    }


def test_a_rate_is_a_multiple_of_the_mean() -> None:
    decoder, mean = value_decoder(Poisson()), torch.tensor([4.0])
    assert decoder.decode(torch.zeros(1, 1), mean, mean).item() == 4.0
    assert decoder.scaled(torch.tensor([[8.0]]), mean, mean).item() == 2.0


@pytest.mark.parametrize(("loss", "share"), [(Quantile([0.2]), 0.2), (Quantile([0.9]), 0.9)])
def test_what_minimizes_the_pinball_loss_is_the_quantile(loss: nn.Module, share: float) -> None:
    targets = torch.randn(2001, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    grid = torch.linspace(-2, 2, 401, dtype=torch.float64)
    costs = torch.stack([loss(value.expand(2001, 1), targets) for value in grid])
    assert (targets <= grid[costs.argmin()]).double().mean().item() == pytest.approx(share, abs=0.01)


def test_what_minimizes_the_poisson_loss_is_the_mean() -> None:
    targets = torch.tensor([[0.0], [1.0], [3.0], [8.0]], dtype=torch.float64)
    mean = targets.mean(0)
    decoder, loss = value_decoder(Poisson()), Poisson()
    outputs = torch.linspace(-1, 1, 201, dtype=torch.float64)
    costs = torch.stack([loss(o.expand(4, 1), decoder.scaled(targets, mean, mean)) for o in outputs])
    assert decoder.decode(outputs[costs.argmin()], mean, mean).item() == pytest.approx(3.0)


class _Read(nn.Module):
    def __init__(self, loss: nn.Module, is_values: bool) -> None:
        super().__init__()
        self.loss, self.is_values = loss, is_values

    def forward(self, outputs: torch.Tensor) -> torch.Tensor:
        """(B, num_outputs) -> as the loss reads it."""
        if self.is_values:
            return value_decoder(self.loss).decode(outputs, MEAN.double(), STD.double())
        return class_decoder(self.loss).decode(outputs)


@pytest.mark.parametrize("loss", [MSE(), Quantile([0.2, 0.5, 0.7]), Poisson(), CrossEntropy(), KL(2.0), MultiMargin()])
def test_readings_can_be_exported_for_any_batch(loss: nn.Module) -> None:
    is_values = isinstance(loss, MSE | Quantile | Poisson)
    read = _Read(loss, is_values)
    width = value_decoder(loss).num_outputs(2) if is_values else 3
    dynamic = ({0: torch.export.Dim("batch")},)
    with readable_cudnn_flags():  # as an export does: torch reads flags that an earlier run of this process has set
        found = torch.export.export(read, (torch.randn(7, width),), dynamic_shapes=dynamic).module()
    for size in (1, 2, 7):
        outputs = torch.randn(size, width)
        torch.testing.assert_close(found(outputs), read(outputs), rtol=0, atol=0)


@pytest.mark.parametrize("loss", [MSE(), Quantile(), Poisson()])
def test_values_far_from_zero_keep_what_they_differ_in(loss: nn.Module) -> None:
    decoder, mean, std = value_decoder(loss), torch.tensor([1.7e9]).double(), torch.tensor([20.0]).double()
    outputs = torch.linspace(-1, 1, 5)[:, None] * (1e-8 if isinstance(loss, Poisson) else 1)
    found = decoder.decode(outputs.repeat(1, decoder.num_outputs(1)), mean, std)
    exact = outputs.double().exp() * mean if isinstance(loss, Poisson) else mean + std * outputs.double()
    torch.testing.assert_close(found, exact, rtol=1e-15, atol=0)
    assert found.dtype == torch.float64
