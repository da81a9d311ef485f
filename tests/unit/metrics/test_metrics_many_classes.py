"""Very many classes: what is written is cut and says so, and nothing has C x C cells."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from report_of import column_of, curves_of, rows_of
from sklearn import metrics as sk
from torch import nn

from dlexp.data.bundle import DataBundle, Split
from dlexp.data.preprocess import Affine
from dlexp.engine.evaluate import evaluate
from dlexp.losses.classification import CrossEntropy
from dlexp.metrics import row_store
from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.class_samples import ClassSampleState
from dlexp.metrics.reports import prediction_rows
from dlexp.metrics.reports.classes import PER_CLASS
from dlexp.runtime.precision import Precision
from dlexp.specs import ClassSpec, DataSpec, TableSpec
from dlexp.tasks.classification import Classification
from dlexp.types import Batch
from dlexp.workflows.evaluate.files import report_facts, write_figures, write_tables

pytestmark = pytest.mark.pictures

CLASSES, COUNT = 1010, 90


@pytest.fixture
def drawn() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (N, C) and targets, of which many classes have none and some one."""
    rng = torch.Generator().manual_seed(0)
    targets = torch.randint(CLASSES, (COUNT,), generator=rng)
    logits = torch.randn(COUNT, CLASSES, generator=rng)
    logits[torch.arange(COUNT), targets] += 3
    return logits, targets


def test_an_evaluation_of_many_classes_is_cut_and_says_so(
    drawn: tuple[torch.Tensor, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits, targets = drawn
    monkeypatch.setattr(row_store, "_LARGE_BYTES", 1)
    monkeypatch.setattr(row_store, "_CHUNK_BYTES", logits[:80].nbytes)  # one batch and a part of the next
    names = tuple(f"c{n}" for n in range(CLASSES))
    spec = DataSpec(TableSpec(CLASSES), ClassSpec(names))
    task = Classification(spec=spec, loss=CrossEntropy())
    batches = [Batch(logits[p], targets[p], p) for p in torch.arange(COUNT).split(32)]
    networks = nn.ModuleDict({"model": nn.Identity()})
    found = evaluate(task, networks, batches, Precision("fp32", "cpu", ""), task.report_state(), seed=0)
    kept = np.concatenate(list(found.state.part(ClassSampleState).samples().outputs.blocks()))
    assert np.array_equal(kept, logits.double())
    report = task.report(spec, found.state, Resampling(100))
    assert found.metrics["accuracy"] == report.metrics["accuracy"] == sk.accuracy_score(targets, logits.argmax(1))
    assert report.metrics["roc_auc"] is None  # most classes have no sample
    weighted = [sk.roc_auc_score(targets == c, logits.log_softmax(1)[:, c]) for c in targets]
    assert report.metrics["roc_auc_weighted"] == pytest.approx(np.mean(weighted), abs=1e-6)
    assert len(rows_of(report, "per_class")) == CLASSES and len(rows_of(report, "per_class")[0]) == len(PER_CLASS)
    assert sum(column_of(report, "confusion_cells", "samples")) == COUNT

    write_tables(tmp_path, report)
    split = Split.in_memory(logits, targets, torch.arange(COUNT))
    whole = Affine(torch.tensor(1.0), torch.tensor(0.0))
    bundle = DataBundle(spec, dict.fromkeys(("train", "val", "test"), split), whole, "", {})
    write_figures(tmp_path, "test", bundle, report)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("predictions.csv", "mistakes.csv", "per_class.csv", "confusion_cells.csv"),
        "reliability.png",
        *(("roc.png", "pr.png") if curves_of(report) else ()),
    }
    assert [note.partition(" ")[0] for note in report_facts(report, "test", Resampling(100))["notes"]] == [
        "predictions.csv",
        "confusion_cells.csv",
    ]
    with (tmp_path / "predictions.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    p = logits.double().softmax(1)
    order = p.argsort(dim=1, descending=True, stable=True)
    for n, line in enumerate(lines):
        assert float(line["p(true)"]) == pytest.approx(float(p[n, targets[n]]))
        assert float(line["log_loss"]) == pytest.approx(-float(p[n, targets[n]].log()))
        for place in range(prediction_rows.TOP):
            assert line[f"top_{place + 1}"] == names[int(order[n, place])]
            assert float(line[f"p_{place + 1}"]) == pytest.approx(float(p[n, order[n, place]]))
    with (tmp_path / "confusion_cells.csv").open(newline="") as file:
        cells = {(line["true"], line["predicted"]): int(line["samples"]) for line in csv.DictReader(file)}
    pairs = list(zip(targets.tolist(), logits.argmax(1).tolist(), strict=True))
    assert cells == {(f"c{t}", f"c{g}"): pairs.count((t, g)) for t, g in pairs}
