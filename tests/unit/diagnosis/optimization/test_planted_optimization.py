"""Faults of optimization planted in small runs are found, their remedies mend, and healthy runs stay silent."""

from __future__ import annotations

from contextlib import suppress
from math import inf, isfinite
from pathlib import Path

import pytest

from dlexp.artifacts.runs.metrics_log import read_metrics
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.config.compose import load
from dlexp.config.derive import repeat
from dlexp.config.files.catalog import Catalog
from dlexp.config.schema.run import RunConfig
from dlexp.diagnosis.judge import judge
from dlexp.diagnosis.rules.optimization import depth, length, numbers, rates
from dlexp.diagnosis.verdict import Verdict
from dlexp.errors import Diverged
from dlexp.workflows.doctor.examine import ExamineRequest, case_of_run, case_of_words
from dlexp.workflows.reporter import Silent
from dlexp.workflows.train.train import Request, train

RULES = (*numbers.RULES, *rates.RULES, *depth.RULES, *length.RULES)
DEEP = "model.hidden=[16,16,16,16,16,16,16,16] model.activation=sigmoid model.norm=none model.dropout=0"
# Fault -> the words of a run that has it.
PLANTED = {
    "rate_too_high": "optim=sgd optim.lr=1 model.hidden=[64,64] model.norm=none model.dropout=0 trainer.epochs=4",
    "rate_too_low": "data=iris optim.lr=1e-6 trainer.epochs=10",
    "not_finite": "data=diabetes optim=sgd optim.lr=300 model.norm=none trainer.epochs=10",
    "vanishing_gradients": f"data=iris {DEEP} optim=sgd trainer.epochs=15",
    "batch_too_large": "data=wine data.batch_size=106 trainer.epochs=6 optim=sgd optim.lr=0.01",
    "plateau": "data=wine scheduler=exponential scheduler.gamma=0.1 optim=sgd optim.lr=0.001 trainer.epochs=12",
    "stopped_too_soon": "data=iris trainer.epochs=1 optim.lr=1e-3",
}
HEALTHY = (
    "data=iris",
    "data=wine optim=sgd trainer.epochs=10",
    "data=diabetes trainer.epochs=12",
    "data=wine model.norm=none model.dropout=0 optim=lion trainer.epochs=12",
)


def trained(config: RunConfig, folder: Path, *words: str) -> float:
    """The best validation loss of a run in `folder`; infinite if it was not finite."""
    with suppress(Diverged):
        train(config, Request(words, ("dlexp", "train", *words), folder), Silent())
        _, rows = read_metrics(folder / "metrics.csv")
        return min((float(row["val/loss"]) for row in rows if isfinite(float(row["val/loss"]))), default=inf)
    return inf


def findings(folder: Path) -> list[Verdict]:
    return judge(case_of_run(RunDir.find(folder), Catalog(), ExamineRequest()), RULES)


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_among_the_first_two_and_its_remedy_mends(fault: str, tmp_path: Path) -> None:
    words = PLANTED[fault].split()
    before = trained(load(words, Catalog()), tmp_path / "ill", *words)
    found = findings(tmp_path / "ill")
    mine = [one for one in found[:2] if one.code == fault]
    assert mine, [one.code for one in found]
    assert mine[0].remedy
    for one in found:
        if one.severity in ("warning", "error"):
            assert len(one.evidence) >= 2 and any(e.is_trial for e in one.evidence) and one.remedy
    after = trained(repeat(tmp_path / "ill", mine[0].remedy, Catalog())[0], tmp_path / "mended")
    assert after < 0.9 * before


@pytest.mark.parametrize("words", HEALTHY)
def test_healthy_runs_get_no_warning(words: str, tmp_path: Path) -> None:
    trained(load(words.split(), Catalog()), tmp_path / "run", *words.split())
    assert [one.code for one in findings(tmp_path / "run") if one.severity != "note"] == []


def test_a_rate_too_high_is_seen_before_training() -> None:
    words = PLANTED["rate_too_high"].split()
    found = judge(case_of_words(words, Catalog(), ExamineRequest()), RULES)
    assert "rate_too_high" in [one.code for one in found[:2]]
