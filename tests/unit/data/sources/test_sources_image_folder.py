"""Image folders: what is read, what is refused, and that keeping and streaming give the same samples."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from image_toys import CLASSES, picture, write, write_folder
from PIL import Image
from refusals import refused
from typed_specs import affine_of

from dlexp.data.bundle import SPLITS, DataBundle
from dlexp.data.columns import tensor_of
from dlexp.data.images import placement as module
from dlexp.data.images.decoding import decoded, fitted
from dlexp.data.sources.image_folder import image_folder
from dlexp.data.streaming import Streamed
from dlexp.errors import DataError
from dlexp.types import as_tensor


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "pets")


def pixels_of(bundle: DataBundle) -> dict[int, torch.Tensor]:
    """Sample number -> (C, S, S)."""
    found: dict[int, torch.Tensor] = {}
    for split in bundle.splits.values():
        whole = split.select(torch.arange(len(split)))
        found |= {int(row): image for row, image in zip(whole.indices, tensor_of(whole.inputs), strict=True)}
    return found


@pytest.mark.parametrize("keep", [True, False])
def test_folders_are_classes_and_samples_are_their_files(root: Path, keep: bool) -> None:
    bundle = image_folder(path=str(root), image_size=12, in_memory=keep)
    assert bundle.spec.output_names == CLASSES
    assert bundle.spec.inputs.shape == (3, 12, 12)
    assert bundle.sizes() == {"train": 15, "val": 3, "test": 6}
    assert all(isinstance(bundle.splits[name].inputs, Streamed) != keep for name in SPLITS)
    files = sorted(root.rglob("*.jpg"))
    pixels = pixels_of(bundle)
    assert sorted(pixels) == list(range(24))
    for row, file in enumerate(files):
        expected = np.asarray(Image.open(file).convert("RGB")).transpose(2, 0, 1)
        assert np.abs(pixels[row].numpy().astype(int) - expected).max() <= 2, file
    for split in bundle.splits.values():
        assert [CLASSES[target] for target in tensor_of(split.targets)] == [
            files[row].parent.name for row in split.indices
        ]
    ready = as_tensor(bundle.preprocess(torch.stack([pixels[int(row)] for row in bundle.splits["train"].indices])))
    assert ready.mean(dim=(0, 2, 3)).abs().max() < 1e-5


def test_what_decides_the_bits_does_not_depend_on_where_the_images_are(root: Path) -> None:
    kept, streamed = (image_folder(path=str(root), image_size=8, in_memory=keep) for keep in (True, False))
    assert kept.fingerprint == streamed.fingerprint
    assert kept.split_hash == streamed.split_hash
    assert kept.preprocessing == streamed.preprocessing
    assert torch.equal(affine_of(kept.preprocess).scale, affine_of(streamed.preprocess).scale)
    assert all(torch.equal(one, pixels_of(streamed)[row]) for row, one in pixels_of(kept).items())


def content(image: Image.Image, kind: str = "PNG", **options: object) -> bytearray:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return bytearray(buffer.getvalue())


def test_every_kind_of_pixels_becomes_color_or_gray() -> None:
    color = picture(3, 6, 9)
    image = Image.fromarray(color)
    gray = np.asarray(image.convert("L"))
    assert np.array_equal(decoded(content(image), 3), color)
    assert np.array_equal(decoded(content(image), 1)[:, :, 0], gray)
    assert np.array_equal(decoded(content(image.convert("L")), 3), gray[:, :, None].repeat(3, 2))
    palette = image.quantize(16)
    assert np.array_equal(decoded(content(palette), 3), np.asarray(palette.convert("RGB")))
    wide = gray.astype(np.uint16) * 257
    assert np.array_equal(decoded(content(Image.fromarray(wide)), 1)[:, :, 0], gray)
    one_bit = image.convert("1")
    assert np.array_equal(decoded(content(one_bit), 1)[:, :, 0], np.asarray(one_bit) * 255)
    frames = [palette, Image.fromarray(255 - color).quantize(16)]
    film = content(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.array_equal(decoded(film, 3), np.asarray(Image.open(io.BytesIO(film)).convert("RGB")))


def test_transparent_pixels_are_white() -> None:
    color = picture(3, 6, 9)
    alpha = np.full((6, 9, 1), 255, dtype=np.uint8)
    alpha[:3] = 0
    seen = decoded(content(Image.fromarray(np.concatenate([color, alpha], axis=2))), 3)
    assert (seen[:3] == 255).all()
    assert np.array_equal(seen[3:], color[3:])
    palette = Image.fromarray(color).quantize(8)
    hidden = int(np.asarray(palette)[0, 0])
    seen = decoded(content(palette, transparency=hidden), 3)
    assert np.array_equal((seen == 255).all(dim=2).numpy(), np.asarray(palette) == hidden)


def test_four_inks_are_converted() -> None:
    image = Image.fromarray(picture(3, 16, 16)).convert("CMYK")
    raw = content(image, "JPEG", quality=95, subsampling=0)
    expected = np.asarray(Image.open(io.BytesIO(raw)).convert("RGB")).astype(int)
    assert np.abs(decoded(raw, 3).numpy() - expected).max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_images_come_upright(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    quadrants = np.kron(np.array([[0, 80], [160, 240]]), np.ones((16, 24))).astype(np.uint8)
    raw = content(Image.fromarray(quadrants), kind, exif=exif)
    turned = {  # EXIF 2.3, tag 274: what the rows and columns of the file are
        1: quadrants, 2: quadrants[:, ::-1], 3: quadrants[::-1, ::-1], 4: quadrants[::-1],
        5: quadrants.T, 6: np.rot90(quadrants, -1), 7: quadrants.T[::-1, ::-1], 8: np.rot90(quadrants),
    }  # fmt: skip
    seen = decoded(raw, 1)[:, :, 0].numpy().astype(int)
    assert seen.shape == turned[orientation].shape
    assert np.abs(seen - turned[orientation]).max() < 12


def test_crop_takes_the_middle_and_stretch_all() -> None:
    image = torch.zeros(8, 16, 3, dtype=torch.uint8)
    image[:, 4:12] = 200
    assert (fitted(image, 8, "crop") == 200).all()
    assert (fitted(image, 4, "crop") == 200).all()
    assert fitted(image, 4, "stretch")[0, 0, 0] < 60
    assert fitted(image, 4, "stretch").float().mean() == pytest.approx(100, abs=2)
    tall = image.permute(1, 0, 2)
    assert (fitted(tall, 8, "crop") == 200).all()
    large = torch.from_numpy(picture(1, 40, 30))
    assert fitted(large, 10, "crop").shape == (10, 10, 3)
    expected = np.asarray(Image.fromarray(large[5:35].numpy()).resize((10, 10), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(fitted(large, 10, "crop").numpy() - expected).max() <= 2


def test_channels_are_those_of_the_files(tmp_path: Path) -> None:
    gray = tmp_path / "gray"
    for number in range(8):
        write(gray / CLASSES[number % 2] / f"{number}.png", picture(number)[:, :, 0])
    assert image_folder(path=str(gray), image_size=12).spec.inputs.shape == (1, 12, 12)
    assert image_folder(path=str(gray), image_size=12, channels=3).spec.inputs.shape == (3, 12, 12)
    write(gray / "cat" / "one.png", picture(9))
    assert image_folder(path=str(gray), image_size=12).spec.inputs.shape == (3, 12, 12)
    assert image_folder(path=str(gray), image_size=12, channels=1).spec.inputs.shape == (1, 12, 12)
    with pytest.raises(ValueError, match="channels=2"):
        image_folder(path=str(gray), channels=2)


def damage(root: Path) -> dict[str, str]:
    """Files that cannot be read, and what is said of each."""
    whole = content(Image.fromarray(picture(5, 60, 60)), "JPEG")
    (root / "cat" / "empty.jpg").write_bytes(b"")
    (root / "dog" / "text.png").write_text("no image")
    (root / "dog" / "cut.jpg").write_bytes(whole[:-60])
    png = content(Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)))
    (root / "owl" / "cut.png").write_bytes(png[:2000])
    return {
        "cat/empty.jpg": "is empty",
        "dog/text.png": "format",
        "dog/cut.jpg": "truncated",
        "owl/cut.png": "",
    }


@pytest.mark.parametrize("keep", [True, False])
def test_files_that_cannot_be_read_are_all_named(root: Path, keep: bool) -> None:
    bad = damage(root)
    with pytest.raises(DataError) as caught:
        image_folder(path=str(root), image_size=12, in_memory=keep)
    text = str(caught.value)
    refused(caught.value, "invalid-data", "4 files", "data.on_bad=skip")
    for name, why in bad.items():
        line = next(line for line in text.splitlines() if name in line)
        assert why in line
    for name in list(bad)[1:]:
        (root / name).unlink()
    with pytest.raises(DataError) as caught:
        image_folder(path=str(root), image_size=12, in_memory=keep)
    refused(caught.value, "invalid-data", "empty.jpg")


@pytest.mark.parametrize("keep", [True, False])
def test_files_that_cannot_be_read_may_be_left_out(root: Path, keep: bool) -> None:
    clean = image_folder(path=str(root), image_size=12)
    bad = damage(root)
    bundle = image_folder(path=str(root), image_size=12, on_bad="skip", in_memory=keep)
    (note,) = bundle.notes
    assert note.startswith("4 files") and "cat/empty.jpg (is empty), dog/cut.jpg (" in note
    assert all(name in note for name in bad)
    assert bundle.fingerprint == clean.fingerprint
    assert bundle.split_hash == clean.split_hash
    assert all(torch.equal(image, pixels_of(clean)[row]) for row, image in pixels_of(bundle).items())


def damaged_in_the_middle(path: Path) -> None:
    """A PNG with both ends in order whose pixels cannot be unpacked."""
    raw = content(Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)))
    raw[200:1000] = bytes(800)
    path.write_bytes(raw)


def test_damage_that_only_decoding_finds(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged_in_the_middle(root / "dog" / "worn.png")
    with pytest.raises(DataError) as caught:
        image_folder(path=str(root), image_size=12, in_memory=True)
    refused(caught.value, "invalid-data", "worn.png")
    assert image_folder(path=str(root), image_size=12, in_memory=False, on_bad="skip").sizes()["train"] == 15
    # Streamed, and not asked to decode everything first: found when it is read, and named.
    monkeypatch.setattr(module, "_MEASURED", 1)
    late = image_folder(path=str(root), image_size=12, in_memory=False, val_fraction=0.4, test_fraction=0.4)
    with pytest.raises(DataError) as caught:
        pixels_of(late)
    refused(caught.value, "invalid-data", "worn.png")


def test_other_files_are_told(root: Path) -> None:
    (root / "cat" / "notes.txt").write_text("x")
    (root / "README").write_text("x")
    (root / "dog" / ".hidden").write_text("x")
    (root / ".cache").mkdir()
    (note,) = image_folder(path=str(root), image_size=12).notes
    assert note.startswith("3 files") and note.endswith(f": cat/notes.txt, dog{os.sep}.hidden, README")


def test_deeper_folders_and_links_are_followed_but_not_in_circles(root: Path) -> None:
    write(root / "cat" / "deep" / "er" / "x.PNG", picture(7))
    (root / "dog" / "up").symlink_to(root / "dog")
    (root / "owl" / "linked.jpg").symlink_to(root / "owl" / "000.jpg")
    bundle = image_folder(path=str(root), image_size=12)
    assert sum(bundle.sizes().values()) == 26


def test_own_splits(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for name, count, first in (("train", 6, 0), ("val", 2, 100), ("test", 4, 200)):
        write_folder(root / name, per_class=count, first=first)
    bundle = image_folder(path=str(root), image_size=12)
    assert bundle.sizes() == {"train": 18, "val": 6, "test": 12}
    files = sorted(path.relative_to(root) for path in root.rglob("*.jpg"))
    for name, split in bundle.splits.items():
        assert {files[row].parts[0] for row in split.indices} == {name}
    (root / "val").rename(root / "valid")
    assert image_folder(path=str(root), image_size=12).sizes() == bundle.sizes()
    (root / "valid").rename(tmp_path / "away")
    held = image_folder(path=str(root), image_size=12, val_fraction=0.3)
    assert held.sizes() == {"train": 12, "val": 6, "test": 12}
    rows = torch.cat([held.splits[name].indices for name in SPLITS])
    assert sorted(rows.tolist()) == list(range(30))
    assert tensor_of(held.splits["val"].targets).bincount().tolist() == [2, 2, 2]
    write(root / "test" / "yak" / "1.jpg", picture(1))
    with pytest.raises(DataError) as caught:
        image_folder(path=str(root), image_size=12)
    refused(caught.value, "too-few-samples", "'yak'")


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    for name in ("train", "plane"):
        for number in range(4):
            write(tmp_path / "v" / name / f"{number}.jpg", picture(number))
    assert image_folder(path=str(tmp_path / "v"), image_size=12).spec.output_names == ("plane", "train")


def test_refusals_name_the_place(root: Path, tmp_path: Path) -> None:
    def refuses(path: Path, code: str, where: str = "", remedy: str = "") -> None:
        with pytest.raises(DataError) as caught:
            image_folder(path=str(path), image_size=12)
        refused(caught.value, code or caught.value.code, where or str(path), remedy)

    refuses(tmp_path / "pest", "not-found", remedy="pets")
    refuses(root / "cat" / "000.jpg", "invalid-type")
    refuses(root / "cat", "invalid-data", remedy="folder named after the class")
    (root / "emu").mkdir()
    refuses(root, "too-few-samples", "'emu'")
    write(root / "emu" / "1.jpg", picture(1))
    refuses(root, "", "class 'emu'")
    alone = write_folder(tmp_path / "alone")
    for name in ("cat", "dog"):
        (alone / name).rename(tmp_path / name)
    refuses(alone, "invalid-data", "'owl'")


def test_the_fingerprint_is_that_of_names_and_contents(root: Path) -> None:
    def now() -> str:
        return image_folder(path=str(root), image_size=12).fingerprint

    first = now()
    root = root.rename(root.parent / "moved")
    assert now() == first
    file = root / "cat" / "003.jpg"
    old = file.read_bytes()
    file.write_bytes(old[:-2] + b"\x00\x00\xff\xd9"[:2] + old[-2:])
    assert now() != first
    file.write_bytes(old)
    assert now() == first
    file.rename(root / "cat" / "9.jpg")
    assert now() != first


def test_where_the_images_are_kept_is_decided_by_the_memory_that_is_free(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 24 * 3 * 12 * 12
    monkeypatch.setattr(module, "available_memory", lambda: 2 * size)
    kept = image_folder(path=str(root), image_size=12)
    assert not isinstance(kept.splits["train"].inputs, Streamed)
    assert kept.notes == ()
    monkeypatch.setattr(module, "available_memory", lambda: 2 * size - 1)
    streamed = image_folder(path=str(root), image_size=12)
    assert isinstance(streamed.splits["train"].inputs, Streamed)
    assert "more than half of" in streamed.notes[0]
    forced = image_folder(path=str(root), image_size=12, in_memory=True)
    assert not isinstance(forced.splits["train"].inputs, Streamed)


def test_names_of_any_bytes_are_read_and_shown(root: Path) -> None:
    strange = os.fsencode(root / "cat") + b"/\xff\n.jpg"
    with open(strange, "wb") as file:  # noqa: PTH123 - no Path holds such a name as text
        file.write((root / "cat" / "000.jpg").read_bytes())
    assert sum(image_folder(path=str(root), image_size=12).sizes().values()) == 25
    with open(strange, "wb") as file:  # noqa: PTH123
        file.write(b"x")
    with pytest.raises(DataError) as caught:
        image_folder(path=str(root), image_size=12)
    assert str(caught.value).isprintable()
