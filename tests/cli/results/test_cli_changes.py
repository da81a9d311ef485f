"""R16 and R17: an evaluation repeats what was logged, and what has changed since a run began is told or refused."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from refusals import line_refused

from dlexp.cli.app import main
from dlexp.workflows.run_record import drift

CPU = ("trainer.device=cpu", "trainer.epochs=3", "-q")


def dlexp(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    """Run the words, which must end with `code`; returns standard output, or standard error for a failure."""
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    captured = capsys.readouterr()
    assert (stopped.value.code or 0) == code, captured.err
    return captured.err if code else captured.out


def trained(capsys: pytest.CaptureFixture[str], name: str, *words: str) -> Path:
    dlexp(capsys, "train", *CPU, *words, "--run-dir", name)
    return Path(name)


def table(path: Path, *, classes: str = "ab", samples: int = 60) -> None:
    rows = [f"{n % 7},{n * n % 11},{classes[n % len(classes)]}" for n in range(samples)]
    path.write_text("\n".join(["x,z,y", *rows]) + "\n")


def meta(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "meta.json").read_text())
    return found


def pretend(run: Path, **values: Any) -> None:
    """As if the run had been written by other code or another machine."""
    (run / "meta.json").write_text(json.dumps({**meta(run), **values}))


@pytest.mark.parametrize(
    "words",
    [
        ("data=iris",),
        ("data=diabetes",),
        ("data=digits", "model=simple_cnn", "model.channels=[4]", "model.fc=8", "trainer.precision=bf16"),
        ("data=wine", "trainer.accumulate=3", "trainer.monitor=val/accuracy"),
    ],
    ids=lambda words: words[0],
)
def test_evaluate_repeats_every_logged_metric_to_the_last_bit(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(capsys, "run", *words)
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    best = json.loads((run / "summary.json").read_text())["best_epoch"]
    for checkpoint, row in (("best", rows[best - 1]), ("last", rows[-1])):
        line = ("evaluate", "run", "--split", "val", "--checkpoint", checkpoint, "--json")
        found = json.loads(dlexp(capsys, *line))
        logged = {k.removeprefix("val/"): float(v) for k, v in row.items() if k.startswith("val/")}
        assert logged == {name: found["metrics"][name] for name in logged}
        assert found["changed_since_training"] == []
    assert len(logged) >= 3


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            ("data=iris", "model.hidden=[7]"),
            "of another shape: model.1.bias (7,) for (8,), model.1.weight (7, 4) for (8, 4), ",
        ),
        (("data=iris", "model.hidden=[8,8]"), "unexpected: "),
        (("data=wine", "model.hidden=[8]"), "model.1.weight (8, 13) for (8, 4)"),
        (("data=diabetes", "model.hidden=[8]"), "(1, 8) for (3, 8)"),
    ],
    ids=["width", "depth", "data", "task"],
)
@pytest.mark.parametrize("checkpoint", ["best", "last"])
def test_a_checkpoint_of_another_model_is_refused_with_its_keys(
    checkpoint: str, other: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run, foreign = trained(capsys, "run", "data=iris", "model.hidden=[8]"), trained(capsys, "other", *other)
    shutil.copy(foreign / "checkpoints" / f"{checkpoint}.pt", run / "checkpoints" / f"{checkpoint}.pt")
    line = ("evaluate", "run", "--split", "val", "--checkpoint", checkpoint)
    if checkpoint == "best":  # not even read: its hash is not the run's
        assert "best.pt" in dlexp(capsys, *line, code=1)
    shutil.copy(foreign / "checkpoints" / "hashes.json", run / "checkpoints" / "hashes.json")
    err = dlexp(capsys, *line, code=1)

    assert message in err


def test_other_classes_are_named_and_their_weights_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table(tmp_path / "t.csv")
    run = trained(capsys, "run", "data=csv", "data.path=t.csv", "data.target=y")
    table(tmp_path / "t.csv", classes="abc")
    for words in ((), ("--allow-changes",)):
        err = dlexp(capsys, "evaluate", "run", *words, code=3)
        assert "'c'" in err and "'a', 'b'" in err
    assert not (run / "eval").exists()  # a look that was refused is none


def test_changed_data_are_refused_until_they_are_meant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table(tmp_path / "t.csv")
    trained(capsys, "run", "data=csv", "data.path=t.csv", "data.target=y")
    table(tmp_path / "t.csv", samples=80)
    error = line_refused(capsys, "evaluate", "run", code="data-changed", remedy="--allow-changes", exit_code=3)
    assert "data_fingerprint" in error["message"]
    argv = ("train", "-q", "--resume", "run", "trainer.epochs=5", "--allow-changes")
    line_refused(capsys, *argv, code="data-changed", remedy="dlexp train --from run", exit_code=3)
    for words in (("--allow-changes",), ("data.path=t.csv",)):
        report = json.loads(dlexp(capsys, "evaluate", "run", *words, "--json"))
        assert report["data_as_trained"] is False
        assert {change["path"] for change in report["changed_since_training"]} == {"data_fingerprint", "split_hash"}
    text = dlexp(capsys, "evaluate", "run", "--allow-changes")
    assert "changed since training: data_fingerprint: " in text
    assert "3 times" in text


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"code": {"dlexp": "0" * 64}}, "code.dlexp"),
        ({"torch": "2.0.0"}, "torch=" + str(torch.__version__)),
        ({"threads": 64}, "threads="),
    ],
    ids=["code", "torch", "threads"],
)
def test_what_decides_bits_is_refused_on_resume_and_allowed_by_a_word(
    values: dict[str, Any], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(capsys, "run", "data=iris", "trainer.precision=fp32")
    pretend(run, **values)
    line = ("train", "-q", "--resume", "run", "trainer.epochs=4")
    before = (run / "config.yaml").read_bytes()
    place = named.partition("=")[0]
    line_refused(capsys, *line, code="data-changed", where=place, remedy="--allow-changes")
    assert named in dlexp(capsys, *line, code=2)
    assert (run / "config.yaml").read_bytes() == before
    report = json.loads(dlexp(capsys, "evaluate", "run", "--split", "val", "--json"))  # reading is no going on
    assert [change["path"] for change in report["changed_since_training"]] == [named.partition("=")[0]]
    dlexp(capsys, *line, "--allow-changes")
    (change,) = meta(run)["changed"]
    assert change["path"] == named.partition("=")[0]
    dlexp(capsys, "train", "-q", "--resume", "run", "trainer.epochs=5")  # allowed once, it is the new state
    assert len(meta(run)["continued"]) == 2


def test_another_host_or_version_is_told_and_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    run = trained(capsys, "run", "data=iris")
    pretend(run, host="elsewhere", dlexp="0.0.1")
    with pytest.raises(SystemExit):
        main(["train", "-q", "--resume", "run", "trainer.epochs=4"])
    err = capsys.readouterr().err
    assert "host: elsewhere -> " in err
    assert "dlexp: 0.0.1 -> " in err
    assert json.loads((run / "status.json").read_text())["epoch"] == 4


def test_a_configuration_edited_by_hand_is_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    run = trained(capsys, "run", "data=iris", "optim.lr=0.01")
    path = run / "config.yaml"
    path.write_text(path.read_text().replace("lr: 0.01", "lr: 0.02"))
    for words in (("evaluate", "run"), ("train", "-q", "--resume", "run", "trainer.epochs=4")):
        error = line_refused(capsys, *words, code="data-changed", where="optim.lr", remedy="--allow-changes")
        assert error["problems"][0]["given"] == "0.02"
        assert "0.01" in error["problems"][0]["rule"]
        dlexp(capsys, *words, "--allow-changes")


def test_a_device_that_is_asked_for_is_no_surprise(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(capsys, "run", "data=iris")
    content = meta(run)
    content["config"]["trainer"]["device"] = "cuda"
    pretend(run, device="cuda", gpu="some card", config=content["config"])
    path = run / "config.yaml"
    path.write_text(path.read_text().replace("device: cpu", "device: cuda"))
    dlexp(capsys, "train", "-q", "--resume", "run", "trainer.epochs=4", "trainer.device=cpu")
    assert {change["path"] for change in meta(run)["changed"]} == {"device", "gpu"}


def test_a_run_of_an_older_version_that_wrote_less_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    run = trained(capsys, "run", "data=iris")
    (run / "meta.json").write_text(json.dumps({"started": "then", "data_fingerprint": meta(run)["data_fingerprint"]}))
    dlexp(capsys, "train", "-q", "--resume", "run", "trainer.epochs=4")
    assert meta(run)["started"] == "then"
    assert set(drift._BITS) <= meta(run).keys()


def test_allowing_changes_where_nothing_goes_on_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    line_refused(capsys, "train", "--allow-changes", code="no-effect", where="--allow-changes", remedy="--resume")
