"""Pixels of 1 to 32 bits against readers that share no code with ours: torchvision's decoder, and plain NumPy."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from image_toys import picture, write, write_folder
from numpy.typing import NDArray
from PIL import Image
from refusals import refused
from torchvision.io import ImageReadMode, decode_image

from dlexp.data.images.decoding import decoded
from dlexp.data.inference.arrays import ArrayInput
from dlexp.data.inference.images import ImageInput
from dlexp.data.sources.image_folder import image_folder
from dlexp.errors import DataError
from dlexp.specs import ClassSpec, DataSpec, ImageSpec

RNG = np.random.default_rng(0)
WIDE = RNG.integers(0, 1 << 16, (5, 7)).astype(np.uint16)


def tiff(samples: bytes, shape: tuple[int, int], bits: int, sample_format: int = 1, white_is_zero: bool = False,
         order: str = "<") -> bytearray:  # fmt: skip
    """An uncompressed gray TIFF file, TIFF 6.0 section 2; `samples` are in the byte order `order`."""
    height, width = shape
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: int(not white_is_zero), 273: 0, 277: 1, 278: height}
    tags |= {279: len(samples), 339: sample_format}
    tags[273] = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags.items())
    mark = b"II" if order == "<" else b"MM"
    head = mark + struct.pack(f"{order}HI", 42, 8) + struct.pack(f"{order}H", len(tags))
    return bytearray(head + entries + struct.pack(f"{order}I", 0) + samples)


def png(rows: NDArray[Any], depth: int, color: int, transparent: tuple[int, ...] = ()) -> bytearray:
    """A PNG file of packed `rows` (H, bytes of a row); PNG specification, section 11."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    bytes_per_pixel = {0: depth / 8, 2: 3 * depth / 8, 4: depth / 4, 6: depth / 2}[color]
    width = int(rows.shape[1] / bytes_per_pixel)
    head = struct.pack(">IIBBBBB", width, len(rows), depth, color, 0, 0, 0)
    alpha = chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent)) if transparent else b""
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return bytearray(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + alpha + chunk(b"IDAT", packed) + chunk(b"IEND", b""))


def gray(content: bytearray) -> NDArray[np.uint8]:
    found: NDArray[np.uint8] = decoded(content, 1)[:, :, 0].numpy()
    return found


def by_torchvision(content: bytearray) -> NDArray[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torchvision 0.29 hands its decoders over to torchcodec
        found: NDArray[Any] = decode_image(
            torch.frombuffer(content, dtype=torch.uint8), ImageReadMode.UNCHANGED
        ).numpy()
    return found


def stored(samples: NDArray[Any], order: str) -> bytes:
    """The samples in the byte order `order`, < or >."""
    return samples.astype(f"{order}{samples.dtype.str[1:]}").tobytes()


SIGNED: dict[str, tuple[NDArray[Any], int, int]] = {
    "16 bits": (np.array([[-1000, 0, 400, 1000]], dtype=np.int16), 16, 2),
    "32 bits": (np.full((2, 4), 200, dtype=np.int32), 32, 2),
    "8 bits": (np.array([[-1, 0, 5, 127]], dtype=np.int8), 8, 2),
    "32 bits, unsigned": (np.array([[0, 200, 1 << 31, (1 << 32) - 1]], dtype=np.uint32), 32, 1),
    "floats": (np.full((2, 4), 0.5, dtype=np.float32), 32, 3),
}


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("name", SIGNED)
def test_samples_without_a_white_are_refused(name: str, order: str) -> None:
    samples, bits, sample_format = SIGNED[name]
    content = tiff(stored(samples, order), (len(samples), 4), bits, sample_format,
                   order=order)  # fmt: skip
    # Pillow itself knows no big-endian form of one of them.
    with pytest.raises((ValueError, OSError), match=r"white|cannot identify"):
        gray(content)


def test_sixteen_bits_are_shares_of_the_largest_sample() -> None:
    wanted = (WIDE >> 8).astype(np.uint8)
    for order in "<>":
        assert np.array_equal(gray(tiff(stored(WIDE, order), (5, 7), 16, order=order)), wanted)
    assert np.array_equal(gray(tiff(WIDE.tobytes(), (5, 7), 16, white_is_zero=True)), 255 - wanted)
    content = png(WIDE.astype(">u2").view(np.uint8), 16, 0)
    assert np.array_equal(gray(content), by_torchvision(content)[0] >> 8)
    map_of_1000 = bytearray(b"P5 4 1 1000\n" + np.array([0, 250, 500, 1000], dtype=">u2").tobytes())
    assert gray(map_of_1000).tolist() == [[0, 64, 128, 255]]


def test_twelve_bits_are_shares_of_4095() -> None:
    samples = RNG.integers(0, 1 << 12, (3, 6))
    first, second = samples[:, ::2], samples[:, 1::2]
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=2).astype(np.uint8)
    assert np.array_equal(gray(tiff(packed.tobytes(), (3, 6), 12)), samples >> 4)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_the_transparent_gray_of_a_png_is_white_in_every_depth(depth: int) -> None:
    samples = RNG.integers(0, 1 << depth, (5, 8))
    hidden = int(samples[2, 3])
    if depth == 16:
        samples[0, 0] = hidden ^ 1  # the same in 8 bits, and not transparent
        rows = samples.astype(">u2").view(np.uint8)
    else:
        bits = (samples[:, :, None] >> np.arange(depth)[::-1]) & 1
        rows = np.packbits(bits.reshape(len(samples), -1).astype(np.uint8), axis=1)
    shown = samples >> 8 if depth == 16 else samples * 255 // ((1 << depth) - 1)
    assert np.array_equal(gray(png(rows, depth, 0)), shown)
    content = png(rows, depth, 0, (hidden,))
    assert np.array_equal(gray(content), np.where(samples == hidden, 255, shown))
    assert np.array_equal(decoded(content, 3)[:, :, 1].numpy(), gray(content))


def test_the_transparent_color_of_a_png_is_white_in_8_and_16_bits() -> None:
    wide = RNG.integers(0, 1 << 16, (4, 6, 3))
    wide[0, 0] = wide[2, 3] ^ 1  # the same in 8 bits, and not transparent
    wide[0, 1] = (wide[2, 3] & 255) * 257  # its low bytes as high bytes
    for depth in (8, 16):
        samples = wide if depth == 16 else wide >> 8
        rows = samples.astype(f">u{depth // 8}").reshape(4, -1).view(np.uint8)
        content = png(rows, depth, 2, tuple(samples[2, 3].tolist()))
        is_hidden = (samples == samples[2, 3]).all(axis=2)
        wanted = np.where(is_hidden[:, :, None], 255, wide >> 8)
        assert np.array_equal(decoded(content, 3).numpy(), wanted)


def test_an_alpha_channel_of_16_bits_is_laid_over_white() -> None:
    samples = np.array([[[0x1234, 0xFFFF], [0x1234, 0], [0xFFFF, 0x8000], [0, 0xFFFF]]])
    assert gray(png(samples.astype(">u2").reshape(1, -1).view(np.uint8), 16, 4)).tolist() == [[0x12, 255, 255, 0]]


def test_orientation_holds_for_wide_pixels_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(WIDE).save(buffer, "PNG", exif=exif, transparency=int(WIDE[0, 0]))
    wanted = np.where(WIDE[0, 0] == WIDE, 255, WIDE >> 8)
    assert np.array_equal(gray(bytearray(buffer.getvalue())), np.rot90(wanted, -1))


@pytest.mark.parametrize("keep", [True, False])
def test_a_folder_and_a_prediction_name_such_a_file(keep: bool, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "pets", suffix=".png")
    samples = np.full((12, 12), 200, dtype=np.int32)
    dark = write(root / "cat" / "dark.tif", samples)
    with pytest.raises(DataError) as caught:
        image_folder(path=str(root), image_size=12, in_memory=keep)
    refused(caught.value, "invalid-data", "dark.tif")
    (note,) = image_folder(path=str(root), image_size=12, in_memory=keep, on_bad="skip").notes
    assert "dark.tif (" in note and "signed integers" in note
    spec = DataSpec(ImageSpec(3, 12, 12), ClassSpec(("a", "b")))
    (items,) = ImageInput.of(spec, {"white": 255}).read([str(dark), str(root / "cat" / "000.png")])
    assert [bool(problem) for problem in items.problems] == [True, False]
    assert np.array_equal(items.tensor[0].permute(1, 2, 0).numpy(), picture(0))


def test_arrays_of_pixels_are_on_the_scale_of_training(tmp_path: Path) -> None:
    spec = DataSpec(ImageSpec(1, 4, 4), ClassSpec(("a", "b")))
    reader = ArrayInput.of(spec, {"white": 255})

    def read(array: NDArray[Any]) -> list[Any]:
        np.save(tmp_path / "a.npy", array)
        (items,) = reader.read(str(tmp_path / "a.npy"))
        return [items.problems, items.inputs]

    pixels = RNG.integers(0, 256, (3, 4, 4))
    for kind in ("uint8", "int64", "uint16", "float32", "float64"):
        problems, inputs = read(pixels.astype(kind))
        assert problems == [""] * 3
        assert np.array_equal(inputs[:, 0].numpy(), pixels)
    dark = pixels > 127
    assert np.array_equal(read(dark)[1][:, 0].numpy(), dark * 255)
    assert read(dark.astype(np.float64))[0] == [""] * 3  # 0.0 and 1.0 may be two dark pixels
    with pytest.raises(DataError) as caught:
        read(pixels / 255)
    refused(caught.value, "incompatible-data", "0 to 255", "255")
    assert "outside 0 to 255" in read(pixels * 257)[0][0]
