"""Copies, near copies and conflicts: planted ones are found, and no others."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from dlexp.data.checks.duplicates import (
    Samples,
    conflicts,
    duplicates,
    equal_groups,
    near_duplicate_pairs,
    near_duplicates,
    rows_as_keys,
)
from dlexp.data.checks.image_scan import difference_hash, thumbnail
from dlexp.data.sources.synthetic_images import draw_shapes


def samples(*part: int) -> Samples:
    return Samples(np.array(part, dtype=np.int64), lambda some: [f"row {n}" for n in some])


def looked(images: NDArray[np.uint8]) -> tuple[NDArray[np.uint64], NDArray[np.float32]]:
    gray = torch.from_numpy(images).float().mean(dim=1, keepdim=True)
    return difference_hash(gray), thumbnail(gray)


def test_equal_keys_are_groups_by_their_first() -> None:
    assert [group.tolist() for group in equal_groups(np.array([5, 1, 5, 2, 1, 5]))] == [[0, 2, 5], [1, 4]]
    assert equal_groups(np.array([3, 1, 2])) == []
    assert equal_groups(np.array([], dtype=np.int64)) == []
    rows = np.array([[0.0, 1.0], [-0.0, 1.0], [1.0, 0.0]], dtype=np.float32)
    keys = rows_as_keys(rows)
    assert keys[0] == keys[1] != keys[2]


def test_copies_across_splits_and_within_one() -> None:
    who = samples(0, 0, 0, 1, 1, 2)
    assert duplicates([], who, False, "") == []
    across, within = duplicates([np.array([0, 3, 5]), np.array([1, 2])], who, False, "")
    assert (across.severity, across.count) == ("error", 1)  # half of val and all of test were learned
    assert across.where == ("row 0 (train) = row 3 (val) = row 5 (test)",)
    assert "100.0 %" in across.what
    assert (within.severity, within.where) == ("note", ("row 1 (train) = row 2 (train)",))


@pytest.mark.parametrize(
    ("held_out", "is_table", "refusal", "severity"),
    [
        (9, False, "", "error"), (11, False, "", "warning"), (11, False, "is refused", "error"),
        (19, True, "", "warning"), (21, True, "", "note"), (2, True, "", "warning"),
    ],
)  # fmt: skip
def test_how_bad_copies_are(held_out: int, is_table: bool, refusal: str, severity: str) -> None:
    who = samples(0, *[1] * held_out)
    (found,) = duplicates([np.array([0, 1])], who, is_table, refusal)
    assert found.severity == severity
    assert ("data.allow_duplicates=true" in found.remedy) == bool(refusal)


def test_held_out_splits_that_share_a_sample_learned_nothing() -> None:
    (found,) = duplicates([np.array([1, 2])], samples(0, 1, 2), False, "")
    assert "0.0 %" in found.what
    assert found.severity == "warning"


def test_equal_inputs_with_different_targets() -> None:
    who, groups = samples(0, 0, 1, 2), [np.array([0, 1]), np.array([2, 3])]
    assert conflicts(groups, np.array([1, 1, 0, 0]), who, True) == []
    (found,) = conflicts(groups, np.array([1, 1, 0, 2]), who, True)
    assert (found.severity, found.where) == ("warning", ("row 2 (val) = row 3 (test)",))
    assert found.what.startswith("2 samples")
    values = np.array([[1.0, 2.0], [1.0, 3.0], [0.0, 0.0], [0.0, 0.0]])
    (found,) = conflicts(groups, values, who, False)
    assert (found.severity, found.where) == ("note", ("row 0 (train) = row 1 (train)",))


def again(image: NDArray[np.uint8], how: str) -> NDArray[np.uint8]:
    """(3, S, S), as another file of the same picture has it."""
    picture = Image.fromarray(image.transpose(1, 2, 0))
    if how == "jpeg":
        file = BytesIO()
        picture.save(file, "JPEG", quality=60)
        picture = Image.open(file)
    elif how == "scaled":
        side = picture.width
        picture = picture.resize((side * 3 // 4,) * 2, Image.Resampling.BILINEAR).resize((side, side))
    elif how == "brighter":
        picture = Image.fromarray((np.asarray(picture) * 0.8 + 40).astype(np.uint8))
    return np.ascontiguousarray(np.asarray(picture).transpose(2, 0, 1))


def test_images_saved_again_are_found_and_others_are_not() -> None:
    images = draw_shapes(600, (3, 48, 48), 10, noise=0.02, seed=0, with_masks=False).images.copy()
    part = np.repeat([0, 1, 2], 200)
    ways = ["jpeg", "scaled", "brighter"] * 4
    wanted = []
    for number, how in enumerate(ways):
        earlier, held = number * 13, 200 + number * 29
        images[held] = again(images[earlier], how)
        wanted.append((earlier, held))
    hashes, thumbs = looked(images)
    assert sorted(near_duplicate_pairs(hashes, thumbs, part)) == sorted(wanted)
    keys = np.arange(600)
    (found,) = near_duplicates(hashes, thumbs, keys, Samples(part, lambda some: [f"row {n}" for n in some]))
    assert (found.severity, found.count) == ("warning", 12)
    keys[200] = keys[0]  # exact copies are another finding
    (found,) = near_duplicates(hashes, thumbs, keys, Samples(part, lambda some: [f"row {n}" for n in some]))
    assert found.count == 11


def test_chunks_change_nothing_and_the_nearest_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    images = draw_shapes(90, (3, 32, 32), 10, noise=0.02, seed=1, with_masks=False).images.copy()
    images[70] = images[7]
    images[8] = again(images[7], "jpeg")
    part = np.repeat([0, 1, 2], 30)
    hashes, thumbs = looked(images)
    whole = list(near_duplicate_pairs(hashes, thumbs, part))
    assert whole == [(7, 70)]
    monkeypatch.setattr("dlexp.data.checks.duplicates._CHUNK", 7)
    monkeypatch.setattr("dlexp.data.checks.duplicates._PAIRS", 1)
    assert list(near_duplicate_pairs(hashes, thumbs, part)) == whole


def test_images_of_one_color_are_near_no_other() -> None:
    images = np.zeros((4, 1, 16, 16), dtype=np.uint8)
    images[1] = 7
    hashes, thumbs = looked(images)
    assert not thumbs.any()
    assert list(near_duplicate_pairs(hashes, thumbs, np.array([0, 0, 1, 2]))) == []


def test_the_hash_is_bit_by_bit_whether_it_gets_lighter() -> None:
    ramp = torch.arange(9.0).expand(1, 1, 8, 9)
    assert difference_hash(ramp).tolist() == [2**64 - 1]
    assert difference_hash(-ramp).tolist() == [0]
    step = torch.zeros(1, 1, 8, 9)
    step[0, 0, 2, 4:] = 1.0
    assert difference_hash(step).tolist() == [1 << (2 * 8 + 3)]
    noise = step + torch.linspace(0, 0.01, 72).reshape(1, 1, 8, 9)
    assert difference_hash(noise).tolist() == [1 << (2 * 8 + 3)]  # the margin
