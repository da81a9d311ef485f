"""Pictures are drawn with matplotlib's defaults, and a program around keeps its settings."""

from __future__ import annotations

import os

import matplotlib
import pytest

from dlexp.report.figures.matplotlib_settings import default_settings

pytestmark = pytest.mark.pictures


def test_settings_of_a_program_around_are_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "pdf")
    before = dict(matplotlib.rcParams)
    matplotlib.rcParams.update({"lines.linewidth": 7.0, "text.usetex": True, "savefig.format": "pdf"})
    with default_settings():
        assert matplotlib.rcParams["lines.linewidth"] == matplotlib.rcParamsDefault["lines.linewidth"] == 1.5
        assert not matplotlib.rcParams["text.usetex"] and matplotlib.rcParams["savefig.format"] == "png"
    found = matplotlib.rcParams["lines.linewidth"], matplotlib.rcParams["text.usetex"]
    matplotlib.rcParams.update({name: before[name] for name in ("lines.linewidth", "text.usetex", "savefig.format")})
    assert found == (7.0, True)
    assert os.environ["MPLBACKEND"] == "pdf"
