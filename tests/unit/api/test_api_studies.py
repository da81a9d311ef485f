"""Studies and range tests in Python: of data that was handed over, with results as tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import dlexp

SMALL = ("model=mlp", "model.hidden=[8]", "trainer.epochs=1")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=60), "b": rng.normal(size=60)})
    return frame.assign(y=np.where(frame["a"] > 0, "yes", "no"))


def test_a_range_test(frame: pd.DataFrame) -> None:
    found = dlexp.lr_find(*SMALL, data=frame, target="y", steps=40, progress=False)
    assert len(found.curve) > 5
    assert (found.suggestion is None) == bool(found.reasons)
    assert found._repr_html_().startswith("<div>")
    with pytest.raises(dlexp.ConfigError) as caught:
        dlexp.lr_find(*SMALL, data=frame, target="y", steps=2)
    assert caught.value.problems[0].where == "steps"


def test_the_doctor_before_and_after_a_run(frame: pd.DataFrame) -> None:
    before = dlexp.doctor(*SMALL, data=frame, target="y", progress=False)
    assert before.may_start and list(before.checks.columns) == ["name", "status", "text"] and len(before.checks) == 9
    assert before.measures["training loss before the first update"] > 0
    run = dlexp.train(*SMALL, data=frame, target="y", progress=False)
    after = run.doctor(progress=False)
    assert (run.path / "doctor.json").is_file() and after.checks.empty
    assert len(after.findings) == len(after.report["findings"])
    assert {"severity", "code", "what", "line"} <= set(after.findings.columns)
    assert set(after.evidence["code"]) == set(after.findings["code"])
    assert all(line.startswith("dlexp.load(") for line in after.findings["line"] if line)  # no command has this data
    assert after._repr_html_().startswith("<div>") and repr(after).startswith("DoctorResult(")
    with pytest.raises(dlexp.ConfigError) as caught:
        run.doctor("optim.lr=1")
    assert caught.value.problems[0].code == "not-supported"


def test_the_lines_of_the_doctor_name_the_data_of_python_and_what_is_trusted(frame: pd.DataFrame) -> None:
    before = dlexp.doctor(*SMALL, "optim.lr=1000", data=frame, target="y", trust=("nets",), progress=False)
    lines = [before.report["line"], *(line for line in before.findings["line"] if line)]
    assert len(lines) > 1 and all(line.startswith("dlexp.train('model=mlp', ") for line in lines)
    assert all(line.endswith(", data=..., trust=['nets'])") for line in lines)
    run = dlexp.train(*SMALL, "optim.lr=1000", data=frame, target="y", trust=("nets",), progress=False)
    found = [line for line in run.doctor(progress=False).findings["line"] if line]
    start = f"dlexp.load({str(run.path)!r}, trust=['nets']).repeat("
    assert found and all(line.startswith(start) and line.endswith(", data=...)") for line in found)
    with pytest.raises(dlexp.ConfigError) as caught:
        dlexp.doctor("latest")
    assert "dlexp.load('latest').doctor()" in str(caught.value)


@pytest.mark.slow
def test_a_study_runs_in_a_process_of_its_own(frame: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    words = (*SMALL, "optim=adamw", "search.confirm_top=0")
    study = dlexp.study(*words, data=frame, target="y", trials=2, name="s")
    assert len(study.trials) == 2
    assert "2/2" in capsys.readouterr().err
    assert "optim.lr" in study.overrides
    assert study._repr_html_().startswith("<div>")
    assert "best trial" in repr(study)
    more = dlexp.study(*words, data=frame, target="y", trials=3, name="s", progress=False)
    assert len(more.trials) == 3
    fixed = ("search.space.model.hidden=null", "search.space.data.batch_size=null")
    together = dlexp.study(*words, *fixed, data=frame, target="y", trials=3, name="t", stacked=3, progress=False)
    assert "in a stack of 3 trials" in (together.path / "trials/0002/train.log").read_text()
    with pytest.raises(dlexp.ConfigError) as caught:
        dlexp.study("model=mlpp", data=frame, target="y")
    assert caught.value.problems[0].code == "unknown-option"
    with pytest.raises(dlexp.DataError, match="not found"):
        dlexp.study(*SMALL, data=frame, target="z")
