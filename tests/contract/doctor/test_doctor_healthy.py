"""Healthy runs of all kinds get no warning: few epochs, little data, strong regularization, other optimizers, noise."""

from __future__ import annotations

from pathlib import Path

import pytest
from doctor_toys.doctor_runs import alarms, examined

from dlexp.diagnosis.rules.all_rules import RULES

ALWAYS = (
    "data=iris",
    "data=wine model=tabular_mlp",
    "data=diabetes trainer.epochs=15",
    "model=mlp model.hidden=[64] trainer.epochs=8",
    "model=simple_cnn model.channels=[8,16] model.fc=64 data.augment=none optim.lr=5e-3 trainer.epochs=8",
    "experiment=sunspots_mlp trainer.epochs=20",
)
IN_FULL = (
    "data=adding data.num_samples=1000 data.length=10 model=gru model.units=32 optim.lr=1e-2 trainer.epochs=25",
    "data=breast_cancer",
    "data=wine trainer.epochs=100 model.dropout=0",
    "data=synthetic_regression trainer.epochs=10",
    "data=tones trainer.epochs=4",
    "data.train_per_class=20 trainer.epochs=60",
    "experiment=diabetes_mlp",
    "experiment=sunspots_mlp",
    "model=mlp",
    "model=mlp optim=sgd optim.lr=0.1 data.augment=none",
    "model=mlp optim=lion optim.lr=3e-4",
    "model=mlp optim=muon",
    "model=mlp regularization=label_smoothing trainer.epochs=15",
    "model=mlp regularization=mixup trainer.epochs=15",
    "model=mlp regularization=strong",
    "model=mlp_dropout data.augment=none trainer.epochs=40",
    "model=mlp_selu trainer.epochs=15",
    "model=perceptron data.augment=none",
    "model=resnet18 trainer.epochs=3",
    "model=simple_cnn regularization=cutmix trainer.epochs=6",
    "model=simple_cnn trainer.epochs=5",
    "model=tabular_mlp data=breast_cancer scheduler=onecycle",
    "model=vit trainer.epochs=15",
    "data=topics model=lstm trainer.epochs=5",
    "data=breast_cancer model=ft_transformer model.token=16 model.blocks=1 model.heads=2",
)


@pytest.mark.parametrize("words", [*ALWAYS, *(pytest.param(words, marks=pytest.mark.exhaustive) for words in IN_FULL)])
def test_a_healthy_run_gets_no_warning(words: str, tmp_path: Path) -> None:
    assert alarms(examined(words.split(), tmp_path / "run", RULES)) == []
