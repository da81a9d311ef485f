"""The table of `dlexp runs` on terminals of several widths."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dlexp.cli.views.results import runs
from dlexp.workflows.runs.query import Row, RunList

FACTS = {"state": "finished", "age": 60, "data": "digits", "model": "mlp", "seconds": 1.5, "size": 9}
METRICS = {"val/loss": 0.25, "val/accuracy": 0.9, "test/accuracy": 0.8}


@pytest.mark.parametrize(("width", "absent"), [(120, ()), (70, ("size", "data")), (50, ("model", "test/accuracy"))])
def test_columns_that_do_not_fit_are_named(
    width: int, absent: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("shutil.get_terminal_size", lambda *_, **__: os.terminal_size((width, 24)))
    row = Row(Path("r"), {"name": "a-run-with-a-long-name", **FACTS}, METRICS, dict.fromkeys(METRICS, "max"))
    runs.listing(RunList([row], []), [row], (), several_kinds=False, hidden=0)
    heading, *rest = capsys.readouterr().out.splitlines()
    assert all(len(line) <= width for line in rest)
    assert all(name not in heading.split() for name in absent)
    assert all(name in " ".join(rest) for name in absent)
    assert "state" in heading and heading.startswith("name")
