"""Trackers: what they wrote is read back with their own libraries; none stops, slows or changes a run; no secret."""

from __future__ import annotations

import ast
import csv
import json
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dlexp import loggers
from dlexp.artifacts.checkpoints.checkpoint import read_checkpoint
from dlexp.artifacts.checkpoints.state_diff import Compared, state_differences
from dlexp.cli.app import main

LONG = "logger.patience=600"  # on a busy machine an import alone takes longer than people would wait
TINY = ("data=iris", "model.hidden=[4]", "optim=sgd", "trainer.epochs=3", "logger.every_steps=2", LONG)
SECRET = "s3cr3t-t0ken-0123456789abcdef0123456789ab"
# What mlflow, wandb and their own libraries warn of while they are imported is theirs.
pytestmark = pytest.mark.filterwarnings("ignore")


def dlexp(*words: str, code: int = 0) -> None:
    with pytest.raises(SystemExit) as end:
        main(list(words))
    assert (end.value.code or 0) == code, words


def summary_of(run: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(run, "summary.json").read_text())
    return found


def epochs_of(run: str) -> list[dict[str, str]]:
    with Path(run, "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def steps_of(run: str) -> dict[int, float]:
    lines = [json.loads(line) for line in Path(run, "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line["train/loss"] for line in lines if line["kind"] == "step"}


def nobody_listens() -> str:
    """An address of this machine where a connection is refused."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{one.getsockname()[1]}"


@pytest.fixture
def silent_server() -> Iterator[str]:
    """An address where a connection is taken, and nothing is ever answered."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        yield f"127.0.0.1:{one.getsockname()[1]}"


def test_tensorboard_has_every_row_and_a_resumed_run_none_twice() -> None:
    pytest.importorskip("tensorboard")
    dlexp("train", "-q", *TINY, "logger=tensorboard", "--run-dir", "r")
    dlexp("train", "-q", "--resume", "r", "trainer.epochs=5")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(Path("r/tb")))
    found.Reload()
    rows = epochs_of("r")
    assert len(rows) == 5
    for name in ("train/loss", "val/loss", "val/accuracy", "lr"):
        scalars = [(event.step, event.value) for event in found.Scalars(name)]
        assert scalars == [(int(row["step"]), pytest.approx(float(row[name]), rel=1e-6)) for row in rows]
    steps = {event.step: event.value for event in found.Scalars("step/train/loss")}
    assert steps == pytest.approx(steps_of("r"), rel=1e-6)
    assert summary_of("r")["loggers"] == {"tensorboard": {"ok": True, "problem": "", "lost": 0}}


def test_mlflow_has_parameters_metrics_tags_and_the_end_and_a_resumed_run_is_the_same() -> None:
    pytest.importorskip("mlflow")
    dlexp("train", "-q", *TINY, "logger=mlflow", "trainer.test=true", "--run-dir", "outputs/r")
    identity = json.loads(Path("outputs/r/loggers.json").read_text())["mlflow"]["id"]
    dlexp("train", "-q", "--resume", "outputs/r", "trainer.epochs=4")
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{Path('outputs/mlflow.db').resolve()}")
    experiment = client.get_experiment_by_name("dlexp")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_id, run.info.status, run.info.run_name) == (identity, "FINISHED", "r")
    assert {"seed": "42", "model.hidden": "[4]", "trainer.epochs": "3", "optim.momentum": "0.9"}.items() <= (
        run.data.params.items()
    )
    meta = json.loads(Path("outputs/r/meta.json").read_text())
    assert run.data.tags["dlexp.data_fingerprint"] == meta["data_fingerprint"]
    assert run.data.tags["dlexp.run_dir"] == str(Path("outputs/r").resolve())
    rows = epochs_of("outputs/r")
    history = [(point.step, point.value) for point in client.get_metric_history(identity, "val/loss")]
    assert sorted(history) == [(int(row["step"]), float(row["val/loss"])) for row in rows]
    steps = {point.step: point.value for point in client.get_metric_history(identity, "step/train/loss")}
    assert steps == steps_of("outputs/r")
    summary = summary_of("outputs/r")
    assert run.data.metrics["best/test/accuracy"] == summary["test"]["accuracy"]
    assert summary["loggers"]["mlflow"]["ok"]


@pytest.mark.parametrize(("words", "code", "status"), [(("optim.lr=1e30",), 4, "FAILED"), ((), 75, "KILLED")])
def test_mlflow_knows_how_a_run_ended(
    words: tuple[str, ...], code: int, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow")
    if code == 75:
        from dlexp.runtime.signals import StopRequest

        monkeypatch.setattr(StopRequest, "__bool__", lambda self: True)
        monkeypatch.setattr(StopRequest, "exit_code", 75)
    dlexp(
        "train", "-q", *TINY, *words, "logger=mlflow", "logger.mlflow_uri=sqlite:///m.db", "--run-dir", "r", code=code
    )
    from mlflow import MlflowClient

    kept = json.loads(Path("r/loggers.json").read_text())["mlflow"]
    assert (kept["problem"], kept["lost"]) == ("", 0)
    assert MlflowClient(tracking_uri="sqlite:///m.db").get_run(kept["id"]).info.status == status


def wandb_records(folder: Path) -> Iterator[Any]:
    """The records of a run's .wandb file: a log of blocks of 32 KiB, as LevelDB writes it."""
    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = folder.glob("run-*.wandb")
    content = path.read_bytes()
    assert content[:4] == b":W&B"
    at, parts = 7, b""
    while at + 7 <= len(content):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        _, size, kind = struct.unpack_from("<IHB", content, at)
        parts += content[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            record = Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


def test_wandb_offline_has_the_history_and_a_resumed_run_keeps_its_name() -> None:
    pytest.importorskip("wandb")
    dlexp("train", "-q", *TINY, "logger=wandb", "--run-dir", "r")
    identity = json.loads(Path("r/loggers.json").read_text())["wandb"]["id"]
    time.sleep(1.0)  # W&B names a folder by the second
    dlexp("train", "-q", "--resume", "r", "trainer.epochs=4")
    folders = sorted(Path("r/wandb").glob("offline-run-*"))
    assert len(folders) == 2
    rows: list[dict[str, float]] = []
    config: dict[str, Any] = {}
    codes: list[int] = []
    for folder in folders:
        for record in wandb_records(folder):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                assert record.run.run_id == identity
                config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
            elif kind == "history":
                items = {".".join(item.nested_key) or item.key: item.value_json for item in record.history.item}
                rows.append({name: float(value) for name, value in items.items()})
            elif kind == "exit":
                codes.append(record.exit.exit_code)
    assert codes == [0, 0]
    losses = [(int(row["step"]), row["val/loss"]) for row in rows if "val/loss" in row]
    assert losses == [(int(row["step"]), float(row["val/loss"])) for row in epochs_of("r")]
    assert {int(row["step"]): row["step/train/loss"] for row in rows if "step/lr" in row} == steps_of("r")
    assert config["model.hidden"] == [4]
    assert summary_of("r")["loggers"]["wandb"] == {"ok": True, "problem": "", "lost": 0}


def test_all_of_them_leave_every_bit_as_it_was() -> None:
    for name in ("tensorboard", "mlflow", "wandb"):
        pytest.importorskip(name)
    dlexp("train", "-q", *TINY, "model.dropout=0.5", "--run-dir", "plain")
    trackers = ("logger.tensorboard=true", "logger.mlflow=true", "logger.wandb=true")
    dlexp("train", "-q", *TINY, "model.dropout=0.5", *trackers, "--run-dir", "told")
    counted = Compared()
    mine, theirs = (read_checkpoint(Path(name, "checkpoints", "last.pt")) for name in ("plain", "told"))
    assert list(state_differences(mine, theirs, counted)) == []
    assert counted.tensors > 4
    assert {name: found["ok"] for name, found in summary_of("told")["loggers"].items()} == dict.fromkeys(
        ("tensorboard", "mlflow", "wandb"), True
    )


def test_a_server_that_is_not_there_is_each_once_and_counted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    address = f"http://{nobody_listens()}"
    dlexp("train", *TINY, "logger=mlflow", f"logger.mlflow_uri={address}", "--run-dir", "r")
    err = capsys.readouterr().err
    assert err.count("logger.mlflow failed") == 1
    assert Path("r/train.log").read_text().count("logger.mlflow failed") == 1
    found = summary_of("r")["loggers"]["mlflow"]
    assert not found["ok"]
    assert found["lost"] > 0
    assert json.loads(Path("r/loggers.json").read_text())["mlflow"]["problem"] == found["problem"]
    assert summary_of("r")["epochs"] == 3


def test_a_server_that_never_answers_holds_nothing_up(silent_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own timeout is minutes here: only `logger.patience` can end the run."""
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "600")
    words = ("logger=mlflow", f"logger.mlflow_uri=http://{silent_server}", "logger.patience=0.5")
    dlexp("train", "-q", *TINY, *words, "--run-dir", "r")
    found = summary_of("r")["loggers"]["mlflow"]
    assert "did not answer in time" in found["problem"]
    assert found["lost"] == len(steps_of("r")) + len(epochs_of("r"))


def test_no_file_of_a_run_holds_a_secret_of_a_tracker(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that works, one whose tracker fails with the secret in its address, and one that crashes."""
    for name in ("mlflow", "wandb"):
        pytest.importorskip(name)
    for name in ("WANDB_API_KEY", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("MY_TRACKER", f"http://me:{SECRET}@{nobody_listens()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    trackers = ("logger.tensorboard=true", "logger.mlflow=true", "logger.wandb=true")
    dlexp("train", "-q", *TINY, *trackers, "--run-dir", "outputs/works")
    failing = (*trackers, "logger.mlflow_uri=${oc.env:MY_TRACKER}")
    dlexp("train", "-q", *TINY, *failing, "--run-dir", "outputs/fails")
    dlexp("train", "-q", *TINY, *failing, "optim.lr=1e30", "--run-dir", "outputs/crashes", code=4)
    dlexp("train", "-q", "-m", *TINY, *failing, "seed=0")
    out, err = capsys.readouterr()
    assert "logger.mlflow failed" in err
    assert SECRET not in out + err
    assert not summary_of("outputs/fails")["loggers"]["mlflow"]["ok"]
    assert (Path("outputs/crashes/crash")).is_dir()
    files = [path for path in Path("outputs").rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 60
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    dlexp("tune", *TINY, f"logger.mlflow_uri=http://me:{SECRET}@host", "-n", "1", code=2)
    assert SECRET not in "".join(capsys.readouterr())
    assert "${oc.env:MY_TRACKER}" in Path("outputs/fails/config.yaml").read_text()


def test_a_password_on_the_line_is_refused_and_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    dlexp("train", *TINY, "logger=mlflow", f"logger.mlflow_uri=http://me:{SECRET}@host:5000", "--run-dir", "r", code=2)
    out, err = capsys.readouterr()
    assert "logger.mlflow_uri" in err
    assert "MLFLOW_TRACKING_PASSWORD" in err
    assert SECRET not in out + err
    assert not Path("r").exists()


def test_what_cannot_be_is_refused_before_anything_is_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(Path.cwd()))
    found = __import__("importlib.util").util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *rest: None if name == "mlflow" else found(name, *rest)
    )
    dlexp("train", *TINY, "logger=mlflow", "logger.wandb=true", "logger.wandb_mode=online", "--run-dir", "r", code=2)
    err = capsys.readouterr().err
    assert "pip install 'dlexp[mlflow]'" in err
    assert "WANDB_API_KEY" in err
    assert not Path("r").exists()


def test_no_module_imports_a_tracker_when_it_is_imported() -> None:
    """Only a sink that was chosen does, in a function; conf and command line need none of them."""
    files = sorted(Path(loggers.__file__).parents[1].rglob("*.py"))
    assert len(files) > 150
    for path in files:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert not {name.split(".")[0] for name in names} & {"tensorboard", "mlflow", "wandb"}, path
            assert "torch.utils.tensorboard" not in names, path


def test_training_does_not_wait_for_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sink that sleeps far longer than training takes: every row is taken at once and written in the end."""
    from dlexp.loggers.relay import Relay

    written: list[int] = []

    class Slow:
        def open(self, remember: Any) -> None:
            remember("me")

        def write(self, rows: Any) -> None:
            time.sleep(0.05)
            written.extend(step for step, _ in rows)

        def close(self, end: str, results: Any) -> None:
            written.append(-1)

    names: list[str] = []
    relay = Relay(Slow(), names.append, str)
    for step in range(1000):
        relay.put((step, {"a": 1.0}))
    relay.close("finished", {})
    relay.wait(time.monotonic() + 60)
    assert written == [*range(1000), -1]
    assert (names, relay.problem, relay.lost) == (["me"], "", 0)
