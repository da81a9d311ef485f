"""Super-resolution: its loss, what it compares, and a run that is evaluated, reported and used on new images."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from outside_package import dlexp
from PIL import Image
from torch import Tensor, nn

from dlexp.artifacts.files.reading import is_file
from dlexp.data.images.encoding import png_of
from dlexp.data.images.patches import downscaled
from dlexp.data.sources.photos.reading import included, read_photo
from dlexp.errors import ConfigError
from dlexp.models.generative.features import FeatureNetwork, random_features
from dlexp.models.generative.super_resolution import bicubic
from dlexp.specs import ClassSpec, DataSpec, ImageSpec, ImageTargetSpec
from dlexp.tasks.generative.super_resolution import AdversarialSuperResolution, SuperResolution
from dlexp.types import Batch, as_tensor

SPEC = DataSpec(ImageSpec(3, 8, 8, (0.0, 1.0), 256), ImageTargetSpec(3, 16, 16, 255, 2))
WORDS = ("data=photos", "data.patches_per_photo=24", "model.feature_maps=4", "model.blocks=1", "trainer.epochs=2")


class Enlarging(nn.Module):
    """The bicubic enlargement and a number."""

    def __init__(self) -> None:
        super().__init__()
        self.more = nn.Parameter(torch.tensor(0.1))

    def forward(self, images: Tensor) -> Tensor:
        return bicubic(images, 2) + self.more


def gradient_of(network: nn.Module) -> Tensor | None:
    assert isinstance(network, Enlarging)
    return network.more.grad


def batch_of(count: int = 3) -> Batch:
    torch.manual_seed(0)
    originals = torch.randint(0, 256, (count, 3, 16, 16), dtype=torch.uint8)
    return Batch(downscaled(originals, 2, "area").float() / 255, originals, torch.arange(count))


def size_of(path: str | Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def pixels_of(path: str | Path) -> np.ndarray[Any, Any]:
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


def task_of(**options: Any) -> SuperResolution:
    return SuperResolution(spec=SPEC, loss=nn.Identity(), **options)


@pytest.mark.parametrize("pixel_loss", ["l1", "l2"])
def test_the_loss_is_the_error_of_the_pixels_in_shares_of_white(pixel_loss: str) -> None:
    task, batch, networks = task_of(pixel_loss=pixel_loss), batch_of(), {"model": Enlarging()}
    apart = networks["model"](batch.inputs) - batch.targets.float() / 255  # type: ignore[union-attr]
    wanted = apart.abs().mean() if pixel_loss == "l1" else apart.square().mean()
    found = task.loss("train", networks, batch)
    assert found.value.item() == pytest.approx(wanted.item(), rel=1e-6)
    assert task.predict(networks, batch).loss.item() == pytest.approx(wanted.item(), rel=1e-6)
    found.value.backward()
    assert gradient_of(networks["model"]) is not None


@torch.no_grad()
def test_what_is_compared_is_clipped_and_each_sample_has_its_own_values() -> None:
    task, batch, networks = task_of(), batch_of(), {"model": Enlarging()}
    found = task.predict(networks, batch)
    assert found.outputs.min() >= 0 and found.outputs.max() <= 1
    error = found.outputs.double() - task.wanted(batch, found.outputs).double()
    assert found.extra["psnr"].tolist() == pytest.approx((-10 * error.square().flatten(1).mean(1).log10()).tolist())
    assert found.extra["mae"].tolist() == pytest.approx(error.abs().flatten(1).mean(1).tolist(), rel=1e-5)
    networks["model"].more.zero_()
    state = task.metric_state()
    state.update(task.predict(networks, batch))
    baseline = task.baselines([], [batch])["bicubic enlargement"]
    assert state.compute() == pytest.approx(baseline)
    assert set(baseline) == set(task.metrics)
    versions = task.versions(networks, batch)
    assert list(versions) == ["input", "bicubic", "network", "original"]
    assert all(images.shape == (3, 3, 16, 16) for images in versions.values())
    assert torch.equal(versions["bicubic"], versions["network"])


def test_features_add_their_distance_and_have_no_gradient() -> None:
    network = random_features(3)
    task = task_of(perceptual_weight=0.5, features="random", feature_network=network)
    batch, networks = batch_of(), {"model": Enlarging()}
    found = task.loss("train", networks, batch)
    assert found.value.item() == pytest.approx((found.parts["pixel"] + 0.5 * found.parts["perceptual"]).item())
    plain = task_of().loss("train", networks, batch)
    assert found.parts["pixel"].item() == pytest.approx(plain.value.item())
    found.value.backward()
    assert all(parameter.grad is None for parameter in network.parameters())
    other = task_of(perceptual_weight=0.5, features="random", content_layers=["1"], feature_network=network)
    assert other.loss("train", networks, batch).value.item() != pytest.approx(found.value.item())
    with pytest.raises(ConfigError) as refused:
        task_of(perceptual_weight=0.5, features="random", content_layers=["99"], feature_network=network)
    assert refused.value.problems[0].where == "task.content_layers"


@pytest.mark.parametrize(
    ("options", "where", "code"),
    [
        ({"perceptual_weight": 0.1}, "task.perceptual_weight", "missing-requirement"),
        ({"features": "random"}, "task.features", "no-effect"),
        ({"content_layers": ["1"]}, "task.content_layers", "no-effect"),
    ],
)
def test_a_weight_without_features_and_the_other_way_round_are_refused(
    options: dict[str, Any], where: str, code: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        task_of(**options)
    assert (refused.value.problems[0].where, refused.value.problems[0].code) == (where, code)
    assert refused.value.problems[0].remedy


def test_other_targets_and_other_outputs_are_refused() -> None:
    with pytest.raises(ValueError, match="Set task=classification"):
        SuperResolution(spec=DataSpec(SPEC.inputs, ClassSpec(("a", "b"))), loss=nn.Identity())
    with pytest.raises(ValueError, match="Use model=espcn"):
        task_of().predict({"model": nn.Identity()}, batch_of())


def test_a_discriminator_learns_on_both_and_the_network_on_its_score() -> None:
    torch.manual_seed(0)
    task = AdversarialSuperResolution(
        spec=SPEC, loss=nn.Identity(), adversarial_weight=0.5, discriminator_channels=[4, 4]
    )
    networks = {"model": Enlarging(), **task.own_networks()}
    batch = batch_of()
    found = task.loss("discriminator", networks, batch)
    assert found.value.item() == pytest.approx((found.parts["real"].mean() + found.parts["fake"].mean()).item())
    found.value.backward()
    assert gradient_of(networks["model"]) is None
    discriminator = networks["discriminator"]
    assert all(parameter.grad is not None for parameter in discriminator.parameters())
    discriminator.zero_grad()
    found = task.loss("generator", networks, batch)
    scores = discriminator(2 * networks["model"](batch.inputs) - 1)
    assert found.parts["adversarial"].item() == pytest.approx(nn.functional.softplus(-scores).mean().item(), rel=1e-5)
    assert found.value.item() == pytest.approx((found.parts["pixel"] + 0.5 * found.parts["adversarial"]).item())
    found.value.backward()
    assert gradient_of(networks["model"]) is not None
    assert all(parameter.grad is None for parameter in discriminator.parameters())
    with pytest.raises(ConfigError) as refused:
        AdversarialSuperResolution(spec=SPEC, loss=nn.Identity(), objective="wasserstein")
    assert refused.value.problems[0].remedy == "Set task.objective=hinge"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("photos") / "run"
    dlexp("train", *WORDS, "trainer.test=true", "--run-dir", str(found), "-q")
    return found


def test_a_run_is_evaluated_beside_bicubic_enlargement_and_has_pictures(run: Path) -> None:
    report = json.loads((run / "eval/test/report.json").read_text())
    assert set(report["metrics"]) == {"loss", "psnr", "ssim", "mae"}
    baseline = report["baselines"]["bicubic enlargement"]
    assert 20 < baseline["psnr"] < 50 and 0.5 < baseline["ssim"] < 1
    assert report["metrics"]["psnr"] == pytest.approx(baseline["psnr"], abs=3)  # where a network begins
    assert report["intervals"]["psnr"]["low"] < report["metrics"]["psnr"] < report["intervals"]["psnr"]["high"]
    for name in ("images.png", "predictions.csv", "mistakes.csv"):
        assert is_file(run / "eval/test" / name)
    assert [path.name for path in sorted((run / "samples").glob("*.png"))] == ["epoch_0001.png", "epoch_0002.png"]
    pixels = pixels_of(run / "eval/test/images.png")
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 500  # photos, and not a blank page


def test_new_images_of_any_size_are_written_twice_as_large(run: Path, tmp_path: Path) -> None:
    photo = read_photo(included("china.jpg"))
    folder = tmp_path / "new"
    for name, part in {"a": photo[:, :24, :30], "b/a": photo[:, 40:60, 20:80], "gray": photo[:1, :24, :30]}.items():
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png_of(part.numpy() / 255))
    (folder / "c.jpg").write_bytes(b"no image")
    out, table = tmp_path / "out", tmp_path / "rows.csv"
    words = ("predict", str(run), str(folder), "--images", str(out), "--out", str(table), "-q")
    dlexp(*words, code=3)
    with table.open() as file:
        rows = {Path(row["input"]).relative_to(folder).as_posix(): row for row in csv.DictReader(file)}
    assert set(rows) == {"a.png", "b/a.png", "gray.png", "c.jpg"}
    assert rows["c.jpg"]["error"] and not rows["c.jpg"]["image"]
    assert size_of(rows["a.png"]["image"]) == (60, 48)
    assert size_of(rows["b/a.png"]["image"]) == (120, 40)
    assert len({row["image"] for row in rows.values()}) == 4
    made = torch.from_numpy(pixels_of(rows["a.png"]["image"])).permute(2, 0, 1).float() / 255
    near = bicubic(photo[None, :, :24, :30].float() / 255, 2)[0]
    assert (made - near).abs().mean() < 0.1
    before = (out / "a.png").read_bytes()
    dlexp(*words[:4], str(out), "-q", code=2)  # they are there already
    dlexp(*words[:4], str(out), "--force", "-q", code=3)
    assert (out / "a.png").read_bytes() == before
    dlexp("predict", str(run), str(folder / "a.png"), "-q", code=2)  # without a folder


def test_a_run_is_the_network_of_features_of_another(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (*WORDS, "trainer.epochs=1", "task.perceptual_weight=0.1", "trainer.sample_every=0", "-q")
    dlexp("train", *words, f"task.features={run}", "--run-dir", str(tmp_path / "run"))
    header = (tmp_path / "run" / "metrics.csv").read_text().splitlines()[0]
    assert {"train/pixel", "train/perceptual"} < set(header.split(","))
    capsys.readouterr()
    dlexp("train", *words, f"task.features={tmp_path}", "--run-dir", str(tmp_path / "no"), code=2)
    assert "task.features" in capsys.readouterr().err
    dlexp("train", *words, f"task.features={run}", "task.content_layers=[body.77]", "--dry-run", code=2)
    assert "task.content_layers=body.77" in capsys.readouterr().err


def test_the_originals_are_seen_in_shares_of_white() -> None:
    seen = list[Tensor]()

    def prepare(images: Tensor) -> Tensor:
        seen.append(images)
        return images

    network = FeatureNetwork(nn.Sequential(nn.Conv2d(3, 2, 1)), 3, prepare, ["0"], ["0"])
    task, batch = task_of(perceptual_weight=1.0, features="run", feature_network=network), batch_of()
    task.loss("train", {"model": Enlarging()}, batch)
    assert any(torch.equal(images, as_tensor(batch.targets).float() / 255) for images in seen)
