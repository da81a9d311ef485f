"""Replacing values of a configuration: what is built and what is saved change together, and a secret stays one."""

from __future__ import annotations

import pytest

from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.saved import to_yaml
from dlexp.config.typed import with_values


def test_what_is_built_and_what_is_saved_change_together_and_the_original_stays() -> None:
    config = load(["optim=sgd"], Catalog())
    before = to_yaml(config)
    changed = with_values(config, {"optim.lr": 0.5, "seed": 7, "trainer.epochs": 3, "data.batch_size": 9})
    assert (changed.optim.arguments["lr"], changed.seed, changed.trainer.epochs, changed.batch_size) == (0.5, 7, 3, 9)
    assert changed.tree["optim"]["lr"] == 0.5
    assert "epochs: 3" in to_yaml(changed)
    assert to_yaml(config) == before
    assert changed.model == config.model


def test_a_value_of_the_environment_is_used_and_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLEXP_TABLE", "/secret/place.csv")
    words = ["data=csv", "data.path=${oc.env:DLEXP_TABLE}", "data.target=y", "task=classification"]
    config = load(words, Catalog())
    changed = with_values(config, {"seed": 5})
    assert config.data.arguments["path"] == changed.data.arguments["path"] == "/secret/place.csv"
    assert "${oc.env:DLEXP_TABLE}" in to_yaml(changed)
    assert "/secret" not in to_yaml(changed) + repr(changed.tree)
