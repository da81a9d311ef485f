"""How like its original a restored image is: peak signal-to-noise ratio and structural similarity.

Source of the second: Z. Wang, A. C. Bovik, H. R. Sheikh and E. P. Simoncelli, "Image quality assessment: from error
visibility to structural similarity", IEEE Transactions on Image Processing 13 (2004).

Both are computed from all color channels of all pixels, in [0, 1]; papers on super-resolution often compute them from
brightness alone and leave edges out, which gives larger numbers.

Symbols: B batch, C channels, H and W height and width in pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_SMALLEST = 1e-10  # mean squared error below which images count as equal: 100 dB
_WINDOW, _DEVIATION = 11, 1.5  # pixels
_C1, _C2 = 0.01**2, 0.03**2


def psnr(images: Tensor, originals: Tensor) -> Tensor:
    """(B, C, H, W) in [0, 1], both -> (B,) decibels, 100 at most: -10 log10 of the mean squared error."""
    error = (images.double() - originals.double()).square().flatten(1).mean(1)
    return -10 * error.clamp(min=_SMALLEST).log10()


def ssim(images: Tensor, originals: Tensor) -> Tensor:
    """(B, C, H, W) in [0, 1], both -> (B,) in [-1, 1], 1 for equal images.

    The mean over channels and over the places of a Gaussian window of 11 pixels and deviation 1.5 that lies inside of
    the image; of smaller images the largest odd window that does.
    """
    size = min(_WINDOW, *images.shape[-2:])
    size -= 1 - size % 2
    channels = images.shape[1]
    places = torch.arange(size, dtype=torch.float64, device=images.device) - (size - 1) / 2
    line = torch.exp(-places.square() / (2 * _DEVIATION**2))
    line = line / line.sum()
    across = line.expand(channels, 1, 1, -1)

    def mean(values: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(values, across, groups=channels), across.transpose(2, 3), groups=channels)

    x, y = images.double(), originals.double()
    mean_x, mean_y = mean(x), mean(y)
    variance_x, variance_y = mean(x * x) - mean_x.square(), mean(y * y) - mean_y.square()
    covariance = mean(x * y) - mean_x * mean_y
    alike = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    found = alike / ((mean_x.square() + mean_y.square() + _C1) * (variance_x + variance_y + _C2))
    return found.flatten(1).mean(1)
