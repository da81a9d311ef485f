"""Views of an image that are averaged at test time: the image itself, its mirror image, its corners, and drawn changes.

flip        the image and its mirror image
crop        the middle and four corners: of images that are stored larger than the network reads, windows of its size;
            of others, shifts by as many pixels as `crop` shifts in training, with black from outside
crop_flip   those five, and their mirror images
N           the image and N - 1 changes that training might have made, drawn by (seed, "tta", view, sample)

Symbols: B samples, C channels, H and W height and width in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dlexp.data.augment.operations import Augmentation, middle
from dlexp.data.augment.recipe import Recipe
from dlexp.errors import ConfigError
from dlexp.runtime.seed import derive
from dlexp.types import Field, as_tensor

OPTION = "--tta"
NAMED = ("flip", "crop", "crop_flip")
MOST = 100
_CORNERS = ("middle", "top left", "top right", "bottom left", "bottom right")


@dataclass(frozen=True)
class FixedView:
    """The same change of every image.

    corner    one of `_CORNERS`
    mirrored  left to right
    pad       pixels of black around images that are not stored larger
    size      height and width that leave, of images that are stored larger; else 0
    """

    corner: str = "middle"
    mirrored: bool = False
    pad: int = 0
    size: int = 0

    @property
    def moves_targets(self) -> bool:
        """False: targets that lie on images are refused."""
        return False

    def __call__(self, inputs: Field, targets: Field | None, indices: Tensor) -> tuple[Tensor, Field | None]:
        """(B, C, H, W) -> the changed images, of the same type."""
        images = as_tensor(inputs)
        found = self._cut(images)
        return (found.flip(3) if self.mirrored else found), targets

    def _cut(self, images: Tensor) -> Tensor:
        if self.corner == "middle":
            return middle(images, self.size) if self.size else images
        padded = images if self.size else F.pad(images, (self.pad,) * 4)
        height, width = (self.size, self.size) if self.size else images.shape[2:]
        top = 0 if self.corner.startswith("top") else padded.shape[2] - height
        left = 0 if self.corner.endswith("left") else padded.shape[3] - width
        return padded[:, :, top : top + height, left : left + width].contiguous()


@dataclass(frozen=True)
class View:
    """One view with the name that tables show; no transform is the image as it is evaluated without views."""

    name: str
    transform: Augmentation | FixedView | None


def check_views(words: str) -> int | None:
    """The number of views that `words` count, None for a name. Raises ConfigError for words that mean no views."""
    if words in NAMED:
        return None
    rule = f"must be {', '.join(NAMED)}, or a number of views from 2 to {MOST}"
    if not words.isdecimal() or not 2 <= int(words[:9]) <= MOST:
        raise ConfigError.one(OPTION, words, rule, f"Use {OPTION} flip, or {OPTION} 8", code="invalid-value")
    return int(words)


def views_of(words: str, recipe: Recipe, pad: int, seed: int) -> Sequence[View]:
    """The views that `words` name, for images as `recipe` changes them in training; the first is the image as it is.

    Args:
        words: flip, crop, crop_flip or a number.
        recipe: The changes of training.
        pad: Largest shift of `crop` in training, in pixels.
        seed: Of the run.

    Raises:
        ConfigError: Words that mean no views, targets that lie on the images, and views that would all be the same.
    """
    count = check_views(words)
    if recipe.geometry:
        rule = f"is not supported for targets that lie on the images ({recipe.geometry}): they would have to move back"
        raise ConfigError.one(OPTION, words, rule, "Remove it.", code="not-supported")
    plain = View("as it is", recipe.unchanged)
    if count is not None:
        if not recipe.steps:
            rule = "draws from the augmentation of training, and this run has data.augment=none"
            raise ConfigError.one(OPTION, words, rule, f"Use {' or '.join(NAMED)}.", code="no-effect")
        source = derive(seed, "tta")
        return [plain, *(View(f"drawn {number}", recipe.transform(source, number)) for number in range(1, count))]
    corners = _CORNERS if "crop" in words else _CORNERS[:1]
    if len(corners) > 1 and not recipe.size and not pad:
        rule = "has no effect: this run has images of the size that the network reads, and training does not shift them"
        raise ConfigError.one(OPTION, words, rule, f"Use {OPTION} flip.", code="no-effect")
    mirrored = (False, True) if "flip" in words else (False,)
    places = [(corner, is_mirrored) for is_mirrored in mirrored for corner in corners][1:]
    fixed = [FixedView(corner, is_mirrored, pad, recipe.size) for corner, is_mirrored in places]
    return [plain, *(View(_name(each), each) for each in fixed)]


def images_in_view(view: View, images: Tensor, indices: Tensor) -> Tensor:
    """(B, C, H, W) as they are read -> as the view has them; numbers of the samples (B,)."""
    if view.transform is None or not len(images):
        return images
    return as_tensor(view.transform(images, None, torch.as_tensor(indices))[0])


def _name(view: FixedView) -> str:
    where = "" if view.corner == "middle" else view.corner
    return f"{where}{', ' if where and view.mirrored else ''}{'mirrored' if view.mirrored else ''}"
