"""An image encoder and a text encoder that share one space (CLIP, Radford et al. 2021, arXiv:2103.00020).

Symbols: B images or texts, C channels, H and W height and width in pixels, U tokens of the longest text, E numbers of
an embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import log

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.models.convnet import simple_cnn
from dlexp.models.resnet import resnet18
from dlexp.models.transformer.encoder import transformer_encoder
from dlexp.models.transformer.vit import vit

__all__ = ["clip"]

MAX_SCALE = 100.0  # as published: beyond it training becomes unstable

IMAGE_ENCODERS: Mapping[str, Callable[..., nn.Module]] = {"simple_cnn": simple_cnn, "resnet18": resnet18, "vit": vit}


class DualEncoder(nn.Module):
    """Two encoders, each ending with a linear layer into the common space, and a learned temperature.

    log_scale  shape (), the logarithm of 1 / temperature

    Args:
        image: (B, C, H, W) -> (B, E).
        text: (B, U) token ids and (B,) lengths -> (B, E).
        temperature: At the start, at least 1 / MAX_SCALE.

    Raises ValueError for a smaller temperature.
    """

    def __init__(self, image: nn.Module, text: nn.Module, temperature: float) -> None:
        super().__init__()
        if temperature * MAX_SCALE < 1:
            raise ValueError(f"temperature={temperature:g} must be at least {1 / MAX_SCALE:g}")
        self.image, self.text = image, text
        self.log_scale = nn.Parameter(torch.tensor(-log(temperature)))

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, E) of length 1."""
        return _unit(self.image(images))

    def encode_texts(self, values: Tensor, lengths: Tensor) -> Tensor:
        """(B, U) int64 and (B,) lengths -> (B, E) of length 1; padding changes nothing."""
        return _unit(self.text(values, lengths))

    def scale(self) -> Tensor:
        """1 / temperature, shape (), at most MAX_SCALE. The parameter is clipped too, so that it can come back."""
        with torch.no_grad():
            self.log_scale.clamp_(max=log(MAX_SCALE))
        return self.log_scale.exp()


def _unit(outputs: Tensor) -> Tensor:
    return F.normalize(outputs.to(torch.promote_types(outputs.dtype, torch.float32)), dim=1)


def clip(
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
    target_vocabulary_size: int,
    target_max_length: int,
    image_encoder: str = "simple_cnn",
    token: int = 64,
    blocks: int = 2,
    heads: int = 4,
    text_blocks: int = 2,
    dropout: float = 0.1,
    temperature: float = 0.07,
) -> DualEncoder:
    """Image and text encoder for task=contrastive: images (B, C, H, W) -> (B, E), texts (B, U) -> (B, E).

    Args:
        input_shape: (C, H, W).
        num_outputs: E.
        target_vocabulary_size: Number of tokens of texts.
        target_max_length: Tokens of the longest text.
        image_encoder: simple_cnn, resnet18 or vit.
        token: Size of the vector of a token, of texts and of a vit; a multiple of heads.
        blocks: Number of layers of a vit; without effect on the other image encoders.
        heads: Attention heads.
        text_blocks: Number of layers of the text encoder.
        dropout: Probability in [0, 1) of zeroing in training, in transformers.
        temperature: At the start; it is learned, and stays at 0.01 or above.

    Raises ValueError for an unknown image encoder, and as the encoders do.
    """
    if image_encoder not in IMAGE_ENCODERS:
        raise ValueError(f"unknown image_encoder={image_encoder!r}; available: {', '.join(IMAGE_ENCODERS)}")
    sizes = {"token": token, "blocks": blocks, "heads": heads, "dropout": dropout} if image_encoder == "vit" else {}
    image = IMAGE_ENCODERS[image_encoder](input_shape=input_shape, num_outputs=num_outputs, **sizes)
    text = transformer_encoder(
        num_outputs=num_outputs,
        max_length=target_max_length,
        vocabulary_size=target_vocabulary_size,
        token=token,
        blocks=text_blocks,
        heads=heads,
        dropout=dropout,
    )
    return DualEncoder(image, text, temperature)
