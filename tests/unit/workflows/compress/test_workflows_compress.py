"""`dlexp compress`: the run that it makes is one like any other, and what it is measured by is right."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from refusals import refused

from dlexp.artifacts.checkpoints.checkpoint import read_checkpoint
from dlexp.artifacts.files.writing import read_object
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.config.compose import load
from dlexp.config.derive import repeat, resumed_config
from dlexp.config.files.catalog import Catalog
from dlexp.engine.loop import EpochRecord, StepRecord
from dlexp.errors import ConfigError, Interrupted
from dlexp.report.number_format import number
from dlexp.report.pages.compression import compression_rows, compression_section
from dlexp.runtime.signals import StopRequest
from dlexp.workflows.compress.compress import compress
from dlexp.workflows.compress.request import CompressRequest, LowRank, Prune, Step
from dlexp.workflows.evaluate.evaluate import evaluate_run
from dlexp.workflows.reporter import Silent
from dlexp.workflows.run_record.contents import run_story
from dlexp.workflows.run_record.read import read_run_summary
from dlexp.workflows.run_record.restore import RestoreOptions, restore_run
from dlexp.workflows.train.train import Request, resume, train

CATALOG = Catalog(())
TINY = (
    *("data=iris", "model=mlp", "model.hidden=[24,16]", "model.norm=none", "model.dropout=0", "optim.lr=0.01"),
    *("data.batch_size=16", "trainer.epochs=2", "trainer.precision=fp32"),
)
HALF = Prune((0.5,), is_structured=True)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DLEXP_RUNS_DIR", str(tmp_path_factory.mktemp("runs")))
        yield Path(train(load(TINY, CATALOG), Request(TINY, ("dlexp",)), Silent())["run"])


def compressed(source: Path, *steps: Step, words: tuple[str, ...] = (), **given: Any) -> dict[str, Any]:
    request = CompressRequest(steps, repeats=0, overrides=words, command=("dlexp",), **given)
    config, changes = repeat(source, words, CATALOG)
    return compress(source, config, request, Silent(), tuple(changes))


def weights(run: str | Path, name: str = "best") -> Mapping[str, torch.Tensor]:
    found: Mapping[str, torch.Tensor] = read_checkpoint(Path(run) / "checkpoints" / f"{name}.pt")["networks"]
    return found


@pytest.fixture(scope="module")
def narrow(source: Path) -> dict[str, Any]:
    return compressed(source, LowRank(0.6), HALF)


def test_a_chain_makes_a_run_of_constructor_widths_and_weights(source: Path, narrow: dict[str, Any]) -> None:
    given = read_object(Path(narrow["run"]) / "meta.json")["config"]["compression"]
    assert given["layer_ranks"] == ["model.1=2", "model.3=5"]  # 0.6 * 4 * 24 / 28 and 0.6 * 24 * 16 / 40
    widths = ["model.1.0=4x1", "model.1.1=1x12", "model.3.0=12x2", "model.3.1=2x8", "model.5=8x3"]
    assert given["layer_widths"] == widths
    shapes = {name: tuple(weight.shape) for name, weight in weights(narrow["run"]).items()}
    assert shapes["model.1.0.weight"] == (1, 4)
    assert shapes["model.5.weight"] == (3, 8)
    report = evaluate_run(Path(narrow["run"]), "val", "best", {}, ())
    assert report["metrics"]["accuracy"] == narrow["metric"]["after"]
    network = restore_run(Path(narrow["run"]), RestoreOptions()).experiment.networks
    assert (
        sum(p.numel() for p in network.parameters()) == narrow["after"]["parameters"] < narrow["before"]["parameters"]
    )
    assert narrow["source"] == str(source)
    assert RunDir.find(Path(narrow["run"])).status().state == "finished"
    assert read_run_summary(Path(narrow["run"])).metrics["val/accuracy"] == narrow["metric"]["after"]


def test_the_table_counts_what_there_is(source: Path, narrow: dict[str, Any]) -> None:
    before, after = narrow["before"], narrow["after"]
    assert before["multiply_adds"] == 4 * 24 + 24 * 16 + 16 * 3
    assert before["parameters"] == before["multiply_adds"] + 24 + 16 + 3
    assert after["multiply_adds"] == sum(w.numel() for n, w in weights(narrow["run"]).items() if n.endswith("weight"))
    assert before["file_bytes"] == (source / "checkpoints" / "best.pt").stat().st_size
    # The 24 units of the first layer and of its activation live at a time, in float32.
    assert before["peak_bytes"] == pytest.approx(4 * (before["parameters"] + 48), abs=4 * 64)
    difference = narrow["metric"]["difference"]
    assert difference["value"] == pytest.approx(narrow["metric"]["after"] - narrow["metric"]["before"])
    assert difference["low"] <= difference["value"] <= difference["high"]
    rows = list(compression_rows(narrow))
    assert rows[0][0] == "val/accuracy"
    assert "points" in rows[0][3]
    assert compression_section(narrow).parts


def test_the_interval_is_that_of_dlexp_compare(source: Path, narrow: dict[str, Any]) -> None:
    from dlexp.workflows.compare.compare import CompareOptions, compare

    evaluate_run(source, "val", "best", {}, ())
    found = compare([source, Path(narrow["run"])], CompareOptions(split="val"))
    (pair,) = found.pairs
    sign = -1 if pair.difference.value * narrow["metric"]["difference"]["value"] < 0 else 1
    assert narrow["metric"]["difference"]["value"] == pytest.approx(sign * pair.difference.value)
    low, high = sorted(sign * end for end in (pair.difference.low, pair.difference.high))
    assert (low, high) == pytest.approx((narrow["metric"]["difference"]["low"], narrow["metric"]["difference"]["high"]))


def test_a_pruned_run_has_no_masks_and_keeps_its_zeros_over_fine_tuning(source: Path) -> None:
    found = compressed(source, Prune((0.75,), "global"), epochs=2, words=("optim.lr=0.02",))
    state = weights(found["run"])
    assert not [name for name in state if "_orig" in name or "_mask" in name]
    kernels = [weight for name, weight in state.items() if name.endswith("weight")]
    zeros = sum(int((weight == 0).sum()) for weight in kernels)
    assert zeros == round(0.75 * sum(weight.numel() for weight in kernels))
    assert found["after"]["sparsity"] == pytest.approx(0.75, abs=1e-3)
    assert any(not torch.equal(state[name], weights(source)[name]) for name in state)
    assert read_object(Path(found["run"]) / "meta.json")["config"]["optim"]["lr"] == 0.02


def test_the_best_epoch_of_a_growing_sparsity_is_one_with_all_of_it(source: Path) -> None:
    found = compressed(source, Prune((0.9,), is_gradual=True), epochs=3)
    assert read_object(Path(found["run"]) / "summary.json")["best_epoch"] >= 2
    assert found["after"]["sparsity"] == pytest.approx(0.9, abs=0.01)


def test_without_fine_tuning_the_run_can_still_be_trained_and_falls_no_lower(source: Path) -> None:
    found = compressed(source, Prune((0.5,)))
    run = Path(found["run"])
    config, _ = resumed_config(run, ["trainer.epochs=1"], CATALOG)
    summary = resume(RunDir(run), config, (), Silent())
    assert summary["epochs"] == 1
    assert summary["best"]["loss"] <= found_loss(found) + 1e-6
    assert (weights(run)["model.1.weight"] == 0).float().mean() == pytest.approx(0.5)


def found_loss(found: Mapping[str, Any]) -> float:
    value = evaluate_run(Path(found["run"]), "val", "best", {}, ())["metrics"]["loss"]
    return math.inf if value is None else float(value)


def test_a_fine_tuning_that_is_stopped_ends_as_one_that_is_not(source: Path, tmp_path: Path) -> None:
    steps = (Prune((0.5,), is_gradual=True),)
    whole = compressed(source, *steps, epochs=2, run_dir=tmp_path / "whole")
    request = CompressRequest(steps, epochs=2, repeats=0, command=("dlexp",), run_dir=tmp_path / "stopped")
    config, _ = repeat(source, (), CATALOG)

    class StopsAt(Silent):
        def observe(self, event: StepRecord | EpochRecord) -> None:
            if isinstance(event, StepRecord) and event.step == 9:
                raise Interrupted("stopped", 75)

    with pytest.raises(Interrupted):
        compress(source, config, replace(request), StopsAt())
    again, _ = resumed_config(tmp_path / "stopped", [], CATALOG)
    resume(RunDir(tmp_path / "stopped"), again, (), Silent(), StopRequest())
    for name, weight in weights(tmp_path / "stopped", "last").items():
        assert torch.equal(weight, weights(whole["run"], "last")[name]), name


def test_several_strengths_make_a_run_each_and_a_picture(source: Path, tmp_path: Path) -> None:
    found = compressed(source, Prune((0.3, 0.9)), run_dir=tmp_path / "all")
    assert [each["run"] for each in found["strengths"]] == [str(tmp_path / "all" / f"prune-{s}") for s in (0.3, 0.9)]
    assert found["front"][-1] == "--prune 0.9"  # the smallest
    assert (tmp_path / "all" / "pareto.png").read_bytes().startswith(b"\x89PNG")
    content = read_object(tmp_path / "all" / "compress.json")
    assert [each["metric"]["after"] for each in content["strengths"]] == [
        e["metric"]["after"] for e in found["strengths"]
    ]
    assert run_story(RunDir(tmp_path / "all" / "prune-0.3"), CATALOG).compression["steps"] == "--prune 0.3"


def test_the_baseline_has_the_same_structure_and_other_weights(source: Path) -> None:
    found = compressed(source, HALF, has_baseline=True, epochs=1)
    own, compared = weights(found["baseline"]["run"]), weights(found["run"])
    assert {n: w.shape for n, w in own.items()} == {n: w.shape for n, w in compared.items()}
    assert found["baseline"]["epochs"] == 3
    accuracy = number("val/accuracy", found["baseline"]["metrics"]["accuracy"])
    assert ("val/accuracy of the baseline, from random weights", "", accuracy, "") in list(compression_rows(found))


def test_a_network_that_cannot_be_taken_apart_is_refused_with_the_layer_in_the_way(source: Path) -> None:
    words = ("data=iris", "model=mlp", "model.hidden=[]", "trainer.epochs=1", "trainer.precision=fp32")
    plain = Path(train(load(words, CATALOG), Request(words, ("dlexp",)), Silent())["run"])
    with pytest.raises(ConfigError) as caught:
        compressed(plain, HALF)
    refused(caught.value, "not-supported", "model", "Use --prune without --structured.")
    assert "1: its outputs are those of the network" in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        compressed(plain, LowRank(0.5))
    refused(caught.value, "not-supported", "model")
