"""The doctor of what is no ordinary run: tasks of several phases, studies and their trials, an edited configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from outside_package import OWN, dlexp, installed
from refusals import line_refused

PACKAGE = """
import torch
from torch import nn
from torch.nn.functional import softplus
from dlexp.data.bundle import SPLITS, DataBundle, Split
from dlexp.data.preprocess import Identity
from dlexp.metrics.states import Mean, MetricState
from dlexp.specs import DataSpec, TableSpec
from dlexp.tasks.base import Phase, Task
from dlexp.types import LossOutput, Prediction
class Gan(Task):
    phases = {"discriminator": Phase(("discriminator",)), "generator": Phase(("generator",), every=2)}
    metrics = {"loss": "min"}
    def loss(self, phase, networks, batch):
        fake = networks["generator"](torch.randn(len(batch), 4))
        if phase == "generator":
            return LossOutput(softplus(-networks["discriminator"](fake)).mean())
        real, made = networks["discriminator"](batch.inputs), networks["discriminator"](fake.detach())
        return LossOutput((softplus(-real) + softplus(made)).mean())
    def predict(self, networks, batch):
        fake = networks["generator"](torch.randn(len(batch), 4))
        return Prediction(fake, None, (fake.mean(0) - batch.inputs.mean(0)).abs().mean(), batch.indices)
    def metric_state(self, names=()): return OnlyLoss()
class OnlyLoss(MetricState):
    def __init__(self): self.loss = Mean()
    def update(self, p): self.loss.add(p)
    def merge(self, other): self.loss.merge(other.loss)
    def compute(self): return {"loss": self.loss.value()}
def ring():
    angle = torch.arange(200.0)
    values = torch.stack([angle.cos(), angle.sin()], 1) + 0.1 * torch.randn(200, 2)
    rows = zip(SPLITS, torch.arange(200).split([140, 30, 30]))
    splits = {name: Split.in_memory(values[n], None, n) for name, n in rows}
    return DataBundle(DataSpec(TableSpec(2), None), splits, Identity(), "200 rows", {})
class Judge(nn.Module):
    def __init__(self, in_features, spare):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(in_features, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))
        self.spare = nn.Linear(in_features, 16) if spare else None
    def forward(self, x): return self.layers(x)
def pair(in_features, spare=False):
    generator = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, in_features))
    return {"generator": generator, "discriminator": Judge(in_features, spare)}
"""
OPTIONS = {
    "data/ring": "{_target_: outside.ring, _targets_: none, batch_size: 20, eval_batch_size: 30}",
    "model/pair": "{_target_: outside.pair, spare: false}",
    "task/gan": "{_target_: outside.Gan, _phases_: [discriminator, generator], monitor: val/loss}",
}
GAN = (*OWN, "data=ring", "model=pair", "task=gan", "loss=none", "optim.lr=0.001", "trainer.device=cpu")


@pytest.fixture(autouse=True)
def outside(tmp_path: Path) -> Iterator[None]:
    with installed(tmp_path, PACKAGE, OPTIONS):
        yield


def test_a_healthy_gan_is_judged_without_trials_and_nothing_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    dlexp("doctor", *GAN, "--json")
    before = json.loads(capsys.readouterr().out)
    assert before["may_start"] and not before["findings"]
    (rate,) = [check for check in before["checks"] if check["name"] == "learning rate"]
    assert rate["status"] == "not measured" and "2 phases" in rate["text"]
    dlexp("train", "-q", *GAN, "trainer.epochs=6", "trainer.doctor=true", "-o", "run")
    assert not Path("run/doctor.jsonl").exists()
    capsys.readouterr()
    dlexp("doctor", "run", *OWN[2:], "--json")
    found = json.loads(capsys.readouterr().out)
    assert not found["findings"]
    assert any("2 phases" in note for note in found["notes"])


def test_a_part_of_a_gan_that_no_loss_depends_on_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    dlexp("doctor", *GAN, "model.spare=true", "--json")
    found = json.loads(capsys.readouterr().out)["findings"]
    assert [one["code"] for one in found] == ["unused_parameters"]
    assert "spare" in json.dumps(found[0])


def test_a_study_is_refused_and_its_trial_is_judged_by_its_history(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("data=iris", "model=mlp", "model.hidden=[8]", "trainer.epochs=2", "trainer.device=cpu")
    dlexp("tune", "-q", "-n", "1", "--name", "s", *words, "search.confirm_top=0")
    line_refused(
        capsys, "doctor", "outputs/tune/s", code="incompatible-run", remedy="dlexp train --from outputs/tune/s"
    )
    dlexp("doctor", "outputs/tune/s/trials/0000", "trainer.device=cpu", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["measures"]["epochs"] == 2
    assert any("keeps no weights" in note for note in found["notes"])
    assert not any("interrupted" in note or "removed" in note for note in found["notes"])


def test_an_edited_length_is_refused_as_other_edited_keys_are(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("data=iris", "model=mlp", "model.hidden=[8]", "trainer.epochs=2", "trainer.device=cpu")
    dlexp("train", "-q", *words, "-o", "edited")
    file = Path("edited/config.yaml")
    file.write_text(file.read_text().replace("epochs: 2", "epochs: 40"))
    line_refused(capsys, "doctor", "edited", code="data-changed", where="trainer.epochs", remedy="--allow-changes")
    dlexp("doctor", "edited", "--allow-changes", "trainer.device=cpu", "--json")
    assert json.loads(capsys.readouterr().out)["measures"]["epochs"] == 2
