"""A GAN is a run like any other: its columns, its weights, its evaluation, its predictions and its file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import dlexp
from dlexp.assemble.experiment import assemble
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError
from dlexp.workflows.export.export import ExportRequest, export_run
from dlexp.workflows.run_record.restore import RestoreOptions

WORDS = (
    *(
        "model=wgan_gp",
        "data=ring",
        "data.num_samples=200",
        "data.batch_size=32",
        "trainer.epochs=2",
        "trainer.device=cpu",
    ),
    *("model.generator_hidden=[8]", "model.discriminator_hidden=[8]", "model.latent=3", "model.conditional=true"),
    *("task.critic_steps=2", "optim.phases.discriminator.lr=1e-3"),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dlexp.Run:
    return dlexp.train(*WORDS, run_dir=tmp_path_factory.mktemp("gan") / "run", progress=False)


def test_both_losses_and_their_parts_are_columns(run: dlexp.Run) -> None:
    row = run.metrics.iloc[-1]
    names = (
        "discriminator_loss",
        "discriminator_real",
        "discriminator_fake",
        "discriminator_penalty",
        "generator_loss",
    )
    assert all(np.isfinite(row[f"train/{name}"]) for name in names)
    parts = sum(row[f"train/discriminator_{name}"] for name in ("real", "fake", "penalty"))
    assert row["train/discriminator_loss"] == pytest.approx(parts, abs=1e-5)
    assert (row["lr/discriminator"], row["lr/generator"]) == (1e-3, 2e-4)
    assert "val/energy_distance" in row and "val/loss" not in row


def test_an_evaluation_is_that_of_the_best_epoch(run: dlexp.Run) -> None:
    found = run.evaluate(split="val").metrics["energy_distance"]
    assert found == run.metrics["val/energy_distance"].min()


def test_the_generator_is_exported_from_noise_and_classes(run: dlexp.Run) -> None:
    facts = export_run(Path(run.path), ExportRequest("torch-export"), RestoreOptions(), lambda text: None)
    assert facts["input"]["shape"] == ["batch", 3 + 8] and facts["output"]["shape"] == ["batch", 2]
    assert "3 standard normal numbers, then a weight of each of 8 classes" in facts["output"]["what"]
    assert facts["compared"]["largest_difference"] < 1e-5
    with pytest.raises(ConfigError) as refused:
        request = ExportRequest("torch-export", with_preprocessing=True, force=True)
        export_run(Path(run.path), request, RestoreOptions(), lambda text: None)
    assert refused.value.problems[0].code == "no-effect"


def test_the_configuration_says_what_the_model_chose(run: dlexp.Run) -> None:
    config = json.dumps(dlexp.load(run.path).config)
    assert "adversarial" in config and "wasserstein" in config


def test_keys_of_a_task_that_a_model_prefers_are_known() -> None:
    config = load(["model=wgan_gp", "data=ring", "task.penalty_weight=0.1", "optim.betas=[0,0.9]"], Catalog())
    assert (config.task.option, config.task.arguments["penalty_weight"]) == ("adversarial", 0.1)
    assert config.task.arguments["critic_steps"] == 5
    assert load(["model=wgan_gp", "data=ring", "task.critic_steps=1"], Catalog()).task.arguments["critic_steps"] == 1
    with pytest.raises(ConfigError) as refused:  # required keys of the data are named, not the model's wishes
        load(["model=wgan_gp", "data=csv"], Catalog())
    assert [problem.where for problem in refused.value.problems] == ["data.path"]  # a generative model needs no target


def test_a_model_of_another_task_is_refused() -> None:
    words = ["model=gan", "data=ring", "task=classification", "data.num_samples=200"]
    with pytest.raises(ConfigError) as refused:
        assemble(load(words, Catalog()))
    assert refused.value.problems[0].remedy == "Use task=adversarial loss=none"
