"""The journal outlives whoever writes it: no lock is left behind, and half a record is no record (T1, T7)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest

from dlexp.tune.storage.journal import Journal


def study(path: Path) -> optuna.Study:
    return optuna.create_study(
        study_name="s", storage=optuna.storages.JournalStorage(Journal(path)), load_if_exists=True
    )


def numbers(path: Path) -> list[int]:
    return [trial.number for trial in study(path).trials]


def test_a_process_killed_with_the_lock_in_its_hand_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a relative path, on which Optuna's own lock waits for ever
    path = Path("study.journal")
    study(path).ask()
    code = (
        "import fcntl, time; file = open('study.journal', 'r+b'); fcntl.flock(file, fcntl.LOCK_EX);"
        "print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    waiting = subprocess.Popen(
        [sys.executable, "-c", "from test_tune_journal import study, Path; study(Path('study.journal')).ask()"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )
    time.sleep(0.5)
    assert waiting.poll() is None  # it imports, or it waits: the lock is held
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert waiting.wait(60) == 0
    assert numbers(path) == [0, 1]


def test_what_another_lock_left_lying_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("sub/study.journal")
    study(path).ask()
    Path("sub/study.journal.lock").symlink_to("sub/study.journal")
    study(path).ask()
    assert numbers(path) == [0, 1]


@pytest.mark.parametrize("kept", [1, 20, -1])
def test_an_unfinished_last_record_is_cut_off_and_the_study_goes_on(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "study.journal"
    study(path).ask()
    whole = path.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    path.write_bytes(whole + last[:kept])
    assert numbers(path) == [0]
    opened = study(path)
    opened.tell(opened.ask(), 1.0)
    assert numbers(path) == [0, 1]
    assert path.read_bytes().startswith(whole)
    assert all(line.endswith(b"}\n") for line in path.read_bytes().splitlines(keepends=True))


def test_records_of_many_processes_are_all_there(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    study(path)
    code = (
        "import sys; from test_tune_journal import study, Path;\n"
        "opened = study(Path(sys.argv[1]))\n"
        "for _ in range(20): opened.tell(opened.ask(), 1.0)"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    crowd = [subprocess.Popen([sys.executable, "-c", code, str(path)], env=env) for _ in range(4)]
    assert [process.wait(120) for process in crowd] == [0] * 4
    assert sorted(numbers(path)) == list(range(80))
