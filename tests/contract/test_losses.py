"""The losses from the command line down: one logit, weights measured on the training split, and every key's effect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from refusals import refused
from typed_specs import classes_of

from dlexp.artifacts.files.writing import read_json
from dlexp.assemble.experiment import assemble
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.nodes import build
from dlexp.data.columns import tensor_of
from dlexp.engine.evaluate import evaluate
from dlexp.errors import ConfigError
from dlexp.losses.output_decoding import ClassDecoder, class_decoder
from dlexp.metrics.class_samples import ClassSampleState
from dlexp.tasks.base import Phase
from dlexp.workflows.evaluate.evaluate import evaluate_run
from dlexp.workflows.reporter import Silent
from dlexp.workflows.train.train import Request, train

CATALOG = Catalog()
COUNTS = (9, 3)
NEEDS = {"values": ["data=diabetes"], "embedding": ["data=iris", "task=metric_learning"], "scores": ["data=iris"]}
# option -> key -> what to change it to, and what must be set beside it for it to matter
CHANGES: dict[str, dict[str, list[str]]] = {
    "cross_entropy": {"label_smoothing": ["0.2"], "smoothing_kind": ["others", "label_smoothing=0.2"]},
    "kl": {
        "temperature": ["2"],
        "label_smoothing": ["0.2"],
        "smoothing_kind": ["others", "label_smoothing=0.2"],
    },
    "nll": {},
    "bce": {
        "pos_weight": ["2"],
        "label_smoothing": ["0.2"],
        "smoothing_kind": ["others", "label_smoothing=0.2"],
    },
    "focal": {"gamma": ["1"], "alpha": ["[0.3,0.7]"]},
    "focal_binary": {"gamma": ["1"], "alpha": ["0.5"]},
    "hinge": {"margin": ["2"], "power": ["2"]},
    "multi_margin": {"margin": ["2"], "power": ["2"]},
    "perceptron": {},
    "mse": {},
    "mae": {},
    "smooth_l1": {"beta": ["0.3"]},
    "huber": {"delta": ["0.3"]},
    "mse_mae": {"mae_weight": ["1"]},
    "quantile": {"quantiles": ["[0.2,0.5,0.9]"]},
    "poisson": {},
    "contrastive": {"margin": ["2"], "positive_weight": ["3"]},
    "triplet": {"margin": ["2"], "mining": ["batch_hard"]},
    "arcface": {"margin": ["0.2"], "scale": ["4"], "margin_on": ["cosine"], "directions": ["fixed"]},
}
PAIRS = [(o, key) for o, keys in CHANGES.items() for key in keys] + [
    (o, "class_weights") for o in CHANGES if "class_weights" in CATALOG.keys("loss", o)
]


def kind(option: str) -> str:
    lines = CATALOG.options("loss")[option].path.read_text().splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith("_outputs_:"))


def value(option: str, *words: str) -> float:
    """The loss of some fixed outputs."""
    node = load([f"loss={option}", *NEEDS[kind(option)], *(f"loss.{word}" for word in words)], CATALOG).loss
    torch.manual_seed(4)  # of directions that are learned
    loss = build(node, {"class_counts": COUNTS, "target_min": (0.0,), "embedding_size": 5}, ())
    rng = torch.Generator().manual_seed(1)
    if kind(option) == "values":
        width = 3 if option == "quantile" else 1
        return float(loss(torch.randn(8, width, generator=rng), torch.randn(8, 1, generator=rng).abs()))
    width = class_decoder(loss).num_outputs(2) if kind(option) == "scores" else 5
    targets = torch.tensor([0, 1, 0, 0, 1, 1, 0, 0])
    return float(loss(0.5 * torch.randn(8, width, generator=rng), targets).detach())


def test_every_key_of_every_loss_is_listed_here() -> None:
    written = {option: set(CATALOG.keys("loss", option)) - {"class_weights"} for option in CATALOG.options("loss")}
    assert written.pop("none") == set()
    assert {option: set(keys) for option, keys in CHANGES.items()} == written
    assert len(PAIRS) == 37


@pytest.mark.parametrize(("option", "key"), PAIRS)
def test_every_key_changes_the_loss(option: str, key: str) -> None:
    changed, *beside = ["[1,3]"] if key == "class_weights" else CHANGES[option][key]
    before, after = value(option, *beside), value(option, f"{key}={changed}", *beside)
    assert abs(after - before) > 1e-3 * abs(before)


@pytest.mark.parametrize("option", [o for o in CHANGES if "label_smoothing" in CHANGES[o]])
def test_regularization_sets_the_smoothing_of_any_loss_that_has_it(option: str) -> None:
    config = load([f"loss={option}", "data=breast_cancer", "regularization.label_smoothing=0.07"], CATALOG)
    assert config.loss.arguments["label_smoothing"] == 0.07


def small(*words: str) -> Any:
    return assemble(load(["trainer.device=cpu", "trainer.precision=fp32", "model=mlp", *words], CATALOG))


def test_class_weights_are_measured_on_the_training_split_alone() -> None:
    built = small("data=breast_cancer", "data.balance=weights", "data.val_fraction=0.3")
    counts = torch.bincount(tensor_of(built.bundle.splits["train"].targets)).double()
    assert classes_of(built.bundle.spec).counts == tuple(counts.int().tolist())
    weights = built.task._criterion.weights.double()
    torch.testing.assert_close(weights, counts.sum() / (2 * counts), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("loss", "width"), [("bce", 1), ("focal_binary", 1), ("hinge", 1), ("multi_margin", 2), ("perceptron", 1)]
)
def test_the_loss_decides_how_many_numbers_the_network_puts_out(loss: str, width: int) -> None:
    built = small("data=breast_cancer", f"loss={loss}")
    assert list(built.networks["model"].parameters())[-1].shape == (width,)
    found = evaluate(built.task, built.networks, built.split("val"), built.precision, built.task.report_state(), seed=0)
    assert next(found.state.part(ClassSampleState).samples().outputs.blocks()).shape[1] == 2
    report = built.task.report(built.bundle.spec, found.state)
    assert ("log_loss" in report.metrics) == (loss in ("bce", "focal_binary"))
    meaning = "p" if loss in ("bce", "focal_binary") else "score"
    assert report.tables["predictions"].header[-2:] == [f"{meaning}(malignant)", f"{meaning}(benign)"]
    assert ("confidence" in report.tables["predictions"].header) == (meaning == "p")
    assert report.metrics["accuracy"] == pytest.approx(found.metrics["accuracy"])


def test_quantiles_reach_the_report() -> None:
    built = small("data=diabetes", "loss=quantile", "loss.quantiles=[0.25,0.5,0.75]", "model.hidden=[8]")
    found = evaluate(built.task, built.networks, built.split("val"), built.precision, built.task.report_state(), seed=0)
    report = built.task.report(built.bundle.spec, found.state)
    assert report.tables["predictions"].header == ["row", "true target", "predicted target"] + [
        f"q{q} target" for q in (0.25, 0.5, 0.75)
    ]
    rows = list(report.tables["predictions"].rows)
    assert all(row[3] <= row[4] <= row[5] and row[2] == row[4] for row in rows)
    below = report.facts["per_output"]["target"]["share_below_q0.75"]
    assert below == pytest.approx(sum(row[1] <= row[5] for row in rows) / len(rows))


@pytest.mark.parametrize(
    ("words", "code", "where", "remedy"),
    [
        ("loss=bce", "invalid-value", "loss", ""),
        ("loss.class_weights=[1,2]", "invalid-value", "loss", ""),
        ("loss=triplet", "cannot-combine", "loss", "loss=cross_entropy"),
        ("loss=triplet", "cannot-combine", "loss", "task=metric_learning"),
        ("task=metric_learning loss=focal", "cannot-combine", "loss", "loss=triplet"),
        ("task=metric_learning loss=focal", "cannot-combine", "loss", "task=classification"),
        ("task=metric_learning data=diabetes", "incompatible-data", "task loss", ""),
        ("loss.class_weights=equal", "invalid-type", "loss.class_weights", ""),
        ("loss=focal loss.alpha=much", "invalid-type", "loss.alpha", ""),
        ("loss=focal loss.alpha=-1", "out-of-range", "loss.alpha", ""),
        (
            "loss=hinge regularization.label_smoothing=0.1",
            "not-supported",
            "regularization.label_smoothing",
            "regularization.label_smoothing=null",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(words: str, code: str, where: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        small(*words.split())
    assert {problem.where for problem in caught.value.problems} == set(where.split())
    for place in where.split():
        refused(caught.value, code, place, remedy)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("loss=bce", "loss=cross_entropy"),
        ("loss.class_weights=[1,2]", "class_weights"),
        ("task=metric_learning data=diabetes", "data=diabetes"),
        ("loss.class_weights=balanced", "data.balance=weights"),
        ("loss=focal loss.alpha=-1", ">= 0"),
    ],
)
def test_what_would_do_is_named(words: str, named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        small(*words.split())
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("key", "changed"), [("embedding_size", "7"), ("normalize", "false"), ("k", "1"), ("monitor", "val/recall_at_5")]
)
def test_every_key_of_metric_learning_changes_something(key: str, changed: str) -> None:
    def outcome(*words: str) -> Any:
        built = small("data=wine", "data.val_fraction=0.4", "task=metric_learning", "model.hidden=[]", *words)
        found = evaluate(built.task, built.networks, built.split("val"), built.precision, seed=0)
        return built.config.monitor, found.metrics

    assert {key} <= {"embedding_size", "normalize", "k", "monitor"} == set(CATALOG.keys("task", "metric_learning"))
    assert outcome() != outcome(f"task.{key}={changed}")


def test_directions_of_classes_are_learned_kept_and_judged_with_the_network(tmp_path: Path) -> None:
    words = ["data=wine", "task=metric_learning", "loss=arcface", "model.hidden=[8]", "trainer.epochs=2"]
    words += ["trainer.device=cpu", "task.embedding_size=2"]  # fewer numbers than classes
    run = tmp_path / "run"
    summary = train(load(words, CATALOG), Request(tuple(words), (), run), Silent())
    begun = small(*words)
    assert begun.task.phases == {"train": Phase(("model", "loss"))}
    before = begun.networks["loss"].directions
    weights = torch.load(run / "checkpoints" / "best.pt", weights_only=True)["networks"]
    after = next(value for name, value in weights.items() if name.endswith("loss.directions"))
    assert after.shape == before.shape == (3, 2)
    assert not torch.equal(after, before)
    # The same loss comes out of the stored directions, and would not out of those that they began with.
    again = evaluate_run(run, "val", "best", {}, ())["metrics"]["loss"]
    assert again == pytest.approx(summary["best"]["loss"], rel=1e-5)
    fixed = small(*words, "loss.directions=fixed", "task.embedding_size=3")
    assert list(fixed.networks) == ["model"]


def test_metric_learning_trains_and_evaluates_end_to_end(tmp_path: Path) -> None:
    words = [
        "data=wine",
        "task=metric_learning",
        "model.hidden=[16]",
        "model.dropout=0",
        "trainer.epochs=12",
        "trainer.device=cpu",
    ]
    run = tmp_path / "run"
    summary = train(load(words, CATALOG), Request(tuple(words), (), run), Silent())
    assert summary["monitor"] == "val/knn_accuracy"
    untrained = small(*words)
    before = evaluate(untrained.task, untrained.networks, untrained.split("val"), untrained.precision, seed=0).metrics
    closer = summary["best"]["same_distance"] / summary["best"]["other_distance"]
    assert closer < 0.8 * before["same_distance"] / before["other_distance"]
    report = evaluate_run(run, "test", "best", {}, ())
    assert report["metrics"]["accuracy"] == pytest.approx(report["metrics"]["knn_accuracy"])
    assert report["metrics"]["accuracy"] > 0.8
    assert "log_loss" not in report["metrics"]
    table = (run / "eval" / "test" / "predictions.csv").read_text().splitlines()
    assert table[0].startswith("row,true,predicted,vote(class_0),vote(class_1),vote(class_2),e0,e1,")
    assert len(table) == 1 + report["samples"]
    lengths = [sum(float(x) ** 2 for x in line.split(",")[6:]) for line in table[1:]]
    assert lengths == pytest.approx([1.0] * len(lengths), abs=1e-5)
    assert read_json(run / "eval" / "test" / "report.json")["metrics"] == report["metrics"]


def test_a_decoder_is_found_on_every_loss_of_scores() -> None:
    for option in (o for o in CHANGES if kind(o) == "scores"):
        node = load([f"loss={option}", "data=breast_cancer"], CATALOG).loss
        assert isinstance(build(node, {"class_counts": COUNTS}, ()).decoder, ClassDecoder)
