"""What comes from the environment is in no file of a run, whatever the command (R15)."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlexp.cli.app import main

SECRET = "s3cr3t-t0ken"


def dlexp(*words: str) -> None:
    with pytest.raises(SystemExit) as end:
        main(list(words))
    assert end.value.code in (0, 5), words  # 5: lr-find has no clear answer on so small a table


def test_no_artifact_of_any_command_holds_a_value_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of the data is the secret: every command has to read it, and none may write it down."""
    folder = Path(SECRET).resolve()
    folder.mkdir()
    rows = "".join(f"{n},{n * n % 7},{n % 2}\n" for n in range(60))
    (folder / "t.csv").write_text(f"a,b,y\n{rows}")
    monkeypatch.setenv("DLEXP_SECRET_FOLDER", str(folder))
    words = ("data=csv", "data.path=${oc.env:DLEXP_SECRET_FOLDER}/t.csv", "data.target=y", "model.hidden=[4]")
    short = ("trainer.epochs=2", "trainer.test=true")
    dlexp("train", "-q", *words, *short, "--run-dir", "outputs/run")
    dlexp("train", "-q", "--resume", "outputs/run", "trainer.epochs=3")
    dlexp("train", "-q", "--from", "outputs/run", "seed=3", "--run-dir", "outputs/again")
    dlexp("evaluate", "outputs/run")
    dlexp("lr-find", "-q", *words, "--steps", "25", "--run-dir", "outputs/find")
    dlexp("tune", "-q", *words, *short, "search.confirm_top=0", "-n", "2", "--name", "study")
    files = [path for path in Path("outputs").rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 60
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    assert "${oc.env:DLEXP_SECRET_FOLDER}/t.csv" in Path("outputs/run/config.yaml").read_text()
