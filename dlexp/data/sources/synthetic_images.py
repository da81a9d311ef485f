"""Synthetic images: a shape of random position, size and angle on a noisy background, with its mask.

They need no download, can have any size and number of channels, and the shape is known for every pixel.

Symbols: N images, C channels, S height and width, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlexp.data.bundle import SPLITS, DataBundle, Split, fingerprint_of
from dlexp.data.columns import tensor_of
from dlexp.data.images.normalization import WHITE, moments
from dlexp.data.sources.synthetic_shapes import BACKDROPS, SHAPES, TEXTURES, Plane
from dlexp.data.splitting import split_rows
from dlexp.specs import ClassSpec, DataSpec, ImageSpec

__all__ = ["synthetic_images"]

_CHUNK = 256  # images per chunk, each with its own seed: more images do not change the first ones
_COLORS = 8  # distinguishable colors of classes; fewer levels of gray are distinguishable
_GRAYS = 4
_SMALLEST, _LARGEST = 0.5, 0.85  # radius of a shape, as a fraction of half the image size


@dataclass(frozen=True)
class Drawn:
    """Synthetic images with labels and masks.

    images  (N, C, S, S) uint8, in channels-last memory format
    labels  (N,) int64 class numbers
    masks   (N, S, S) true inside of the shape; (0, S, S) if they were not requested
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    masks: NDArray[np.bool_]


@dataclass(frozen=True)
class _Kinds:
    """The number of levels of each trait that distinguishes classes; 1 for the other traits."""

    shapes: int
    colors: int
    textures: int
    backdrops: int

    def traits(self, labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """The level of each trait, (n,) each, for class numbers (n,)."""
        found = []
        for levels in (self.shapes, self.colors, self.textures, self.backdrops):
            found.append(labels % levels)
            labels = labels // levels
        return tuple(found)


def synthetic_images(
    *,
    image_size: int = 32,
    channels: int | str = 3,
    num_classes: int = 10,
    num_samples: int = 10_000,
    noise: float = 0.1,
    data_seed: int = 0,
    val_fraction: float = 0.1,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    augment: str | Sequence[str | Mapping[str, Any]] = "none",
    pad: int = 4,
) -> DataBundle:
    """Draw shapes, inputs (C, S, S) uint8: ten classes are ten shapes; more classes also differ in color and texture.

    noise      standard deviation of the noise of every pixel, as a fraction of white
    data_seed  seed of the drawing only
    Raises ValueError for more classes than are distinguishable (2,560, or 1,280 with one channel).
    """
    if not isinstance(channels, int):
        raise ValueError(f"channels={channels}: must be a number")
    shape = (channels, image_size, image_size)
    drawn = draw_shapes(num_samples, shape, num_classes, noise, data_seed, with_masks=False)
    names = class_names(num_classes, channels)
    rows = split_rows(num_samples, (val_fraction, test_fraction, split_seed), drawn.labels, names)
    splits = {
        name: Split.in_memory(_stored(drawn.images, part), torch.from_numpy(drawn.labels[part]), torch.from_numpy(part))
        for name, part in zip(SPLITS, rows, strict=True)
    }
    found = moments([tensor_of(splits["train"].inputs)])
    return DataBundle(
        spec=DataSpec(ImageSpec(*shape), ClassSpec(names)),
        splits=splits,
        preprocess=found.normalization(image_size, image_size),
        fingerprint=fingerprint_of(drawn.images.transpose(0, 2, 3, 1), drawn.labels),
        preprocessing={"kind": "image", "white": WHITE, "mean": list(found.mean), "std": list(found.std)},
        augment=augment,
        pad=pad,
        masks=partial(_masks_of, shape=shape, num_classes=num_classes, seed=data_seed),
    )


def draw_shapes(
    count: int,
    shape: tuple[int, int, int],
    num_classes: int,
    noise: float = 0.1,
    seed: int = 0,
    with_masks: bool = True,
) -> Drawn:
    """Draw `count` images of `shape` (C, S, S), cycling through the classes.

    Image n is a function of n, K, `shape`, noise and seed.

    with_masks  return the masks too, one byte per pixel
    Raises ValueError for more classes than are distinguishable.
    """
    channels, size, _ = shape
    kinds = _kinds(num_classes, channels)
    images = np.empty((count, size, size, channels), dtype=np.uint8)
    masks = np.empty((count if with_masks else 0, size, size), dtype=np.bool_)
    labels = np.arange(count, dtype=np.int64) % num_classes
    for start in range(0, count, _CHUNK):
        part = slice(start, start + _CHUNK)
        rng = np.random.default_rng([seed, start // _CHUNK])
        covered = _draw_chunk(images[part], labels[part], kinds, noise, rng)
        if with_masks:
            masks[part] = covered
    return Drawn(images.transpose(0, 3, 1, 2), labels, masks)


def _masks_of(rows: Tensor, shape: tuple[int, int, int], num_classes: int, seed: int) -> Tensor:
    """The masks (B, S, S) of the images `rows` (B,) that `draw` returns for the same arguments, drawn again."""
    channels, size, _ = shape
    kinds, numbers = _kinds(num_classes, channels), rows.cpu().numpy()
    masks = np.empty((len(numbers), size, size), dtype=np.bool_)
    for chunk in np.unique(numbers // _CHUNK):
        mine = np.flatnonzero(numbers // _CHUNK == chunk)
        traits = _traits(np.random.default_rng([seed, int(chunk)]))[numbers[mine] % _CHUNK]
        masks[mine] = _covered(kinds.traits(numbers[mine] % num_classes)[0], traits, size)
    return torch.from_numpy(masks)


def class_names(num_classes: int, channels: int) -> tuple[str, ...]:
    """The shape of each class, followed by color number, texture and backdrop if they distinguish classes."""
    kinds = _kinds(num_classes, channels)
    names = []
    for shape, color, texture, backdrop in zip(*kinds.traits(np.arange(num_classes)), strict=True):
        parts = [list(SHAPES)[shape]]
        parts += [f"color {color + 1}"] if kinds.colors > 1 else []
        parts += [list(TEXTURES)[texture]] if kinds.textures > 1 else []
        parts += [f"on {list(BACKDROPS)[backdrop]}"] if kinds.backdrops > 1 else []
        names.append(", ".join(parts))
    return tuple(names)


def _kinds(num_classes: int, channels: int) -> _Kinds:
    """The fewest traits, with the fewest levels, that distinguish `num_classes`. Raises ValueError."""
    levels, left = [], num_classes
    for most in (len(SHAPES), _GRAYS if channels == 1 else _COLORS, len(TEXTURES), len(BACKDROPS)):
        levels.append(min(most, left))
        left = -(-left // most)
    if left > 1:
        most = len(SHAPES) * (_GRAYS if channels == 1 else _COLORS) * len(TEXTURES) * len(BACKDROPS)
        raise ValueError(f"num_classes={num_classes}: must be at most {most:,} with {channels} channels")
    return _Kinds(*levels)


def _draw_chunk(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    kinds: _Kinds,
    noise: float,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Draw into images (n, S, S, C) and return their masks (n, S, S)."""
    count, size, _, channels = images.shape
    drawn = _traits(rng)[:count]
    shape, color, texture, backdrop = kinds.traits(labels)
    masks = _covered(shape, drawn, size)
    x, y = _points(count, size)
    # The phase of a texture is random, so that it does not encode the position.
    shift_x, shift_y = (drawn[:, 4:6] * 8).T[:, :, None, None]
    inside = 0.45 + 0.55 * _each(TEXTURES, texture, x + shift_x, y + shift_y, np.float32)
    behind = _each(BACKDROPS, backdrop, x + shift_y, y + shift_x, np.float32)
    is_colored = kinds.colors > 1
    hue = np.asarray((color + 0.15 + 0.3 * drawn[:, 6]) / kinds.colors if is_colored else drawn[:, 6], np.float32)
    paint = _paint(hue, channels, None if is_colored else drawn[:, 7])
    ground = (0.05 + 0.15 * drawn[:, 8])[:, None, None] + 0.15 * behind
    # Plane by plane, so that the innermost loops run over rows of pixels instead of three channels.
    bright = (inside * WHITE)[:, None] * paint[:, :, None, None]
    pixels = np.where(masks[:, None], bright, (ground * WHITE)[:, None])
    if noise:
        grain = rng.standard_normal(pixels.shape, dtype=np.float32)
        grain *= noise * WHITE
        pixels += grain
    pixels += 0.5
    np.clip(pixels, 0, WHITE, out=pixels)
    images[:] = pixels.astype(np.uint8).transpose(0, 2, 3, 1)
    return masks


def _traits(rng: np.random.Generator) -> NDArray[np.float32]:
    """Random traits of the images of a full chunk, (256, 9) in [0, 1), independent of the number of images."""
    return rng.random((_CHUNK, 9), dtype=np.float32)


def _points(count: int, size: int) -> tuple[Plane, Plane]:
    """x and y of every pixel, (n, S, S) each."""
    x, y = (plane[None].repeat(count, 0) for plane in np.meshgrid(*[np.arange(size, dtype=np.float32)] * 2))
    return x, y


def _covered(shape: NDArray[np.int64], drawn: NDArray[np.float32], size: int) -> NDArray[np.bool_]:
    """(n, S, S) masks of the shapes with numbers `shape` (n,)."""
    u, v = _own_frame(*_points(len(shape), size), drawn[:, :4], size)
    return np.asarray(_each(SHAPES, shape, u, v, np.bool_))


def _own_frame(x: Plane, y: Plane, drawn: NDArray[np.float32], size: int) -> tuple[Plane, Plane]:
    """Convert image coordinates to the frame of a shape; drawn (n, 4) in [0, 1): size, center x and y, angle."""
    half = (size - 1) / 2
    reach = (_SMALLEST + (_LARGEST - _SMALLEST) * drawn[:, 0]) * size / 2
    margin = np.maximum(size / 2 - reach, 0)
    middle_x, middle_y = half + (2 * drawn[:, 1] - 1) * margin, half + (2 * drawn[:, 2] - 1) * margin
    angle = 2 * np.pi * drawn[:, 3]
    cos, sin = (np.cos(angle) / reach)[:, None, None], (np.sin(angle) / reach)[:, None, None]
    from_x, from_y = x - middle_x[:, None, None], y - middle_y[:, None, None]
    return (cos * from_x + sin * from_y).astype(np.float32), (cos * from_y - sin * from_x).astype(np.float32)


def _each(
    makers: Mapping[str, Callable[[Plane, Plane], NDArray[Any]]],
    which: NDArray[np.int64],
    a: Plane,
    b: Plane,
    dtype: type,
) -> NDArray[Any]:
    """(n, S, S): for image i the result of function number `which[i]`."""
    found: NDArray[Any] = np.empty(a.shape, dtype=dtype)
    for number, maker in enumerate(makers.values()):
        mine = np.flatnonzero(which == number)
        if len(mine):
            found[mine] = maker(a[mine], b[mine])
    return found


def _paint(hue: NDArray[np.float32], channels: int, level: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Convert hues (n,) in [0, 1) to channel strengths (n, C): colors, or levels of gray with one channel.

    level  (n,) brightness in [0, 1); None for full brightness
    """
    if channels == 1:
        return (0.45 + 0.55 * hue)[:, None].astype(np.float32)
    circle = 0.5 + 0.5 * np.cos(2 * np.pi * (hue[:, None] - np.arange(channels) / channels))
    bright = 1.0 if level is None else (0.7 + 0.3 * level)[:, None]
    return np.asarray(bright * (0.2 + 0.8 * circle), dtype=np.float32)


def _stored(images: NDArray[np.uint8], rows: NDArray[np.int64]) -> Tensor:
    """The images `rows` of (N, C, S, S) as a tensor in channels-last memory format."""
    return torch.from_numpy(images.transpose(0, 2, 3, 1)[rows]).permute(0, 3, 1, 2)
