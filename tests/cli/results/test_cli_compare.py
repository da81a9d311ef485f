"""`dlexp compare` on networks that were trained for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlexp.cli.app import main


def run(*words: str, code: int = 0) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    assert stopped.value.code == code


def test_a_convolution_is_better_than_a_perceptron_and_no_better_than_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five epochs are little, and 2.9 points apart: enough for three seeds and 359 samples to tell."""
    for model in ("mlp", "simple_cnn"):
        words = (f"model={model}", "trainer.epochs=5", "trainer.test=true", "--seeds", "3", "--run-dir", model)
        run("train", *words, "--quiet")
    capsys.readouterr()
    run("compare", "mlp", "simple_cnn", "--plot", "curves.png", "--save")
    text = capsys.readouterr().out
    assert "simple_cnn is better than mlp by " in text
    assert "test/accuracy, 359 samples" in text
    assert "times on the test split" not in text
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    (saved,) = (tmp_path / "outputs" / "compare").iterdir()
    assert {path.name for path in saved.iterdir()} == {"compare.json", "compare.csv", "curves.png"}

    run("compare", "mlp", "simple_cnn", "--json")
    content = json.loads(capsys.readouterr().out)
    (pair,) = content["pairs"]
    assert pair["better"] == "simple_cnn"
    assert 0 < pair["difference"]["low"] < pair["difference"]["value"] < pair["difference"]["high"]
    assert [group["seeds"] for group in content["groups"]] == [[42, 43, 44]] * 2

    run("compare", "simple_cnn")
    assert "not distinguishable: the 3 runs" in capsys.readouterr().out
    run("compare", "mlp/seed-42", "simple_cnn/seed-43")
    one_each = capsys.readouterr().out
    assert "McNemar" in one_each
    assert "--seeds 5" in one_each

    run("compare", "mlp", "simple_cnn", "--split", "val", code=2)
    assert "dlexp evaluate mlp --split val" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "requires either the runs to compare or --where"),
        (["nowhere", "elsewhere"], "not found"),
        (["--where", "model=mlp"], "no finished run matches"),
    ],
    ids=["nothing", "no run", "no match"],
)
def test_what_cannot_be_compared_is_refused(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run("compare", *words, code=2)
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []
