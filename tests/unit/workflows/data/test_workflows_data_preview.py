"""What `dlexp data preview` and `dlexp data fingerprint` say is what training gets."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typed_specs import affine_of

from dlexp.assemble.experiment import build_data
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.data.columns import tensor_of
from dlexp.data.loaders import TrainBatches
from dlexp.errors import ConfigError
from dlexp.report.figures import samples
from dlexp.types import as_tensor
from dlexp.workflows.data.fingerprint import fingerprint
from dlexp.workflows.data.preview import preview
from dlexp.workflows.data.settings import PreviewRequest

pytestmark = pytest.mark.pictures

IMAGES = ("data=synthetic_images", "data.num_samples=100", "data.image_size=12")


def asked(words: tuple[str, ...], path: Path, split: str = "train", count: int = 10, epoch: int = 1) -> dict[str, Any]:
    return preview(load(list(words), Catalog()), PreviewRequest(split, count, epoch, path), ())


def test_the_samples_are_the_first_of_the_epoch_as_training_changes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []

    def keep(title: str, pictures: Any, labels: Any) -> bytes:
        drawn.append((title, pictures, labels))
        return b""

    monkeypatch.setattr(samples, "samples_png", keep)
    words = (*IMAGES, "data.augment=strong", "seed=5")
    facts = asked(words, tmp_path / "p.png", epoch=3)
    bundle = build_data(load(list(words), Catalog()))
    batch = next(TrainBatches(bundle, 10, 5, torch.device("cpu")).epoch(2))
    assert facts["rows"] == batch.indices.tolist()
    ((title, (left, right), labels),) = drawn
    assert "strong" in title
    assert "epoch 3" in title
    seen = (as_tensor(batch.inputs) - affine_of(bundle.preprocess).shift) / affine_of(bundle.preprocess).scale
    assert np.abs(seen.permute(0, 2, 3, 1).numpy() - right).max() < 0.01
    assert not np.array_equal(left, right)
    assert labels == [bundle.spec.output_names[target] for target in as_tensor(batch.targets).tolist()]


@pytest.mark.parametrize(
    ("words", "split"),
    [
        ((*IMAGES, "data.augment=strong"), "val"),
        ((*IMAGES, "data.augment=none"), "train"),
        (("data=digits", "data.augment=standard"), "train"),
        ((*IMAGES, "data.channels=5"), "train"),
    ],
)
def test_every_split_and_number_of_channels_can_be_drawn(tmp_path: Path, words: tuple[str, ...], split: str) -> None:
    facts = asked(words, tmp_path / "p.png", split, count=7)
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.width > 300
        pixels = np.asarray(picture.convert("RGB"))
    assert len(facts["rows"]) == len(facts["labels"]) == 7
    assert bool(facts["steps"]) == (words[-1] != "data.augment=none")
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 8


def test_a_table_is_drawn_with_its_target_and_all_its_columns(tmp_path: Path) -> None:
    facts = asked(("data=wine",), tmp_path / "p.png", count=3)
    assert len(facts["columns"]) == 13
    assert all(len(cells) == 3 for cells in facts["columns"].values())
    assert 10 < facts["columns"]["alcohol"][0] < 16  # per cent, and no standard score
    regression = asked(("data=diabetes",), tmp_path / "q.png", count=2, split="test")
    assert 25 <= float(regression["labels"][0]) <= 346
    with Image.open(tmp_path / "q.png") as picture:
        assert picture.width > 500


def test_more_samples_than_there_are_is_all_of_them(tmp_path: Path) -> None:
    facts = asked(("data=iris",), tmp_path / "p.png", split="test", count=400)
    assert len(facts["rows"]) == facts["of"] == 30


@pytest.mark.parametrize(
    ("request_", "where"),
    [
        (PreviewRequest("trian", 1, 1, Path("a.png")), "--split"),
        (PreviewRequest("train", 0, 1, Path("a.png")), "--count"),
        (PreviewRequest("train", 401, 1, Path("a.png")), "--count"),
        (PreviewRequest("train", 1, 0, Path("a.png")), "--epoch"),
        (PreviewRequest("train", 1, 1, Path("a.jpg")), "--out"),
    ],
)
def test_what_cannot_be_shown_is_refused(request_: PreviewRequest, where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        request_.check()
    assert [problem.where for problem in caught.value.problems] == [where]


@pytest.mark.parametrize("size", [(8, 8), (30, 90), (300, 200)])
@pytest.mark.parametrize("count", [1, 9])
def test_pictures_of_any_size_are_whole(size: tuple[int, int], count: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (count, *size, 3), dtype=np.uint8)
    content = samples.samples_png("a title", [images, images], ["a name that is rather long $x_{"] * count)
    picture = np.asarray(Image.open(BytesIO(content)).convert("RGB"))
    assert picture.shape[1] >= 300
    assert (picture[-1] == 255).all()  # nothing is cut off at the lower edge


def test_columns_of_every_kind_are_drawn() -> None:
    columns: dict[str, Any] = {
        "class": ["a", "b"] * 20,
        "number": np.linspace(0, 1, 40),
        "constant": np.ones(40),
        "names": [f"name {n % 30} that is long" for n in range(40)],
        **{f"further {n}": np.arange(40.0) for n in range(40)},
    }
    picture = Image.open(BytesIO(samples.columns_png("40 rows", columns, 1)))
    assert picture.width > 1000


def test_a_fingerprint_is_of_the_samples_and_a_split_hash_of_the_split() -> None:
    def of(*words: str) -> dict[str, Any]:
        return fingerprint(load([*IMAGES, *words], Catalog()), ())

    first, again = of(), of("data.augment=strong", "data.batch_size=8", "seed=9")
    assert (first["fingerprint"], first["split_hash"]) == (again["fingerprint"], again["split_hash"])
    noisy, parted = of("data.noise=0.2"), of("data.split_seed=1")
    assert noisy["fingerprint"] != first["fingerprint"]
    assert parted["fingerprint"] == first["fingerprint"]
    assert parted["split_hash"] != first["split_hash"]
    counts = first["splits"]
    assert sum(split["samples"] for split in counts.values()) == 100
    assert all(sum(split["classes"].values()) == split["samples"] for split in counts.values())


def test_values_are_summed_up_by_split() -> None:
    facts = fingerprint(load(["data=diabetes"], Catalog()), ())
    targets = tensor_of(build_data(load(["data=diabetes"], Catalog())).splits["val"].targets).double()
    summary = facts["splits"]["val"]["values"]["target"]
    assert summary["mean"] == pytest.approx(float(targets.mean()))
    assert summary["std"] == pytest.approx(float(targets.numpy().std()))
    assert (summary["min"], summary["max"]) == (float(targets.min()), float(targets.max()))
