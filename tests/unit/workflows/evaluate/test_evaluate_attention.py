"""An evaluation shows where a network with attention looks, whatever its task is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dlexp.assemble.experiment import assemble
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.metrics.reports.figures import AttentionMaps
from dlexp.metrics.reports.report import Report
from dlexp.workflows.evaluate.attention import with_attention_maps

ENTITIES = ("data=entities", "data.num_samples=60")
SMALL = ("trainer.device=cpu", "trainer.threads=1")


@pytest.mark.parametrize(
    ("words", "rows"),
    [
        ((*ENTITIES, "model=transformer_encoder"), "all"),
        (("data=sunspots", "model=transformer_encoder"), "all"),
        (("data=adding", "data.num_samples=60", "data.length=6", "model=lstm", "model.pooling=attention"), "one"),
        ((*ENTITIES, "model=lstm"), "none"),
    ],
)
def test_maps_are_those_of_the_own_positions(
    words: tuple[str, ...], rows: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    experiment = assemble(load([*words, *SMALL], Catalog()))
    before = {name: value.clone() for name, value in experiment.networks.state_dict().items()}
    found = with_attention_maps(Report({}), experiment, "test").figures
    assert all(torch.equal(before[name], value) for name, value in experiment.networks.state_dict().items())
    assert list(found) == ([] if rows == "none" else ["attention-1", "attention-2", "attention-3"])
    for figure in found.values():
        assert isinstance(figure, AttentionMaps)
        assert len(figure.target) == (1 if rows == "one" else len(figure.source))
        for weights in figure.maps.values():
            assert weights.shape[1:] == (len(figure.target), len(figure.source))
            assert np.allclose(weights.sum(axis=2), 1, atol=1e-5)
