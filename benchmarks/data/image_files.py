"""A folder of JPEG files for benchmarks/data/streamed.py: drawn shapes, a folder for each class.

python -m benchmarks.data.image_files FOLDER [--count 5000] [--size 64] [--classes 10] [--quality 90]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

from dlexp.data.sources.synthetic_images import class_names, draw_shapes


def write_images(folder: Path, count: int, size: int, classes: int = 10, quality: int = 90) -> None:
    """Write `count` images of (size, size) pixels as folder/CLASS/NUMBER.jpg."""
    drawn = draw_shapes(count, (3, size, size), classes, noise=0.05)
    names = class_names(classes, 3)
    for name in names:
        (folder / name).mkdir(parents=True)
    pixels = drawn.images.transpose(0, 2, 3, 1)
    for number, (image, label) in enumerate(zip(pixels, drawn.labels, strict=True)):
        Image.fromarray(image).save(folder / names[label] / f"{number:06}.jpg", quality=quality)


def main() -> None:
    """Write what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--quality", type=int, default=90)
    options = parser.parse_args()
    write_images(options.folder, options.count, options.size, options.classes, options.quality)


if __name__ == "__main__":
    main()
