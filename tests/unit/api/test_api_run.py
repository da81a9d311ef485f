"""Runs of Python are the runs of the command line: same directory, same bits, and everything that is done with them."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, assert_type

import numpy as np
import pandas as pd
import prefork
import pytest
import torch
from refusals import refused

import dlexp
from dlexp.api import progress as progress_module
from dlexp.engine.loop import EpochRecord, StepRecord

SMALL = ("model=mlp", "model.hidden=[8]", "trainer.epochs=2")
_TIMES = ["seconds", "samples_per_s"]


def people(rows: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"age": rng.integers(18, 80, rows), "town": ["Bonn", "Trier", "Ulm"] * (rows // 3)})
    frame["owns"] = np.where(frame["age"] + 10 * (frame["town"] == "Ulm") > 50, "yes", "no")
    return frame


def log_of(run: dlexp.Run) -> pd.DataFrame:
    return run.metrics.drop(columns=_TIMES)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return people()


@pytest.fixture(scope="module")
def trained(frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> dlexp.Run:
    folder = tmp_path_factory.mktemp("runs") / "run"
    return dlexp.train(*SMALL, data=frame, target="owns", run_dir=folder, progress=False)


def _numpy_key() -> np.ndarray[Any, Any]:
    state = np.random.get_state(legacy=True)
    assert isinstance(state, tuple)
    return np.asarray(state[1])


def test_an_experiment_with_open_axes_is_refused_since_a_call_trains_one_configuration() -> None:
    with pytest.raises(dlexp.ConfigError) as error:
        dlexp.train("experiment=compare_optimizers", "optim=sgd")
    refused(error.value, "not-supported", "experiment", "dlexp train experiment=compare_optimizers")


def test_the_types_are_known(trained: dlexp.Run) -> None:
    """mypy checks these, in strict mode; here they are imported as a user imports them."""
    assert_type(trained, dlexp.Run)
    assert_type(trained.metrics, pd.DataFrame)
    assert_type(trained.summary, dict[str, Any])
    assert_type(trained.path, Path)
    assert (Path(dlexp.__file__).parent / "py.typed").is_file()


def test_the_same_words_give_the_bits_of_the_command_line(frame: pd.DataFrame, trained: dlexp.Run) -> None:
    frame.to_csv("people.csv", index=False)
    words = [*SMALL, "data=csv", "data.path=people.csv", "data.target=owns"]
    done = prefork.run("train", *words, "--json", cwd=Path.cwd())
    typed = dlexp.load(json.loads(done.stdout)["run"])
    called = dlexp.train(*SMALL, data="people.csv", target="owns", progress=False)
    pd.testing.assert_frame_equal(log_of(typed), log_of(called), check_exact=True)
    pd.testing.assert_frame_equal(log_of(typed), log_of(trained), check_exact=True)  # of the DataFrame
    files = {path.name for path in typed.path.iterdir()}
    assert files == {path.name for path in called.path.iterdir()} == {path.name for path in trained.path.iterdir()}
    one, other = (torch.load(run.path / "checkpoints/best.pt", weights_only=True) for run in (typed, called))
    assert all(torch.equal(one["networks"][name], other["networks"][name]) for name in one["networks"])
    assert typed.overrides == called.overrides == tuple(words)
    assert (called.path / "command.txt").read_text().startswith("dlexp train model=mlp")


def test_a_run_shows_what_it_is(trained: dlexp.Run) -> None:
    assert trained.state == "finished"
    assert trained.metrics["epoch"].tolist() == [1, 2]
    assert trained.summary["best"]["loss"] == trained.best["val/loss"]
    assert trained.config["trainer"]["epochs"] == 2
    assert "finished" in repr(trained)
    assert trained._repr_html_().startswith("<div>")
    assert trained.curves._repr_png_().startswith(b"\x89PNG")
    assert isinstance(trained.network(), torch.nn.Module)
    assert not trained.network().training


def test_a_loaded_run_is_evaluated_on_the_same_data_alone(trained: dlexp.Run, frame: pd.DataFrame) -> None:
    here, loaded = trained.evaluate(resamples=0), dlexp.load(trained.path)
    with pytest.raises(dlexp.ConfigError) as caught:
        loaded.evaluate()
    assert caught.value.problems[0].code == "missing-value"
    assert loaded.evaluate(data=frame, resamples=0).metrics == here.metrics
    assert loaded.evaluate(data=frame.drop(columns="owns"), target=frame["owns"], resamples=0).metrics == here.metrics
    with pytest.raises(dlexp.DataError, match="allow_changes=True") as changed:
        loaded.evaluate(data=frame.iloc[:45])
    assert changed.value.code == "data-changed"
    assert loaded.evaluate(data=frame.iloc[:45], allow_changes=True, resamples=0).report["data_as_trained"] is False
    with pytest.raises(dlexp.ConfigError, match="Pass data=frame"):
        loaded.evaluate(data="people.csv")
    assert here.table.columns.tolist() == ["value", "low", "high"]
    assert "loss" in repr(here)
    assert here._repr_html_().startswith("<div>")
    assert not here.tables["predictions"].empty


def test_the_command_line_asks_for_data_that_python_handed_over(trained: dlexp.Run) -> None:
    for words in (["evaluate", str(trained.path)], ["train", "--resume", str(trained.path), "trainer.epochs=3"]):
        done = prefork.run(*words, cwd=Path.cwd())
        assert done.returncode == 2
        assert "handed over in Python" in done.stderr
        assert "data=csv" in done.stderr


def test_predictions_keep_the_index_and_equal_those_of_the_file(trained: dlexp.Run, frame: pd.DataFrame) -> None:
    some = frame.drop(columns="owns").iloc[10:20].sample(frac=1, random_state=0)
    found = trained.predict(some, probabilities=True)
    assert found.index.tolist() == some.index.tolist()
    assert {"predicted", "confidence", "error"} <= set(found.columns)
    some.to_csv("some.csv", index=False)
    read = trained.predict("some.csv", probabilities=True)
    assert read["predicted"].tolist() == found["predicted"].tolist()
    assert read["confidence"].tolist() == found["confidence"].tolist()
    assert trained.predict([{"age": 20, "town": "Ulm"}])["error"].tolist() == [None]
    bad = trained.predict(pd.DataFrame({"age": ["old", "30"], "town": ["Ulm", "Ulm"]}))
    assert bad["error"].notna().tolist() == [True, False]
    with pytest.raises(dlexp.DataError, match="ignore_extra=True"):
        trained.predict(some.assign(more=1))
    assert len(trained.predict(some.assign(more=1), ignore_extra=True)) == 10


def test_resuming_needs_the_data_and_continues(frame: pd.DataFrame) -> None:
    run = dlexp.train(*SMALL, data=frame, target="owns", progress=False)
    with pytest.raises(dlexp.ConfigError, match="Hand it over again"):
        dlexp.resume("latest", "trainer.epochs=3", progress=False)
    with pytest.raises(dlexp.DataError):
        dlexp.resume(run.path, "trainer.epochs=3", data=frame.iloc[:45], progress=False)
    assert len(dlexp.resume("latest", "trainer.epochs=3", data=frame, progress=False).metrics) == 3
    assert run.repeat("optim.lr=0.1", progress=False).config["optim"]["lr"] == 0.1


def test_a_training_is_stopped_and_leaves_the_program_alone(
    frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_self: object, record: StepRecord | EpochRecord) -> None:
        if isinstance(record, EpochRecord):
            os.kill(os.getpid(), signal.SIGINT)

    torch.manual_seed(3)
    np.random.seed(3)
    threads = torch.get_num_threads()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    states = torch.get_rng_state(), _numpy_key()
    with monkeypatch.context() as patch, pytest.raises(dlexp.Interrupted, match=r'dlexp\.resume\("'):
        patch.setattr(progress_module.Messages, "observe", interrupt)
        dlexp.train(*SMALL, data=frame, target="owns", progress=False, run_id="a")
    assert {number: signal.getsignal(number) for number in handlers} == handlers
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(_numpy_key(), states[1])
    assert torch.get_num_threads() == threads
    assert dlexp.load("a").state == "interrupted"
    stopped = dlexp.train(*SMALL, data=frame, target="owns", progress=False, run_id="a")
    whole = dlexp.train(*SMALL, data=frame, target="owns", progress=False)
    pd.testing.assert_frame_equal(log_of(stopped), log_of(whole), check_exact=True)


def test_a_thread_trains_too(frame: pd.DataFrame) -> None:
    found: list[str] = []

    def work() -> None:
        found.append(dlexp.train(*SMALL, data=frame, target="owns", progress=False).state)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == ["finished"]


def test_arrays_of_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 255, (60, 8, 8), dtype=np.uint8), np.arange(60) % 3
    run = dlexp.train(*SMALL, data=(torch.from_numpy(x), y), progress=False)
    assert set(run.predict(x[:5])["predicted"]) <= {"0", "1", "2"}
    with pytest.raises(dlexp.DataError, match="images"):
        run.predict(people())
    with pytest.raises(dlexp.DataError, match="Pass only that array"):
        run.predict(x[0])
    with pytest.raises(dlexp.ConfigError, match=r"data=\(x, y\)"):
        run.evaluate(data=people(), target="owns")


def test_mistakes_are_told_at_once_and_no_exit(frame: pd.DataFrame) -> None:
    with pytest.raises(dlexp.ConfigError) as caught:
        dlexp.train("model=mlpp", "optim.lrr=1", data=frame, target="owns")
    assert [problem.where for problem in caught.value.problems] == ["model", "optim.lrr"]
    with pytest.raises(dlexp.DataError, match="Did you mean"):
        dlexp.train(*SMALL, data=frame, target="own")
    with pytest.raises(dlexp.ConfigError, match=r"The columns of data are age, town, owns\. Add data\.target=owns"):
        dlexp.train(*SMALL, data=frame)
    calls: tuple[Callable[[], object], ...] = (
        lambda: dlexp.train(seeds=0),
        lambda: dlexp.train(run_id="a", run_dir="b"),
        lambda: dlexp.load("no-such-run"),
        lambda: dlexp.load_group("no-such-group"),
        lambda: dlexp.study(trials=0),
    )
    for call in calls:
        with pytest.raises(dlexp.ConfigError):
            call()
    assert not Path("outputs/train").exists()


def test_seeds_are_trained_together(frame: pd.DataFrame) -> None:
    words = (*SMALL, "model.norm=none", "optim=sgd")
    alone = dlexp.train(*words, data=frame, target="owns", seeds=2, progress=False)
    stacked = dlexp.train(*words, data=frame, target="owns", seeds=2, stacked=True, progress=False)
    plan = json.loads((stacked.path / "stacks.json").read_text())
    assert plan == {"stacks": [["seed 42", "seed 43"]], "alone": {}}
    before, after = (group.over_seeds.loc["val/loss", "mean"] for group in (alone, stacked))
    assert after == pytest.approx(before, rel=1e-4)
    with pytest.raises(dlexp.ConfigError) as caught:
        dlexp.train(*words, data=frame, target="owns", stacked=True)  # type: ignore[call-overload]
    assert (caught.value.problems[0].where, caught.value.problems[0].code) == ("stacked", "no-effect")


def test_seeds_make_a_group_that_is_compared(frame: pd.DataFrame) -> None:
    group = dlexp.train(*SMALL, data=frame, target="owns", seeds=2, progress=False)
    assert_type(group, dlexp.RunGroup)
    assert group.metrics.index.tolist() == [42, 43]
    assert group.over_seeds["n"].tolist() == [2] * len(group.over_seeds)
    assert len(group.evaluate()) == 2
    with pytest.raises(dlexp.ConfigError, match="load_group"):
        dlexp.load(group.path)
    same = dlexp.compare(group.runs)
    assert "not distinguishable" in same.verdict
    assert not dlexp.compare([group]).table.empty
    assert same._repr_html_().startswith("<div>")
    assert group._repr_html_().startswith("<div>")


def test_the_lines_of_the_page_run(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(dlexp.__file__).parents[1] / "docs/guides/python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.S)
    assert len(blocks) == 3
    frame = people().assign(income=lambda table: 100 * table["age"])
    names: dict[str, Any] = {"frame": frame, "new_rows": frame.drop(columns="income").iloc[:5]}
    monkeypatch.setattr(progress_module.LineProgress, "say", lambda _self, _text: None)
    for block in blocks[:2]:
        exec(block, names)
    assert names["run"].state == "finished"
    assert len(names["run"].metrics) == 20
    for name in re.findall(r"dlexp\.(\w+)\(", page):
        assert name in dlexp.__all__, name
    for name in re.findall(r"`run\.(\w+)", page):
        assert hasattr(dlexp.Run, name), name
