"""Errors of the system end in a refusal with a path, and a reader that is gone in 141; never in a traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dlexp.cli.app import main
from dlexp.cli.process import reset_inherited_state
from dlexp.workflows.process_pool import Child

DLEXP = [sys.executable, "-m", "dlexp"]


def refused(capsys: pytest.CaptureFixture[str], *words: str, code: int) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    err = capsys.readouterr().err
    assert stopped.value.code == code, err
    assert "Traceback" not in err
    return err


def run(*words: str, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DLEXP, *words], stderr=subprocess.PIPE, text=True, check=False, **more)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("words", [("list",), ("train", "--help"), ("config", "--json"), ("runs", "--json")])
def test_a_pipe_that_nobody_reads_ends_a_command_quietly(words: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.close(read)
    done = run(*words, stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a full device")
@pytest.mark.parametrize("words", [("list",), ("config", "--json")])
def test_a_full_device_is_told(words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = run(*words, stdout=full)
    assert done.returncode == 1
    assert done.stderr.startswith("DlexpError: ") and done.stderr.endswith("No space left on device\n")


def test_a_training_whose_progress_nobody_reads_is_saved() -> None:
    read, write = os.pipe()
    os.close(read)
    words = ("data=iris", "model=mlp", "model.hidden=[4]", "trainer.device=cpu", "trainer.epochs=500", "-o", "r")
    done = subprocess.run([*DLEXP, "train", *words], stderr=write, stdout=subprocess.DEVNULL, check=False)
    os.close(write)
    assert done.returncode == 141
    status = json.loads(Path("r/status.json").read_text())
    assert (status["state"], status["exit_code"]) == ("interrupted", 141)
    assert Path("r/checkpoints/last.pt").is_file()


@pytest.mark.parametrize("words", [("runs",), ("evaluate", "latest")])
def test_a_deleted_directory_is_told(words: tuple[str, ...], tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    line = f"cd {gone} && rmdir {gone} && exec {sys.executable} -m dlexp {' '.join(words)}"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert done.stderr.startswith("DlexpError: ") and "current directory" in done.stderr


def test_closed_streams_are_no_traceback() -> None:
    line = f"{sys.executable} -m dlexp runs >&- 2>&- <&-"
    assert subprocess.run(["bash", "-c", line], check=False).returncode == 0


def make_loop(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("train", "data=csv", "data.path=loop", "data.target=y"), 3, "loop"),
        (("train", "data=csv", "data.path=/proc/self/mem", "data.target=y"), 3, "Input/output error"),
        (
            ("train", "data=image_folder", "data.path=images", "model=mlp"),
            3,
            "self.png: ",
        ),
        (("train", "data=iris", "model=mlp", "-o", "x" * 300), 1, "File name too long"),
        (("evaluate", "x" * 300), 1, "File name too long"),
        (("train", "--resume", "loop"), 2, "loop"),
        (("tune", "-n", "1", "data=iris", "model=mlp", "--name", "s"), 1, "mv file file.old"),
        (("train", "-q", "data=iris", "model=mlp", "--seeds", "2"), 1, "mv file file.old"),
    ],
    ids=["link", "read error", "image", "run dir", "evaluate", "resume", "tune", "seeds"],
)
def test_an_error_of_the_system_is_a_refusal_with_its_path(
    words: tuple[str, ...], code: int, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    for number in range(8):
        path = Path(f"images/{'ab'[number % 2]}/{number}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), number).save(path)
    make_loop(Path("images/a/self.png"))
    make_loop(Path("loop"))
    Path("file").write_text("")
    if "mv file" in message:
        monkeypatch.setenv("DLEXP_RUNS_DIR", "file")
    assert message in refused(capsys, *words, code=code)


def with_sigchld_ignored(work: Callable[[], None]) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        work()
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_sigchld_that_a_parent_ignores_costs_no_exit_codes() -> None:
    def work() -> None:
        reset_inherited_state()
        assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL
        assert subprocess.run(["false"], check=False).returncode == 1

    with_sigchld_ignored(work)


def test_a_pool_with_sigchld_ignored_says_that_it_does_not_know() -> None:
    def work() -> None:
        reports, _ = os.pipe()
        _, replies = os.pipe()
        pid = os.fork()
        if not pid:
            os._exit(3)
        assert Child("key", 0, pid, reports, replies).collect()

    with_sigchld_ignored(work)
