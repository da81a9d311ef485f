"""`dlexp gradcheck` of models and losses of the user's own, and of ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from outside_package import OWN, installed

from dlexp.cli.app import main

PACKAGE = '''
import torch
from torch import nn


class Square(torch.autograd.Function):
    """x squared."""
    sign = 1.0

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return SIGN * 2 * x * grad


class Own(nn.Module):
    """A layer with a gradient of its own, between dropout and batch normalization."""

    def __init__(self, in_features, num_outputs):
        super().__init__()
        self.first = nn.Linear(in_features, 6)
        self.norm = nn.BatchNorm1d(6)
        self.dropout = nn.Dropout(0.5)
        self.last = nn.Linear(6, num_outputs)
        self.idle = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.last(Square.apply(self.dropout(self.norm(self.first(x)))))


class Restless(Own):
    calls = 0

    def forward(self, x):
        Restless.calls += 1
        return super().forward(x) * (1 + 0.1 * Restless.calls)


class Narrow(Own):
    """Made with NumPy, so that no cast can be seen."""

    def forward(self, x):
        found = super().forward(x)
        return found * torch.from_numpy(__import__("numpy").ones(1, "float32")) @ torch.from_numpy(
            __import__("numpy").eye(found.shape[1], dtype="float32"))


class OwnLoss(nn.Module):
    def forward(self, outputs, targets):
        log = outputs.log_softmax(1).gather(1, targets[:, None])
        return -log.mean() + LOSS * Square.apply(outputs).mean()
'''
MODEL = "# A network\n_target_: outside.{}\n"
LOSS = "# A loss\n_target_: outside.OwnLoss\n"


def run(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    with pytest.raises(SystemExit) as ended:
        main(["gradcheck", *words, "--json"])
    said = capsys.readouterr()
    assert ended.value.code == code, said.err + said.out
    found: dict[str, Any] = json.loads(said.out)
    return found


def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sign: float = 1.0, loss: float = 0.0) -> Any:
    monkeypatch.chdir(tmp_path)
    options = {f"model/{name.lower()}": MODEL.format(name) for name in ("Own", "Restless", "Narrow")}
    text = PACKAGE.replace("SIGN", str(sign)).replace("LOSS", str(loss))
    return installed(tmp_path, text, options | {"loss/own_loss": LOSS})


def test_a_layer_of_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with own(tmp_path, monkeypatch):
        for mode in ("train", "eval"):
            found = run(capsys, "model=own", "data=iris", *OWN, "--mode", mode)
            assert found["ok"]
            assert found["unused"] == ["idle"]
            assert {one["name"] for one in found["tensors"]} >= {"first.weight", "norm.bias", "last.bias", "inputs"}
            assert found["wrong"] == []
            assert max(one["error"] for one in found["tensors"]) < 1e-5


def test_a_wrong_sign_in_it_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with own(tmp_path, monkeypatch, sign=-1.0):
        found = run(capsys, "model=own", "data=iris", *OWN, code=1)
        assert not found["ok"]
        assert {"first.weight", "norm.weight", "inputs"} <= set(found["wrong"])
        assert "last.weight" not in found["wrong"]  # it comes after the layer
        assert found["worst"] in found["wrong"]
        with pytest.raises(SystemExit):
            main(["gradcheck", "model=own", "data=iris", *OWN])
        text = capsys.readouterr().out
        assert "The sign is wrong." in text
        assert found["worst"] in text.splitlines()[-1]


def test_a_loss_of_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with own(tmp_path, monkeypatch, loss=0.5):
        assert run(capsys, "loss=own_loss", "data=iris", *OWN)["ok"]
    with own(tmp_path, monkeypatch, sign=-1.0, loss=0.5):
        assert "9.bias" in run(capsys, "model=mlp", "loss=own_loss", "data=iris", *OWN, code=1)["wrong"]


def test_a_loss_that_is_no_function_of_the_weights_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with own(tmp_path, monkeypatch):
        error = run(capsys, "model=restless", "data=iris", *OWN, code=2)["error"]
        assert error["problems"][0]["where"] == "model"
        assert "generators" in error["problems"][0]["remedy"]
        error = run(capsys, "model=narrow", "data=iris", *OWN, code=2)["error"]
        assert error["code"] == "invalid-type"


@pytest.mark.parametrize(
    "words",
    [
        ("model=simple_cnn",),
        ("model=mlp", "data=diabetes", "loss=huber"),
        ("model=gru", "data=adding"),
        ("data=iris", "loss=focal", "model.dropout=0.5"),
        ("data=iris", "loss=arcface", "task=metric_learning"),
    ],
)
def test_our_own_gradients_are_right(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    found = run(capsys, *words, "--entries", "3")
    assert found["ok"]
    assert found["tensors"][-1]["name"].startswith("inputs")


def test_randomness_and_types_are_as_before(capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = run(capsys, "data=iris")
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_default_dtype() == torch.float32
    assert run(capsys, "data=iris") == first  # of the same seed


def test_a_straight_through_gradient_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    found = run(capsys, "data=iris", "model.activation=step", code=1)
    assert "9.weight" not in found["wrong"]


def test_all_problems_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--samples", "0", "--entries", "0", "--tolerance", "2", "--mode", "test")
    error = run(capsys, *words, code=2)["error"]
    assert [problem["where"] for problem in error["problems"]] == ["--samples", "--entries", "--tolerance", "--mode"]
