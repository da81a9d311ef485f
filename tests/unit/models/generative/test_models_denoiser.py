"""Networks that take noise away: sizes of the data, classes, times."""

from typing import Any

import pytest
import torch
from torch import nn

from dlexp.models.generative.denoiser import DenoisingMlp, PixelAttention, UNet, denoiser, denoising_mlp

SHAPES = {"8": (1, 8, 8), "28": (1, 28, 28), "32": (3, 32, 32), "odd": (1, 13, 7)}
_KINDS = {1: "mlp", 3: "unet"}


def small(shape: tuple[int, ...], num_classes: int = 0, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"channels": [8, 8, 16], "heads": 2, "hidden": [16, 16], "network": "auto", **options}
    return denoiser(input_shape=shape, num_classes=num_classes, **sizes).eval()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
@torch.inference_mode()
def test_a_unet_puts_out_images_of_every_size(shape: tuple[int, ...]) -> None:
    network = small(shape, network="unet")
    assert isinstance(network, UNet)
    assert network(torch.randn(2, *shape), torch.rand(2)).shape == (2, *shape)


def test_few_numbers_get_fully_connected_layers_and_images_convolutions_unless_asked() -> None:
    assert isinstance(small((5,)), DenoisingMlp)
    assert isinstance(small((1, 4, 4)), DenoisingMlp)
    assert isinstance(small((1, 8, 8)), UNet)
    assert isinstance(small((1, 8, 8), network="mlp"), DenoisingMlp)


@torch.inference_mode()
def test_units_may_differ_between_blocks() -> None:
    assert denoising_mlp(input_shape=(2, 3), hidden=[8, 16, 4])(torch.randn(5, 2, 3), torch.rand(5)).shape == (5, 2, 3)


@pytest.mark.parametrize("shape", [(5,), (1, 8, 8)], ids=["mlp", "unet"])
@torch.inference_mode()
def test_time_and_class_matter_and_a_row_of_zeros_is_no_class(shape: tuple[int, ...]) -> None:
    network, x, time = small(shape, 3, network=_KINDS[len(shape)]), torch.randn(1, *shape), torch.tensor([0.5])
    plain = network(x, time)
    assert torch.allclose(network(x, time, torch.zeros(1, 3)), plain)
    assert not torch.allclose(network(x, time, torch.tensor([[1.0, 0, 0]])), plain)
    assert not torch.allclose(network(x, torch.tensor([0.9])), plain)


@pytest.mark.parametrize("shape", [(5,), (1, 8, 8)], ids=["mlp", "unet"])
def test_every_layer_learns(shape: tuple[int, ...]) -> None:
    network = small(shape, 3, network=_KINDS[len(shape)]).train()
    network(torch.randn(4, *shape), torch.rand(4), torch.eye(3)[[0, 1, 2, 0]]).square().sum().backward()
    weights = [weight for weight in network.parameters() if weight.ndim > 1]  # a norm may undo a bias
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in weights)


def test_attention_is_where_images_are_small() -> None:
    def count(side: int) -> int:
        return sum(isinstance(module, PixelAttention) for module in small((1, 16, 16), attention_side=side).modules())

    assert (count(0), count(4), count(16)) == (0, 1 + 1 + 2, 3 + 1 + 6)  # down, in the middle, up


@torch.inference_mode()
def test_attention_mixes_all_pixels_of_an_image_and_no_others() -> None:
    torch.manual_seed(0)
    layer, x = PixelAttention(8, 2).double(), torch.randn(2, 8, 3, 4, dtype=torch.float64)
    changed = x.clone()
    changed[0, :, 2, 3] += 1
    difference = (layer(changed) - layer(x)).abs().amax(1)
    assert (difference[0] > 0).all()
    assert (difference[1] == 0).all()


def test_classes_are_known_where_there_are_any_unless_the_user_decides() -> None:
    assert small((5,), 3).num_classes == 3
    assert small((5,), 0).num_classes == 0
    assert small((5,), 3, conditional=False).num_classes == 0
    with pytest.raises(ValueError, match=r"model\.conditional=null"):
        small((5,), 0, conditional=True)


@pytest.mark.parametrize(
    ("shape", "options", "remedy"),
    [
        ((5,), {"network": "unet"}, "U-Net"),
        ((1, 2, 2), {"network": "unet"}, "U-Net"),
        ((1, 8, 8), {"network": "unet", "heads": 3}, r"model\.heads=1"),
    ],
    ids=["table", "too small", "heads"],
)
def test_what_cannot_work_is_refused(shape: tuple[int, ...], options: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        small(shape, **options)


def test_a_denoiser_without_times_names_its_task() -> None:
    with pytest.raises(ValueError, match="task=diffusion"):
        small((5,))(torch.randn(1, 5))
