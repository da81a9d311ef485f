#!/usr/bin/env bash
# torchvision 0.29.2: decode_image gives a gray PNG of 1, 2 or 4 bits an alpha of 1, 3 or 15 in place of 255.
#
# Expected  An opaque gray PNG that is decoded as RGB_ALPHA or GRAY_ALPHA has alpha 255 everywhere, as an 8-bit one has.
# Real      The gray levels are scaled to 0..255, and the alpha that is added is the largest number of the file's
#           own bit depth: 1, 3 or 15. Laid over a background, the image is all but invisible, and nothing is said.
# Exit      0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/python -m pip install --quiet torch==2.15.0 torchvision==0.29.2
venv/bin/python - <<'PY'
import struct
import sys
import zlib

import torch
import torchvision
from torchvision.io import ImageReadMode, decode_image


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def gray_png(depth):
    """One row of two pixels or more: the darkest, then the brightest."""
    row = {1: bytes([0b01000000]), 2: bytes([0b00110000]), 4: bytes([0x0F]), 8: bytes([0, 255])}[depth]
    header = struct.pack(">IIBBBBB", 2, 1, depth, 0, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, data) for name, data in parts)


print("torchvision", torchvision.__version__)
found = {}
for depth in (1, 2, 4, 8):
    data = torch.frombuffer(bytearray(gray_png(depth)), dtype=torch.uint8)
    pixels = decode_image(data, ImageReadMode.RGB_ALPHA)[:, 0].T.tolist()
    found[depth] = [pixel[3] for pixel in pixels]
    also = decode_image(data, ImageReadMode.GRAY_ALPHA)[1, 0].tolist()
    print(f"{depth} bits: gray {[pixel[0] for pixel in pixels]}, alpha {found[depth]} (RGB_ALPHA), {also} (GRAY_ALPHA)")
sys.exit(0 if found == {1: [1, 1], 2: [3, 3], 4: [15, 15], 8: [255, 255]} else 1)
PY
# Seen on 2026-11-29 (Python 3.11):
#   torchvision 0.29.2
#   1 bits: gray [0, 255], alpha [1, 1] (RGB_ALPHA), [1, 1] (GRAY_ALPHA)
#   2 bits: gray [0, 255], alpha [3, 3] (RGB_ALPHA), [3, 3] (GRAY_ALPHA)
#   4 bits: gray [0, 255], alpha [15, 15] (RGB_ALPHA), [15, 15] (GRAY_ALPHA)
#   8 bits: gray [0, 255], alpha [255, 255] (RGB_ALPHA), [255, 255] (GRAY_ALPHA)
