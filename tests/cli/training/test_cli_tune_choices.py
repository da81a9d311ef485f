"""A search among lists and null, from the line to the trained winner; what is told of it is what one writes."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import prefork
import yaml
from test_cli_tune import content, rows, study_of, tune

KEYS = ("optim.lr", "optim.weight_decay", "optim.momentum", "data.batch_size", "model.dropout")
LINE = (
    *("data=iris", "model=mlp", "optim=sgd", "trainer.epochs=1", "--name", "s", "-q"),
    *("search.sampler=grid", "search.confirm_top=0", *(f"search.space.{key}=null" for key in KEYS)),
    "search.space.model.hidden={choice:[[64],[16,8]]}",
    "search.space.trainer.clip_norm={choice:[null,1.5]}",
)


def test_lists_and_null_are_searched_resumed_and_trained(tmp_path: Path) -> None:
    shown = json.loads(tune(tmp_path, *LINE, "--dry-run", "--json")[0])
    assert shown["space"]["model.hidden"] == "one of [64], [16, 8]"
    assert shown["space"]["trainer.clip_norm"] == "one of null, 1.5"
    assert all(sample["model.hidden"] in ([64], [16, 8]) for sample in shown["samples"])
    assert "None" not in tune(tmp_path, *LINE, "--dry-run")[0]
    tune(tmp_path, *LINE, "-n", "3")
    out, _ = tune(tmp_path, *LINE, "-n", "9")  # goes on, to the end of the grid
    points = {(row["model.hidden"], row["trainer.clip_norm"]) for row in rows(tmp_path) if row["trial"] != "0"}
    assert points == {(hidden, clip) for hidden in ("[64]", "[16, 8]") for clip in ("null", "1.5")}
    for row in rows(tmp_path)[1:]:
        config = yaml.safe_load((study_of(tmp_path) / row["folder"] / "config.yaml").read_text())
        assert config["model"]["hidden"] == json.loads(row["model.hidden"])
        assert config["trainer"]["clip_norm"] == json.loads(row["trainer.clip_norm"])
    page = (study_of(tmp_path) / "report.html").read_text()
    assert "one of null, 1.5" in page
    assert "[16, 8]" in page
    assert "None" not in page + out
    best = content(tmp_path)["best"]
    winner = yaml.safe_load((study_of(tmp_path) / "best.yaml").read_text())
    if best["trial"]:
        assert winner["model"]["hidden"] == json.loads(best["params"]["model.hidden"])
        assert winner["trainer"]["clip_norm"] == best["params"]["trainer.clip_norm"]
    words = ("train", "--from", "outputs/tune/s", "--run-dir", "again", "-q")
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = prefork.run(*words, cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert (
        yaml.safe_load((tmp_path / "again" / "config.yaml").read_text())["model"]["hidden"] == winner["model"]["hidden"]
    )


def test_what_is_no_choice_is_refused_by_name(tmp_path: Path) -> None:
    wrong = ("search.space.optim={choice:[[sgd],null]}", "search.space.model.dropout={choice:[0.1,0.1]}")
    _, err = tune(tmp_path, "data=iris", "model=mlp", *wrong[:1], "-n", "3", code=2)
    assert "[sgd]" in err
    assert "null" in err
    _, err = tune(tmp_path, "data=iris", "model=mlp", *wrong[1:], "-n", "3", code=2)
    assert "got 0.1 twice" in " ".join(err.split())
    assert list(tmp_path.iterdir()) == []
