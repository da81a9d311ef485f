"""The short version of kill_runs.py: a few kills of a run that saves all the time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_six_kills_lose_no_epoch_no_file_and_no_bit() -> None:
    script = Path(__file__).with_name("kill_runs.py")
    line = [sys.executable, str(script), "--kills", "6", "--seed", "1", "--case", "sgd, plateau, regression"]
    done = subprocess.run(
        line, capture_output=True, text=True, timeout=500, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 kills, 0 problems" in done.stdout
