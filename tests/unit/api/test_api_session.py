"""Messages of the command line say what to type in Python; progress is a bar in a notebook."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from dlexp.api.progress import LineProgress, Messages, NotebookProgress, progress_of
from dlexp.api.session import in_python, session
from dlexp.api.tables import metric_texts, notebook_table
from dlexp.engine.loop import EpochRecord, StepRecord
from dlexp.errors import ConfigError, DataError, DlexpError
from dlexp.workflows.reporter import RunFacts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Resume with dlexp train --resume outputs/a", 'Resume with dlexp.resume("outputs/a")'),
        ("dlexp train --resume a trainer.on_nonfinite=skip", 'dlexp.resume("a", "trainer.on_nonfinite=skip")'),
        ("dlexp train --from a optim.lr=1", 'dlexp.load("a").repeat("optim.lr=1")'),
        ("dlexp evaluate outputs/a", 'dlexp.load("outputs/a").evaluate()'),
        ("add --allow-changes to continue", "add allow_changes=True to continue"),
        ("Use --min-lr 1e-09", "Use min_lr=1e-09"),
        ("Use --loss val.", 'Use loss="val".'),
        ("add --trust my_package", 'add trust="my_package"'),
        ("Set data.target_kind=value", "Set data.target_kind=value"),
    ],
)
def test_remedies_are_those_of_python(text: str, expected: str) -> None:
    assert in_python(text) == expected


def test_errors_keep_their_type_and_attributes() -> None:
    with pytest.raises(ConfigError) as caught, session():
        raise ConfigError.one("--run-id", "a", "is taken", "Add --allow-changes.", code="in-use")
    assert str(caught.value) == "run_id=a: is taken. Add allow_changes=True."
    assert caught.value.problems[0].code == caught.value.code == "in-use"
    with pytest.raises(DataError, match="allow_changes=True") as data, session():
        raise DataError("changed", remedy="Add --allow-changes", code="data-changed")
    assert data.value.code == "data-changed"
    with pytest.raises(DlexpError, match="No such file"), session():
        raise FileNotFoundError(2, "No such file", "x")


FACTS = RunFacts("mlp on digits", "outputs/a", 2, 0, 3, {"model": "mlp <b>", "note 1": "small split"})


def epoch(number: int) -> EpochRecord:
    values = {"epoch": number, "train/loss": 0.5, "val/loss": 0.4, "val/accuracy": 0.9}
    return EpochRecord(number, 2, values, True, "val/loss")


def test_lines_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    shown = progress_of(True)
    assert type(shown) is LineProgress
    assert type(progress_of(False)) is Messages
    shown.begin(FACTS)
    shown.observe(epoch(1))
    shown.end()
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "epoch 1/2  train/loss 0.5  val/loss 0.4  val/accuracy 90.00 %" in printed.err
    assert "run: outputs/a" in printed.err


def test_a_bar_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []

    class Output:
        def update(self, content: Any) -> None:
            drawn.append(content)

    def display(content: Any, display_id: bool) -> Output:
        assert display_id
        drawn.append(content)
        return Output()

    class Shell:
        def has_trait(self, name: str) -> bool:
            return name == "kernel"

    package, module = ModuleType("IPython"), ModuleType("IPython.display")
    vars(package)["get_ipython"], vars(module)["display"] = Shell, display
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    shown = progress_of(True)
    assert type(shown) is NotebookProgress
    shown.begin(FACTS)
    shown.observe(StepRecord(1, 1, 3, 1, 0, {"": 0.1}, lambda: {"loss": 0.5}))
    shown.observe(epoch(1))
    shown.observe(epoch(2))
    shown.end()
    last = drawn[-1]._repr_html_()
    assert '<progress value="2.000" max="2"' in last
    assert "mlp &lt;b&gt;" in last
    assert "small split" in last
    assert "epoch 2: train/loss 0.5, val/loss 0.4, val/accuracy 90.00 %" in last
    assert "2 of 2 epochs" in repr(drawn[-1])
    assert len(drawn) < 5, "drawn a few times per second"


def test_a_table_is_escaped_and_short() -> None:
    assert "&lt;a&gt;" in notebook_table("<a>", [("b", "1")], ("c", "d"))
    names = [f"{split}/{number}" for split in ("val", "test") for number in range(9)]
    assert [name for name, _ in metric_texts(dict.fromkeys(names, 0.5))] == [*names[:4], *names[9:13]]
