"""Every command on tasks from outside of dlexp: what it cannot do is refused in one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from outside_package import OWN, dlexp, installed, report_of, rows_of
from refusals import line_refused
from test_tasks_from_outside import MASKS, OPTIONS, PACKAGE, TOKENS

NOISY = """
class Noisy(Task):
    phases = {"encode": Phase(("encoder",)), "decode": Phase(("decoder",))}
    def error(self, networks, batch):
        code = networks["encoder"](batch.inputs)
        return torch.nn.functional.mse_loss(networks["decoder"](code + torch.randn_like(code)), batch.inputs)
    def loss(self, phase, networks, batch): return LossOutput(self.error(networks, batch))
    def predict(self, networks, batch):
        return Prediction(networks["encoder"](batch.inputs), None, self.error(networks, batch), batch.indices)
class Needy(NextToken):
    def __init__(self, spec, loss): self.size, self.criterion = spec.num_outputs, loss
    def predict(self, networks, batch):
        scores = self.scores(networks, batch)
        return Prediction(scores.argmax(1), self.known(batch), self.criterion(scores, scores), batch.indices)
class Broken(NextToken):
    def known(self, batch): raise RuntimeError("not yet")
def vectors():
    values = torch.arange(160.0).view(40, 4).sin()
    rows = zip(SPLITS, torch.arange(40).split([24, 8, 8]))
    splits = {name: Split.in_memory(values[n], None, n) for name, n in rows}
    return DataBundle(DataSpec(TableSpec(4), None), splits, Identity(), "40 rows", {})
def pair(in_features):
    return {"encoder": torch.nn.Linear(in_features, 2), "decoder": torch.nn.Linear(2, in_features)}
"""
MORE = {
    **OPTIONS,
    "data/vectors": "{_target_: outside.vectors, _targets_: none, batch_size: 4, eval_batch_size: 8}",
    "model/pair": "{_target_: outside.pair}",
    "task/noisy": "{_target_: outside.Noisy, _phases_: [encode, decode], monitor: val/loss}",
    "task/needy": "{_target_: outside.Needy, monitor: val/loss}",
    "task/broken": "{_target_: outside.Broken, monitor: val/loss}",
    "task/other": "{_target_: outside.NextToken, monitor: val/loss, _metrics_: {loss: min, accuracy: max}}",
    "task/silent": "{_target_: outside.NextToken}",
    "loss/one_kind": "{_target_: torch.nn.BCELoss}",
    "scheduler/stairs": "{_target_: torch.optim.lr_scheduler.StepLR, step_size: 1, gamma: 0.5, phases: {}}",
}
VECTORS = ("data=vectors", "model=pair", "task=noisy", "loss=none")
SHORT = ("trainer.device=cpu", "trainer.epochs=2", "scheduler=stairs", "-q")
TRUST = OWN[2:]


@pytest.fixture(autouse=True)
def outside(tmp_path: Path) -> Iterator[None]:
    imports = "from dlexp.specs import TableSpec\nfrom dlexp.tasks.base import Phase\n"
    with installed(tmp_path, PACKAGE + "\n" + imports + NOISY, MORE):
        yield


@pytest.mark.parametrize("words", [TOKENS, MASKS, VECTORS], ids=["tokens", "masks", "vectors"])
def test_a_resumed_run_equals_one_without_a_stop_and_evaluations_repeat(words: tuple[str, ...]) -> None:
    dlexp("train", *OWN, *words, *SHORT, "-o", "whole")
    dlexp("train", *OWN, *words, *SHORT, "trainer.epochs=1", "-o", "part")
    dlexp("train", "--resume", "part", "trainer.epochs=2", *TRUST, "-q")
    assert rows_of("part") == rows_of("whole")
    first, second = (torch.load(f"{run}/checkpoints/last.pt") for run in ("part", "whole"))
    weights = second["networks"]
    assert all(torch.equal(value, weights[name]) for name, value in first["networks"].items())
    found = []
    for _ in range(2):
        dlexp("evaluate", "whole", *TRUST)
        found.append(report_of("whole")["metrics"])
    assert found[0] == found[1]
    dlexp("evaluate", "part", *TRUST)
    assert report_of("part")["metrics"] == found[0]


def test_phases_have_their_own_columns_and_rates() -> None:
    dlexp("train", *OWN, *VECTORS, *SHORT, "optim.phases.encode.lr=0.5", "optim.lr=0.25", "-o", "run")
    rows = rows_of("run")
    assert [(row["lr/encode"], row["lr/decode"]) for row in rows] == [(0.5, 0.25), (0.25, 0.125)]
    assert "lr" not in rows[0]


@pytest.mark.parametrize("words", [TOKENS, MASKS, VECTORS], ids=["tokens", "masks", "vectors"])
def test_commands_on_the_data_and_the_network(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    for command in (("summary",), ("data", "check"), ("data", "fingerprint")):
        dlexp(*command, *OWN, *words, code=3 if command[-1] == "check" and words is MASKS else 0)  # it finds duplicates
        captured = capsys.readouterr()
        assert "not plotted" not in captured.out + captured.err and ", ," not in captured.out
    line_refused(capsys, "data", "preview", *OWN, *words, code="not-supported", where="data")


def test_commands_on_a_run_of_masks(capsys: pytest.CaptureFixture[str]) -> None:
    dlexp("train", *OWN, *MASKS, *SHORT, "-o", "outputs/train/masks")
    dlexp("evaluate", "outputs/train/masks", *TRUST)
    np.save("images.npy", np.zeros((2, 1, 8, 8), dtype=np.float32))
    capsys.readouterr()
    dlexp("predict", "outputs/train/masks", "images.npy", *TRUST)
    assert len(capsys.readouterr().out.splitlines()) == 3
    dlexp("runs", "--json")
    assert "masks" in capsys.readouterr().out
    dlexp("report", "outputs/train/masks")
    page = Path("outputs/train/masks/report.html").read_text()
    assert "Overlap of each class" in page and "Places of test" in page


def test_commands_on_a_run_of_tokens_refuse_what_they_cannot_do(capsys: pytest.CaptureFixture[str]) -> None:
    dlexp("train", *OWN, *TOKENS, *SHORT, "-o", "run")
    np.save("tokens.npy", np.zeros((2, 4), dtype=np.int64))
    capsys.readouterr()
    dlexp("predict", "run", "tokens.npy", *TRUST, code=3)
    assert json.dumps("Traceback") not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "where", "remedy"),
    [
        (("task=needy", "loss=one_kind"), "incompatible-data", "loss", "DLEXP_DEBUG"),
        (("task=needy", "loss=none"), "incompatible-data", "loss", ""),
        (("task=broken", "loss=none"), "incompatible-data", "task", "DLEXP_DEBUG"),
        (("task=other", "loss=none"), "invalid-value", "task._metrics_", "task/other.yaml"),
        (("task=silent", "loss=none"), "missing-value", "task.monitor", "monitor: val/loss"),
    ],
)
def test_the_part_at_fault_is_named(
    words: tuple[str, ...], code: str, where: str, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("train", *OWN, "data=counting", "model=sums", *words, "trainer.device=cpu")
    line_refused(capsys, *given, code=code, where=where, remedy=remedy)


def test_a_task_of_dlexp_requires_a_loss_and_an_unknown_model_is_an_unknown_option(
    capsys: pytest.CaptureFixture[str],
) -> None:
    line_refused(capsys, "train", "data=iris", "loss=none", code="cannot-combine", where="loss", remedy="cross_entropy")
    line_refused(capsys, "train", "model=resnet81", code="unknown-option", where="model", remedy="resnet18")
