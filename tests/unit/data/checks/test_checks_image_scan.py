"""One pass over images keeps what numpy says of all of them at once; the checks of images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dlexp.data.bundle import Split
from dlexp.data.checks import image_scan
from dlexp.data.checks.image_scan import scan_images
from dlexp.data.checks.images import blank_images, dead_pixels, left_out, not_finite


def split_of(images: torch.Tensor) -> Split:
    return Split.in_memory(images, torch.zeros(len(images), dtype=torch.int64), torch.arange(len(images)))


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
@pytest.mark.parametrize("piece", [256, 7])
def test_a_pass_over_pieces_is_numpy_over_all(kind: torch.dtype, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_scan, "_PIECE", piece)
    images = torch.randint(0, 256, (40, 3, 6, 5), generator=torch.Generator().manual_seed(0), dtype=torch.uint8).to(
        kind
    )
    images[5], images[9], images[20] = 0, 9, images[3]
    white = 255.0 if kind == torch.uint8 else None
    images[:, 1, 2, 3] = 4
    found = scan_images(split_of(images.to(memory_format=torch.channels_last)), white, 10)
    pixels = images.double().numpy()
    assert found.digests[20] == found.digests[3]
    assert len(set(found.digests.tolist())) == 39
    assert np.flatnonzero(found.is_flat).tolist() == []  # one pixel of them differs
    np.testing.assert_allclose(found.mean, pixels.mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(found.std, pixels.std(axis=(0, 2, 3)))
    assert torch.equal(found.low.double(), images.double().amin(dim=0))
    assert torch.equal(found.high.double(), images.double().amax(dim=0))
    assert found.histogram.sum(axis=1).tolist() == [40 * 30] * 3
    if white:
        expected = [np.histogram(pixels[:, c], np.arange(-0.5, 256, 8))[0].tolist() for c in range(3)]
        assert found.histogram.tolist() == expected
    assert found.thumbed.tolist() == [0, 4, 9, 13, 17, 22, 26, 30, 35, 39]
    assert found.thumbs.shape == (10, 256)
    norms = np.linalg.norm(found.thumbs, axis=1)
    np.testing.assert_allclose(norms, 1, rtol=1e-5)
    (dead,) = dead_pixels(found.low[1:2], found.high[1:2])
    assert dead.where == ("row 2, column 3",)


def test_images_of_one_color_and_numbers_that_are_none() -> None:
    images = torch.rand((30, 1, 4, 4), generator=torch.Generator().manual_seed(0))
    images[2], images[3], images[4, 0, 1, 1] = 0.0, 0.5, torch.nan
    found = scan_images(split_of(images), None, 30)
    assert np.flatnonzero(found.is_flat).tolist() == [2, 3]
    assert np.flatnonzero(found.is_black).tolist() == [2]
    assert np.flatnonzero(~found.is_finite).tolist() == [4]
    assert np.isfinite([*found.mean, *found.std, *found.thumbs.ravel()]).all()
    black, gray = blank_images(found.is_flat, found.is_black, ["row 2", "row 3"])
    assert (black.where, gray.where) == (("row 2",), ("row 3",))
    assert (black.severity, gray.severity) == ("warning", "warning")
    assert blank_images(found.is_flat[:3], found.is_black[:3], ["row 2"])[0].severity == "error"  # a third of them
    assert not_finite(["row 4"])[0].severity == "error"


def test_nothing_is_found_where_nothing_is() -> None:
    none = np.zeros(9, dtype=np.bool_)
    assert blank_images(none, none, []) == []
    assert not_finite([]) == []
    assert dead_pixels(torch.zeros(1, 2, 2), torch.ones(1, 2, 2)) == []
    assert left_out([], [], False) == []


def test_a_pixel_is_dead_in_all_channels_or_not() -> None:
    low, high = torch.zeros(3, 2, 2), torch.ones(3, 2, 2)
    high[0, 0, 1] = 0
    assert dead_pixels(low, high) == []
    high[:, 0, 1] = 0
    (found,) = dead_pixels(low, high)
    assert (found.severity, found.where) == ("note", ("row 0, column 1",))
    assert "(25.0 %)" in found.what


def test_files_left_out_are_an_error_where_training_stops_at_them() -> None:
    damaged, other = left_out(["a.png (is empty)"], ["notes.txt"], False)
    assert (damaged.severity, damaged.where) == ("error", ("a.png (is empty)",))
    assert "data.on_bad=skip" in damaged.remedy
    assert (other.severity, other.where) == ("note", ("notes.txt",))
    assert left_out(["a.png (is empty)"], [], True)[0].severity == "warning"
