"""Images that are drawn: a shape at a random place, size and angle on a noisy ground, with the mask of the shape.

Nothing is downloaded, every size and number of channels is at hand, and what is to be seen is known pixel by pixel.

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

from dlexp.data.bundle import SPLITS, DataBundle, Split, fingerprint
from dlexp.data.columns import tensor_of
from dlexp.data.images.normalization import WHITE, moments
from dlexp.data.sources.synthetic_shapes import BACKDROPS, SHAPES, TEXTURES, Plane
from dlexp.data.splitting import split_rows
from dlexp.specs import ClassSpec, DataSpec, ImageSpec

__all__ = ["synthetic_images"]

_CHUNK = 256  # images drawn at a time, each chunk from a seed of its own: with more images the first stay as they are
_COLOURS = 8  # that can be told apart when a colour is part of the class; so many levels of grey cannot
_GREYS = 4
_SMALLEST, _LARGEST = 0.5, 0.85  # reach of a shape from its middle, as a share of half the picture


@dataclass(frozen=True)
class Drawn:
    """Images and what they show.

    images  (N, C, S, S) uint8, the channels last in memory
    labels  (N,) int64 class numbers
    masks   (N, S, S) true where the shape is; (0, S, S) where nobody asked for them
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    masks: NDArray[np.bool_]


@dataclass(frozen=True)
class _Kinds:
    """What the classes differ in: levels of each trait, those that are no part of the class counted 1."""

    shapes: int
    colours: int
    textures: int
    backdrops: int

    def traits(self, labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """(n,) class numbers -> the level of each trait, (n,) each."""
        found = []
        for levels in (self.shapes, self.colours, self.textures, self.backdrops):
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
    """Drawn shapes, inputs (C, S, S) uint8: ten of them; more classes are shapes that differ in colour and kind.

    noise      standard deviation of the noise on every pixel, as a share of white
    data_seed  seed of the drawing alone
    Raises ValueError for more classes than can be told apart (2,560, or 1,280 with one channel).
    """
    if not isinstance(channels, int):
        raise ValueError(f"channels={channels}: a drawing has as many channels as it is given, so give a number")
    shape = (channels, image_size, image_size)
    drawn = draw(num_samples, shape, num_classes, noise, data_seed, with_masks=False)
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
        fingerprint=fingerprint(drawn.images.transpose(0, 2, 3, 1), drawn.labels),
        preprocessing={"kind": "image", "white": WHITE, "mean": list(found.mean), "std": list(found.std)},
        augment=augment,
        pad=pad,
        masks=partial(_masks_of, shape=shape, num_classes=num_classes, seed=data_seed),
    )


def draw(
    count: int,
    shape: tuple[int, int, int],
    num_classes: int,
    noise: float = 0.1,
    seed: int = 0,
    with_masks: bool = True,
) -> Drawn:
    """`count` images of `shape` (C, S, S), the classes in turn; image n is a function of n, K, `shape`, noise and seed.

    with_masks  keep the masks too: one byte a pixel
    Raises ValueError for more classes than can be told apart.
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
    """The masks (B, S, S) of the images `rows` (B,) that `draw` makes of the same arguments, drawn anew."""
    channels, size, _ = shape
    kinds, numbers = _kinds(num_classes, channels), rows.cpu().numpy()
    masks = np.empty((len(numbers), size, size), dtype=np.bool_)
    for chunk in np.unique(numbers // _CHUNK):
        mine = np.flatnonzero(numbers // _CHUNK == chunk)
        traits = _traits(np.random.default_rng([seed, int(chunk)]))[numbers[mine] % _CHUNK]
        masks[mine] = _covered(kinds.traits(numbers[mine] % num_classes)[0], traits, size)
    return torch.from_numpy(masks)


def class_names(num_classes: int, channels: int) -> tuple[str, ...]:
    """The shape, then where it is part of the class the colour's number, the texture and the backdrop."""
    kinds = _kinds(num_classes, channels)
    names = []
    for shape, colour, texture, backdrop in zip(*kinds.traits(np.arange(num_classes)), strict=True):
        parts = [list(SHAPES)[shape]]
        parts += [f"colour {colour + 1}"] if kinds.colours > 1 else []
        parts += [list(TEXTURES)[texture]] if kinds.textures > 1 else []
        parts += [f"on {list(BACKDROPS)[backdrop]}"] if kinds.backdrops > 1 else []
        names.append(", ".join(parts))
    return tuple(names)


def _kinds(num_classes: int, channels: int) -> _Kinds:
    """As few traits as tell `num_classes` apart, and of each as few levels."""
    levels, left = [], num_classes
    for most in (len(SHAPES), _GREYS if channels == 1 else _COLOURS, len(TEXTURES), len(BACKDROPS)):
        levels.append(min(most, left))
        left = -(-left // most)
    if left > 1:
        most = len(SHAPES) * (_GREYS if channels == 1 else _COLOURS) * len(TEXTURES) * len(BACKDROPS)
        raise ValueError(f"num_classes={num_classes}: {most:,} are drawn at most with {channels} channels")
    return _Kinds(*levels)


def _draw_chunk(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    kinds: _Kinds,
    noise: float,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Fill images (n, S, S, C) and give their masks (n, S, S)."""
    count, size, _, channels = images.shape
    drawn = _traits(rng)[:count]
    shape, colour, texture, backdrop = kinds.traits(labels)
    masks = _covered(shape, drawn, size)
    x, y = _points(count, size)
    # A texture starts where the shape happens to be, so that it is no mark of a place.
    shift_x, shift_y = (drawn[:, 4:6] * 8).T[:, :, None, None]
    inside = 0.45 + 0.55 * _each(TEXTURES, texture, x + shift_x, y + shift_y, np.float32)
    behind = _each(BACKDROPS, backdrop, x + shift_y, y + shift_x, np.float32)
    is_coloured = kinds.colours > 1
    hue = np.asarray((colour + 0.15 + 0.3 * drawn[:, 6]) / kinds.colours if is_coloured else drawn[:, 6], np.float32)
    paint = _paint(hue, channels, None if is_coloured else drawn[:, 7])
    ground = (0.05 + 0.15 * drawn[:, 8])[:, None, None] + 0.15 * behind
    # Plane by plane, so that the innermost loops run over rows of pixels and not over three channels.
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
    """What is drawn of each image of a chunk, (256, 9) in [0, 1): of a full one, so that nothing depends on n."""
    return rng.random((_CHUNK, 9), dtype=np.float32)


def _points(count: int, size: int) -> tuple[Plane, Plane]:
    """x and y of every pixel, (n, S, S) each."""
    x, y = (plane[None].repeat(count, 0) for plane in np.meshgrid(*[np.arange(size, dtype=np.float32)] * 2))
    return x, y


def _covered(shape: NDArray[np.int64], drawn: NDArray[np.float32], size: int) -> NDArray[np.bool_]:
    """(n, S, S) where the shapes are, of the numbers `shape` (n,)."""
    u, v = _own_frame(*_points(len(shape), size), drawn[:, :4], size)
    return np.asarray(_each(SHAPES, shape, u, v, np.bool_))


def _own_frame(x: Plane, y: Plane, drawn: NDArray[np.float32], size: int) -> tuple[Plane, Plane]:
    """Picture coordinates -> the frame of a shape; drawn (n, 4) in [0, 1): size, middle in x and y, angle."""
    half = (size - 1) / 2
    reach = (_SMALLEST + (_LARGEST - _SMALLEST) * drawn[:, 0]) * size / 2
    room = np.maximum(size / 2 - reach, 0)
    middle_x, middle_y = half + (2 * drawn[:, 1] - 1) * room, half + (2 * drawn[:, 2] - 1) * room
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
    """What maker `which[i]` makes of image i, (n, S, S)."""
    found: NDArray[Any] = np.empty(a.shape, dtype=dtype)
    for number, maker in enumerate(makers.values()):
        mine = np.flatnonzero(which == number)
        if len(mine):
            found[mine] = maker(a[mine], b[mine])
    return found


def _paint(hue: NDArray[np.float32], channels: int, level: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """(n,) hues in [0, 1) -> (n, C) strengths: a circle of colours, or with one channel levels of grey.

    level  (n,) in [0, 1), how bright where the hue does not say it; None for as bright as can be
    """
    if channels == 1:
        return (0.45 + 0.55 * hue)[:, None].astype(np.float32)
    circle = 0.5 + 0.5 * np.cos(2 * np.pi * (hue[:, None] - np.arange(channels) / channels))
    bright = 1.0 if level is None else (0.7 + 0.3 * level)[:, None]
    return np.asarray(bright * (0.2 + 0.8 * circle), dtype=np.float32)


def _stored(images: NDArray[np.uint8], rows: NDArray[np.int64]) -> Tensor:
    """The images `rows` of (N, C, S, S) as a tensor with the channels last in memory."""
    return torch.from_numpy(images.transpose(0, 2, 3, 1)[rows]).permute(0, 3, 1, 2)
