"""Whatever a component raises while it is built or looked at ends in a line; memory that runs out ends with code 6."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dlexp.artifacts.exports.formats import Safetensors
from dlexp.cli.app import main
from dlexp.engine.state import load_weights
from dlexp.errors import DlexpError, message_of

RAISES = """
import torch
from torch import nn

class Built(nn.Module):
    def __init__(self, in_features, num_outputs, kind):
        super().__init__()
        raise eval(kind)

class Called(nn.Linear):
    def __init__(self, in_features, num_outputs, kind):
        super().__init__(in_features, num_outputs)
        self.kind = kind

    def forward(self, x):
        raise eval(self.kind)

class Huge(nn.Linear):
    def __init__(self, in_features, num_outputs, kind):
        super().__init__(in_features, 10**14)

class Large(nn.Linear):
    def __init__(self, in_features, num_outputs, kind):
        super().__init__(in_features, num_outputs)

    def forward(self, x):
        x = x.flatten(1)
        is_white = x.mean(1, keepdim=True) > 1.2  # as no digit of the training data is
        return super().forward(x) + torch.where(is_white, torch.inf, 0.0)
"""


def ended(*words: str, code: int) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    assert (stopped.value.code or 0) == code


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with components that raise."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("DLEXP_DEBUG", raising=False)
    Path("raising.py").write_text(RAISES)
    Path("conf/model").mkdir(parents=True)
    for name in ("Built", "Called", "Huge", "Large"):
        text = f'_target_: raising.{name}\nkind: "ValueError()"\n'
        Path("conf/model", f"{name.lower()}.yaml").write_text(text)
    return tmp_path


TRAIN = ("train", "--dry-run", "data=iris", "--config-dir", "conf", "--trust", "raising")
# what is raised -> the code, and what is said
RAISED = {
    "AssertionError('Wrong height')": (2, "Wrong height"),
    "AssertionError()": (2, "AssertionError"),
    "KeyError('pos')": (2, "KeyError: 'pos'"),
    "ZeroDivisionError('by zero')": (2, "by zero"),
    "AttributeError('no such')": (2, "no such"),
    "NotImplementedError('later')": (2, "later"),
    "RuntimeError('two\\nlines \\x1b[31m')": (2, "two lines [31m"),
    "MemoryError()": (6, "out of memory"),
    "torch.OutOfMemoryError('CUDA out of memory')": (6, "out of memory"),
    'RuntimeError("DefaultCPUAllocator: can\'t allocate memory: you tried to allocate 9 bytes")': (6, "out of memory"),
}


@pytest.mark.parametrize("kind", RAISED)
@pytest.mark.parametrize("where", ["built", "called"])
def test_whatever_a_network_raises_is_told_in_a_line(
    where: str, kind: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = RAISED[kind]
    Path(f"conf/model/{where}.yaml").write_text(
        f"_target_: raising.{where.title()}\nkind: '{kind.replace(chr(39), chr(39) * 2)}'\n"
    )
    ended(*TRAIN, f"model={where}", code=code)
    err = capsys.readouterr().err
    assert said in err
    assert code == 6 or f"model={where}" in err
    assert "Traceback" not in err
    assert "\x1b" not in err
    assert ("DLEXP_DEBUG=1" in err) == (code == 2)


def test_a_network_that_no_memory_holds_ends_with_6(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended(*TRAIN, "model=huge", code=6)
    assert "OutOfMemory" in (err := capsys.readouterr().err) and "model=huge" in err


def test_memory_that_runs_out_anywhere_else_ends_with_6(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hungry(*_given: object) -> None:
        raise MemoryError

    monkeypatch.setattr("dlexp.workflows.train.train.prepare_training", hungry)
    ended("train", "--dry-run", "data=iris", code=6)
    err = capsys.readouterr().err
    assert "OutOfMemory: " in err
    assert "Traceback" not in err


@pytest.mark.parametrize(("zoo", "name"), [("torchvision", "maxvit_t"), ("timm", "deit_tiny_patch16_224")])
def test_a_network_that_reads_one_size_is_refused_with_that_size(
    zoo: str, name: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip(zoo)
    ended("train", "--dry-run", f"model={zoo}", f"model.name={name}", code=2)
    err = capsys.readouterr().err
    assert "data=digits" in err and "(1, 8, 8)" in err
    assert "model.resize=224" in err


def test_a_reason_is_short_and_of_one_line() -> None:
    assert message_of(RuntimeError("a\n\tb" + "c" * 999), 20) == "a b" + "c" * 14 + "..."
    assert message_of(KeyError("x")) == "KeyError: 'x'"
    assert message_of(MemoryError()) == "MemoryError"


def test_an_answer_that_is_not_finite_is_an_error_of_its_row_and_is_not_exported(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ("--config-dir", "conf", "--trust", "raising")
    ended("train", "data=digits", "model=large", "trainer.epochs=1", "-q", "--run-dir", "run", *own, code=0)
    images = np.zeros((4, 8, 8), np.float32)
    images[2] = 16
    np.save("x.npy", images)
    ended("predict", "run", "x.npy", "--trust", "raising", "--probabilities", "--out", "out.csv", code=3)
    rows = Path("out.csv").read_text().splitlines()
    assert len(rows) == 5
    assert rows[3].startswith("x.npy,2,,") and rows[3].endswith(" NaN or infinite")
    assert not any("nan" in row.lower().removesuffix(" nan or infinite") for row in rows[1:])
    export = ("export", "run", "--to", "safetensors", "--trust", "raising")
    for answer, said in (
        (float("nan"), "differ by up to inf"),
        (99.0, "differ by up to"),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Safetensors, "answer", lambda self, content, x, a=answer: torch.full((len(x), 10), a))
            ended(*export, code=1)
        assert said in capsys.readouterr().err
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.Linear, "forward", lambda self, x: torch.full((len(x), 10), float("nan")))
        ended(*export, code=1)
    assert "NaN" in capsys.readouterr().err
    assert not Path("run/export").exists()


class Masked(nn.Module):
    """A network whose mask is infinite from the beginning."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("mask", torch.tensor([0.0, -torch.inf, torch.nan]))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.layer(x)
        return found


def test_what_is_infinite_from_the_beginning_is_meant_to_be() -> None:
    networks = nn.ModuleDict({"model": Masked()})
    weights = {name: value.clone() for name, value in networks.state_dict().items()}
    load_weights(networks, weights)
    weights["model.mask"][0] = torch.inf
    with pytest.raises(DlexpError, match=r"model\.mask .*1 of 3"):
        load_weights(networks, weights)
    load_weights(networks, weights, allow_nonfinite=True)
    assert networks.get_buffer("model.mask")[0] == torch.inf
