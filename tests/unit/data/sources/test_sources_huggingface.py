"""Hugging Face data sets that the tests make and save; nothing is fetched."""

from __future__ import annotations

import io
import socket
import sys
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from image_toys import picture
from PIL import Image
from refusals import refused
from typed_specs import affine_of

from dlexp.data.bundle import DataBundle
from dlexp.data.columns import tensor_of
from dlexp.data.sources.huggingface import huggingface
from dlexp.errors import ConfigError, DataError
from dlexp.types import as_tensor

NAMES = ["cat", "dog", "owl"]


def png(pixels: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def made(
    count: int, first: int = 0, labels: list[Any] | None = None, cells: dict[int, Any] | None = None, **more: Any
) -> Any:
    """`count` pictures from number `first` on, the classes in turn; `cells` are put in place of some."""
    images = [{"bytes": png(picture(first + number)), "path": None} for number in range(count)]
    for number, cell in (cells or {}).items():
        images[number] = cell
    kind = datasets.ClassLabel(names=NAMES) if labels is None or set(labels) == {-1} else None
    values = [number % 3 for number in range(count)] if labels is None else labels
    features = {"image": datasets.Image(), "label": kind or datasets.Value("string")}
    features |= {name: datasets.Image() if name == "other" else datasets.Value("int64") for name in more}
    return datasets.Dataset.from_dict({"image": images, "label": values, **more}, features=datasets.Features(features))


def saved(folder: Path, content: Any) -> str:
    datasets.disable_progress_bars()
    content.save_to_disk(str(folder))
    return str(folder)


def pixels_of(bundle: DataBundle) -> dict[int, torch.Tensor]:
    found: dict[int, torch.Tensor] = {}
    for split in bundle.splits.values():
        whole = split.select(torch.arange(len(split)))
        found |= {int(row): image for row, image in zip(whole.indices, tensor_of(whole.inputs), strict=True)}
    return found


@pytest.mark.parametrize("keep", [True, False])
def test_a_saved_set_is_read(keep: bool, tmp_path: Path) -> None:
    folder = saved(tmp_path / "pets", made(30))
    bundle = huggingface(folder=folder, image_size=12, in_memory=keep, workers=0)
    assert bundle.spec.output_names == tuple(NAMES)
    assert bundle.spec.inputs.shape == (3, 12, 12)
    assert bundle.sizes() == {"train": 21, "val": 3, "test": 6}
    assert bundle.is_streamed != keep
    found = pixels_of(bundle)
    assert sorted(found) == list(range(30))
    assert all(np.array_equal(image.permute(1, 2, 0).numpy(), picture(row)) for row, image in found.items())
    for split in bundle.splits.values():
        assert torch.equal(tensor_of(split.targets), split.indices % 3)
    ready = as_tensor(bundle.preprocess(torch.stack([found[int(row)] for row in bundle.splits["train"].indices])))
    assert ready.mean(dim=(0, 2, 3)).abs().max() < 1e-5
    again = huggingface(folder=folder, image_size=12, in_memory=not keep, workers=0)
    assert (again.fingerprint, again.split_hash) == (bundle.fingerprint, bundle.split_hash)
    assert torch.equal(affine_of(again.preprocess).scale, affine_of(bundle.preprocess).scale)
    other = saved(tmp_path / "other", made(30, first=1))
    assert huggingface(folder=other, image_size=12).fingerprint != bundle.fingerprint


def test_workers_read_the_same(tmp_path: Path) -> None:
    folder = saved(tmp_path / "pets", made(30))
    bundle = huggingface(folder=folder, image_size=12, in_memory=False, workers=2)
    split = bundle.splits["train"]
    seen = torch.cat([as_tensor(one) for one in split.inputs.read([torch.arange(0, 10), torch.arange(10, len(split))])])
    for row, image in zip(split.indices.tolist(), seen, strict=True):
        assert np.array_equal(image.permute(1, 2, 0).numpy(), picture(row))


def test_its_parts_are_the_splits(tmp_path: Path) -> None:
    parts = {"train": made(12), "validation": made(3, 20), "test": made(6, 30), "unsupervised": made(3, 40)}
    bundle = huggingface(folder=saved(tmp_path / "a", datasets.DatasetDict(parts)), image_size=12)
    assert bundle.sizes() == {"train": 12, "val": 3, "test": 6}
    (note,) = bundle.notes
    assert "unsupervised" in note
    first = {"train": 0, "val": 20 - 12, "test": 30 - 15}
    for name, split in bundle.splits.items():
        for row, image in zip(split.indices, tensor_of(split.inputs), strict=True):
            assert np.array_equal(image.permute(1, 2, 0).numpy(), picture(first[name] + int(row)))
    blind = {"train": made(12), "test": made(6, 30, labels=[-1] * 6)}
    bundle = huggingface(folder=saved(tmp_path / "b", datasets.DatasetDict(blind)), image_size=12)
    (note,) = bundle.notes
    assert "test" in note and "label" in note
    assert sum(bundle.sizes().values()) == 12


def test_rows_that_were_chosen_before_saving_are_the_rows(tmp_path: Path) -> None:
    chosen = made(30).select(range(29, -1, -1))
    bundle = huggingface(folder=saved(tmp_path / "a", chosen), image_size=12)
    for row, image in pixels_of(bundle).items():
        assert np.array_equal(image.permute(1, 2, 0).numpy(), picture(29 - row))


def test_gray_images_and_labels_that_are_texts(tmp_path: Path) -> None:
    gray = [{"bytes": png(picture(number)[:, :, 0]), "path": None} for number in range(12)]
    texts = [("b", "a")[number % 2] for number in range(12)]
    folder = saved(tmp_path / "a", made(12, labels=texts, cells=dict(enumerate(gray))))
    with pytest.raises(DataError) as caught:
        huggingface(folder=folder)
    refused(caught.value, "missing-value", "image, label", "data.label_column")
    bundle = huggingface(folder=folder, label_column="label", image_size=12)
    assert bundle.spec.output_names == ("a", "b")
    assert bundle.spec.inputs.shape == (1, 12, 12)
    assert huggingface(folder=folder, label_column="label", channels=3, image_size=12).spec.inputs.shape == (3, 12, 12)
    files = [{"bytes": None, "path": str(tmp_path / f"{number}.png")} for number in range(12)]
    for number, cell in enumerate(gray):
        (tmp_path / f"{number}.png").write_bytes(cell["bytes"] or b"")
    beside = saved(tmp_path / "b", made(12, cells=dict(enumerate(files))))
    assert len(pixels_of(huggingface(folder=beside, image_size=12))) == 12


def test_damaged_images_are_named(tmp_path: Path) -> None:
    bad = {4: {"bytes": b"no image", "path": None}, 9: None, 11: {"bytes": b"", "path": None}}
    folder = saved(tmp_path / "a", made(30, cells=bad))
    with pytest.raises(DataError) as caught:
        huggingface(folder=folder, image_size=12)
    lines = str(caught.value).splitlines()
    refused(caught.value, "invalid-data", "3 images")
    assert [line.strip().partition(":")[0] for line in lines[1:4]] == ["sample 4", "sample 9", "sample 11"]


def test_refusals(tmp_path: Path) -> None:
    folder = saved(tmp_path / "pets", made(30, other=[None] * 30))
    with pytest.raises(DataError) as caught:
        huggingface(folder=str(tmp_path / "pest"))
    refused(caught.value, "not-found", "pest", "pets")
    with pytest.raises(DataError) as caught:
        huggingface(folder=folder)
    refused(caught.value, "missing-value", "2 columns", "data.image_column")
    with pytest.raises(DataError) as caught:
        huggingface(folder=folder, image_column="label")
    refused(caught.value, "not-found", "'label'")
    with pytest.raises(DataError) as caught:
        huggingface(folder=folder, image_column="image", label_column="x")
    refused(caught.value, "not-found", "'x'", "image, label, other")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        huggingface(folder=str(tmp_path / "empty"))
    refused(caught.value, "invalid-data", "empty", "save_to_disk")
    only = saved(tmp_path / "only", datasets.DatasetDict({"test": made(6)}))
    with pytest.raises(DataError) as caught:
        huggingface(folder=only)
    refused(caught.value, "not-found", "test")
    for name, place in ((None, None), ("a", folder)):
        with pytest.raises(ConfigError) as wrong:
            huggingface(name=name, folder=place)
        refused(wrong.value, "cannot-combine" if name else "missing-value", "data.name")
    with pytest.raises(ValueError, match="channels=2"):
        huggingface(folder=folder, channels=2)


def test_a_name_is_not_asked_for_on_the_network_unless_that_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*words: object) -> None:
        raise AssertionError(f"the network was used: {words}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    before = datasets.config.HF_HUB_OFFLINE
    with pytest.raises(DataError) as caught:
        huggingface(name="somebody/pets")
    refused(caught.value, "not-found", "somebody/pets", "data.download=true")
    assert before == datasets.config.HF_HUB_OFFLINE


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigError) as caught:
        huggingface(name="x")
    refused(caught.value, "missing-package", "data", "'dlexp[huggingface]'")
