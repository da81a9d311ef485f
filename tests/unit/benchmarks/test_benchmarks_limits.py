"""A limit that computes something else is no limit: the same networks, the same updates, the same images."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.data.random_images import pixels, random_images
from benchmarks.data.random_sequences import VOCABULARY, WINDOW, tokens, windows
from benchmarks.training.limits import digits
from benchmarks.training.limits import gan as gan_limits
from benchmarks.training.limits import images as image_limits
from benchmarks.training.limits.digits_by_hand import Hand
from benchmarks.training.limits.inference import folded
from benchmarks.training.limits.loop import Kernel
from benchmarks.training.limits.sequences import BareLstm
from benchmarks.training.limits.transformers import BareEncoder, BareGpt
from dlexp.data.columns import tensor_of
from dlexp.models.convnet import simple_cnn
from dlexp.models.generative.gan import gan
from dlexp.models.mlp import mlp
from dlexp.models.recurrent.builders import lstm
from dlexp.models.resnet import resnet18
from dlexp.models.transformer.encoder import transformer_encoder
from dlexp.models.transformer.gpt import gpt
from dlexp.types import as_tensor


def shapes(network: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(parameter.shape) for parameter in network.parameters()]


@pytest.mark.parametrize("regular", [False, True])
def test_the_networks_are_those_of_dlexp(regular: bool) -> None:
    norm, dropout = ("batch", 0.2) if regular else ("none", 0.0)
    ours = mlp(input_shape=(1, 8, 8), num_outputs=10, hidden=[128, 64], norm=norm, dropout=dropout)
    assert str(nn.Sequential(*list(ours)[1:])) == str(digits.perceptron(regular))
    images = {"input_shape": (3, 32, 32), "num_outputs": 10}
    assert str(simple_cnn(**images, norm="batch")) == str(image_limits.convolutions())  # type: ignore[arg-type]
    # dlexp's ReLUs are not in place, so that hooks see what a layer put out; the numbers are the same.
    assert str(resnet18(**images)) == str(image_limits.resnet()).replace("inplace=True", "")  # type: ignore[arg-type]


def test_updates_by_hand_and_by_the_bare_kernel_are_those_of_adamw() -> None:
    torch.manual_seed(0)
    hand = Hand()
    networks = [digits.perceptron(False) for _ in range(2)]
    for network in networks:
        for parameter, weight in zip(network.parameters(), hand.weights, strict=True):
            parameter.data.copy_(weight)
    kernel = Kernel(list(networks[0].parameters()))
    usual = torch.optim.AdamW(networks[1].parameters(), lr=2e-3, fused=True)
    x, y = torch.randn(5, 32, 64), torch.randint(0, 10, (5, 32))
    for inputs, classes in zip(x, y, strict=True):
        hand.update(inputs, F.one_hot(classes, 10).float())
        for network, step in ((networks[0], kernel), (networks[1], usual.step)):
            network.zero_grad()
            F.cross_entropy(network(inputs), classes).backward()
            step()
    for weight, bare, expected in zip(hand.weights, *(n.parameters() for n in networks), strict=True):
        torch.testing.assert_close(bare.detach(), expected.detach(), rtol=0, atol=0)
        torch.testing.assert_close(weight, expected.detach(), rtol=1e-4, atol=1e-5)


def test_the_lstm_is_that_of_dlexp() -> None:
    ours, limit = lstm(vocabulary_size=VOCABULARY, num_outputs=10).eval(), BareLstm(layer_by_layer=True).eval()
    weights = dict(zip(limit.state_dict(), ours.state_dict().values(), strict=True))
    limit.load_state_dict(weights)
    ids, lengths, _ = tokens(70)
    torch.testing.assert_close(limit(torch.cat([lengths[:, None], ids], 1)), ours(ids, lengths))
    assert shapes(BareLstm(layer_by_layer=False)) == shapes(ours)


def test_the_encoder_is_that_of_dlexp() -> None:
    ours, limit = (
        transformer_encoder(vocabulary_size=VOCABULARY, num_outputs=10, max_length=60).eval(),
        BareEncoder().eval(),
    )
    _copy_weights(ours, limit)
    ids, lengths, _ = tokens(70)
    torch.testing.assert_close(limit(torch.cat([lengths[:, None], ids], 1)), ours(ids, lengths), atol=1e-5, rtol=1e-4)


def test_the_language_model_is_that_of_dlexp() -> None:
    ours, limit = gpt(vocabulary_size=VOCABULARY, num_outputs=VOCABULARY, max_length=WINDOW).eval(), BareGpt().eval()
    _copy_weights(ours, limit)
    text, following = windows(3)
    assert torch.equal(text[1:, 0], following[:-1, -1]) and torch.equal(text[:, 1:], following[:, :-1])
    torch.testing.assert_close(limit(text), ours(text), atol=1e-5, rtol=1e-4)


def _copy_weights(ours: nn.Module, limit: nn.Module) -> None:
    """In the order in which both name them, weights that are tied once."""
    for mine, theirs in zip(ours.parameters(), limit.parameters(), strict=True):
        theirs.data.copy_(mine)


def test_batch_norms_fold_into_the_convolutions_before_them() -> None:
    torch.manual_seed(0)
    network = image_limits.resnet()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean, module.running_var = torch.randn_like(module.bias), torch.rand_like(module.bias) + 0.5
    network.eval()
    small = folded(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in small.modules())
    x = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(small(x), network(x), rtol=1e-3, atol=1e-3)
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules())  # the one given is as it was


def test_crops_are_windows_of_the_padded_images() -> None:
    torch.manual_seed(0)
    images = torch.from_numpy(pixels(8)[0])
    found = image_limits.cropped(images)
    padded = F.pad(images, (4, 4, 4, 4))
    for image, whole in zip(found, padded, strict=True):
        windows = whole.unfold(1, 32, 1).unfold(2, 32, 1).permute(1, 2, 0, 3, 4).flatten(0, 1)
        either = torch.cat([windows, windows.flip(-1)])
        assert (either == image).flatten(1).all(dim=1).any()
    assert len({tuple(image.flatten().tolist()[:40]) for image in found}) > 4


def test_both_sides_see_the_same_images() -> None:
    work = image_limits.image_work("cnn", "fp32", "cpu", (6, 3, 2), 4)
    bundle = random_images(counts=(6, 3, 2), augment="none", pad=4, val_fraction=0, test_fraction=0, split_seed=0)
    assert bundle.sizes() == {"train": 6, "val": 3, "test": 2}
    torch.testing.assert_close(
        work.val[0], as_tensor(bundle.preprocess(tensor_of(bundle.splits["val"].inputs))), rtol=1e-5, atol=1e-5
    )
    assert torch.equal(work.val[1], tensor_of(bundle.splits["val"].targets))
    assert [len(y) for _, y in work.batches()] == [4, 2]
    assert work.num_batches == 2


def test_the_gan_of_the_limit_is_that_of_dlexp() -> None:
    made = gan(input_shape=(1, 28, 28), layer_kind="convolutional", discriminator_norm="batch", dropout=0.25)
    bare = {"generator": gan_limits.generator(), "discriminator": gan_limits.discriminator()}
    given = {"generator": torch.randn(3, 100), "discriminator": torch.randn(3, 1, 28, 28)}
    for name, network in bare.items():
        weights = [value for key, value in made[name].state_dict().items()]
        network.load_state_dict(dict(zip(network.state_dict(), weights, strict=True)))
        assert torch.allclose(network.eval()(given[name]), made[name].eval()(given[name]), atol=1e-6)
