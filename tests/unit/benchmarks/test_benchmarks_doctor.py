"""The bench of the doctor: what is planted is there, places are counted right, mended runs are told from others."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from benchmarks.doctor import sick_networks
from benchmarks.doctor.autotrainer import problems
from benchmarks.doctor.examination import rank, wilson
from benchmarks.doctor.files import FILES, NOISE, path_of
from benchmarks.doctor.healthy import healthy_runs
from benchmarks.doctor.kinds.all import KINDS
from benchmarks.doctor.kinds.kind import Case, Kind
from benchmarks.doctor.remedies import is_mended, with_words
from benchmarks.doctor.rows import Row, planned
from benchmarks.doctor.runs import CONFIG_DIRS, TRUSTED, Outcome, Store
from benchmarks.doctor.tables import by_kind, summary
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.diagnosis.verdict import Fault

CASE = Case("mlp", {"model": "mlp"}, {"optim.lr": "9"})
TOY = Kind("toy", ("rate_too_high",), "a rate", (CASE, CASE, Case("vit", {"model": "vit"}, {"optim.lr": "9"})))
SHAPE: dict[str, Any] = {"input_shape": (1, 8, 8), "num_outputs": 10, "activation": "relu"}
BODIES = ("mlp", "cnn", "attention")


def outcome(error: str = "", **columns: list[float]) -> Outcome:
    found = {f"train/{name}": values for name, values in columns.items()}
    return Outcome("key", (), "nowhere", {"val/loss": 1.0}, {"val/loss": 2.0}, 0.0, error, found)


def test_every_code_of_the_doctor_is_planted_and_no_other() -> None:
    assert {code for kind in KINDS for code in kind.codes} == set(get_args(Fault))
    assert len(KINDS) >= 25
    assert all(1 <= len(kind.codes) <= 2 for kind in KINDS)
    assert len({kind.name for kind in KINDS}) == len(KINDS)
    assert len({line for line, _ in healthy_runs(60)}) == 60


def test_each_kind_is_in_three_networks_and_the_last_is_kept_back() -> None:
    for kind in KINDS:
        assert len({case.network for case in kind.cases}) == 3, kind.name
    kept = {(plan.case.network, plan.seed) for plan in planned([TOY], (), (0, 1, 2)) if plan.is_kept_back}
    assert kept == {("mlp", 2), ("vit", 0), ("vit", 1), ("vit", 2)}
    halves = [list(planned(KINDS, (), (0, 1), (part, 2))) for part in (1, 2)]
    assert sorted(map(repr, halves[0] + halves[1])) == sorted(map(repr, planned(KINDS, (), (0, 1))))


@pytest.mark.parametrize("kind", KINDS[::9], ids=lambda kind: kind.name)
def test_words_make_a_configuration(kind: Kind, tmp_path: Path) -> None:
    catalog = Catalog(tuple(map(Path, CONFIG_DIRS)), TRUSTED)
    for words in (kind.cases[0].words, kind.cases[0].healthy):
        made = {key: str(path_of(value[1:], 0, tmp_path)) if value[0] == "@" else value for key, value in words.items()}
        assert load([f"{key}={value}" for key, value in made.items()], catalog).trainer.epochs >= 1


def planted(name: str) -> pd.DataFrame:
    made = FILES[name](np.random.default_rng(3))
    assert isinstance(made, pd.DataFrame)
    return made


def test_tables_hold_what_is_planted() -> None:
    def classes(name: str) -> pd.Series[str]:
        return planted(name)["target"]

    clean, noisy, shuffled = classes("cancer"), classes("cancer-noise"), classes("cancer-shuffled")
    assert (clean != noisy).mean() == pytest.approx(NOISE, abs=0.06)
    assert 0.3 < (clean != shuffled).mean() < 0.6
    assert sorted(clean) == sorted(shuffled)
    copies = planted("drawn-copies")
    rows = copies.drop(columns="part").astype(str).agg(",".join, axis=1)
    shared = rows[copies["part"] == "val"].isin(set(rows[copies["part"] == "train"]))
    assert shared.mean() == pytest.approx(0.5, abs=0.01)
    leak = planted("drawn-leak")
    assert ((leak["invoice"] > 0.5) == (leak["target"] == "yes")).mean() > 0.99
    shift = planted("drawn-shift").groupby("part")["f3"].mean()
    assert shift["val"] - shift["train"] > 1.5 * planted("drawn")["f3"].std()
    assert (planted("rare")["target"] == "yes").mean() == pytest.approx(0.065, abs=0.03)
    order = planted("values-sorted")
    assert order.groupby("part")["target"].max()["train"] <= order.groupby("part")["target"].min()["val"]
    assert planted("values-outliers")["target"].std() > 1000 * planted("values")["target"].std()


def test_images_hold_what_is_planted(tmp_path: Path) -> None:
    def made(name: str) -> dict[str, np.ndarray]:
        return dict(np.load(path_of(name, 5, tmp_path)))

    names = ("digits", "digits-noise", "digits-train-noise", "digits-shifted")
    for files in (made(name) for name in names):
        assert files["x"].shape == (1797, 8, 8)
        assert set(files["part"]) == {"train", "val", "test"}
    noisy = made("digits-train-noise")
    assert made("digits-train-noise")["y"].tolist() == noisy["y"].tolist()  # the same file again
    copies = made("digits-copies")
    known = {image.tobytes() for image in copies["x"][copies["part"] == "train"]}
    assert np.mean([image.tobytes() in known for image in copies["x"][copies["part"] == "val"]]) > 0.48


@pytest.mark.parametrize("body", BODIES)
def test_sick_networks_have_their_mistake(body: str) -> None:
    inputs = torch.rand(32, 1, 8, 8)
    arguments: dict[str, Any] = {**SHAPE, "body": body}
    assert torch.allclose(sick_networks.softmax_end(**arguments)(inputs).sum(1), torch.ones(32))
    ended = sick_networks.sigmoid_end(**arguments)(inputs)
    assert ended.min() >= 0
    assert ended.max() <= 1
    for network in (sick_networks.cut(**arguments), sick_networks.skipping(**arguments, in_features=64)):
        network(inputs).sum().backward()
        assert {name.split(".")[0] for name, weight in network.named_parameters() if weight.grad is None} == {
            "features"
        }
    assert sick_networks.half_weights(**arguments)(inputs).dtype == torch.float32
    broken = sick_networks.root(**arguments, limit=-100.0)  # below all features: NaN in the gradient, not in the output
    output = broken(inputs)
    assert output.isfinite().all()
    output.sum().backward()
    assert any(not weight.grad.isfinite().all() for weight in broken.parameters() if weight.grad is not None)


def test_dead_units_and_large_weights() -> None:
    torch.manual_seed(0)
    seen: list[torch.Tensor] = []
    network = sick_networks.dead(**SHAPE, body="mlp", bias=-6.0)
    for layer in network.modules():
        if isinstance(layer, nn.ReLU):
            layer.register_forward_hook(lambda module, given, output: seen.append(output))
    network(torch.rand(64, 1, 8, 8))
    assert len(seen) == 2
    assert all((output == 0).all() for output in seen)
    plain, large = (
        sick_networks.plain(**SHAPE, body="cnn"),
        sick_networks.large_weights(**SHAPE, body="cnn", factor=20.0),
    )
    assert large[0][0].weight.std() > 10 * plain[0][0].weight.std()  # type: ignore[index]


@pytest.mark.parametrize(("gain", "low", "high"), [(3.0, 1e2, math.inf), (0.15, 0.0, 1e-6)])
def test_deep_networks_multiply_what_passes(gain: float, low: float, high: float) -> None:
    torch.manual_seed(0)
    network = sick_networks.deep(in_features=64, num_outputs=10, layers=10, gain=gain, activation="relu")
    network(torch.rand(16, 1, 8, 8)).sum().backward()
    weights = [weight.grad for weight in network.parameters() if weight.dim() > 1 and weight.grad is not None]
    assert low < float(weights[0].norm()) < high


def test_places_are_counted_from_the_first_right_code() -> None:
    findings = [{"code": code} for code in ("plateau", "rate_too_low", "rate_too_low")]
    assert rank(findings, ("rate_too_low", "other")) == 2
    assert rank(findings, ("plateau",)) == 1
    assert rank(findings, ("not_finite",)) is None
    assert wilson(3, 60) == pytest.approx((0.0171, 0.1370), abs=1e-3)


def test_half_of_the_gap_must_be_closed() -> None:
    assert is_mended(TOY, 0.9, 0.1, 0.5)
    assert not is_mended(TOY, 0.9, 0.1, 0.49)
    assert not is_mended(TOY, 0.9, 0.1, 0.05)
    loss = Kind("toy", ("rate_too_high",), "", TOY.cases, "loss")
    assert is_mended(loss, 0.2, 1.0, 0.6)
    assert not is_mended(loss, 0.2, 1.0, 0.7)
    assert is_mended(loss, 0.2, math.inf, 0.5)
    assert not is_mended(loss, 0.2, math.inf, math.inf)


def test_a_remedy_takes_the_place_of_words() -> None:
    words = {"optim": "sgd", "optim.lr": "9", "model": "mlp"}
    assert with_words(words, ["optim.lr=0.1"]) == {**words, "optim.lr": "0.1"}
    assert with_words(words, ["optim=adamw"]) == {"optim": "adamw", "model": "mlp"}
    assert with_words(words, ["data.columns={a=b: drop}"])["data.columns"] == "{a=b: drop}"


def test_the_baseline_reports_nothing_of_good_runs_and_all_of_what_is_not_finite() -> None:
    assert problems(outcome(loss=[1.0, 0.5], accuracy=[0.5, 0.9])) == []
    assert problems(outcome("diverged", loss=[1.0], accuracy=[0.1]))[0] == "not_finite"
    assert problems(outcome(loss=[1.0, math.nan], accuracy=[0.1, 0.1]))[0] == "not_finite"


def test_a_run_that_failed_is_worse_than_any_other() -> None:
    assert outcome().metric("loss", "best") == 1.0
    assert outcome().metric("loss", "last") == 2.0
    assert outcome("diverged").metric("loss", "best") == math.inf
    assert outcome("diverged").metric("accuracy", "best") == 0.0


def test_records_survive_and_the_latest_counts(tmp_path: Path) -> None:
    store = Store(tmp_path / "a" / "b.jsonl")
    store.add({"key": "x", "value": 1})
    store.add({"key": "x", "value": 2})
    assert Store(store.path).records == {"x": {"key": "x", "value": 2}}


def test_tables_name_the_misses() -> None:
    first, second, third = list(planned([TOY], (), (0,)))
    rows = [
        Row(first, 1, ("rate_too_high",), 1, None, (0.9, 0.1)),
        Row(second, 3, ("plateau", "overfitting", "rate_too_high"), None, None, (0.9, 0.3)),
        Row(third, None, (), None, None, (0.9, 0.2)),
    ]
    line = by_kind(rows).splitlines()[2]
    assert line == (
        "| toy | a rate | accuracy: 0.9, 0.2 | rate_too_high | 3 | 1 | 1 | no words | 1 "
        "| mlp 0: plateau, overfitting, rate_too_high; vit 0: nothing |"
    )
    assert "| kept back | 0/1 = 0.0% (0.0% to 79.3%)" in summary(rows)
