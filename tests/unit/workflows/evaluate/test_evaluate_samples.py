"""What an evaluation says of the samples of a generative run, beside real data."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from outside_package import OWN, dlexp, installed
from refusals import refused
from sampler_toys import OPTIONS, PACKAGE, WORDS

from dlexp.errors import ConfigError
from dlexp.metrics.bootstrap import Resampling
from dlexp.workflows.evaluate.evaluate import evaluate_run
from dlexp.workflows.evaluate.generated import judge
from dlexp.workflows.evaluate.generated.samples import SampleWishes

Train = Callable[..., Path]
TRUST = ("outside",)
DIGITS = ("data=digits", "data.classes=[0,1,2]", "data.train_per_class=40")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Train]:
    """A function that trains a toy in a moment; runs of the same words are trained once."""
    folder, runs = tmp_path_factory.mktemp("toys"), dict[tuple[str, ...], Path]()
    with pytest.MonkeyPatch.context() as patch, installed(folder, PACKAGE, OPTIONS):
        patch.setattr("dlexp.artifacts.classifier_cache.classifier_folder", lambda: folder / "classifiers")
        patch.setattr(judge, "_LEAST_UPDATES", 30)
        patch.setattr(judge, "_USUAL_EPOCHS", 1)

        def train(*words: str) -> Path:
            if words not in runs:
                runs[words] = folder / f"run-{len(runs)}"
                with pytest.MonkeyPatch.context() as moved:
                    moved.chdir(folder)
                    dlexp("train", *OWN, *WORDS, *words, "-q", "-o", str(runs[words]))
            return runs[words]

        yield train


def evaluated(run: Path, split: str = "test", **request: Any) -> dict[str, Any]:
    return evaluate_run(run, split, "best", {}, TRUST, resampling=Resampling(0), samples=SampleWishes(**request))


def rows(run: Path, name: str, split: str = "test") -> list[dict[str, str]]:
    with (run / "eval" / split / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def copies(trained: Train) -> tuple[Path, dict[str, Any]]:
    """A conditional model that puts out training images, and its report."""
    run = trained(*DIGITS, "model.is_conditional=true")
    return run, evaluate_run(run, "test", "best", {}, TRUST)


def test_a_model_that_copies_is_named_by_the_copies(copies: tuple[Path, dict[str, Any]]) -> None:
    run, report = copies
    metrics, real = report["metrics"], report["floors"]
    assert metrics["near_copies"] == 1
    assert real["near_copies"] < 0.03
    assert any("repeats its training data" in note for note in report["notes"])
    assert {row["is_near_copy"] for row in rows(run, "nearest_training")} == {"yes"}
    training = {int(row["training_row"]) for row in rows(run, "nearest_training")}
    assert len(training) > 20


def test_figures_of_real_data_are_those_of_real_data(copies: tuple[Path, dict[str, Any]]) -> None:
    """Samples that are training samples are as far from the test split as training samples are."""
    _, report = copies
    metrics, real = report["metrics"], report["floors"]
    assert metrics["frechet_floor"] == real["frechet"] > 0
    assert real["frechet"] < metrics["frechet"] < 3 * real["frechet"]  # some are drawn twice, and others never
    for name in ("precision", "recall", "coverage"):
        assert metrics[name] == pytest.approx(real[name], abs=0.2), name
    assert metrics["class_agreement"] > 0.9
    assert metrics["cas"] > 0.6
    assert real["cas"] == real["class_agreement"] == report["generated"]["classifier"]["accuracy"]
    assert metrics["class_distance"] < 0.05


def test_shares_have_intervals_and_distances_say_why_not(copies: tuple[Path, dict[str, Any]]) -> None:
    _, report = copies
    sure = report["intervals"]
    assert sure["near_copies"]["low"] < 1 == sure["near_copies"]["high"]
    assert sure["cas"]["low"] < report["metrics"]["cas"] < sure["cas"]["high"]
    assert sure["frechet"]["low"] is None
    assert sure["frechet"]["reason"]


def test_the_facts_say_what_was_made_and_compared(copies: tuple[Path, dict[str, Any]]) -> None:
    _, report = copies
    facts = report["generated"]
    assert facts["samples"] == facts["real_in_place_of_samples"] == 120
    assert (facts["seed"], facts["features_of"], facts["labels_of_cas"]) == (42, "classifier", "asked for")
    assert facts["real_samples"] == report["samples"]
    shares = rows(copies[0], "class_shares")
    assert [row["class"] for row in shares] == ["0", "1", "2"]
    assert sum(float(row["samples"]) for row in shares) == pytest.approx(1)


def test_the_same_samples_again_and_those_of_another_range_are_the_same(
    copies: tuple[Path, dict[str, Any]], trained: Train
) -> None:
    """Runs whose networks see [0, 1] and [-1, 1] are judged by one classifier, which is trained once."""
    _, report = copies
    assert not report["generated"]["classifier"]["from_cache"]
    wide = evaluated(trained(*DIGITS, "model.is_conditional=true", "task=toy_wide"))
    assert wide["generated"]["classifier"]["from_cache"]
    for name, value in report["metrics"].items():
        assert wide["metrics"][name] == pytest.approx(value, rel=1e-3, abs=0.02), name
    again = evaluated(trained(*DIGITS, "model.is_conditional=true", "task=toy_wide"))
    assert again["metrics"] == wide["metrics"]


def test_a_model_of_single_pixels_is_far_away_and_copies_nothing(
    copies: tuple[Path, dict[str, Any]], trained: Train
) -> None:
    report = evaluated(trained(*DIGITS, "model.kind=gaussian"))
    assert report["metrics"]["frechet"] > 3 * copies[1]["metrics"]["frechet"]
    assert report["metrics"]["near_copies"] == 0
    assert report["generated"]["labels_of_cas"] == "classifier"
    assert "class_agreement" not in report["metrics"]
    assert not any("repeats" in note for note in report["notes"])


def test_missing_classes_are_named(trained: Train) -> None:
    report = evaluated(trained(*DIGITS, "model.kind=zeros"), count=50)
    assert report["generated"]["samples"] == report["generated"]["real_in_place_of_samples"] == 50
    assert any("less than a tenth of their share" in note for note in report["notes"])
    assert report["metrics"]["recall"] == 0
    assert any("no more samples than" in note for note in report["notes"])


def test_samples_that_are_not_finite_have_no_figures_and_the_reason(trained: Train) -> None:
    report = evaluated(trained(*DIGITS, "model.kind=broken"), count=30)
    assert report["metrics"]["frechet"] is report["metrics"]["cas"] is report["metrics"]["frechet_floor"] is None
    assert "0 of 30 samples are finite" in report["undefined"]["near_copies"]


def test_no_samples_leave_no_tables_of_earlier_ones(trained: Train) -> None:
    run = trained(*DIGITS, "model.kind=gaussian")
    evaluated(run, count=40)
    assert rows(run, "generated")
    report = evaluated(run, count=0)
    assert set(report["metrics"]) == {"loss"}
    assert "floors" not in report
    assert not (run / "eval" / "test" / "generated.csv").exists()


@pytest.mark.parametrize("split", ["train", "val"])
def test_other_splits(split: str, trained: Train) -> None:
    report = evaluated(trained(*DIGITS, "model.kind=gaussian"), split, count=60)
    assert report["floors"]["near_copies"] < 0.03
    assert ("real data: 60 of the train split" in " ".join(report["notes"])) == (split == "val")


def test_wishes_without_effect_are_refused_at_once(trained: Train) -> None:
    run = trained(*DIGITS, "model.kind=gaussian")
    with pytest.raises(ConfigError) as caught:
        evaluated(run, steps=5, guidance=2.0)
    refused(caught.value, "no-effect", "--steps", "Remove --steps")
    refused(caught.value, "no-effect", "--guidance", "Remove --guidance")
    with pytest.raises(ConfigError) as caught:
        evaluated(run, count=-1)
    refused(caught.value, "out-of-range", "--samples", "--samples 1000")


def test_a_run_of_another_task_makes_no_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("data=iris", "model.hidden=[4]", "trainer.epochs=1", "trainer.device=cpu")
    dlexp("train", *words, "-q", "-o", "run")
    with pytest.raises(ConfigError) as caught:
        evaluated(tmp_path / "run", count=5)
    refused(caught.value, "no-effect", "--samples", "Remove --samples")
    assert "floors" not in evaluated(tmp_path / "run")


def test_tables_are_judged_too_and_a_classifier_of_other_shapes_is_trained_again(trained: Train) -> None:
    run = trained("data=wine")
    first = evaluated(run)
    assert first["metrics"]["near_copies"] == 1
    entry = max((run.parent / "classifiers").glob("*.pt"), key=lambda path: path.stat().st_mtime_ns)
    content = {"format": 1, "name": entry.stem, "weights": {"x": torch.zeros(1)}, "facts": {"updates": 1}}
    torch.save(content, entry)
    again = evaluated(run)
    assert not again["generated"]["classifier"]["from_cache"]
    assert again["metrics"] == first["metrics"]


def test_modes_are_counted_in_the_units_of_the_data_and_two_columns_are_their_own_features(trained: Train) -> None:
    report = evaluated(trained("data=three"))
    assert report["metrics"]["modes"] == report["floors"]["modes"] == 3
    assert report["metrics"]["good_samples"] > 0.95
    assert report["generated"]["features_of"] == "inputs"
    assert set(report["figures"]) == {"generated", "class_shares"}
    middle = evaluated(trained("data=three", "model.kind=zeros"))
    assert middle["metrics"]["good_samples"] == middle["metrics"]["modes"] == 0


def test_the_terminal_shows_value_real_data_and_interval(trained: Train, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained("data=wine")
    dlexp("evaluate", str(run), "--trust", "outside", "--samples", "40")
    shown = capsys.readouterr().out
    assert "real data" in shown
    assert "frechet_floor" not in shown
    dlexp("evaluate", str(run), "--trust", "outside", "--samples", "40", "--json")
    assert json.loads(capsys.readouterr().out)["metrics"]["frechet_floor"] > 0
