"""Ensembles, soups, snapshots and views: their figures beside those of their members, and what is refused."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from refusals import refused
from sklearn.datasets import load_digits, load_iris
from sklearn.metrics import log_loss

from dlexp.artifacts.checkpoints.checkpoint import read_checkpoint
from dlexp.artifacts.files.row_writer import Collected
from dlexp.artifacts.files.writing import read_object, write_json
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError, DlexpError
from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.ensembles.combination import unit_sum
from dlexp.metrics.ensembles.member_weights import greedy_weights, mixture_loss
from dlexp.workflows.ensemble.augmented import evaluate_views, mirror_notes
from dlexp.workflows.ensemble.collect import collect_outputs
from dlexp.workflows.ensemble.evaluate import evaluate_ensemble, evaluate_members, make_ensemble
from dlexp.workflows.ensemble.members import ensemble_members
from dlexp.workflows.ensemble.request import CombineRequest
from dlexp.workflows.ensemble.soup import make_soup, mean_weights
from dlexp.workflows.evaluate.evaluate import evaluate_run
from dlexp.workflows.export.export import ExportRequest, export_run
from dlexp.workflows.predict.predict import predict_run
from dlexp.workflows.predict.request import PredictRequest
from dlexp.workflows.reporter import Silent
from dlexp.workflows.run_record.ensemble_record import read_ensemble, snapshot_epochs
from dlexp.workflows.run_record.restore import RestoreOptions
from dlexp.workflows.train.seeds import train_seeds
from dlexp.workflows.train.train import Request, resume, train

CATALOG = Catalog(())
WORDS = ("data=iris", "model.hidden=[4]", "trainer.epochs=3", "trainer.device=cpu", "trainer.precision=fp32")
PLAIN = CombineRequest(resampling=Resampling(0))
QUICK = Resampling(0)
Members = dict[str, tuple[np.ndarray, np.ndarray]]


def made(folder: Path, *words: str) -> Path:
    all_words = (*WORDS, *words)
    train(load(all_words, CATALOG), Request(all_words, ("dlexp",), folder), Silent())
    return folder


def twice(run: Path) -> list[Path]:
    """A run and a copy of it, where two networks are enough, whatever their weights."""
    return [run, Path(shutil.copytree(run, run.with_name(f"{run.name}-copy")))]


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Three seeds of a small network on iris, with a snapshot of each epoch."""
    folder = tmp_path_factory.mktemp("ensembles") / "g"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DLEXP_RUNS_DIR", str(folder.parent / "runs"))
        words = (*WORDS, "trainer.snapshot_every=1")
        train_seeds(load(words, CATALOG), Request(words, ("dlexp",), folder), 3, Silent())
        evaluate_run(folder / "seed-42", "test", "best", {}, (), resampling=QUICK)
    yield folder


@pytest.fixture(scope="module")
def members(group: Path) -> Members:
    """Split -> the probabilities of each network (K, N, C) and the true classes (N,)."""
    found = collect_outputs(ensemble_members([group], "best"), ("val", "test"), PLAIN).outputs
    return {
        split: (np.stack([np.exp(one.numbers) for one in each]), each[0].targets.numpy())
        for split, each in found.items()
    }


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run on digits that is evaluated on the test split."""
    folder = tmp_path_factory.mktemp("views") / "r"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DLEXP_RUNS_DIR", str(folder.parent / "runs"))
        made(folder, "data=digits", "trainer.epochs=2")
        evaluate_run(folder, "test", "best", {}, (), resampling=QUICK)
    yield folder


def probabilities(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """(N, C) and the numbers of the true classes of predictions.csv."""
    with (folder / "eval" / split / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name[2:-1] for name in rows[0] if name.startswith("p(")]
    shares = [[float(row[f"p({name})"]) for name in names] for row in rows]
    return np.array(shares), np.array([names.index(row["true"]) for row in rows])


def test_an_ensemble_is_the_mean_of_its_probabilities_with_paired_gains(group: Path, members: Members) -> None:
    content = evaluate_members([group], PLAIN)
    each, true = members["test"]
    np.testing.assert_allclose(each[0], probabilities(group / "seed-42", "test")[0], atol=1e-12)
    mean, _ = probabilities(Path(content["run"]), "test")
    np.testing.assert_allclose(mean, each.mean(axis=0), atol=1e-12)
    losses = [log_loss(true, shares, labels=range(3)) for shares in each]
    own = log_loss(true, mean, labels=range(3))
    assert content["metrics"]["log_loss"] == pytest.approx(own)
    found = content["ensemble"]
    gains = found["gains"]["log_loss"]
    val, truth = members["val"]
    best = int(np.argmin([log_loss(truth, shares, labels=range(3)) for shares in val]))
    assert found["best_on_val"] == found["members"][best]["label"] == f"seed-{42 + best}"
    assert gains["best"]["value"] == pytest.approx(losses[best] - own)
    assert gains["mean"]["value"] == pytest.approx(np.mean(losses) - own)
    assert gains["mean"]["low"] < gains["mean"]["value"] < gains["mean"]["high"]
    for member, loss in zip(found["members"], losses, strict=True):
        assert member["gains"]["log_loss"]["value"] == pytest.approx(loss - own)
        assert member["gains"]["log_loss"]["level"] == pytest.approx(1 - 0.05 / 3)
        assert member["metrics"]["log_loss"] == pytest.approx(loss)
    chosen = each.argmax(axis=2)
    pairs = [(chosen[a] != chosen[b]).mean() for a, b in ((0, 1), (0, 2), (1, 2))]
    assert found["diversity"]["disagreement"] == pytest.approx(np.mean(pairs))
    assert found["metrics"]["calibration_error"] == pytest.approx(content["metrics"]["calibration_error"])
    assert content["metrics"].keys() >= {"accuracy", "brier"} and "loss" not in content["metrics"]


def test_temperatures_make_the_log_loss_smaller_where_they_were_fitted(group: Path) -> None:
    found = evaluate_members([group], CombineRequest(split="val", resampling=QUICK, calibrate=True))
    members = found["ensemble"]["members"]
    assert all(one["metrics"]["calibrated_log_loss"] <= one["metrics"]["log_loss"] for one in members)
    plain = evaluate_members([group], CombineRequest(split="val", resampling=QUICK))
    assert found["metrics"]["log_loss"] < plain["metrics"]["log_loss"]
    assert found["metrics"]["log_loss"] == pytest.approx(plain["ensemble"]["metrics"]["calibrated_log_loss"])
    assert any("fitted on these samples" in note for note in found["ensemble"]["notes"])


def test_greedy_weights_follow_from_the_validation_split_alone(group: Path, members: Members) -> None:
    each, true = members["val"]
    own = each[:, np.arange(len(true)), true]
    expected = unit_sum(greedy_weights(mixture_loss(own), 3))
    folder = make_ensemble([group], CombineRequest(weights="greedy", resampling=QUICK))
    assert read_ensemble(folder).how.weights == pytest.approx(expected)
    assert not (folder / "eval").exists()
    content = evaluate_ensemble(folder, PLAIN)
    mean = np.tensordot(expected, members["test"][0], axes=1)
    np.testing.assert_allclose(probabilities(folder, "test")[0], mean, atol=1e-12)
    assert content["ensemble"]["gains"]["log_loss"].keys() == {"best", "mean", "equal_weights"}
    stacked = read_ensemble(make_ensemble([group], CombineRequest(weights="stacked", resampling=QUICK)))
    loss = mixture_loss(own)
    assert loss(np.array(stacked.how.weights)) <= loss(np.array(expected)) + 1e-9


def test_a_vote_is_of_classes_and_has_no_log_loss(group: Path, members: Members) -> None:
    content = evaluate_members([group], CombineRequest(vote=True, resampling=QUICK))
    each, true = members["test"]
    votes = np.eye(3)[each.argmax(axis=2)].sum(axis=0) + 0.1 * each.mean(axis=0)
    assert content["metrics"]["accuracy"] == pytest.approx((votes.argmax(axis=1) == true).mean())
    assert "log_loss" not in content["metrics"] and "log_loss" not in content["ensemble"]["gains"]


def test_an_ensemble_predicts_and_exports_what_it_was_evaluated_with(group: Path) -> None:
    pytest.importorskip("onnxruntime")
    request = CombineRequest(weights="greedy", calibrate=True, resampling=QUICK)
    folder = Path(evaluate_members([group], request)["run"])
    flowers = rows_of(folder)
    shares = predicted(folder, flowers)
    np.testing.assert_allclose(shares, probabilities(folder, "test")[0], atol=1e-9)
    content = export_run(folder, ExportRequest("onnx", with_preprocessing=True), RestoreOptions(), lambda text: None)
    import onnxruntime

    session = onnxruntime.InferenceSession(content["file"])
    (answer,) = session.run(None, {session.get_inputs()[0].name: flowers.to_numpy(np.float64)})
    np.testing.assert_allclose(answer, shares, atol=1e-5)
    assert len(content["members"]) == sum(weight > 0 for weight in read_ensemble(folder).how.weights)


def rows_of(folder: Path) -> pd.DataFrame:
    """The flowers of the test split, in the order of predictions.csv."""
    with (folder / "eval" / "test" / "predictions.csv").open(newline="") as file:
        rows = [int(row["row"]) for row in csv.DictReader(file)]
    flowers: pd.DataFrame = load_iris(as_frame=True).data
    return flowers.iloc[rows]


def predicted(folder: Path, data: Any, tta: str = "", others: tuple[Path, ...] = ()) -> np.ndarray:
    """(N, C) of `dlexp predict`."""
    collected = Collected()
    given = data if isinstance(data, pd.DataFrame) else {"data": data}
    asked = PredictRequest((), probabilities=True, given=given, others=others, tta=tta)
    predict_run(folder, asked, RestoreOptions(changes={"trainer.device": "cpu"}), collected, lambda text: None)
    names = [name for name in collected.rows[0] if name.startswith("p(")]
    return np.array([[row[name] for name in names] for row in collected.rows])


def test_runs_that_are_named_are_averaged_in_a_prediction(group: Path) -> None:
    first, second = group / "seed-42", group / "seed-43"
    flowers = load_iris(as_frame=True).data[::50]
    both = predicted(first, flowers, others=(second,))
    np.testing.assert_allclose(both, (predicted(first, flowers) + predicted(second, flowers)) / 2, atol=1e-12)
    with pytest.raises(ConfigError, match=r"seed-42.*is named twice"):
        predicted(first, flowers, others=(second, first))
    with pytest.raises(ConfigError, match="--soup: requires at least two networks, got 1"):
        make_soup([first], CombineRequest(soup="uniform"))


def test_members_that_cannot_be_combined_are_refused_together(group: Path, tmp_path: Path) -> None:
    for name, key, value in (
        ("split", "split_hash", "0" * 64),
        ("classes", "outputs", ["a"]),
        ("data", "data_fingerprint", "0" * 64),
    ):
        shutil.copytree(group / "seed-43", tmp_path / name)
        meta = read_object(tmp_path / name / "meta.json")
        write_json(tmp_path / name / "meta.json", {**meta, key: value})
    names = [group / "seed-42", *(tmp_path / name for name in ("split", "classes", "data"))]
    with pytest.raises(ConfigError) as caught:
        make_ensemble(names, PLAIN)
    assert len(caught.value.problems) == 3
    refused(caught.value, "incompatible-run", "split", "data.split_seed")
    refused(caught.value, "incompatible-run", "classes", "same classes")
    refused(caught.value, "incompatible-data", "data", "same data")
    for folders, code in (([group, group / "seed-42"], "invalid-value"), ([group / "seed-42"], "missing-value")):
        with pytest.raises(ConfigError) as caught:
            make_ensemble(folders, PLAIN)
        refused(caught.value, code)
    assert not list(Path("outputs").glob("ensemble/*"))


def test_a_study_is_refused_with_the_line_that_trains_its_best_trial(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "study.json").write_text("{}")
    with pytest.raises(ConfigError) as caught:
        make_ensemble([tmp_path / "s"], PLAIN)
    refused(caught.value, "incompatible-run", "s", "--seeds 5")


def test_a_member_that_is_gone_is_named(group: Path, tmp_path: Path) -> None:
    shutil.copytree(group, tmp_path / "g")
    folder = make_ensemble([tmp_path / "g"], PLAIN)
    shutil.rmtree(tmp_path / "g" / "seed-44")
    with pytest.raises(DlexpError) as caught:
        evaluate_ensemble(folder, PLAIN)
    refused(caught.value, "not-found", "seed-44")


def test_values_are_averaged_and_embeddings_and_votes_on_values_refused(tmp_path: Path) -> None:
    words = ("data=diabetes", "trainer.epochs=1")
    runs = [made(tmp_path / name, *words, f"seed={seed}") for seed, name in enumerate("ab")]
    content = evaluate_members(runs, CombineRequest(weights="stacked", resampling=QUICK))
    found = content["ensemble"]
    identity = found["diversity"]["member_mse"] - found["diversity"]["ambiguity"]
    std = read_object(runs[0] / "preprocessing.json")["spec"]["targets"]["std"][0]
    assert content["metrics"]["mse"] == pytest.approx(identity * std**2)
    assert found["gains"].keys() == {"mae", "mse"}
    with pytest.raises(ConfigError) as caught:
        make_ensemble(runs, CombineRequest(vote=True))
    refused(caught.value, "not-supported", "--vote")
    embeddings = twice(made(tmp_path / "e", "task=metric_learning", "trainer.epochs=1"))
    with pytest.raises(ConfigError) as caught:
        make_ensemble(embeddings, PLAIN)
    refused(caught.value, "not-supported", "task")


def test_scores_have_no_mean_and_can_vote(tmp_path: Path) -> None:
    runs = twice(made(tmp_path / "h", "loss=hinge", "trainer.epochs=1"))
    with pytest.raises(ConfigError) as caught:
        make_ensemble(runs, PLAIN)
    refused(caught.value, "not-supported", "loss", "--vote")
    assert "accuracy" in evaluate_members(runs, CombineRequest(vote=True, resampling=QUICK))["metrics"]


def test_snapshots_are_the_weights_of_their_epochs_and_make_an_ensemble(group: Path, tmp_path: Path) -> None:
    run = group / "seed-42"
    assert list(snapshot_epochs(run)) == [1, 2, 3]
    last = read_checkpoint(run / "checkpoints" / "last.pt")["networks"]
    third = read_checkpoint(run / "snapshots" / "epoch_0003.pt")["networks"]
    assert all(torch.equal(last[name], third[name]) for name in last)
    content = evaluate_members([run], CombineRequest(snapshots=True, resampling=QUICK))
    labels = [one["label"] for one in content["ensemble"]["members"]]
    assert labels == ["epoch 0001", "epoch 0002", "epoch 0003"]
    losses = [one["metrics"]["log_loss"] for one in content["ensemble"]["members"]]
    assert losses[0] > losses[2]
    shutil.rmtree(shutil.copytree(run, tmp_path / "without") / "snapshots")
    with pytest.raises(ConfigError) as caught:
        make_ensemble([tmp_path / "without"], CombineRequest(snapshots=True))
    refused(caught.value, "missing-requirement", "without", "trainer.snapshot_every")


def test_snapshots_of_epochs_that_are_trained_again_are_written_again(tmp_path: Path) -> None:
    run = made(tmp_path / "r", "trainer.snapshot_every=2", "trainer.epochs=2")
    (run / "snapshots" / "epoch_0004.pt").write_bytes(b"of an epoch that the checkpoint does not know")
    config = load((*WORDS, "trainer.snapshot_every=2", "trainer.epochs=5"), CATALOG)
    resume(RunDir(run), config, (), Silent())
    assert list(snapshot_epochs(run)) == [2, 4]
    assert read_checkpoint(run / "snapshots" / "epoch_0004.pt")["position"]["epoch"] == 4


def test_a_soup_is_the_mean_of_weights_and_a_run_like_any_other(group: Path) -> None:
    content = make_soup([group / "seed-42"], CombineRequest(soup="uniform", snapshots=True, resampling=QUICK))
    run = RunDir.find(Path(content["run"]))
    own = read_checkpoint(run / "checkpoints" / "best.pt")["networks"]
    parts = [read_checkpoint(path)["networks"] for path in snapshot_epochs(group / "seed-42").values()]
    norms = {name for name in own if "running_" in name}
    assert norms
    for name, value in mean_weights(parts).items():
        assert torch.equal(own[name], value) != (name in norms or "num_batches" in name), name
    plain = evaluate_run(run.path, "test", "best", {}, (), resampling=QUICK)
    assert plain["metrics"]["log_loss"] == pytest.approx(content["metrics"]["log_loss"], abs=1e-12)
    assert content["ensemble"]["gains"]["log_loss"]["best"]["value"] == pytest.approx(
        content["ensemble"]["members"][2]["metrics"]["log_loss"] - content["metrics"]["log_loss"]
    )
    with pytest.raises(ConfigError) as caught:
        resume(run, load((*WORDS, "trainer.snapshot_every=1"), CATALOG), (), Silent())
    refused(caught.value, "incompatible-run", "--resume", "init_from=")


def test_a_greedy_soup_is_no_worse_on_validation_than_its_best_ingredient(group: Path) -> None:
    request = CombineRequest(soup="greedy", split="val", resampling=QUICK)
    found = make_soup([group], request)["ensemble"]
    assert found["metrics"]["log_loss"] <= min(one["metrics"]["log_loss"] for one in found["members"]) + 1e-9
    assert any("did not begin at the same weights" in note for note in found["notes"])


def test_soups_of_other_shapes_are_refused_and_nothing_is_written(group: Path, tmp_path: Path) -> None:
    other = made(tmp_path / "wide", "model.hidden=[5]", "trainer.epochs=1")
    with pytest.raises(ConfigError) as caught:
        make_soup([group / "seed-42", other], CombineRequest(soup="uniform", out=tmp_path / "soup"))
    refused(caught.value, "incompatible-weights", "wide", "--ensemble")
    assert not (tmp_path / "soup").exists()


def test_views_are_averaged_beside_the_samples_as_they_are_and_predicted_alike(images: Path) -> None:
    before = (images / "eval" / "test" / "report.json").read_bytes()
    content = evaluate_views(images, CombineRequest(tta="crop", resampling=QUICK))
    found = content["ensemble"]
    assert len(found["members"]) == 5
    plain = read_object(images / "eval" / "test" / "report.json")["metrics"]["log_loss"]
    assert found["members"][0]["metrics"]["log_loss"] == pytest.approx(plain)
    assert found["gains"]["log_loss"]["best"]["value"] == pytest.approx(plain - content["metrics"]["log_loss"])
    assert (images / "eval" / "test" / "report.json").read_bytes() == before
    with (images / "eval" / "test-tta" / "predictions.csv").open(newline="") as file:
        rows = [int(row["row"]) for row in csv.DictReader(file)]
    pixels = load_digits().images[rows][:, None].astype(np.float32)
    np.testing.assert_allclose(predicted(images, pixels, "crop"), probabilities(images, "test-tta")[0], atol=1e-9)
    assert mirror_notes("flip", mirrors=False) and not mirror_notes("crop", mirrors=False)


def test_views_of_tables_are_refused(group: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        evaluate_views(group / "seed-42", CombineRequest(tta="flip"))
    refused(caught.value, "not-supported", "--tta")
