#!/usr/bin/env bash
# Pillow 13.0.0: the transparent color of a PNG works for 1 and 8 bits, and does nothing for 2, 4 and 16 bits.
#
# Expected  A PNG may name one gray level (or RGB color) as transparent (chunk tRNS, in the image's own bit depth).
#           Image.open(...).convert("RGBA") gives such pixels alpha 0, whatever the bit depth.
# Real      Pixels of 2 and 4 bits are scaled to 0..255, and 16-bit RGB is reduced to its high bytes, but the
#           transparent level is not: the pixels that it names stay opaque, and of 16-bit RGB those become transparent
#           whose high bytes equal its low bytes. A level of 0 is right. (16-bit gray is opaque, and is clipped to 255
#           rather than scaled.)
# Exit      0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/python -m pip install --quiet pillow==13.0.0
venv/bin/python - <<'PY'
import io
import struct
import sys
import zlib

import PIL
from PIL import Image


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, depth, color_type, row, transparent):
    header = struct.pack(">IIBBBBB", width, 1, depth, color_type, 0, 0, 0)
    parts = [(b"IHDR", header), (b"tRNS", transparent), (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, data) for name, data in parts)


# Two pixels each (8 at 1 bit): the first is of the transparent level, the last is not.
images = {
    "gray, 1 bit": png(8, 1, 0, bytes([0b10000000]), struct.pack(">H", 1)),
    "gray, 2 bits": png(4, 2, 0, bytes([0b01000000]), struct.pack(">H", 1)),
    "gray, 4 bits": png(2, 4, 0, bytes([0x5A]), struct.pack(">H", 5)),
    "gray, 8 bits": png(2, 8, 0, bytes([10, 200]), struct.pack(">H", 10)),
    "gray, 16 bits": png(2, 16, 0, struct.pack(">HH", 1000, 40000), struct.pack(">H", 1000)),
    "RGB, 8 bits": png(2, 8, 2, bytes([10] * 3 + [200] * 3), struct.pack(">HHH", 10, 10, 10)),
    "RGB, 16 bits": png(2, 16, 2, struct.pack(">6H", *[1000] * 3, *[40000] * 3), struct.pack(">HHH", *[1000] * 3)),
}
print("Pillow", PIL.__version__)
alphas = {}
for name, data in images.items():
    image = Image.open(io.BytesIO(data)).convert("RGBA")
    alphas[name] = image.getpixel((0, 0))[3]
    print(f"{name:14} alpha of the transparent pixel: {alphas[name]}, of another: {image.getpixel((image.width - 1, 0))[3]}")
works = {name for name, alpha in alphas.items() if alpha == 0}
sys.exit(0 if works == {"gray, 1 bit", "gray, 8 bits", "RGB, 8 bits"} else 1)
PY
# Seen on 2026-11-29 (Python 3.11):
#   Pillow 13.0.0
#   gray, 1 bit    alpha of the transparent pixel: 0, of another: 255
#   gray, 2 bits   alpha of the transparent pixel: 255, of another: 255
#   gray, 4 bits   alpha of the transparent pixel: 255, of another: 255
#   gray, 8 bits   alpha of the transparent pixel: 0, of another: 255
#   gray, 16 bits  alpha of the transparent pixel: 255, of another: 255
#   RGB, 8 bits    alpha of the transparent pixel: 0, of another: 255
#   RGB, 16 bits   alpha of the transparent pixel: 255, of another: 255
