"""Style transfer: closed forms of its loss, what has a gradient, and a run whose result is a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from outside_package import dlexp, rows_of
from PIL import Image
from torch import Tensor, nn

from dlexp.artifacts.files.reading import is_file
from dlexp.errors import ConfigError
from dlexp.losses.perceptual import total_variation
from dlexp.models.generative.canvas import canvas
from dlexp.models.generative.features import random_features
from dlexp.specs import DataSpec, ImageSpec, ImageTargetSpec
from dlexp.tasks.generative.style_transfer import StyleTransfer
from dlexp.types import Batch

SPEC = DataSpec(ImageSpec(3, 16, 24, (0.0, 1.0), 256), ImageTargetSpec(3, 16, 24))
WORDS = ("data=style_pair", "data.longer_side=24", "data.updates_per_epoch=4", "trainer.epochs=2")


def task_of(**options: Any) -> StyleTransfer:
    return StyleTransfer(spec=SPEC, loss=nn.Identity(), **{"feature_network": random_features(3), **options})


def batch_of(content: Tensor, style: Tensor, count: int = 1) -> Batch:
    return Batch(content.expand(count, -1, -1, -1), style.expand(count, -1, -1, -1), torch.arange(count))


@pytest.fixture
def images() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.rand(1, 3, 16, 24), torch.randint(0, 256, (1, 3, 16, 24), dtype=torch.uint8)


def test_an_image_has_the_content_of_itself_and_the_style_of_itself(images: tuple[Tensor, Tensor]) -> None:
    content, style = images
    task, networks = task_of(), {"model": canvas(input_shape=(3, 16, 24))}
    found = task.loss("train", networks, batch_of(content, style))
    assert found.parts["content"].item() == 0  # the canvas begins as the content
    assert found.parts["style"].item() > 0.01
    assert found.parts["total_variation"].item() == pytest.approx(total_variation(content).item())
    value = 10 * found.parts["style"] + 0.2 * found.parts["total_variation"]
    assert found.value.item() == pytest.approx(value.item(), rel=1e-5)
    same = task_of().loss("train", networks, batch_of(style.float() / 255, style))
    assert same.parts["style"].item() == pytest.approx(0, abs=1e-10)
    baselines = task.baselines([], [batch_of(content, style)])
    assert baselines["the content as it is"]["content"] == 0
    assert baselines["the content as it is"]["loss"] == pytest.approx(found.value.item(), rel=1e-5)
    assert baselines["the style as it is"]["style"] == pytest.approx(0, abs=1e-10)


def test_the_gradient_is_for_the_canvas_alone_and_an_update_comes_nearer(images: tuple[Tensor, Tensor]) -> None:
    task, network = task_of(), canvas(input_shape=(3, 16, 24))
    batch = batch_of(*images, count=2)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        found = task.loss("train", {"model": network}, batch)
        found.value.backward()
        optimizer.step()
        losses.append(found.value.item())
    assert min(losses) < 0.7 * losses[0]
    assert all(p.grad is None and not p.requires_grad for p in task._features.parameters())


def test_what_is_kept_of_a_pair_is_not_used_for_another(images: tuple[Tensor, Tensor]) -> None:
    content, style = images
    task, networks = task_of(), {"model": canvas(input_shape=(3, 16, 24))}
    first = task.predict(networks, batch_of(content, style)).loss.item()
    other = task.predict(networks, batch_of(1 - content, 255 - style)).loss.item()
    assert other != first
    assert task.predict(networks, batch_of(content, style)).loss.item() == first
    different = Batch(torch.cat([content, 1 - content]), style.expand(2, -1, -1, -1), torch.arange(2))
    with pytest.raises(ValueError, match="data=style_pair"):
        task.predict(networks, different)


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"feature_network": None, "features": "none"}, "task.features"),
        ({"content_weight": 0, "style_weight": 0}, "task.content_weight"),
        ({"style_layers": ["77"]}, "task.style_layers"),
    ],
)
def test_what_cannot_be_compared_is_refused(options: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigError) as refused:
        task_of(**options)
    assert refused.value.problems[0].where == where and refused.value.problems[0].remedy


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("style") / "run"
    dlexp("train", *WORDS, "trainer.test=true", "--run-dir", str(found), "-q")
    return found


def test_a_run_leaves_its_picture_pixel_by_pixel(run: Path) -> None:
    with Image.open(run / "picture.png") as picture:
        assert picture.size == (24, 16) and len(np.unique(np.asarray(picture))) > 50
    losses = [row["val/loss"] for row in rows_of(str(run))]
    assert losses == sorted(losses, reverse=True)
    assert is_file(run / "samples/epoch_0002.png") and is_file(run / "samples/samples.gif")
    report = json.loads((run / "eval/test/report.json").read_text())
    assert set(report["baselines"]) == {"the content as it is", "the style as it is"}
    assert report["metrics"]["loss"] < report["baselines"]["the content as it is"]["loss"]
    assert not report["intervals"] and is_file(run / "eval/test/images.png")
    dlexp("report", str(run))
    assert "After epoch 2" in next(run.glob("*.html")).read_text()


def test_a_picture_is_made_of_one_pair_alone(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dlexp("predict", str(run), str(run / "picture.png"), "--images", str(run / "more"), "-q", code=2)
    assert "data.content=FILE" in capsys.readouterr().err
