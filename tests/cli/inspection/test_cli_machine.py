"""The settings of the machine as a person meets them: shown, recorded, overridden; and what a command imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dlexp.cli.app import main

WORDS = ("data=iris", "model.hidden=[4]", "trainer.epochs=1")


def dlexp(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    """What the command prints; it must end with `code`."""
    try:
        main(list(words))
        ended: object = 0
    except SystemExit as end:
        ended = end.code or 0
    found = capsys.readouterr()
    assert ended == code, found.err
    return found.out if code == 0 else found.err


def test_settings_are_shown_with_reasons_and_keys(capsys: pytest.CaptureFixture[str]) -> None:
    found: dict[str, Any] = json.loads(dlexp(capsys, "config", "--machine", "--json", *WORDS, "trainer.threads=2"))
    assert found["threads"] == {"value": "2", "reason": "as configured", "override": "trainer.threads"}
    assert found["channels_last"]["value"] == "false"
    text = dlexp(capsys, "config", "--machine", *WORDS)
    assert all(name in text for name in found)
    assert "OMP_NUM_THREADS is set (trainer.threads)" in text


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("trainer.threads=0", "1024"),
        ("trainer.compile=fast", "reduce-overhead"),
        ("trainer.channels_last=true", "trainer.channels_last=true"),
        ("trainer.compile=reduce-overhead", "trainer.compile=reduce-overhead"),
        ("trainer.tf32=auto", "trainer.tf32=auto"),
    ],
)
def test_settings_that_cannot_be_had_are_refused(capsys: pytest.CaptureFixture[str], word: str, message: str) -> None:
    err = dlexp(capsys, "train", *WORDS, "trainer.device=cpu", word, code=2)
    assert message in " ".join(err.split())


def test_settings_are_recorded_and_a_run_goes_on_with_the_threads_that_it_had(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    dlexp(capsys, "train", "-q", *WORDS, "trainer.threads=2", "--run-dir", "run")
    meta = json.loads((tmp_path / "run" / "meta.json").read_text())
    assert (meta["threads"], meta["channels_last"], meta["compile"], meta["tf32"]) == (2, False, "false", False)
    assert meta["settings"]["allocator"]["reason"]
    err = dlexp(capsys, "train", "-q", "--resume", "run", "trainer.epochs=2", "trainer.threads=1", code=2)
    assert "trainer.threads=2" in err and "--allow-changes" in err
    dlexp(capsys, "train", "-q", "--resume", "run", "trainer.epochs=2", "trainer.threads=2")
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["epochs"] == 2


def test_recomputed_activations_give_the_same_run(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("train", "--json", "data=iris", "model.hidden=[6,6]", "trainer.epochs=2")
    plain = json.loads(dlexp(capsys, *words))
    again = json.loads(dlexp(capsys, *words, "trainer.checkpoint_activations=true"))
    assert again["best"] == plain["best"]


def imported(*words: str, cwd: Path) -> set[str]:
    """The modules that a `dlexp` process has imported when it ends."""
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: sys.stderr.write('\\nMODULES ' + ' '.join(sys.modules)))\n"
        "from dlexp.cli.app import main\n"
        "main(sys.argv[1:])"
    )
    line = [sys.executable, "-c", code, *words]
    done = subprocess.run(line, capture_output=True, text=True, cwd=cwd, check=False, env=dict(os.environ))
    return set(done.stderr.rpartition("MODULES ")[2].split())


@pytest.mark.parametrize("words", [("--help",), ("train", "--help"), ("list",), ("list", "optim")])
def test_what_is_answered_at_once_imports_next_to_nothing(words: tuple[str, ...], tmp_path: Path) -> None:
    found = imported(*words, cwd=tmp_path)
    assert "dlexp.cli.app" in found
    assert found & {"pydantic", "yaml", "rich.console", "hydra", "omegaconf", "numpy", "torch"} == set()


def test_a_run_imports_what_it_needs_and_no_more(tmp_path: Path) -> None:
    found = imported("train", "--dry-run", "trainer.device=cpu", cwd=tmp_path)
    assert "torch" in found
    heavy = {"torchvision", "sklearn", "scipy", "matplotlib", "tensorboard", "pandas", "optuna", "torchmetrics", "PIL"}
    assert found & heavy == set()
