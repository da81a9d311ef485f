"""Crash capsules and `dlexp replay`, in this process, through the words of the command line."""

from __future__ import annotations

import importlib
import json
import math
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from refusals import line_refused
from sick_package import WORDS, install

from dlexp.artifacts.files import writing
from dlexp.artifacts.files.writing import remove_temporaries
from dlexp.cli.app import main
from dlexp.data.columns import tensor_of
from dlexp.data.sources.sklearn_sets import digits
from dlexp.errors import DlexpError
from dlexp.types import Batch, Mixed, as_tensor
from dlexp.workflows.train import crash


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch)


def run(*words: str, code: int) -> None:
    """Run the words, which must end with `code`."""
    try:
        main(list(words))
    except SystemExit as stopped:
        assert (stopped.code or 0) == code
    else:
        assert code == 0


def capsule(path: str = "run/crash") -> dict[str, Any]:
    content: dict[str, Any] = torch.load(Path(path) / "capsule.pt", weights_only=True)
    return content


def test_a_stop_leaves_a_capsule_that_replays_to_the_same_bits(capsys: pytest.CaptureFixture[str]) -> None:
    run("train", "-q", *WORDS, "--run-dir", "run", code=4)
    err = capsys.readouterr().err
    assert "nan" in err
    assert "dlexp replay run/crash --trust sick_net" in err
    assert "dlexp train --resume run trainer.on_nonfinite=skip" in err
    assert {path.name for path in Path("run/crash").iterdir()} == {"capsule.pt", "crash.json", "traceback.txt"}
    assert "train/loss" not in err
    facts = json.loads(Path("run/crash/crash.json").read_text())
    content = capsule()
    assert (facts["epoch"], facts["update"]) == (1, content["state"]["position"]["step"] + 1)
    assert facts["indices"] == [content["micro_batches"][0][2].tolist()]
    assert "in step_phase" in Path("run/crash/traceback.txt").read_text()
    assert content["config"]["tree"]["model"]["fault"] == "value"
    run("replay", "run", "--trust", "sick_net", code=0)
    assert "reproduced" in capsys.readouterr().out
    run("replay", "run/crash", "--trust", "sick_net", "--json", code=0)
    printed = json.loads(capsys.readouterr().out)
    assert printed["reproduced"] is True
    assert printed["now"] == printed["kept"]
    assert (printed["kept"]["losses"], printed["differences"]) == (["nan"], {})


def test_the_batch_in_the_capsule_is_the_one_that_its_rows_name(capsys: pytest.CaptureFixture[str]) -> None:
    run("train", "-q", *WORDS, "--run-dir", "run", code=4)
    inputs, targets, rows = capsule()["micro_batches"][0]
    bundle = digits(augment="none", val_fraction=0.1, test_fraction=0.2, split_seed=0)
    everything = {int(row): n for n, row in enumerate(bundle.splits["train"].indices)}
    places = torch.tensor([everything[int(row)] for row in rows])
    assert torch.equal(targets, tensor_of(bundle.splits["train"].targets)[places])
    assert torch.equal(inputs, as_tensor(bundle.preprocess(tensor_of(bundle.splits["train"].inputs)[places])))


@pytest.mark.parametrize(("fault", "kind", "code"), [("bug", "ValueError", 1), ("memory", "MemoryError", 6)])
def test_an_exception_is_replayed_as_it_was(
    fault: str, kind: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("train", "-q", *WORDS, f"model.fault={fault}", "--run-dir", "run")
    if code == 1:
        run(*words, code=code)
        err = capsys.readouterr().err
        assert "a bug of my own" in err and "dlexp replay run/crash" in err
    else:
        run(*words, code=code)
        err = capsys.readouterr().err
        assert "64 samples" in err and "cpu" in err
        assert "data.batch_size=32 trainer.accumulate=2" in err
        assert "dlexp replay run/crash" in err
    assert capsule()["error"]["kind"] == kind
    run("replay", "run", "--trust", "sick_net", code=0)
    assert f"error    {kind}" in capsys.readouterr().out
    assert "dlexp replay run/crash" in Path("run/train.log").read_text()


def test_a_step_that_comes_out_otherwise_says_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("train", "-q", *WORDS, "--run-dir", "run", code=4)
    net = importlib.import_module("sick_net").Net
    monkeypatch.setattr(net, "forward", lambda self, x: self.net(x))  # the bug is mended
    capsys.readouterr()
    run("replay", "run", "--trust", "sick_net", code=5)
    err = capsys.readouterr().err
    assert "losses was nan, is 2." in err
    assert "error was Diverged: " in err and "nan" in err
    assert "is none" in err


def test_the_same_failure_is_kept_once_and_another_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    run("train", "-q", *WORDS, "--run-dir", "run", code=4)
    before = Path("run/crash/capsule.pt").read_bytes()
    run("train", "-q", "--resume", "run", "--trust", "sick_net", code=4)
    assert not Path("run/crash-2").exists()
    Path("run/crash/crash.json").write_text("{}")  # as if it had been another
    run("train", "-q", "--resume", "run", "--trust", "sick_net", code=4)
    assert Path("run/crash/capsule.pt").read_bytes() == before
    assert capsule("run/crash-2")["where"] == capsule()["where"]
    assert "dlexp replay run/crash-2 " in capsys.readouterr().err


def test_a_damaged_capsule_and_a_run_without_one_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    run("train", "-q", *WORDS, "--run-dir", "run", code=4)
    path = Path("run/crash/capsule.pt")
    path.write_bytes(path.read_bytes()[:-9])
    run("replay", "run", "--trust", "sick_net", code=1)
    assert "capsule.pt" in capsys.readouterr().err
    Path("empty").mkdir()
    run("replay", "empty", code=2)
    assert "empty" in capsys.readouterr().err
    line_refused(capsys, "replay", "nowhere", code="not-found", where="nowhere")
    error = line_refused(capsys, "replay", "run", "optim.lr=3", code="not-supported", where="optim.lr")
    assert "trainer.device" in error["message"]


def test_a_disk_that_is_full_does_not_hide_the_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = os.fsync

    def full(descriptor: int) -> None:
        if ".pt" in Path(f"/proc/self/fd/{descriptor}").readlink().name:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    run("train", "-q", *WORDS, "--run-dir", "run", code=4)
    err = capsys.readouterr().err
    assert "nan" in err
    assert "capsule.pt" in err
    assert "No space left on device" in err
    assert [path.name for path in Path("run").iterdir() if "crash" in path.name] == []


def test_skipping_is_counted_said_and_in_the_summary(capsys: pytest.CaptureFixture[str]) -> None:
    run("train", "-q", "--json", *WORDS, "trainer.on_nonfinite=skip", "--run-dir", "run", code=0)
    captured = capsys.readouterr()
    summary = json.loads(captured.out)
    assert (summary["skipped_updates"], summary["rollbacks"]) == (2, 0)  # the sample comes once an epoch
    assert captured.err.count("update skipped (1 ") == 2
    assert Path("run/train.log").read_text().count("update skipped") == 2
    assert all(math.isfinite(v) for v in summary["best"].values())
    run("train", "--resume", "run", "--trust", "sick_net", code=0)
    assert "2 updates were skipped and 0 epochs rolled back" in capsys.readouterr().out


def test_a_rollback_forgets_the_metrics_of_what_it_undid(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("trainer.on_nonfinite=rollback", "trainer.nonfinite_limit=2", "logger.every_steps=1")
    run("train", "-q", *WORDS, *words, "--run-dir", "run", code=4)
    assert "2 times" in capsys.readouterr().err
    assert Path("run/train.log").read_text().count("rolled back to") == 2
    steps = [json.loads(line)["step"] for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, len(steps) + 1))


KILLED = """
import os, signal, sys
from pathlib import Path
from dlexp.artifacts.files import writing as files
left, real = int(sys.argv[1]), os.fsync

def fsync(descriptor):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    real(descriptor)

os.fsync = fsync
files.place_folder(Path("."), "crash", {"capsule.pt": b"p" * 9999, "crash.json": b"{}", "traceback.txt": b"t"})
"""


@pytest.mark.parametrize("syncs", range(8))
def test_a_kill_while_a_capsule_is_written_leaves_a_whole_one_or_none(syncs: int) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(syncs)], check=False, timeout=120)
    assert done.returncode == (-signal.SIGKILL if syncs < 7 else 0)  # two for each file, one for the rename
    remove_temporaries(Path.cwd())
    names = {path.name for path in Path("crash").iterdir()} if Path("crash").exists() else None
    assert names == (None if syncs < 6 else {"capsule.pt", "crash.json", "traceback.txt"})
    assert not list(Path.cwd().glob(".tmp-*"))


def test_a_folder_that_cannot_be_written_leaves_nothing() -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        with pytest.raises(DlexpError, match=r"capsule.pt .*9999 bytes.*File too large"):
            writing.place_folder(Path.cwd(), "crash", {"capsule.pt": b"p" * 9999})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, previous)
    assert not [path for path in Path.cwd().iterdir() if "crash" in path.name]


def test_a_taken_name_is_never_written_over() -> None:
    for number in (1, 2, 3):
        path = writing.place_folder(Path.cwd(), "crash", {"a": str(number).encode()})
        assert path.name == ("crash" if number == 1 else f"crash-{number}")
    assert Path("crash/a").read_text() == "1"


@pytest.mark.parametrize("mixed", [None, Mixed(torch.tensor([1, 0]), 0.3)])
def test_a_mixed_batch_goes_into_a_capsule_and_comes_out_of_it(mixed: Mixed | None) -> None:
    batch = Batch(torch.rand(2, 3), torch.tensor([0, 1]), torch.tensor([4, 9]), mixed)
    found = crash._batch(crash._parts(batch), torch.device("cpu"))
    assert torch.equal(as_tensor(found.inputs), as_tensor(batch.inputs))
    assert torch.equal(found.indices, batch.indices)
    assert (found.mixed is None) == (mixed is None)
    if mixed is not None and found.mixed is not None:
        assert torch.equal(found.mixed.targets, mixed.targets)
        assert found.mixed.share == mixed.share
