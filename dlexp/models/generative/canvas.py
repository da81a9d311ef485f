"""A picture as parameters: what is trained is the picture itself.

Symbols: B batch, H and W height and width in pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["canvas"]


class Canvas(nn.Module):
    """One picture, whatever enters; or what is added to the picture that enters.

    Args:
        picture: (channels, H, W) in [0, 1], or the changes.
        is_added: Whether it is added to the input.
    """

    def __init__(self, picture: Tensor, is_added: bool) -> None:
        super().__init__()
        self.picture, self.is_added = nn.Parameter(picture), is_added

    def forward(self, images: Tensor) -> Tensor:
        """(B, channels, H, W) in [0, 1] -> the same shape; may leave the range while it is trained."""
        return images + self.picture if self.is_added else self.picture.expand_as(images)


def canvas(*, input_shape: tuple[int, ...], start: str = "content") -> nn.Module:
    """A picture of the size of the data, a parameter for each of its numbers.

    Args:
        input_shape: (channels, H, W).
        start: content, the picture of the data; or noise, uniform around gray.

    Raises ValueError for another start.
    """
    if start == "content":
        return Canvas(torch.zeros(input_shape), is_added=True)
    if start == "noise":
        return Canvas(0.5 + 0.2 * (torch.rand(input_shape) - 0.5), is_added=False)
    raise ValueError(f"unknown start={start!r}; available: content, noise")
