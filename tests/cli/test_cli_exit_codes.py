"""Every exit code of the table in docs/reference/errors.md, by a process that ends with it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import prefork
import pytest

DLEXP = str(Path(sys.executable).with_name("dlexp"))
DOCS = Path(__file__).resolve().parents[2] / "docs" / "reference" / "errors.md"
TRAIN = ("train", "-q", "data=iris", "trainer.epochs=2", "--run-dir", "run")
LONG = ("train", "-q", "data=iris", "trainer.epochs=100000", "logger.every_steps=1", "--run-dir", "run")
# code -> the words that end with it of themselves, and what standard error says
WORDS: dict[int, tuple[tuple[str, ...], str]] = {
    0: (TRAIN, ""),
    1: (("evaluate", "empty"), "has no best checkpoint"),
    2: (("train", "model=resnet81"), "Did you mean model=resnet18?"),
    3: (("train", "data=csv", "data.path=rows.csv", "data.target=y"), "rows.csv"),
    4: ((*TRAIN, "optim=sgd", "optim.lr=1e30", "model.norm=none"), "Diverged"),
    6: (
        (*TRAIN, "--config-dir", "conf", "--trust", "hungry", "model=hungry"),
        "out of memory in an update on a batch of",
    ),
    5: (("lr-find", "-q", "data=iris", "--max-lr", "1e-6", "--run-dir", "sweep"), "NoResult"),
}
# code -> the signal that a long run gets
SIGNALS: dict[int, signal.Signals] = {75: signal.SIGTERM, 130: signal.SIGINT}
# code -> the signal that ends a process which has nothing to save yet; a shell reports 128 + its number
EARLY: dict[int, signal.Signals] = {129: signal.SIGHUP, 138: signal.SIGUSR1, 143: signal.SIGTERM}
UNREAD = 141  # nobody reads what is written


def table() -> set[int]:
    """The codes in the table under `## Exit codes`."""
    section = DOCS.read_text().partition("## Exit codes")[2].partition("\n## ")[0]
    return {int(code) for code in re.findall(r"^\| (\d+) \|", section, flags=re.MULTILINE)}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "rows.csv").write_text("x,y\n1,a\n")
    (tmp_path / "slow.py").write_text(
        "import time\nfrom pathlib import Path\nfrom torch import nn\n\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, in_features, num_outputs):\n"
        "        super().__init__()\n"
        "        Path('held').touch()\n"
        "        while not Path('go').exists():\n"
        "            time.sleep(0.01)\n"
    )
    (tmp_path / "hungry.py").write_text(
        "from torch import nn\n\n"
        "class Net(nn.Linear):\n"
        "    def __init__(self, in_features, num_outputs):\n"
        "        super().__init__(in_features, num_outputs)\n"
        "    def forward(self, x):\n"
        "        if self.training:\n"
        "            raise MemoryError\n"
        "        return super().forward(x)\n"
    )
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "hungry.yaml").write_text("# Hungry\n_target_: hungry.Net\n")
    (tmp_path / "conf" / "model" / "slow.yaml").write_text("# Slow\n_target_: slow.Net\n")
    yield tmp_path
    (tmp_path / "go").touch()


def begin(folder: Path, *words: str) -> prefork.Process:
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return prefork.Process(words, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def wait_for(path: Path, process: prefork.Process | subprocess.Popen[str]) -> None:
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)  # polling another process: there is nothing to be notified by


def test_every_code_of_the_table_is_tested_and_every_tested_one_is_in_it() -> None:
    assert table() == {*WORDS, *SIGNALS, *EARLY, UNREAD}


@pytest.mark.parametrize("code", WORDS)
def test_code_of_a_line(code: int, folder: Path) -> None:
    words, message = WORDS[code]
    if code == 1:
        described = prefork.run("config", cwd=folder)
        (folder / "empty").mkdir()
        (folder / "empty" / "config.yaml").write_text(described.stdout)
    process = begin(folder, *words)
    _, err = process.communicate(timeout=240)
    assert process.returncode == code, err
    assert message in err
    assert "Traceback" not in err


def test_code_of_output_that_nobody_reads(folder: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([DLEXP, "list"], cwd=folder, stdout=write, stderr=subprocess.PIPE, timeout=240)
    os.close(write)
    assert (done.returncode, done.stderr) == (UNREAD, b"")


@pytest.mark.parametrize("code", SIGNALS)
def test_code_of_a_stop_that_is_saved(code: int, folder: Path) -> None:
    process = begin(folder, *LONG)
    wait_for(folder / "run" / "metrics.jsonl", process)
    process.send_signal(SIGNALS[code])
    _, err = process.communicate(timeout=240)
    assert process.returncode == code, err
    assert "saved at" in err


@pytest.mark.parametrize("code", EARLY)
def test_code_of_an_end_before_there_was_anything_to_save(code: int, folder: Path) -> None:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "DLEXP": DLEXP}
    line = '"$DLEXP" train -q --config-dir conf --trust slow model=slow data=iris & echo $! > pid; wait $!'
    shell = subprocess.Popen(["sh", "-c", line], cwd=folder, env=env, stderr=subprocess.PIPE, text=True)
    wait_for(folder / "held", shell)
    os.kill(int((folder / "pid").read_text()), EARLY[code])
    shell.communicate(timeout=240)
    assert shell.returncode == code
    assert not (folder / "outputs").exists()
