"""Run directories, studies, sweeps and checkpoints of another format number are refused in one sentence."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from refusals import line_refused, refused

from dlexp.artifacts.checkpoints.checkpoint import CheckpointStore, read_checkpoint
from dlexp.artifacts.files.format_number import FORMAT, KEY
from dlexp.cli.app import main
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.sweep import SweepJob
from dlexp.errors import DlexpError
from dlexp.tune.samplers import Rules
from dlexp.tune.search_space.space import Space, parse_dimension
from dlexp.tune.study import Study
from dlexp.workflows.sweep.files import read_jobs, unfinished_twin, write_jobs

OTHER = FORMAT + 1
RUN = Path("outputs/train/r")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a run whose meta.json has another format number."""
    folder = tmp_path_factory.mktemp("format")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with pytest.raises(SystemExit) as stopped:
            main(["train", "-q", "data=iris", "model=perceptron", "trainer.epochs=1", "--run-id", "r"])
        assert not stopped.value.code
        content = json.loads((RUN / "meta.json").read_text())
        assert content[KEY] == FORMAT
        (RUN / "meta.json").write_text(json.dumps(content | {KEY: OTHER}))
        Path("rows.csv").write_text("a,b\n1,2\n")
    return folder


@pytest.fixture(autouse=True)
def here(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--resume", str(RUN), "trainer.epochs=2"),
        ("train", "--from", str(RUN)),
        ("evaluate", str(RUN)),
        ("predict", str(RUN), "rows.csv"),
        ("export", str(RUN)),
        ("compare", str(RUN), str(RUN)),
        ("runs", "show", str(RUN)),
        ("verify", str(RUN)),
    ],
    ids=" ".join,
)
def test_every_command_refuses_a_run_of_another_format(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    error = line_refused(capsys, *words, code="incompatible-run", where=f"{RUN}/meta.json", exit_code=1)
    assert f"format {OTHER}" in error["message"] and f"format {FORMAT}" in error["message"]
    assert len(error["message"].splitlines()) == 1


def test_the_table_of_runs_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["runs", "--json"])
    (broken,) = json.loads(capsys.readouterr().out)["broken"]
    assert f"format {OTHER}" in broken["reason"]


def test_a_checkpoint_of_another_format_is_refused_and_stays_in_place(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, lambda text: None)
    state = {"networks": {"w": torch.zeros(2)}, "position": {}}
    store.save_last(state)
    assert torch.load(tmp_path / "last.pt", weights_only=True)[KEY] == FORMAT
    assert read_checkpoint(tmp_path / "last.pt").keys() == state.keys()
    torch.save({**state, KEY: OTHER}, tmp_path / "last.pt")
    (tmp_path / "hashes.json").unlink()
    with pytest.raises(DlexpError) as error:
        read_checkpoint(tmp_path / "last.pt")
    refused(error.value, "incompatible-run", "last.pt")
    with pytest.raises(DlexpError) as error:
        _loaded(store)
    refused(error.value, "incompatible-run", "last.pt")
    assert [path.name for path in tmp_path.glob("*.pt*")] == ["last.pt"]


def _loaded(store: CheckpointStore) -> object:
    content = (store.folder / "last.pt").read_bytes()
    (store.folder / "hashes.json").write_text(json.dumps({"last.pt": [hashlib.sha256(content).hexdigest()]}))
    return store.load_last()


def test_a_sweep_of_another_format_is_refused_and_not_continued() -> None:
    words = ("data=iris", "seed=0,1")
    own = [("data=iris", f"seed={seed}") for seed in range(2)]
    jobs = [SweepJob(line, (("seed", line[1][-1]),), load(line, Catalog())) for line in own]
    folder = Path("outputs/sweep/s")
    folder.mkdir(parents=True)
    write_jobs(folder, words, jobs)
    (folder / "sweep.json").write_text(json.dumps({"overrides": list(words), "counts": {"waiting": 2}}))
    assert unfinished_twin(words, jobs) == folder
    content = json.loads((folder / "jobs.json").read_text())
    (folder / "jobs.json").write_text(json.dumps(content | {KEY: OTHER}))
    with pytest.raises(DlexpError) as error:
        read_jobs(folder)
    refused(error.value, "incompatible-run", "jobs.json")
    assert unfinished_twin(words, jobs) is None


def test_a_study_of_another_format_is_refused(tmp_path: Path) -> None:
    rules = Rules("random", 0, 3, "none", 0, 0, 25.0, False, "val/loss", 10)
    space = Space({}, (parse_dimension("x", {"float": [0, 1]}),))
    study = Study("t", None, tmp_path, rules, space)._study
    study.set_user_attr("made_for", study.user_attrs["made_for"] | {KEY: OTHER})
    with pytest.raises(DlexpError) as error:
        Study("t", None, tmp_path, rules, space)
    refused(error.value, "incompatible-run", "study t")
