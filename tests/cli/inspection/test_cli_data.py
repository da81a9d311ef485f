"""`dlexp data ...` as it is typed: what it prints, what it writes, what it refuses, and the exit codes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import prefork
import pytest


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80", "NO_COLOR": "1"}
    return prefork.run("data", *words, cwd=folder, env=env)


def test_a_preview_of_images_says_what_it_shows(tmp_path: Path) -> None:
    done = run(tmp_path, "preview", "data.augment=strong", "--count", "6", "--epoch", "2")
    assert done.returncode == 0, done.stderr
    assert "6 of 1,259 " in done.stdout and "epoch 2" in done.stdout
    assert "Rotate(degrees=15.0)" in done.stdout
    assert "saturation removed" in done.stdout
    assert (tmp_path / "preview.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["preview.png"]  # no run, nothing else


def test_a_preview_of_a_table_fits_into_eighty_columns(tmp_path: Path) -> None:
    done = run(tmp_path, "preview", "data=wine", "--split", "val", "--out", "deep/wine.png")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "deep" / "wine.png").is_file()
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert sum(line.startswith(("alcohol", "proline", "label")) for line in done.stdout.splitlines()) == 3


def test_json_for_scripts_and_errors_in_words(tmp_path: Path) -> None:
    facts = json.loads(run(tmp_path, "fingerprint", "data=iris", "--json").stdout)
    assert len(facts["fingerprint"]) == len(facts["split_hash"]) == 64
    assert {name: split["samples"] for name, split in facts["splits"].items()} == {"train": 90, "val": 30, "test": 30}
    wrong = run(tmp_path, "preview", "--split", "tset", "--count", "0", "--json")
    assert wrong.returncode == 2
    problems = {problem["where"]: problem for problem in json.loads(wrong.stdout)["error"]["problems"]}
    assert set(problems) == {"--split", "--count"}
    assert "test" in problems["--split"]["remedy"]


@pytest.mark.parametrize("command", ["preview", "fingerprint", "check"])
def test_data_that_is_not_there_is_exit_code_three(tmp_path: Path, command: str) -> None:
    done = run(tmp_path, command, "data=image_folder", "data.path=nowhere", "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["error"]["code"] == "not-found"
    assert "nowhere" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_check_of_clean_data_ends_with_zero_and_writes_two_files(tmp_path: Path) -> None:
    done = run(tmp_path, "check", "data=wine", "--out", "found")
    assert done.returncode == 0, done.stderr
    assert "3 notes" in done.stdout
    assert "5.8 in row 123" in done.stdout
    assert sorted(path.name for path in (tmp_path / "found").iterdir()) == ["check.json", "check.png"]
    assert (tmp_path / "found" / "check.png").read_bytes().startswith(b"\x89PNG")
    wrong = run(tmp_path, "check", "data=wine", "--out", "found/check.json")
    assert wrong.returncode == 2
    assert "--out" in wrong.stderr


def test_a_check_that_finds_what_spoils_training_ends_with_three(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (300, 8, 8), dtype=np.uint8)
    images[150:] = images[:150]
    np.savez(tmp_path / "twice.npz", x=images, y=np.tile(np.arange(150) % 3, 2))
    done = run(tmp_path, "check", "data=arrays", "data.path=twice.npz")
    assert done.returncode == 3, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("error")]
    assert "duplicates across splits: " in line
    assert "held-out split" in line  # a pipe gets whole lines
    said = run(tmp_path, "check", "data=arrays", "data.path=twice.npz", "--json")
    assert said.returncode == 3
    facts = json.loads(said.stdout)
    assert facts == json.loads((tmp_path / "check.json").read_text())
    assert facts["counts"]["error"] == 1
    (found,) = [one for one in facts["findings"] if one["severity"] == "error"]
    assert found["count"] > 50
    assert len(found["where"]) == 10
