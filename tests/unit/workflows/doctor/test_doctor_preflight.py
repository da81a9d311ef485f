"""The pre-flight: its rows for healthy configurations, broken networks, and data that are not right."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlexp.config.files.catalog import Catalog
from dlexp.workflows.doctor.checks import Check
from dlexp.workflows.doctor.examine import ExamineRequest
from dlexp.workflows.doctor.preflight import Preflight, preflight

ROWS = (
    "data", "shapes", "initial loss", "gradients", "first updates", "one batch", "learning rate", "time", "memory",
)  # fmt: skip
BROKEN = """
import torch
from torch import nn

class Broken(nn.Module):
    '''Every output is the same: the features are multiplied by zero.'''
    def __init__(self, input_shape, num_outputs, unused=False):
        super().__init__()
        self.unused = unused
        self.body = nn.Linear(input_shape[0], 16)
        self.head = nn.Linear(16, num_outputs)
        self.spare = nn.Linear(4, 4)
    def forward(self, x):
        hidden = torch.relu(self.body(x))
        return self.head(hidden if self.unused else 0 * hidden)
"""


def checked(*words: str, config_dirs: tuple[Path, ...] = (), trusted: tuple[str, ...] = ()) -> Preflight:
    catalog = Catalog(config_dirs, trusted)
    given = (*words, "trainer.device=cpu")
    return preflight(given, catalog, ExamineRequest(trusted=trusted, updates=30))


def row(found: Preflight, name: str) -> Check:
    return next(check for check in found.checks if check.name == name)


def test_a_healthy_configuration_may_start_and_every_row_has_its_number() -> None:
    before = set(Path().rglob("*"))
    found = checked("data=wine", "model=mlp", "model.hidden=[16]", "trainer.epochs=3")
    assert tuple(check.name for check in found.checks) == ROWS
    assert {check.status for check in found.checks} <= {"ok", "not measured"}
    assert (
        found.may_start
        and found.line == "dlexp train data=wine model=mlp 'model.hidden=[16]' trainer.epochs=3 trainer.device=cpu"
    )
    for check in found.checks:
        assert check.text and (check.numbers or check.status == "not measured"), check
    assert row(found, "initial loss").numbers["of a constant output"] == pytest.approx(1.09, abs=0.02)
    assert row(found, "one batch").numbers["share"] < 0.5
    assert set(Path().rglob("*")) == before  # nothing is written
    content = found.as_dict()
    assert content["may_start"] is True and [each["name"] for each in content["checks"]] == list(ROWS)


def test_a_network_that_ignores_its_inputs_cannot_memorize_a_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_nets.py").write_text(BROKEN)
    own = tmp_path / "conf" / "model"
    own.mkdir(parents=True)
    (own / "broken.yaml").write_text("_target_: broken_nets.Broken\nunused: false\n")
    found = checked(
        "data=wine", "model=broken", "trainer.epochs=3", config_dirs=(tmp_path / "conf",), trusted=("broken_nets",)
    )
    batch = row(found, "one batch")
    assert batch.status == "error" and batch.numbers["share"] > 0.9 and not found.may_start
    gradients = row(found, "gradients")
    assert gradients.status == "warning" and "spare" in gradients.text
    found = checked(
        *("data=wine", "model=broken", "model.unused=true", "trainer.epochs=3"),
        config_dirs=(tmp_path / "conf",),
        trusted=("broken_nets",),
    )
    assert row(found, "one batch").status == "ok"


def test_a_rate_far_too_high_may_not_start() -> None:
    found = checked("data=wine", "model=mlp", "model.hidden=[16]", "optim=sgd", "optim.lr=10", "trainer.epochs=10")
    assert not found.may_start
    lines = [line for line in found.diagnosis.lines if line]
    assert lines and all(line.startswith("dlexp train data=wine") and "optim.lr=10 " not in line for line in lines)


def test_data_checks_are_a_row(tmp_path: Path) -> None:
    lines = [f"{n % 7},{n % 5},{n % 2},{n % 2}" for n in range(120)]
    (tmp_path / "leak.csv").write_text("a,b,copy,y\n" + "\n".join(lines) + "\n")
    found = checked("data=csv", f"data.path={tmp_path / 'leak.csv'}", "data.target=y", "model=mlp", "model.hidden=[8]")
    assert row(found, "data").status in ("warning", "error")
    assert "dlexp data check" in row(found, "data").text or "copy" in row(found, "data").text


def test_auto_values_are_examined_as_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    found = checked("data=wine", "model=mlp", "model.hidden=[16]", "trainer.epochs=3", "optim.lr=auto")
    assert any("optim.lr=auto: examined with optim.lr=" in note for note in found.diagnosis.case.notes)
    assert found.line.endswith("optim.lr=auto trainer.device=cpu")  # the line is the one that was asked about
