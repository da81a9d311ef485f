"""Encoders and decoders of every size lead back to the shape of the data, and know how many numbers they have."""

from __future__ import annotations

import pytest
import torch

from dlexp.models.generative.autoencoder import autoencoder
from dlexp.models.generative.coders import Decoder
from dlexp.models.generative.vae import vae

SHAPES = [(7,), (1, 8, 8), (3, 32, 32), (1, 28, 28), (2, 17, 23)]


def sizes(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["auto", "dense", "convolutional"])
def test_what_is_decoded_has_the_shape_of_the_data(shape: tuple[int, ...], kind: str) -> None:
    if kind == "convolutional" and len(shape) == 1:
        with pytest.raises(ValueError, match="requires images"):
            autoencoder(input_shape=shape, layer_kind=kind)
        return
    made = autoencoder(input_shape=shape, layer_kind=kind, hidden=(6,), channels=(3, 4), latent=5)
    found = vae(input_shape=shape, layer_kind=kind, hidden=(6,), channels=(3, 4), latent=5)
    inputs = torch.randn(2, *shape)
    assert made.encode(inputs).shape == (2, 5)
    assert made(inputs).shape == found(inputs).shape == inputs.shape
    mean, log_variance = found.encode(inputs)
    assert mean.shape == log_variance.shape == (2, 5)
    is_convolved = any(isinstance(layer, torch.nn.Conv2d) for layer in made.modules())
    assert is_convolved == (kind == "convolutional" or (kind == "auto" and min(shape[1:], default=0) >= 16))


def test_the_published_sizes_have_the_published_parameters() -> None:
    """Of 784 pixels, 400 units and 20 latents: 784 x 400, twice 400 x 20, 20 x 400, 400 x 784, and biases."""
    made = vae(input_shape=(1, 28, 28), layer_kind="dense", hidden=(400,), latent=20)
    assert sizes(made) == 652_824


def test_latents_have_an_activation_of_their_own() -> None:
    inputs = 5 * torch.randn(9, 4)
    found = autoencoder(input_shape=(4,), hidden=(8,), latent=3, latent_activation="sigmoid").encode(inputs)
    assert float(found.detach().amin()) > 0 and float(found.detach().amax()) < 1
    assert float(autoencoder(input_shape=(4,), hidden=(8,), latent=3).encode(inputs).detach().amin()) < 0


def test_a_conditional_network_sees_the_weights_of_classes_in_both_halves() -> None:
    torch.manual_seed(0)
    made = vae(input_shape=(1, 16, 16), num_classes=3, conditional=True, channels=(2,), latent=4)
    inputs, classes = torch.rand(2, 1, 16, 16), torch.eye(3)[:2]
    others = classes.flip(0)
    assert not torch.equal(made.encode(inputs, classes)[0], made.encode(inputs, others)[0])
    latents = torch.zeros(2, 4)
    assert not torch.equal(made.decode(latents, classes), made.decode(latents, others))
    with pytest.raises(ValueError, match="weights of 3 classes"):
        made(inputs)


def test_without_the_word_classes_of_the_data_are_not_seen() -> None:
    assert vae(input_shape=(4,), num_classes=3).num_classes == 0


def test_a_condition_requires_classes() -> None:
    with pytest.raises(ValueError, match=r"Set model\.conditional=false"):
        vae(input_shape=(4,), conditional=True)


def test_an_unknown_kind_of_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="available: auto, dense, convolutional"):
        autoencoder(input_shape=(4,), layer_kind="sparse")


def test_the_logarithm_of_a_variance_is_bounded() -> None:
    made = vae(input_shape=(2,), latent=3)
    for parameter in made.parameters():
        parameter.data.fill_(100.0)
    assert float(made.encode(torch.ones(1, 2))[1].detach().amax()) == 20.0


def test_a_decoder_of_small_images_meets_odd_sizes() -> None:
    from dlexp.models.generative.coders import CoderSizes

    made = Decoder(3, (2, 5, 7), CoderSizes("convolutional", channels=(4, 4, 4)))
    assert made(torch.zeros(6, 3)).shape == (6, 2, 5, 7)
