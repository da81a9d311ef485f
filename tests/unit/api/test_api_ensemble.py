"""Ensembles and soups in Python, of runs whose data was handed over."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from refusals import refused
from sklearn.datasets import load_iris

import dlexp


def test_runs_of_a_frame_are_combined_evaluated_and_predict() -> None:
    frame: pd.DataFrame = load_iris(as_frame=True).frame
    frame["target"] = frame["target"].map({0: "a", 1: "b", 2: "c"})
    words = ("model.hidden=[4]", "trainer.epochs=1", "trainer.device=cpu")
    group = dlexp.train(*words, data=frame, target="target", seeds=2, progress=False)
    found = dlexp.ensemble(group)
    assert list(found.members.index) == ["seed-42", "seed-43"]
    assert found.members["weight"].tolist() == [0.5, 0.5]
    result = found.evaluate(split="val", resamples=0)
    assert result.report["ensemble"]["gains"]["log_loss"]["mean"]["value"] > 0
    assert result.metrics["accuracy"] == pytest.approx(result.report["ensemble"]["metrics"]["accuracy"])
    rows = frame.drop(columns="target")[::30]
    each = [run.predict(rows, probabilities=True) for run in group.runs]
    mean = found.predict(rows, probabilities=True)
    assert list(mean.index) == list(rows.index)
    assert mean["p(a)"].to_numpy() == pytest.approx((each[0]["p(a)"] + each[1]["p(a)"]).to_numpy() / 2)
    soup = dlexp.soup(list(group.runs), out="soup")
    assert isinstance(soup, dlexp.Run) and soup.state == "finished"
    assert soup.summary["soup"] == "uniform"
    with pytest.raises(dlexp.ConfigError) as caught:
        dlexp.ensemble(group, vote=True, weights="stacked")
    refused(caught.value, "cannot-combine", "weights", 'weights="greedy"')
    with pytest.raises(dlexp.ConfigError) as caught:
        dlexp.ensemble(group.runs[0])
    refused(caught.value, "missing-value")
    with pytest.raises(dlexp.ConfigError) as caught:
        group.runs[0].evaluate(tta="flip", split="val")
    refused(caught.value, "not-supported", "tta")


def test_a_folder_without_an_ensemble_is_refused() -> None:
    with pytest.raises(dlexp.ConfigError) as caught:
        dlexp.Ensemble(Path())
    refused(caught.value, "incompatible-run", remedy="dlexp.ensemble")
