"""`dlexp adapt`: what it measures, what it leaves alone, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from refusals import refused

from dlexp.artifacts.checkpoints.checkpoint import read_checkpoint
from dlexp.artifacts.files.writing import read_object, write_json
from dlexp.artifacts.runs.run_dir import RunDir, named_run
from dlexp.assemble.experiment import build_data
from dlexp.cli.commands.results import adapt as words_of_adapt
from dlexp.config.compose import load
from dlexp.config.derive import repeat
from dlexp.config.files.catalog import Catalog
from dlexp.data.columns import tensor_of
from dlexp.data.sources import sklearn_sets
from dlexp.data.splitting import split_rows
from dlexp.errors import ConfigError, DataError, DlexpError
from dlexp.types import as_tensor
from dlexp.workflows.adapt import adapt
from dlexp.workflows.evaluate.evaluate import evaluate_run
from dlexp.workflows.reporter import Silent
from dlexp.workflows.train.train import Request, train

CATALOG = Catalog(())
REAL_SPLIT = split_rows
TINY = ("model=simple_cnn", "model.channels=[4,6]", "model.fc=8", "trainer.epochs=2", "trainer.precision=fp32")
# Of 1,259 training images the last is alone in its batch.
BLURRED = ("data.domain=blurred", "data.eval_batch_size=1258")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunDir]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DLEXP_RUNS_DIR", str(tmp_path_factory.mktemp("runs")))
        config = load([*TINY, "init_head=keep"], CATALOG)
        content = train(config, Request(TINY, ("dlexp",)), Silent())
        yield RunDir(Path(content["run"]))


def adapted(source: RunDir, *words: str) -> dict[str, Any]:
    config, changes = repeat(source.path, words, CATALOG)
    return adapt(source, config, Request(words, ("dlexp",), changes=tuple(changes)))


def test_statistics_are_those_of_the_other_data_and_no_weight_moves(source: RunDir) -> None:
    content = adapted(source, *BLURRED)
    before = read_checkpoint(source / "checkpoints" / "best.pt")["networks"]
    after = read_checkpoint(Path(content["run"]) / "checkpoints" / "best.pt")["networks"]
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if "running" in name or "num_batches" in name}
    bundle = build_data(load([*TINY, *BLURRED], CATALOG))
    inputs = as_tensor(bundle.preprocess(tensor_of(bundle.splits["train"].inputs)[:1258]))
    weight, bias = after["model.0.weight"], after["model.0.bias"]
    maps = torch.nn.functional.conv2d(inputs, weight, bias, padding=1).transpose(0, 1).flatten(1)
    torch.testing.assert_close(after["model.1.running_mean"], maps.mean(1), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(after["model.1.running_var"], maps.var(1), rtol=1e-3, atol=1e-4)


def test_the_run_is_one_to_evaluate_and_tells_what_it_came_from(source: RunDir) -> None:
    content = adapted(source, *BLURRED)
    assert content["source"] == str(source.path)
    assert content["val"]["before"] != content["val"]["after"] == content["best"]
    run = RunDir.find(named_run("latest"))
    assert run.status().state == "finished"
    assert named_run(run.path.name).resolve() == run.path.resolve()
    assert read_object(run / "meta.json")["config"]["init_from"] == str(source.path.resolve())
    report = evaluate_run(run.path, "val", "best", {}, ())
    assert {name: report["metrics"][name] for name in content["best"]} == pytest.approx(content["best"])
    assert report["data_as_trained"]


def test_no_label_is_used(source: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    real = sklearn_sets._read_digits
    weights = []
    for flip in (False, True):
        images, labels = real()
        monkeypatch.setattr(sklearn_sets, "_read_digits", lambda i=images, n=labels, f=flip: (i, (9 - n) if f else n))

        # Splits are drawn by class: the same rows need the same labels, so the labels are changed behind the split.
        def split(count: int, how: Any, labels: Any, *rest: Any, f: bool = flip) -> Any:
            return REAL_SPLIT(count, how, (9 - labels) if f else labels, *rest)

        monkeypatch.setattr(sklearn_sets, "split_rows", split)
        content = adapted(source, *BLURRED)
        weights.append(read_checkpoint(Path(content["run"]) / "checkpoints" / "best.pt")["networks"])
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_network_without_running_statistics_and_other_classes_are_refused(
    source: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError) as error:
        adapted(source, "data.classes=[0,1]")
    refused(error.value, "incompatible-data", "'9'", "init_head=new")
    monkeypatch.setenv("DLEXP_RUNS_DIR", str(tmp_path))
    words = (*TINY, "model.norm=layer", "trainer.epochs=1")
    content = train(load(words, CATALOG), Request(words, ("dlexp",)), Silent())
    plain = RunDir(Path(content["run"]))
    with pytest.raises(ConfigError) as refusal:
        adapted(plain, *BLURRED)
    refused(refusal.value, "not-supported", "model", "model.norm=batch")
    (plain / "checkpoints" / "best.pt").unlink()
    write_json(plain / "summary.json", {})
    with pytest.raises(DlexpError) as missing:
        adapted(plain, *BLURRED)
    refused(missing.value, "not-found", str(plain.path))
    assert not (tmp_path / "adapt").exists()


@pytest.mark.parametrize(
    ("words", "where", "message"),
    [
        (("optim.lr=0.1", "data.domain=noisy"), "optim.lr", "trainer.device"),
        (("trainer.dvice=cpu", "data.domain=noisy"), "trainer.dvice", "trainer.device?"),
        ((), "data", "data="),
        (("trainer.device=cpu",), "data", "data="),
        (("data.domain=foggy",), "data.domain", "clean, noisy, blurred, thick, inverted"),
    ],
)
def test_words_that_are_not_about_data_are_refused(
    source: RunDir, words: tuple[str, ...], where: str, message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        words_of_adapt.adapt(str(source.path), list(words), json=True)
    (problem,) = error.value.problems
    assert (problem.where, message in str(problem)) == (where, True)


def test_the_answer_can_be_read_and_the_run_may_be_left_out(
    source: RunDir, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DLEXP_RUNS_DIR", str(source.path.parents[1]))
    source.point_latest()
    words_of_adapt.adapt("data.domain=thick")
    out = capsys.readouterr().out
    assert "1,259 samples" in out

    assert "next: dlexp evaluate" in out
